// PyTorch's names of ResNets and their kin.

#include <algorithm>
#include <array>
#include <regex>
#include <vector>

#include "hwynn/core/split.h"
#include "hwynn/models/pytorch_family.h"

namespace hwynn {
namespace {

constexpr std::string_view kNotOfAResNet = "isn't one of a ResNet in PyTorch's naming";

/// A name in a block: stage, block, part, index and field.
bool MatchBlock(const std::string& name, std::smatch& match) {
  constexpr size_t kMaxLength = 64;  // std::regex recurses once a character
  static const std::regex pattern(R"(layer([1-4])\.(\d{1,3})\.(conv|bn|downsample\.|shortcut\.)(\d)\.(\w+))");
  return name.size() <= kMaxLength && std::regex_match(name, match, pattern);
}

/// A name in a stem of several convolutions: index and field.
bool MatchDeepStem(const std::string& name, std::smatch& match) {
  constexpr size_t kMaxLength = 64;
  static const std::regex pattern(R"(conv1\.(\d)\.(\w+))");
  return name.size() <= kMaxLength && std::regex_match(name, match, pattern);
}

class ResNetFamily final : public PyTorchFamily {
 public:
  ResNetFamily(const PyTorchArrays& arrays, const VisitNames& visit);
  PyTorchPlace Find(const PyTorchArrays& arrays, const std::string& name, const std::string& bare) const override;
  ImportedOptions Describe(const PyTorchArrays& arrays) const override;

 private:
  void DescribeBottlenecks(const PyTorchArrays& arrays, ResNetOptions& options) const;
  const char* block_name() const { return options_.bottleneck ? "BottleneckResNetBlock_" : "ResNetBlock_"; }

  ResNetOptions options_;             // what names say
  std::array<int, 5> first_block_{};  // of each stage, then the number of blocks
};

ResNetFamily::ResNetFamily(const PyTorchArrays& arrays, const VisitNames& visit) {
  options_.padding = PaddingRule::kPyTorch;
  std::array<std::set<int>, 4> blocks;
  visit([&](const std::string&, const std::string& bare) {
    std::smatch match;
    if (MatchDeepStem(bare, match)) options_.stem = ResNetStem::kDeep;
    if (!MatchBlock(bare, match)) return;
    blocks[static_cast<size_t>(std::stoi(match[1]) - 1)].insert(std::stoi(match[2]));
    options_.bottleneck = options_.bottleneck || (match[3] == "conv" && match[4] == "3");
    // A pool, or nothing at stride 1, is downsample.0.
    options_.average_projection = options_.average_projection || (match[3] == "downsample." && match[4] == "2");
  });
  std::vector<int64_t>& stage_sizes = options_.stage_sizes;
  stage_sizes.clear();
  for (size_t stage = 0; stage < blocks.size(); ++stage) {
    if (blocks[stage].empty()) continue;
    CheckData(stage_sizes.size() == stage, arrays.file(), ": has a layer", stage + 1, ", but no layer",
              stage_sizes.size() + 1);
    const int last = *blocks[stage].rbegin();
    CheckData(last < static_cast<int>(blocks[stage].size()), arrays.file(), ": layer", stage + 1, " has ",
              blocks[stage].size(), " blocks, but one is number ", last);
    first_block_[stage + 1] = first_block_[stage] + static_cast<int>(blocks[stage].size());
    stage_sizes.push_back(static_cast<int64_t>(blocks[stage].size()));
  }
}

PyTorchPlace ResNetFamily::Find(const PyTorchArrays& arrays, const std::string& name, const std::string& bare) const {
  if (bare == "fc.weight" || bare == "linear.weight") return {kParams, "Dense_0", "kernel"};
  if (bare == "fc.bias" || bare == "linear.bias") return {kParams, "Dense_0", "bias"};
  const bool deep = options_.stem == ResNetStem::kDeep;
  if (bare == "conv1.weight" && !deep) return {kParams, "conv_init", "kernel"};
  arrays.Check(bare != "conv1.bias", name, "is a bias of the stem: the convolutions of hwynn's ResNets have none");
  if (bare.starts_with("bn1.")) return FindNorm(arrays, name, deep ? "bn_init_2" : "bn_init", bare.substr(4));
  std::smatch match;
  if (MatchDeepStem(bare, match)) {
    const int index = std::stoi(match[1]);  // convolution, norm, ReLU, convolution, …
    const std::string number = std::to_string(index / 3);
    const std::string field = match[2];
    arrays.Check(index <= 6, name, "is of a stem of more than three convolutions");
    if (index % 3 == 1) return FindNorm(arrays, name, "bn_init_" + number, field);
    arrays.Check(index % 3 == 0 && field == "weight", name, kNotOfAResNet);
    return {kParams, "conv_init_" + number, "kernel"};
  }
  arrays.Check(MatchBlock(bare, match), name, kNotOfAResNet);
  const auto stage = static_cast<size_t>(std::stoi(match[1]) - 1);
  const std::string prefix = StrCat(block_name(), first_block_[stage] + std::stoi(match[2]), "/");
  const std::string part = match[3], field = match[5];
  const bool downsample = part.ends_with('.');
  const int index = std::stoi(match[4]) - (downsample && options_.average_projection ? 1 : 0);
  if (downsample ? index == 1 : part == "bn") {
    return FindNorm(arrays, name, prefix + (downsample ? "norm_proj" : StrCat("BatchNorm_", index - 1)), field);
  }
  arrays.Check(field == "weight" && (!downsample || index == 0), name, kNotOfAResNet);
  return {kParams, prefix + (downsample ? "conv_proj" : StrCat("Conv_", index - 1)), "kernel"};
}

ImportedOptions ResNetFamily::Describe(const PyTorchArrays& arrays) const {
  ResNetOptions options = options_;
  const bool deep = options.stem == ResNetStem::kDeep;
  const std::string first = deep ? "conv_init_0/kernel" : "conv_init/kernel";
  const Shape& stem = arrays.Kernel(first, deep ? "conv1.0.weight" : "conv1.weight");
  const bool seven = !deep && stem[0] == 7 && stem[1] == 7;
  arrays.Check(seven || (stem[0] == 3 && stem[1] == 3), arrays.KernelName(first), "is a convolution of ", stem[0], "x",
               stem[1], ": the stem of hwynn's ResNets has 7x7 or 3x3");
  if (!deep) options.stem = seven ? ResNetStem::kImageNet : ResNetStem::kCifar;
  options.num_filters = deep ? arrays.Kernel("conv_init_2/kernel", "conv1.6.weight")[3] : stem[3];
  options.num_classes = arrays.Kernel("Dense_0/kernel", "fc.weight", 2)[1];
  if (options.bottleneck) DescribeBottlenecks(arrays, options);
  return {options, stem[2]};
}

// From the first one. Where the others have another width, the model's shapes will not be theirs.
void ResNetFamily::DescribeBottlenecks(const PyTorchArrays& arrays, ResNetOptions& options) const {
  const int64_t width = arrays.Kernel("BottleneckResNetBlock_0/Conv_0/kernel", "layer1.0.conv1.weight")[3];
  const std::string grouped = "BottleneckResNetBlock_0/Conv_1/kernel";
  const int64_t group_width = arrays.Kernel(grouped, "layer1.0.conv2.weight")[2];
  arrays.Check(width % group_width == 0, arrays.KernelName(grouped), "has filters of ", group_width,
               " channels, which ", width, " channels can't be cut into");
  options.groups = width / group_width;
  options.width_per_group = CeilDiv(group_width * 64, options.num_filters);
}

}  // namespace

std::unique_ptr<PyTorchFamily> MakeResNetFamily(const PyTorchArrays& arrays, const VisitNames& visit) {
  return std::make_unique<ResNetFamily>(arrays, visit);
}

}  // namespace hwynn
