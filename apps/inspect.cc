// hwynn inspect: the variable tree of a checkpoint, or of any safetensors file.

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>

#include "hwynn/apps/commands.h"
#include "hwynn/formats/array_name.h"
#include "hwynn/formats/safetensors.h"

namespace hwynn::apps {
namespace {

struct Node {
  std::map<std::string, Node> children;
  const SafetensorsEntry* entry = nullptr;

  int64_t Count() const {
    int64_t count = entry ? entry->shape.num_elements() : 0;
    for (const auto& [name, child] : children) count += child.Count();
    return count;
  }
};

/// 11689512 → 11,689,512.
std::string Grouped(int64_t count) {
  std::string text = std::to_string(count);
  for (int64_t i = std::ssize(text) - 3; i > 0; i -= 3) text.insert(static_cast<size_t>(i), ",");
  return text;
}

void Print(const std::string& name, const Node& node, int depth) {
  std::string label = std::string(static_cast<size_t>(2 * depth), ' ') + name;
  if (node.entry) label += "  " + node.entry->dtype + " " + node.entry->shape.ToString();
  std::cout << std::left << std::setw(60) << label << ' ' << std::right << std::setw(14) << Grouped(node.Count())
            << '\n';
  for (const auto& [child_name, child] : node.children) Print(child_name, child, depth + 1);
}

void PrintModel(const InferenceModel& model) {
  const InferenceInfo& info = model.info();
  std::cout << model.Describe() << "\nimages " << info.image_shape << ", " << info.class_names.size()
            << " class names, " << Grouped(model.weight_bytes()) << " bytes of weights\n";
}

void RunInspect(const std::string& path) {
  if (InferenceModel::IsModelFile(path)) return PrintModel(InferenceModel::Load(path));
  const SafetensorsFile file(path);
  for (const auto& [key, value] : file.metadata()) std::cout << key << ": " << value << '\n';
  if (!file.metadata().empty()) std::cout << '\n';
  Node root;
  for (const auto& [name, entry] : file.entries()) {
    Node* node = &root;
    for (const std::string& part : SplitPath(name, kNameSeparator)) node = &node->children[part];
    node->entry = &entry;
  }
  for (const auto& [name, node] : root.children) Print(name, node, 0);
}

}  // namespace

void AddInspectCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "inspect", "the variable tree of a checkpoint: shapes, dtypes, counts; the steps of a compiled model");
  const auto path = std::make_shared<std::string>();
  command->add_option("checkpoint", *path, "a checkpoint.safetensors, or what hwynn compile made of it")
      ->required()
      ->type_name("FILE");
  command->callback([path] { RunInspect(*path); });
}

}  // namespace hwynn::apps
