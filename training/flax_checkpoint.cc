#include "hwynn/training/flax_checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/formats/sound_values.h"

namespace hwynn {
namespace {

constexpr std::string_view kStep = "step";
constexpr std::string_view kOptState = "opt_state";
constexpr std::string_view kCount = "count";
// The parts of optax's states that have the tree of params; Optimizer's state has the same names.
constexpr std::array<std::string_view, 3> kMoments = {"trace", "mu", "nu"};
constexpr std::string_view kFilePrefix = "checkpoint_";

template <class T>
std::span<const std::byte> BytesOf(const T& object) {
  return std::as_bytes(std::span(&object, 1));
}

/// A plain integer, or an integer array of one element.
std::optional<int64_t> ToInteger(const MsgpackValue& value, const std::string& path, const std::string& name) {
  if (const auto* number = std::get_if<int64_t>(&value.data)) return *number;
  if (!IsFlaxArray(value)) return std::nullopt;
  const FlaxArray array = ReadFlaxArray(value, path, name);
  const bool is_signed = array.dtype.starts_with("int");
  if (array.shape.num_elements() != 1 || !(is_signed || array.dtype.starts_with("uint"))) return std::nullopt;
  const size_t size = array.data.bytes.size();
  uint64_t bits = 0;
  std::memcpy(&bits, array.data.bytes.data(), size);
  const int unused = 64 - 8 * static_cast<int>(size);
  // An arithmetic shift copies the sign.
  const int64_t number = is_signed ? static_cast<int64_t>(bits << unused) >> unused : static_cast<int64_t>(bits);
  if (!is_signed && number < 0) return std::nullopt;
  return number;
}

/// A number in the form the old one has.
MsgpackValue WithInteger(MsgpackValue value, int64_t number, const std::string& path, const std::string& name) {
  if (auto* plain = std::get_if<int64_t>(&value.data)) {
    *plain = number;
    return value;
  }
  ReplaceFlaxArray(value, BytesOf(number).first(ReadFlaxArray(value, path, name).data.bytes.size()));
  Check(ToInteger(value, path, name) == number, "FlaxCheckpoint::Update: \"", name, "\" of ", path, " can't hold ",
        number);
  return value;
}

/// Where the parts of a state are in a document. Value and Array are const or not, as what they are found in.
template <class Value, class Array>
class Binder {
 public:
  struct Pair {
    std::string name;
    Value* value;
    Array* tensor;
  };
  struct Count {
    std::string name;
    Value* value;
  };

  Binder(Value& root, const std::string& path) : root_(root), path_(path) {}

  const std::vector<Pair>& pairs() const { return pairs_; }
  const std::vector<Count>& counts() const { return counts_; }

  template <class AnyVariables>
  void AddVariables(AnyVariables& variables) {
    for (auto& [name, collection] : variables) {
      Value* tree = root_.Find(name);
      CheckData(tree != nullptr || collection.empty(), path_, ": has no \"", name, "\"");
      std::map<std::string, Array*> arrays;
      for (auto& [path, tensor] : collection) arrays.emplace(path, &tensor);
      if (tree != nullptr) AddTree(name, *tree, arrays);
    }
  }

  template <class AnyCollection>
  void AddOptState(AnyCollection& state) {
    std::map<std::string, std::map<std::string, Array*>> moments;
    for (auto& [path, tensor] : state) {
      const size_t slash = path.find('/');
      moments[path.substr(0, slash)].emplace(path.substr(slash + 1), &tensor);
    }
    Value* root = root_.Find(kOptState);
    CheckData(root != nullptr, path_, ": has no \"", kOptState, "\"");
    FindMoments(std::string(kOptState), *root, moments);
    for (const auto& [kind, arrays] : moments) {
      CheckData(arrays.empty(), path_, ": byte ", root->offset, ": \"", kOptState, "\" has no \"", kind,
                "\", which the optimizer keeps");
    }
  }

  Value& AddStep() {
    Value* step = root_.Find(kStep);
    CheckData(step != nullptr, path_, ": has no \"", kStep, "\"");
    counts_.push_back({std::string(kStep), step});
    return *step;
  }

  int64_t CheckedCount(const Count& count) const {
    const auto number = ToInteger(*count.value, path_, count.name);
    CheckData(number.has_value() && *number >= 0, path_, ": byte ", count.value->offset, ": \"", count.name,
              "\" isn't a whole number of at least 0");
    return *number;
  }

 private:
  /// Depth is the parser's, which is bounded.
  void FindMoments(const std::string& name, Value& node,
                   std::map<std::string, std::map<std::string, Array*>>& moments) {
    auto* map = std::get_if<MsgpackValue::Map>(&node.data);
    if (map == nullptr) return;
    for (auto& [key, value] : *map) {
      const std::string path = StrCat(name, "/", key);
      if (key == kCount) {
        counts_.push_back({path, &value});
      } else if (std::ranges::find(kMoments, key) != kMoments.end()) {
        const auto found = moments.find(key);
        CheckData(found != moments.end() && !found->second.empty(), path_, ": byte ", value.offset, ": \"", path,
                  "\" is there once more than the optimizer keeps it");
        AddTree(path, value, found->second);
        found->second.clear();
      } else {
        FindMoments(path, value, moments);
      }
    }
  }

  /// The tree has `arrays` and no others.
  void AddTree(const std::string& tree_name, Value& tree, const std::map<std::string, Array*>& arrays) {
    FlaxLeaves<Value> leaves;
    CheckData(std::holds_alternative<MsgpackValue::Map>(tree.data), path_, ": byte ", tree.offset, ": \"", tree_name,
              "\" isn't a dictionary");
    CollectFlaxLeaves(tree, "", path_, leaves);
    for (const auto& [path, tensor] : arrays) {
      const std::string name = StrCat(tree_name, "/", path);
      const auto leaf = leaves.find(path);
      CheckData(leaf != leaves.end(), path_, ": has no array \"", name, "\"");
      Value& value = *leaf->second;
      const auto check = [&](bool ok, const auto&... parts) {
        CheckData(ok, path_, ": byte ", value.offset, ": \"", name, "\" ", parts...);
      };
      check(IsFlaxArray(value), "isn't an array");
      const FlaxArray array = ReadFlaxArray(value, path_, name);
      check(array.dtype == "float32", "is ", array.dtype, ", not float32");
      check(array.shape == tensor->shape(), "has shape ", array.shape, ", the model's is ", tensor->shape());
      const auto unsound = FindUnsoundValue(name, array.data.bytes);
      check(!unsound, unsound.value_or(""));
      pairs_.push_back({name, &value, tensor});
      leaves.erase(leaf);
    }
    for (const auto& [path, value] : leaves) {
      CheckData(false, path_, ": byte ", value->offset, ": \"", tree_name, "/", path, "\" isn't one of the model's");
    }
  }

  Value& root_;
  const std::string& path_;
  std::vector<Pair> pairs_;
  std::vector<Count> counts_;
};

void CopyOut(const Binder<const MsgpackValue, Tensor>& binder, const std::string& path) {
  for (const auto& pair : binder.pairs()) {
    const FlaxArray array = ReadFlaxArray(*pair.value, path, pair.name);
    if (pair.tensor->size() > 0) std::memcpy(pair.tensor->data(), array.data.bytes.data(), array.data.bytes.size());
  }
}

/// A dictionary with its keys sorted at every level.
MsgpackValue SortedTree(const std::map<std::string, const Tensor*>& arrays, size_t chunk_bytes) {
  std::map<std::vector<std::string>, const Tensor*> by_names;
  for (const auto& [path, tensor] : arrays) {
    std::vector<std::string> names;
    for (size_t begin = 0; begin <= path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      names.push_back(path.substr(begin, end - begin));
      begin = end + 1;
    }
    by_names.emplace(std::move(names), tensor);
  }
  MsgpackValue root{MsgpackValue::Map()};
  for (const auto& [names, tensor] : by_names) {
    const std::span<const float> values = tensor->span();
    const bool placed =
        AppendFlaxLeaf(root, names, MakeFlaxArray("float32", tensor->shape(), std::as_bytes(values), chunk_bytes));
    Check(placed, "FlaxCheckpoint::Create: \"", names.back(), "\" is both an array and a module");
  }
  return root;
}

MsgpackValue MakeCount(int64_t number) {
  Check(number <= std::numeric_limits<int32_t>::max(), "FlaxCheckpoint::Create: step ", number, " is above 2^31 - 1");
  return MakeFlaxArray("int32", {}, BytesOf(static_cast<int32_t>(number)));
}

MsgpackValue MakeOptState(const TrainState& state, const OptimizerOptions& optimizer, const FlaxLayout& layout) {
  MsgpackValue::Map moments;
  if (optimizer.kind != OptimizerKind::kSgd) moments.push_back({std::string(kCount), MakeCount(state.step)});
  for (const std::string_view kind : kMoments) {
    std::map<std::string, const Tensor*> arrays;
    const std::string prefix = StrCat(kind, "/");
    for (const auto& [path, tensor] : state.opt_state) {
      if (path.starts_with(prefix)) arrays.emplace(path.substr(prefix.size()), &tensor);
    }
    if (!arrays.empty()) moments.push_back({std::string(kind), SortedTree(arrays, layout.chunk_bytes)});
  }
  MsgpackValue::Map learning_rate;
  if (layout.schedule) learning_rate.push_back({std::string(kCount), MakeCount(state.step)});

  MsgpackValue::Map chain;
  const auto add = [&](MsgpackValue::Map part) { chain.push_back({std::to_string(chain.size()), {std::move(part)}}); };
  add(std::move(moments));
  if (optimizer.kind == OptimizerKind::kAdamW) add({});  // of add_decayed_weights
  add(std::move(learning_rate));
  return {std::move(chain)};
}

}  // namespace

FlaxCheckpoint FlaxCheckpoint::Read(const std::string& path) {
  std::error_code no_matter;  // reading the file says what is wrong
  const std::string file = std::filesystem::is_directory(path, no_matter) ? LatestFlaxCheckpoint(path) : path;
  MsgpackValue root = ParseMsgpack(SharedBytes::Own(ReadFile(file)), file);
  CheckData(std::holds_alternative<MsgpackValue::Map>(root.data), file, ": byte 0: isn't a dictionary");
  return {file, std::move(root)};
}

FlaxCheckpoint FlaxCheckpoint::Create(const TrainState& state, const OptimizerOptions& optimizer,
                                      const FlaxLayout& layout) {
  MsgpackValue::Map root;
  const auto add = [&](std::string_view name, MsgpackValue value) {
    root.push_back({std::string(name), std::move(value)});
  };
  const auto add_collection = [&](std::string_view name, const Collection& collection) {
    std::map<std::string, const Tensor*> arrays;
    for (const auto& [path, tensor] : collection) arrays.emplace(path, &tensor);
    add(name, SortedTree(arrays, layout.chunk_bytes));
  };
  add(kStep, MakeCount(state.step));
  add_collection(kParams, GetCollection(state.variables, kParams));
  add(kOptState, MakeOptState(state, optimizer, layout));
  for (const auto& [name, collection] : state.variables) {
    if (name != kParams) add_collection(name, collection);
  }
  return {"new state", {std::move(root)}};
}

int64_t FlaxCheckpoint::step() const {
  Binder<const MsgpackValue, const Tensor> binder(root_, path_);
  binder.AddStep();
  return binder.CheckedCount(binder.counts()[0]);
}

void FlaxCheckpoint::Restore(TrainState& state) const {
  Binder<const MsgpackValue, Tensor> binder(root_, path_);
  binder.AddStep();
  binder.AddVariables(state.variables);
  binder.AddOptState(state.opt_state);
  const int64_t steps = step();
  for (const auto& count : binder.counts()) {
    const int64_t number = binder.CheckedCount(count);
    CheckData(number == steps, path_, ": byte ", count.value->offset, ": \"", count.name, "\" is ", number,
              ", the step is ", steps);
  }
  CopyOut(binder, path_);
  state.step = steps;
  state.epoch_sums = {};
}

void FlaxCheckpoint::RestoreVariables(Variables& variables) const {
  Binder<const MsgpackValue, Tensor> binder(root_, path_);
  binder.AddVariables(variables);
  CopyOut(binder, path_);
}

void FlaxCheckpoint::Update(const TrainState& state) {
  Binder<MsgpackValue, const Tensor> binder(root_, path_);
  binder.AddStep();
  binder.AddVariables(state.variables);
  binder.AddOptState(state.opt_state);
  std::vector<MsgpackValue> counts;
  for (const auto& count : binder.counts()) {
    binder.CheckedCount(count);
    counts.push_back(WithInteger(*count.value, state.step, path_, count.name));
  }
  for (size_t i = 0; i < counts.size(); ++i) *binder.counts()[i].value = std::move(counts[i]);
  for (const auto& pair : binder.pairs()) ReplaceFlaxArray(*pair.value, std::as_bytes(pair.tensor->span()));
}

std::string LatestFlaxCheckpoint(const std::string& folder) {
  std::string latest;
  double highest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kFilePrefix)) continue;
    double number = 0;
    const char* const end = name.data() + name.size();
    const auto result = std::from_chars(name.data() + kFilePrefix.size(), end, number);
    if (result.ec != std::errc() || result.ptr != end || (!latest.empty() && number <= highest)) continue;
    highest = number;
    latest = entry.path().string();
  }
  CheckData(!latest.empty(), folder, ": a folder without a file checkpoint_<n>");
  CheckData(!std::filesystem::is_directory(latest), latest,
            ": a folder: Orbax's format, which hwynn doesn't read; Flax writes a file with "
            "FLAX_USE_ORBAX_CHECKPOINTING=false");
  return latest;
}

}  // namespace hwynn
