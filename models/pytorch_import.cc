#include "hwynn/models/pytorch_import.h"

#include <algorithm>
#include <array>
#include <map>
#include <regex>
#include <set>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/formats/dtype.h"
#include "hwynn/formats/sound_values.h"
#include "hwynn/models/presets.h"

namespace hwynn {
namespace {

constexpr std::string_view kBatchCount = "num_batches_tracked";

/// A name without what wrappers put before it.
std::string_view WithoutWrappers(std::string_view name) {
  constexpr std::array<std::string_view, 4> kWrappers = {"module.", "model.", "_orig_mod.", "backbone."};
  for (;;) {
    const auto wrapper = std::ranges::find_if(kWrappers, [&](auto prefix) { return name.starts_with(prefix); });
    if (wrapper == kWrappers.end()) return name;
    name.remove_prefix(wrapper->size());
  }
}

/// A name in a block: stage, block, part, index and field.
bool MatchBlock(const std::string& name, std::smatch& match) {
  constexpr size_t kMaxLength = 64;  // std::regex recurses once a character
  static const std::regex pattern(R"(layer([1-4])\.(\d{1,3})\.(conv|bn|downsample\.|shortcut\.)(\d)\.(\w+))");
  return name.size() <= kMaxLength && std::regex_match(name, match, pattern);
}

/// Where an array goes, as Flax names it. A count of batches goes nowhere: its name is empty.
struct Place {
  std::string_view collection;
  std::string module;
  std::string_view name;

  std::string path() const { return StrCat(module, "/", name); }
};

class Importer {
 public:
  explicit Importer(const SafetensorsFile& file) : file_(file) {}

  ImportedResNet Import() {
    CountBlocks();
    std::vector<std::pair<std::string, std::string>> counted;  // the names of counts, the statistics that they count
    for (const auto& [name, entry] : file_.entries()) {
      const Place place = Find(name);
      if (place.name.empty()) {
        counted.emplace_back(name, StrCat(kBatchStats, "/", place.module, "/mean"));
        continue;
      }
      const bool added = names_.emplace(StrCat(place.collection, "/", place.path()), name).second;
      CheckEntry(added, name, "is there twice: the file holds more than one model");
      result_.variables[std::string(place.collection)].emplace(place.path(), Read(name, place.name, entry));
    }
    for (const auto& [name, mean] : counted) CheckEntry(names_.contains(mean), name, "is of no BatchNorm of the file");
    Describe();
    CheckAgainstModel();
    return std::move(result_);
  }

 private:
  template <class... Parts>
  void CheckEntry(bool ok, const std::string& name, const Parts&... parts) const {
    CheckData(ok, file_.path(), ": array \"", name, "\" ", parts...);
  }

  void CountBlocks() {
    std::array<std::set<int>, 4> blocks;
    for (const auto& [name, entry] : file_.entries()) {
      std::smatch match;
      const std::string bare(WithoutWrappers(name));
      if (!MatchBlock(bare, match)) continue;
      blocks[static_cast<size_t>(std::stoi(match[1]) - 1)].insert(std::stoi(match[2]));
      result_.options.bottleneck = result_.options.bottleneck || (match[3] == "conv" && match[4] == "3");
    }
    std::vector<int64_t>& stage_sizes = result_.options.stage_sizes;
    stage_sizes.clear();
    for (size_t stage = 0; stage < blocks.size(); ++stage) {
      if (blocks[stage].empty()) continue;
      CheckData(stage_sizes.size() == stage, file_.path(), ": has a layer", stage + 1, ", but no layer",
                stage_sizes.size() + 1);
      const int last = *blocks[stage].rbegin();
      CheckData(last < static_cast<int>(blocks[stage].size()), file_.path(), ": layer", stage + 1, " has ",
                blocks[stage].size(), " blocks, but one is number ", last);
      first_block_[stage + 1] = first_block_[stage] + static_cast<int>(blocks[stage].size());
      stage_sizes.push_back(static_cast<int64_t>(blocks[stage].size()));
    }
  }

  Place Find(const std::string& full_name) const {
    const std::string name(WithoutWrappers(full_name));
    if (name == "fc.weight" || name == "linear.weight") return {kParams, "Dense_0", "kernel"};
    if (name == "fc.bias" || name == "linear.bias") return {kParams, "Dense_0", "bias"};
    if (name == "conv1.weight") return {kParams, "conv_init", "kernel"};
    CheckEntry(name != "conv1.bias", full_name, "is a bias of the stem: the convolutions of hwynn's ResNets have none");
    const bool in_stem = name.size() > 6 && name.starts_with("conv1.") && name[6] >= '0' && name[6] <= '9';
    CheckEntry(!in_stem, full_name,
               "is of a stem of several convolutions: that of hwynn's ResNets is one, conv1.weight");
    if (name.starts_with("bn1.")) return FindNorm(full_name, "bn_init", name.substr(4));
    constexpr std::string_view kNotOfAResNet = "isn't one of a ResNet in PyTorch's naming";
    std::smatch match;
    CheckEntry(MatchBlock(name, match), full_name, kNotOfAResNet);
    const auto stage = static_cast<size_t>(std::stoi(match[1]) - 1);
    const int block = first_block_[stage] + std::stoi(match[2]);
    const int index = std::stoi(match[4]);
    const std::string part = match[3], field = match[5];
    const std::string prefix =
        StrCat(result_.options.bottleneck ? "BottleneckResNetBlock_" : "ResNetBlock_", block, "/");
    const bool downsample = part.ends_with('.');
    if (downsample ? index == 1 : part == "bn") {
      return FindNorm(full_name, prefix + (downsample ? "norm_proj" : StrCat("BatchNorm_", index - 1)), field);
    }
    CheckEntry(field == "weight" && (!downsample || index == 0), full_name, kNotOfAResNet);
    return {kParams, prefix + (downsample ? "conv_proj" : StrCat("Conv_", index - 1)), "kernel"};
  }

  Place FindNorm(const std::string& name, std::string module, std::string_view field) const {
    if (field == "weight") return {kParams, std::move(module), "scale"};
    if (field == "bias") return {kParams, std::move(module), "bias"};
    if (field == "running_mean") return {kBatchStats, std::move(module), "mean"};
    if (field == kBatchCount) return {kBatchStats, std::move(module), {}};
    CheckEntry(field == "running_var", name, "isn't one of a BatchNorm in PyTorch's naming");
    return {kBatchStats, std::move(module), "var"};
  }

  Tensor Read(const std::string& name, std::string_view flax_name, const SafetensorsEntry& entry) const {
    CheckEntry(entry.shape.num_elements() > 0, name, "is empty");
    const Dtype& dtype = *FindSafetensorsDtype(entry.dtype);
    CheckEntry(ConvertsToFloat(dtype), name, "is ", entry.dtype, ", not F32, F16, BF16 or F64");
    std::vector<float> values(static_cast<size_t>(entry.shape.num_elements()));
    ToFloats(dtype, entry.bytes, values);
    const auto unsound = FindUnsoundValue(flax_name, std::as_bytes(std::span(values)));
    CheckEntry(!unsound, name, unsound.value_or(""));
    const Shape& shape = entry.shape;
    const bool is_kernel = shape.rank() == 4 || shape.rank() == 2;
    CheckEntry(is_kernel || shape.rank() == 1, name, "has shape ", shape);
    const int64_t outer = shape[0];
    const int64_t inner = is_kernel ? shape[1] : 1;
    const int64_t window = shape.rank() == 4 ? shape[2] * shape[3] : 1;
    Tensor tensor(shape.rank() == 4 ? Shape{shape[2], shape[3], inner, outer}
                  : is_kernel       ? Shape{inner, outer}
                                    : shape);
    // [O,I,H·W] → [H·W,I,O].
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < inner; ++i) {
        for (int64_t w = 0; w < window; ++w) {
          tensor[(w * inner + i) * outer + o] = values[static_cast<size_t>((o * inner + i) * window + w)];
        }
      }
    }
    return tensor;
  }

  const Shape& Kernel(const std::string& path, const char* name, int rank) const {
    const auto collection = result_.variables.find(kParams);
    const bool found = collection != result_.variables.end() && collection->second.contains(path);
    CheckData(found, file_.path(), ": has no array \"", name, "\"");
    const Shape& shape = collection->second.find(path)->second.shape();
    CheckEntry(shape.rank() == rank, name, "has ", shape.rank(), " dimensions, not ", rank);
    return shape;
  }

  void Describe() {
    ResNetOptions& options = result_.options;
    const Shape& stem = Kernel("conv_init/kernel", "conv1.weight", 4);
    const bool seven = stem[0] == 7 && stem[1] == 7;
    CheckEntry(seven || (stem[0] == 3 && stem[1] == 3), names_.at("params/conv_init/kernel"), "is a convolution of ",
               stem[0], "x", stem[1], ": the stem of hwynn's ResNets has 7x7 or 3x3");
    options.stem = seven ? ResNetStem::kImageNet : ResNetStem::kCifar;
    options.num_filters = stem[3];
    options.num_classes = Kernel("Dense_0/kernel", "fc.weight", 2)[1];
    options.padding = PaddingRule::kPyTorch;
    result_.channels = stem[2];
  }

  /// What a filter may be that isn't the model's.
  std::string Hint(const std::string& name, const Shape& shape, const Shape& expected) const {
    if (!result_.options.bottleneck || shape.rank() != expected.rank()) return "";
    if (name.ends_with("conv2.weight") && shape[2] < shape[3]) return "; hwynn's ResNets have no grouped convolutions";
    return shape.back() > expected.back() ? "; hwynn's ResNets have no wider bottlenecks" : "";
  }

  /// The model has these arrays with these shapes, and no others.
  void CheckAgainstModel() const {
    constexpr int64_t kExtent = 32;  // of an image; any will do
    Variables expected;
    try {
      int64_t limit = 1 << 20;  // more than the file has, so that what is missing gets named
      for (const auto& [name, collection] : result_.variables) limit += 2 * CountElements(collection);
      expected = Init(ResNet(result_.options), Key(), {1, kExtent, kExtent, result_.channels}, limit);
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error(
          StrCat(file_.path(), ": looks like ", ResNetText(result_.options), ", but ", error.what()));
    }
    auto names = names_;
    for (const auto& [collection, arrays] : expected) {
      for (const auto& [path, tensor] : arrays) {
        const std::string full = StrCat(collection, "/", path);
        const auto name = names.find(full);
        CheckData(name != names.end(), file_.path(), ": has no array for ", full, " of ", ResNetText(result_.options));
        const Shape& shape = result_.variables.find(collection)->second.find(path)->second.shape();
        CheckEntry(shape == tensor.shape(), name->second, "becomes ", shape, ", ", full, " of ",
                   ResNetText(result_.options), " is ", tensor.shape(), Hint(name->second, shape, tensor.shape()));
        names.erase(name);
      }
    }
    for (const auto& [full, name] : names) CheckEntry(false, name, "isn't one of ", ResNetText(result_.options));
  }

  const SafetensorsFile& file_;
  std::array<int, 5> first_block_{};  // of each stage, then the number of blocks
  ImportedResNet result_;
  std::map<std::string, std::string> names_;  // PyTorch's by collection/path
};

}  // namespace

bool HasPyTorchNames(const SafetensorsFile& file) {
  constexpr std::array<std::string_view, 3> kCollections = {"params.", "batch_stats.", "opt_state."};
  const auto is_flax = [&](const auto& entry) {
    return std::ranges::any_of(kCollections, [&](auto collection) { return entry.first.starts_with(collection); });
  };
  const auto is_pytorch = [](const auto& entry) {
    return entry.first.ends_with(".weight") || entry.first.ends_with(".running_mean");
  };
  return std::ranges::any_of(file.entries(), is_pytorch) && std::ranges::none_of(file.entries(), is_flax) &&
         !file.metadata().contains("naming");
}

ImportedResNet ImportPyTorchResNet(const SafetensorsFile& file) { return Importer(file).Import(); }

}  // namespace hwynn
