// PyTorch's names of MobileNetV2: torchvision's and timm's.

#include <algorithm>
#include <regex>
#include <vector>

#include "hwynn/models/pytorch_family.h"

namespace hwynn {
namespace {

constexpr std::string_view kNotOfAMobileNet = "isn't one of a MobileNetV2 in PyTorch's naming";
constexpr size_t kMaxLength = 64;  // std::regex recurses once a character

int64_t CountBlocks() {
  int64_t blocks = 0;
  for (const InvertedResidualStage& stage : MobileNetV2Stages()) blocks += stage.blocks;
  return blocks;
}

// A convolution or a BatchNorm of the network, and the array's field.
struct Part {
  std::string module;
  bool norm;
  std::string field;
};

std::string InBlock(int64_t block, bool norm, int64_t number) {
  return StrCat("InvertedResidual_", block, norm ? "/BatchNorm_" : "/Conv_", number);
}

// features.0 is the stem, then come the blocks, then the head: a Sequential of convolution, norm, ReLU6 each.
bool FindTorchvisions(const std::string& bare, Part& part) {
  static const std::regex pattern(R"(features\.(\d{1,2})\.(conv\.)?(\d)\.(?:([01])\.)?(\w+))");
  std::smatch match;
  if (!std::regex_match(bare, match, pattern)) return false;
  const int64_t feature = std::stoi(match[1]);
  const int64_t index = std::stoi(match[3]);
  const int64_t blocks = CountBlocks();
  part.field = match[5];
  const bool nested = match[4].matched;
  if (!match[2].matched) {
    if (nested || index > 1 || (feature != 0 && feature != blocks + 1)) return false;
    part.norm = index == 1;
    part.module = StrCat(part.norm ? "bn_" : "conv_", feature == 0 ? "init" : "head");
    return true;
  }
  if (feature < 1 || feature > blocks) return false;
  const int64_t last = feature == 1 ? 1 : 2;  // the projection, which has no ReLU6, isn't nested
  if (nested ? index >= last : index != last && index != last + 1) return false;
  part.norm = nested ? match[4] == "1" : index == last + 1;
  part.module = InBlock(feature - 1, part.norm, nested ? index : last);
  return true;
}

bool FindTimms(const std::string& bare, Part& part) {
  static const std::regex outer(R"((conv_stem|conv_head|bn1|bn2)\.(\w+))");
  static const std::regex inner(R"(blocks\.(\d)\.(\d{1,2})\.(conv_pw|conv_dw|conv_pwl|bn[123])\.(\w+))");
  std::smatch match;
  if (std::regex_match(bare, match, outer)) {
    const std::string name = match[1];
    part.norm = name.starts_with("bn");
    const bool stem = name == "conv_stem" || name == "bn1";
    part.module = StrCat(part.norm ? "bn_" : "conv_", stem ? "init" : "head");
    part.field = match[2];
    return true;
  }
  if (!std::regex_match(bare, match, inner)) return false;
  const auto stage = static_cast<size_t>(std::stoi(match[1]));
  int64_t block = std::stoi(match[2]);
  if (stage >= MobileNetV2Stages().size() || block >= MobileNetV2Stages()[stage].blocks) return false;
  for (size_t s = 0; s < stage; ++s) block += MobileNetV2Stages()[s].blocks;
  const std::string name = match[3];
  part.norm = name.starts_with("bn");
  part.field = match[4];
  const std::vector<std::string> convs = stage == 0 ? std::vector<std::string>{"conv_dw", "conv_pw"}
                                                    : std::vector<std::string>{"conv_pw", "conv_dw", "conv_pwl"};
  const int64_t number =
      part.norm ? name.back() - '1' : std::distance(convs.begin(), std::find(convs.begin(), convs.end(), name));
  if (number >= static_cast<int64_t>(convs.size())) return false;
  part.module = InBlock(block, part.norm, number);
  return true;
}

class MobileNetV2Family final : public PyTorchFamily {
 public:
  PyTorchPlace Find(const PyTorchArrays& arrays, const std::string& name, const std::string& bare) const override {
    if (bare == "classifier.1.weight" || bare == "classifier.weight") return {kParams, "Dense_0", "kernel"};
    if (bare == "classifier.1.bias" || bare == "classifier.bias") return {kParams, "Dense_0", "bias"};
    Part part;
    const bool found = bare.size() <= kMaxLength && (FindTorchvisions(bare, part) || FindTimms(bare, part));
    arrays.Check(found, name, kNotOfAMobileNet);
    if (part.norm) return FindNorm(arrays, name, part.module, part.field);
    arrays.Check(part.field == "weight", name, kNotOfAMobileNet);
    return {kParams, part.module, "kernel"};
  }

  ImportedOptions Describe(const PyTorchArrays& arrays) const override;
};

// A number of channels with width 1, and the file's.
struct Channels {
  int64_t plain, actual;
  bool head = false;
};

// The roundest width that makes all of them; where none does, that of the first, so that what differs gets named.
double FindWidth(const std::vector<Channels>& all) {
  const auto makes = [&](double width) {
    return std::ranges::all_of(all, [&](const Channels& c) {
      return (c.head ? MobileNetV2HeadChannels(width) : MobileNetV2Channels(c.plain, width)) == c.actual;
    });
  };
  constexpr int64_t kMostTimes = 16;
  for (const int64_t parts : {4, 20, 100, 1000}) {
    for (int64_t i = 1; i <= kMostTimes * parts; ++i) {
      const double width = static_cast<double>(i) / static_cast<double>(parts);
      if (makes(width)) return width;
    }
  }
  return static_cast<double>(all[0].actual) / static_cast<double>(all[0].plain);
}

ImportedOptions MobileNetV2Family::Describe(const PyTorchArrays& arrays) const {
  const Shape& stem = arrays.Kernel("conv_init/kernel", "features.0.0.weight");
  std::vector<Channels> channels = {{.plain = 32, .actual = stem[3]}};
  int64_t block = 0;
  for (const InvertedResidualStage& stage : MobileNetV2Stages()) {
    const int64_t last = stage.expansion == 1 ? 1 : 2;
    const Shape& kernel = arrays.Kernel(InBlock(block, /*norm=*/false, last) + "/kernel",
                                        StrCat("features.", block + 1, ".conv.", last, ".weight"));
    channels.push_back({.plain = stage.channels, .actual = kernel[3]});
    block += stage.blocks;
  }
  channels.push_back({.plain = 1280,
                      .actual = arrays.Kernel("conv_head/kernel", StrCat("features.", block + 1, ".0.weight"))[3],
                      .head = true});
  const MobileNetV2Options options{.width = FindWidth(channels),
                                   .num_classes = arrays.Kernel("Dense_0/kernel", "classifier.1.weight", 2)[1],
                                   .padding = PaddingRule::kPyTorch};
  return {options, stem[2]};
}

}  // namespace

std::unique_ptr<PyTorchFamily> MakeMobileNetV2Family() { return std::make_unique<MobileNetV2Family>(); }

bool IsMobileNetV2Name(std::string_view bare) {
  return bare.starts_with("features.0.0.") || bare.starts_with("conv_stem.") || bare.starts_with("blocks.0.0.");
}

}  // namespace hwynn
