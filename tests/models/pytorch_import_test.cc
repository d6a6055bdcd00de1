// PyTorch's models give PyTorch's logits: tests/golden/pytorch_logits.safetensors, which
// tests/golden/pytorch_golden.py wrote for weights that are formulas.

#include "hwynn/models/pytorch_import.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "hwynn/models/presets.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/pytorch_weights.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::MakeMobileNetV2Weights;
using testing::MakeWeights;
using testing::Renamed;
using testing::Uniforms;
using testing::Weights;

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

Tensor GoldenImages() {
  Tensor images({2, 33, 38, 3});
  const std::vector<double> uniforms = Uniforms(1000, images.size());
  for (int64_t i = 0; i < images.size(); ++i) {
    images[i] = static_cast<float>((uniforms[static_cast<size_t>(i)] - 0.5) * 4);
  }
  return images;
}

std::vector<float> Logits(const ImportedModel& imported, const Tensor& images) {
  const Activation logits = Predict(*imported.options.MakeModel(), imported.variables, images, Workspace());
  return {logits->span().begin(), logits->span().end()};
}

class PyTorchImportTest : public ::testing::Test {
 protected:
  ImportedModel Import(const Weights& weights) {
    weights.Write(path_);
    return ImportPyTorchModel(SafetensorsFile(path_));
  }

  const testing::TempFolder folder_;
  const std::string path_ = folder_ / "weights.safetensors";
};

TEST_F(PyTorchImportTest, LogitsArePyTorchs) {
  const SafetensorsFile golden(HWYNN_GOLDEN_DIR "/pytorch_logits.safetensors");
  const Tensor images = GoldenImages();
  const auto kin = [](const char* name, int64_t filters) {
    ResNetOptions options = ResNetPreset(name);
    options.num_filters = filters;
    options.num_classes = 7;
    return options;
  };
  ResNetOptions small_stem = kin("resnet18", 8);
  small_stem.stem = ResNetStem::kCifar;
  std::vector<std::pair<std::string, ImportedOptions>> cases = {
      {"resnet18", {kin("resnet18", 8)}},
      {"resnet50", {kin("resnet50", 8)}},
      {"resnet18_small_stem", {small_stem}},
      {"resnext50_32x4d", {kin("resnext50_32x4d", 16)}},
      {"wide_resnet50_2", {kin("wide_resnet50_2", 8)}},
      {"resnet50d", {kin("resnet50d", 8)}},
      {"resnet18d", {kin("resnet18d", 8)}},
      {"mobilenet_v2", {MobileNetV2Options{.width = 0.25, .num_classes = 7}}}};
  for (auto& [name, expected_options] : cases) {
    SCOPED_TRACE(name);
    const auto* resnet = std::get_if<ResNetOptions>(&expected_options.model);
    const ImportedModel imported = Import(resnet != nullptr ? MakeWeights(*resnet) : MakeMobileNetV2Weights(0.25, 7));
    EXPECT_EQ(imported.options.channels, 3);
    EXPECT_EQ(imported.options.num_classes(), 7);
    EXPECT_EQ(imported.options.Text(), name == "resnet18_small_stem" ? "resnet18" : name);
    if (resnet != nullptr) {
      const auto& options = std::get<ResNetOptions>(imported.options.model);
      EXPECT_TRUE(SameBlocks(options, *resnet));
      EXPECT_EQ(options.stem, resnet->stem);
      EXPECT_EQ(options.num_filters, resnet->num_filters);
      EXPECT_EQ(options.padding, PaddingRule::kPyTorch);
    } else {
      const auto& options = std::get<MobileNetV2Options>(imported.options.model);
      EXPECT_EQ(options.width, 0.25);
      EXPECT_EQ(options.stem_stride, 2);
      EXPECT_EQ(options.padding, PaddingRule::kPyTorch);
    }
    std::vector<float> expected(14);
    ASSERT_EQ(golden.Entry(name).bytes.size(), expected.size() * sizeof(float));
    std::memcpy(expected.data(), golden.Entry(name).bytes.data(), golden.Entry(name).bytes.size());
    testing::ForEachTarget([&](const std::string&) {
      for (const PaddingRule padding : {PaddingRule::kPyTorch, PaddingRule::kFlax}) {
        ImportedModel model{.options = imported.options, .variables = Clone(imported.variables)};
        std::visit([&](auto& options) { options.padding = padding; }, model.options.model);
        const std::vector<float> logits = Logits(model, images);
        double error = 0;
        double largest = 0;
        for (size_t i = 0; i < expected.size(); ++i) {
          ASSERT_FALSE(std::isnan(logits[i]));
          error = std::max(error, std::abs(double{logits[i]} - double{expected[i]}));
          largest = std::max(largest, std::abs(double{expected[i]}));
        }
        if (padding == PaddingRule::kPyTorch) {
          EXPECT_LT(error, 1e-5 * largest);
        } else {
          EXPECT_GT(error, 1e-2 * largest) << "the rules differ at 38 pixels";
        }
      }
    });
  }
}

// timm's names are those arrays of torchvision's, and give the same model.
TEST_F(PyTorchImportTest, TimmsMobileNetV2) {
  const Weights weights = MakeMobileNetV2Weights(0.25, 7);
  const Tensor images = GoldenImages();
  const std::vector<float> expected = Logits(Import(weights), images);
  EXPECT_EQ(Logits(Import(Renamed(weights, testing::TimmsName)), images), expected);
  EXPECT_EQ(testing::TimmsName("features.1.conv.2.bias"), "blocks.0.0.bn2.bias");
  EXPECT_EQ(testing::TimmsName("features.4.conv.2.weight"), "blocks.2.0.conv_pwl.weight");
  const auto wrapped = [](const std::string& name) { return "module." + testing::TimmsName(name); };
  EXPECT_EQ(Logits(Import(Renamed(weights, wrapped)), images), expected);
}

// Widths that channels tell: of several that make the same ones the roundest.
TEST_F(PyTorchImportTest, WidthsOfMobileNetV2) {
  for (const double width : {0.1, 0.35, 0.5, 0.75, 1.0}) {
    const ImportedModel imported = Import(MakeMobileNetV2Weights(width, 2));
    const double found = std::get<MobileNetV2Options>(imported.options.model).width;
    EXPECT_EQ(MobileNetV2Channels(320, found), MobileNetV2Channels(320, width));
    if (width >= 0.35) {
      EXPECT_EQ(found, width);
    }
  }
}

TEST_F(PyTorchImportTest, WrappersNamesAreLeftOut) {
  const Weights weights = MakeWeights({1, 1, 1, 1}, false, 4, 3);
  const Tensor images = GoldenImages();
  const ImportedModel plain = Import(weights);
  const std::vector<float> expected = Logits(plain, images);
  using Rename = std::function<std::string(const std::string&)>;
  std::vector<Rename> renames;
  for (const std::string prefix : {"module.", "model.", "_orig_mod.", "backbone.", "module.model.", "model.module.",
                                   "_orig_mod.module.backbone.", "model.model.model."}) {
    renames.emplace_back([prefix](const std::string& name) { return prefix + name; });
  }
  // A head of one's own beside a backbone; names of models for CIFAR.
  renames.emplace_back([](const std::string& name) { return (name.starts_with("fc.") ? "" : "backbone.") + name; });
  renames.emplace_back(
      [](const std::string& name) { return Replaced(Replaced(name, "downsample.", "shortcut."), "fc.", "linear."); });
  for (const Rename& rename : renames) {
    const Weights renamed = Renamed(weights, rename);
    SCOPED_TRACE(renamed.arrays.begin()->first);
    const ImportedModel imported = Import(renamed);
    EXPECT_TRUE(HasPyTorchNames(SafetensorsFile(path_)));
    EXPECT_EQ(Logits(imported, images), expected);
  }
  // Two models in one file.
  Weights both = weights;
  for (const auto& [name, array] : weights.arrays) both.arrays["module." + name] = array;
  ExpectError([&] { Import(both); }, {path_, "module.", "is there twice"});
  // Names that only look so.
  ExpectError([&] { Import(Renamed(weights, [](const std::string& name) { return "modules." + name; })); },
              {path_, "\"modules.bn1.bias\" isn't one of a ResNet"});
}

TEST_F(PyTorchImportTest, KnowsPyTorchsNames) {
  const std::vector<float> one = {1};
  const auto has = [&](const std::vector<std::string>& names, const SafetensorsMetadata& metadata = {}) {
    SafetensorsEntries entries;
    for (const std::string& name : names) entries[name] = {"F32", {1}, std::as_bytes(std::span(one))};
    WriteSafetensors(path_, entries, metadata);
    return HasPyTorchNames(SafetensorsFile(path_));
  };
  EXPECT_TRUE(has({"conv1.weight"}));
  EXPECT_TRUE(has({"conv1.0.weight", "conv1.3.weight"}));
  EXPECT_TRUE(has({"features.0.weight", "features.0.bias"}));
  EXPECT_TRUE(has({"norm.running_mean"}));
  EXPECT_FALSE(has({"x"}));
  EXPECT_FALSE(has({"params.Dense_0.kernel", "params.Dense_0.bias"}));
  EXPECT_FALSE(has({"params.Mine_0.weight", "batch_stats.MyBatchNorm_0.running_mean"}));
  EXPECT_FALSE(has({"linear1.weight"}, {{"naming", "as Flax's"}}));
}

TEST_F(PyTorchImportTest, NarrowDtypesBecomeFloats) {
  Weights weights = MakeWeights({2, 2, 2, 2}, false, 2, 3);
  const auto set = [&](const std::string& dtype, const std::vector<uint8_t>& bytes) {
    auto& array = weights.arrays["fc.bias"];
    array.dtype = dtype;
    // The writer takes the bytes of floats; dtypes of other widths need a multiple of 4 bytes.
    array.shape = {static_cast<int64_t>(bytes.size()) / (dtype == "F64" ? 8 : 2)};
    array.values.resize(bytes.size() / sizeof(float));
    std::memcpy(array.values.data(), bytes.data(), bytes.size());
    weights.arrays["fc.weight"] = {
        "F32", {array.shape[0], 16}, std::vector<float>(static_cast<size_t>(array.shape[0]) * 16)};
    const ImportedModel imported = Import(weights);
    const Tensor& bias = imported.variables.at("params").at("Dense_0/bias");
    return std::vector<float>(bias.span().begin(), bias.span().end());
  };
  // 1, −2, the smallest subnormal, the largest half.
  EXPECT_EQ(set("F16", {0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0xff, 0x7b}),
            (std::vector<float>{1.0f, -2.0f, 0x1p-24f, 65504.0f}));
  EXPECT_EQ(set("BF16", {0x80, 0x3f, 0x40, 0xc0}), (std::vector<float>{1.0f, -3.0f}));
  EXPECT_EQ(set("F64", {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}), (std::vector<float>{1.5f}));
  ExpectError([&] { set("F16", {0x00, 0x7c, 0, 0}); }, {path_, "fc.bias", "inf"});
  ExpectError([&] { set("I16", {0, 0, 0, 0}); }, {path_, "fc.bias", "I16"});
}

TEST_F(PyTorchImportTest, WhatDoesNotFitIsNamed) {
  const Weights good = MakeWeights({2, 2, 2, 2}, false, 2, 3);
  const auto expect = [&](const std::function<void(Weights&)>& change, const std::string& text) {
    Weights weights = good;
    change(weights);
    ExpectError([&] { Import(weights); }, {path_, text});
  };
  const auto resize = [](Weights& weights, const std::string& name, const Shape& shape) {
    weights.arrays[name] = {"F32", shape, std::vector<float>(static_cast<size_t>(shape.num_elements()), 1.0f)};
  };
  expect([](Weights& w) { w.arrays.erase("fc.weight"); }, "fc.weight");
  expect([](Weights& w) { w.arrays.erase("conv1.weight"); }, "conv1.weight");
  expect([](Weights& w) { w.arrays.erase("layer3.0.bn2.running_var"); }, "batch_stats/ResNetBlock_4/BatchNorm_1/var");
  expect([](Weights& w) { w.arrays.erase("fc.bias"); }, "Dense_0/bias");
  expect([&](Weights& w) { resize(w, "layer2.1.conv2.weight", {4, 4, 3, 2}); }, "layer2.1.conv2.weight");
  expect([&](Weights& w) { resize(w, "conv1.weight", {2, 3, 7}); }, "conv1.weight");
  expect([&](Weights& w) { resize(w, "fc.weight", {3}); }, "fc.weight");
  expect([&](Weights& w) { resize(w, "layer1.0.se.weight", {3}); }, "layer1.0.se.weight");
  expect(
      [&](Weights& w) {
        resize(w, "layer1.7.conv1.weight", {2, 2, 3, 3});
      },
      "layer1 has 3 blocks, but one is number 7");
  expect([&](Weights& w) { resize(w, "layer1.2.conv1.weight", {2, 2, 3, 3}); }, "a ResNet of 3, 2, 2, 2 blocks");
  expect([&](Weights& w) { resize(w, "layer5.0.bn1.bias", {2}); }, "\"layer5.0.bn1.bias\" isn't one of a ResNet");
  expect(
      [](Weights& w) { std::erase_if(w.arrays, [](const auto& array) { return array.first.starts_with("layer2"); }); },
      "has a layer3, but no layer2");
  expect([&](Weights& w) { resize(w, "layer1.00.conv1.weight", {2, 2, 3, 3}); }, "is there twice");
  expect([&](Weights& w) { resize(w, "layer1.0.conv1." + std::string(100000, 'w'), {1}); }, "PyTorch's naming");
  expect([&](Weights& w) { w.arrays["bn1.weight"].values[1] = NAN; }, "bn1.weight");
  // Arrays of no layer.
  expect(
      [&](Weights& w) {
        resize(w, "layer1.1.downsample.0.weight", {2, 2, 1, 1});
      },
      "\"layer1.1.downsample.0.weight\" isn't one of resnet18");
  expect([&](Weights& w) { resize(w, "layer1.1.downsample.1.running_mean", {2}); },
         "\"layer1.1.downsample.1.running_mean\" isn't one of resnet18");
  expect([&](Weights& w) { resize(w, "layer1.1.downsample.1.num_batches_tracked", {1}); },
         "\"layer1.1.downsample.1.num_batches_tracked\" is of no BatchNorm");
  expect([&](Weights& w) { resize(w, "encoder.num_batches_tracked", {1}); }, "encoder.num_batches_tracked");
  // Networks that aren't ours.
  expect(
      [&](Weights& w) {
        w.arrays.erase("conv1.weight");
        for (const char* name : {"conv1.0.weight", "conv1.3.weight", "conv1.6.weight"}) resize(w, name, {2, 3, 3, 3});
      },
      "has no array for batch_stats/bn_init_0/mean of resnet18");
  expect([&](Weights& w) { resize(w, "conv1.9.weight", {2, 2, 3, 3}); }, "\"conv1.9.weight\" is of a stem of more");
  expect([&](Weights& w) { resize(w, "conv1.2.weight", {2}); }, "\"conv1.2.weight\" isn't one of a ResNet");
  expect([&](Weights& w) { resize(w, "conv1.bias", {2}); }, "\"conv1.bias\" is a bias of the stem");
  expect([&](Weights& w) { resize(w, "conv1.weight", {2, 3, 5, 5}); }, "\"conv1.weight\" is a convolution of 5x5");
  const auto expect_bottleneck = [&](const std::string& name, const Shape& shape, const std::string& text) {
    Weights weights = MakeWeights({1, 1, 1, 1}, true, 4, 3);
    resize(weights, name, shape);
    ExpectError([&] { Import(weights); }, {path_, text});
  };
  expect_bottleneck("layer1.0.conv2.weight", {4, 3, 3, 3},
                    "\"layer1.0.conv2.weight\" has filters of 3 channels, which 4 channels can't be cut");
  expect_bottleneck("layer2.0.conv2.weight", {8, 4, 3, 3}, "\"layer2.0.conv2.weight\" becomes [3,3,4,8]");
  expect_bottleneck("layer2.0.conv1.weight", {16, 16, 1, 1}, "\"layer2.0.conv1.weight\" becomes [1,1,16,16]");
  expect_bottleneck("layer1.0.bn1.running_mean", {8}, "\"layer1.0.bn1.running_mean\" becomes [8]");
  // A file of ResNet-D's: all of its projections are behind a pool.
  expect_bottleneck("layer2.0.downsample.2.weight", {32}, "\"layer1.0.downsample.0.weight\" isn't one of");
  EXPECT_EQ(Import(good).options.num_classes(), 3);
}

TEST_F(PyTorchImportTest, WhatIsNoMobileNetV2IsNamed) {
  const Weights good = MakeMobileNetV2Weights(0.1, 3);
  const auto expect = [&](const std::function<void(Weights&)>& change, const std::string& text) {
    for (const bool timm : {false, true}) {
      Weights weights = good;
      change(weights);
      if (timm)
        weights = Renamed(weights, [](const std::string& name) {
          return name.starts_with("features.") || name.starts_with("classifier.") ? testing::TimmsName(name) : name;
        });
      ExpectError([&] { Import(weights); }, {path_, text});
    }
  };
  const auto resize = [](Weights& weights, const std::string& name, const Shape& shape) {
    weights.arrays[name] = {"F32", shape, std::vector<float>(static_cast<size_t>(shape.num_elements()), 1.0f)};
  };
  EXPECT_EQ(Import(good).options.num_classes(), 3);
  expect([](Weights& w) { w.arrays.erase("classifier.1.weight"); }, "has no array \"classifier.1.weight\"");
  expect([](Weights& w) { w.arrays.erase("features.3.conv.1.1.running_var"); },
         "has no array for batch_stats/InvertedResidual_2/BatchNorm_1/var of mobilenet_v2");
  // A 5×5 convolution, as EfficientNets have them under the same names; other numbers of channels.
  expect([&](Weights& w) { resize(w, "features.4.conv.1.0.weight", {48, 1, 5, 5}); }, "becomes [5,5,1,48]");
  expect([&](Weights& w) { resize(w, "features.4.conv.1.0.weight", {48, 2, 3, 3}); }, "becomes [3,3,2,48]");
  expect([&](Weights& w) { resize(w, "features.18.0.weight", {640, 32, 1, 1}); }, "of mobilenet_v2 is");
  for (const char* name :
       {"features.19.0.weight", "features.18.2.weight", "features.1.conv.1.0.weight", "features.2.conv.2.0.weight",
        "features.2.conv.4.weight", "features.0.conv.0.0.weight", "features.18.conv.0.0.weight", "features.2.0.weight",
        "features.0.0.bias", "blocks.0.1.conv_dw.weight", "blocks.7.0.conv_pw.weight", "blocks.0.0.conv_pwl.weight",
        "blocks.0.0.bn3.weight", "blocks.1.0.se.conv_reduce.weight", "blocks.1.0.conv_pw.bias", "conv_head.bias",
        "fc.weight", "layer1.0.conv1.weight"}) {
    Weights weights = good;
    resize(weights, name, {8});
    ExpectError([&] { Import(weights); }, {path_, StrCat("\"", name, "\" isn't one of a MobileNetV2")});
  }
  Weights weights = good;
  resize(weights, "features.0.1.momentum", {8});
  ExpectError([&] { Import(weights); }, {path_, "\"features.0.1.momentum\" isn't one of a BatchNorm"});
  weights = good;
  resize(weights, "conv_stem.weight", {8, 3, 3, 3});
  ExpectError([&] { Import(weights); }, {path_, "is there twice"});
  weights = good;
  resize(weights, "features.2." + std::string(100000, 'w'), {1});
  ExpectError([&] { Import(weights); }, {path_, "isn't one of a MobileNetV2"});
}

}  // namespace
}  // namespace hwynn
