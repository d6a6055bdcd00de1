#include "hwynn/models/resnet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "hwynn/core/parallel.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/relu.h"
#include "hwynn/models/presets.h"
#include "hwynn/tests/support/double_net.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckAgainstDouble;
using testing::Describe;
using testing::DoubleArray;
using testing::DoubleNet;
using testing::MaxDifference;
using testing::ModuleBed;
using testing::Normals;

const ResNetOptions kSmall{.stage_sizes = {1, 1, 1}, .stem = ResNetStem::kCifar, .num_filters = 8, .num_classes = 10};

int64_t CountParams(const Module& model, const Shape& input) {
  return CountElements(GetCollection(Init(model, KeyFromSeed(0), input), kParams));
}

size_t CountTopLevelNames(const Collection& collection) {
  std::set<std::string> names;
  for (const auto& [path, tensor] : collection) names.insert(path.substr(0, path.find('/')));
  return names.size();
}

// Counts of Flax's ImageNet example.
TEST(ResNetTest, ResNet18HasFlaxTree) {
  const Variables variables = Init(ResNet(ResNetPreset("resnet18")), KeyFromSeed(0), {1, 224, 224, 3});
  const Collection& params = GetCollection(variables, kParams);
  const Collection& stats = GetCollection(variables, kBatchStats);
  EXPECT_EQ(CountElements(params), 11'689'512);
  EXPECT_EQ(CountElements(stats), 9'600);
  EXPECT_EQ(params.size(), 62U);
  EXPECT_EQ(stats.size(), 40U);
  EXPECT_EQ(CountTopLevelNames(params), 11U);
  const auto shape = [&](std::string_view path) { return params.find(path)->second.shape(); };
  EXPECT_EQ(shape("conv_init/kernel"), Shape({7, 7, 3, 64}));
  EXPECT_EQ(shape("bn_init/scale"), Shape({64}));
  EXPECT_EQ(shape("ResNetBlock_2/Conv_0/kernel"), Shape({3, 3, 64, 128}));
  EXPECT_EQ(shape("ResNetBlock_2/conv_proj/kernel"), Shape({1, 1, 64, 128}));
  EXPECT_EQ(shape("ResNetBlock_7/BatchNorm_1/bias"), Shape({512}));
  EXPECT_EQ(shape("Dense_0/kernel"), Shape({512, 1000}));
  EXPECT_FALSE(params.contains("ResNetBlock_0/conv_proj/kernel"));
  // Initial values: those of Flax for seed 0; the last scale of a block is 0.
  double sum = 0;
  for (const float value : params.find("ResNetBlock_2/conv_proj/kernel")->second.span()) sum += double{value};
  EXPECT_NEAR(sum, -12.354917, 1e-6);
  EXPECT_EQ(params.find("ResNetBlock_2/BatchNorm_1/scale")->second[0], 0.0f);
  EXPECT_EQ(params.find("ResNetBlock_2/norm_proj/scale")->second[0], 1.0f);
}

TEST(ResNetTest, ResNet50HasFlaxTree) {
  const Variables variables = Init(ResNet(ResNetPreset("resnet50")), KeyFromSeed(0), {1, 224, 224, 3});
  const Collection& params = GetCollection(variables, kParams);
  const Collection& stats = GetCollection(variables, kBatchStats);
  EXPECT_EQ(CountElements(params), 25'557'032);
  EXPECT_EQ(CountElements(stats), 53'120);
  EXPECT_EQ(params.size(), 161U);
  EXPECT_EQ(stats.size(), 106U);
  EXPECT_EQ(CountTopLevelNames(params), 19U);
  const auto shape = [&](std::string_view path) { return params.find(path)->second.shape(); };
  EXPECT_EQ(shape("BottleneckResNetBlock_0/conv_proj/kernel"), Shape({1, 1, 64, 256}));
  EXPECT_EQ(shape("BottleneckResNetBlock_3/Conv_1/kernel"), Shape({3, 3, 128, 128}));
  EXPECT_EQ(shape("BottleneckResNetBlock_15/Conv_2/kernel"), Shape({1, 1, 512, 2048}));
  EXPECT_FALSE(params.contains("BottleneckResNetBlock_1/conv_proj/kernel"));
}

TEST(ResNetTest, CifarFamily) {
  EXPECT_EQ(CountParams(ResNet(ResNetPreset("resnet20")), {1, 32, 32, 3}), 272'474);
  EXPECT_EQ(CountParams(ResNet(ResNetPreset("resnet20")), {1, 28, 28, 1}), 272'186);
  ResNetOptions options = ResNetPreset("resnet32", 0.5);
  options.num_classes = 7;
  const Variables variables = Init(ResNet(options), KeyFromSeed(0), {1, 17, 13, 5});
  const Collection& params = GetCollection(variables, kParams);
  EXPECT_EQ(params.find("conv_init/kernel")->second.shape(), Shape({3, 3, 5, 8}));
  EXPECT_EQ(params.find("ResNetBlock_14/Conv_1/kernel")->second.shape(), Shape({3, 3, 32, 32}));
  EXPECT_EQ(params.find("ResNetBlock_5/conv_proj/kernel")->second.shape(), Shape({1, 1, 8, 16}));
  EXPECT_EQ(params.find("Dense_0/kernel")->second.shape(), Shape({32, 7}));
  EXPECT_EQ(CountTopLevelNames(params), 18U);
}

TEST(ResNetTest, TreesOfItsKin) {
  const auto shapes = [](const char* name) {
    return [variables = InitZeros(ResNet(ResNetPreset(name)), {1, 32, 32, 3})](std::string_view path) {
      return GetCollection(variables, kParams).find(path)->second.shape();
    };
  };
  const auto resnext = shapes("resnext50_32x4d"), wide = shapes("wide_resnet50_2"), d = shapes("resnet50d");
  EXPECT_EQ(resnext("BottleneckResNetBlock_0/Conv_0/kernel"), Shape({1, 1, 64, 128}));
  EXPECT_EQ(resnext("BottleneckResNetBlock_0/Conv_1/kernel"), Shape({3, 3, 4, 128}));
  EXPECT_EQ(resnext("BottleneckResNetBlock_15/Conv_1/kernel"), Shape({3, 3, 32, 1024}));
  EXPECT_EQ(resnext("BottleneckResNetBlock_15/Conv_2/kernel"), Shape({1, 1, 1024, 2048}));
  EXPECT_EQ(wide("BottleneckResNetBlock_3/Conv_1/kernel"), Shape({3, 3, 256, 256}));
  EXPECT_EQ(wide("BottleneckResNetBlock_3/conv_proj/kernel"), Shape({1, 1, 256, 512}));
  EXPECT_EQ(d("conv_init_0/kernel"), Shape({3, 3, 3, 32}));
  EXPECT_EQ(d("conv_init_1/kernel"), Shape({3, 3, 32, 32}));
  EXPECT_EQ(d("conv_init_2/kernel"), Shape({3, 3, 32, 64}));
  EXPECT_EQ(d("bn_init_2/scale"), Shape({64}));
  EXPECT_EQ(d("BottleneckResNetBlock_0/conv_proj/kernel"), Shape({1, 1, 64, 256}));
  const auto expect = [](const ResNetOptions& options, const char* text) {
    testing::ExpectError<std::invalid_argument>([&] { ResNet{options}; }, {text});
  };
  expect({.groups = 2}, "those of bottlenecks");
  expect({.width_per_group = 128}, "those of bottlenecks");
  expect({.bottleneck = true, .groups = 0}, "must be positive");
}

TEST(ResNetTest, OutputShapesForAnyImage) {
  const Workspace workspace;
  for (const PaddingRule padding : {PaddingRule::kFlax, PaddingRule::kPyTorch}) {
    const ResNet cifar(
        {.stage_sizes = {1, 1, 1}, .stem = ResNetStem::kCifar, .num_filters = 4, .num_classes = 3, .padding = padding});
    const ResNet image_net({.num_filters = 4, .num_classes = 3, .padding = padding});
    const ResNet deep({.bottleneck = true,
                       .stem = ResNetStem::kDeep,
                       .groups = 2,
                       .average_projection = true,
                       .num_filters = 4,
                       .num_classes = 3,
                       .padding = padding});
    for (const Shape& shape : {Shape{2, 1, 1, 1}, Shape{2, 9, 14, 2}, Shape{1, 33, 32, 3}}) {
      for (const Module* model : {static_cast<const Module*>(&cifar), static_cast<const Module*>(&image_net),
                                  static_cast<const Module*>(&deep)}) {
        const Variables variables = Init(*model, KeyFromSeed(0), shape);
        const Activation logits = Predict(*model, variables, Normals(shape, 1), workspace);
        EXPECT_EQ(logits->shape(), Shape({shape[0], 3}));
      }
    }
  }
}

// Identity and projection shortcuts, one after the other.
TEST(ResNetTest, Gradients) {
  const ResNet model(
      {.stage_sizes = {1, 2}, .stem = ResNetStem::kCifar, .num_filters = 4, .num_classes = 3, .input_gradient = true});
  const auto definition = [](const DoubleNet& net, const DoubleArray& image) {
    DoubleArray x = DoubleNet::Relu(net.BatchNorm("bn_init", net.Conv("conv_init", image)));
    x = net.ResNetBlock("ResNetBlock_0/", x);
    x = net.ResNetBlock("ResNetBlock_1/", x, 2);
    x = net.ResNetBlock("ResNetBlock_2/", x);
    return net.Dense("Dense_0", DoubleNet::GlobalAverage(x));
  };
  CheckAgainstDouble(model, {16, 8, 8, 2}, Mode::kTrain, definition);
  CheckAgainstDouble(model, {16, 8, 8, 2}, Mode::kEval, definition);
}

// Without normalisation a convolution, its bias and a ReLU are left; there is nothing that training would update.
TEST(ResNetTest, WithoutNormalizationConvolutionsHaveABias) {
  const ResNet model({.stage_sizes = {},
                      .stem = ResNetStem::kCifar,
                      .num_filters = 6,
                      .num_classes = 3,
                      .norm = NoNormalization(),
                      .input_gradient = true});
  Sequential plain;
  plain.Add(Conv({.features = 6})).Add(Relu()).Add(GlobalAveragePool()).Add(Dense({.features = 3}));
  const Tensor grad_output = Normals({2, 3}, 3);
  ModuleBed bed(model, {2, 7, 8, 2}), plain_bed(plain, {2, 7, 8, 2});
  bed.variables = Init(model, KeyFromSeed(0), {2, 7, 8, 2});  // the bed's own running statistics aren't 0 and 1
  Collection& params = GetCollection(bed.variables, kParams);
  const auto share = [&](const char* path, const char* plain_path) {
    Tensor& values = GetCollection(plain_bed.variables, kParams).at(plain_path);
    std::ranges::copy(values.span(), params.at(path).data());
  };
  share("conv_init/kernel", "Conv_0/kernel");
  share("bn_init/bias", "Conv_0/bias");
  share("Dense_0/kernel", "Dense_0/kernel");
  share("Dense_0/bias", "Dense_0/bias");
  EXPECT_EQ(params.size(), 4U);
  for (const Mode mode : {Mode::kTrain, Mode::kEval}) {
    EXPECT_LT(MaxDifference(*bed.Forward(mode), *plain_bed.Forward(mode)), 1e-6);
    EXPECT_LT(MaxDifference(bed.Backward(mode, grad_output), plain_bed.Backward(mode, grad_output)), 1e-6);
    EXPECT_LT(MaxDifference(bed.gradients.at("bn_init/bias"), plain_bed.gradients.at("Conv_0/bias")), 1e-5);
  }
}

// From the second step on a step takes no memory from the system, and between steps it holds none.
TEST(ResNetTest, MemoryIsSteadyAfterTheFirstStep) {
  const ResNet model(kSmall);
  ModuleBed bed(model, {16, 16, 16, 3});
  const Tensor grad_logits = Normals({16, 10}, 2);
  bed.Backward(Mode::kTrain, grad_logits);
  const int64_t reserved = bed.workspace.bytes_reserved();
  const int64_t peak = bed.workspace.peak_bytes();
  EXPECT_GT(reserved, 0);
  EXPECT_EQ(bed.workspace.bytes_in_use(), 0);
  for (int step = 0; step < 3; ++step) bed.Backward(Mode::kTrain, grad_logits);
  EXPECT_EQ(bed.workspace.bytes_reserved(), reserved);
  EXPECT_EQ(bed.workspace.peak_bytes(), peak);
  EXPECT_EQ(bed.workspace.bytes_in_use(), 0);
}

TEST(ResNetTest, StepsHaveTheSameBitsOnAnyNumberOfThreads) {
  const ResNet model(kSmall);
  const auto step = [&](int threads) {
    ModuleBed bed(model, {16, 16, 16, 3});
    const Tensor grad_logits = Normals({16, 10}, 2);
    RunWithThreads(threads, [&] { bed.Backward(Mode::kTrain, grad_logits); });
    bed.variables["gradients"].emplace("flat", Clone(bed.gradients.flat()));
    return Clone(bed.variables);
  };
  const Variables one = step(1);
  for (const int threads : {2, 3}) {
    const Variables more = step(threads);
    for (const auto& [name, collection] : one) {
      for (const auto& [path, tensor] : collection) {
        const Tensor& other = GetCollection(more, name).find(path)->second;
        EXPECT_EQ(std::memcmp(tensor.data(), other.data(), tensor.span().size_bytes()), 0)
            << name << "/" << path << " with " << threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace hwynn
