#include "hwynn/inference/inference_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/target.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/dropout.h"
#include "hwynn/layers/flatten.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/relu.h"
#include "hwynn/models/mobilenet.h"
#include "hwynn/models/presets.h"
#include "hwynn/models/resnet.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::Normals;

// Variables as training leaves them: no array is 0, 1 or constant, scales of both signs.
Variables TrainedVariables(const Module& module, const Shape& input) {
  Variables variables = Init(module, KeyFromSeed(1), input);
  uint32_t seed = 1;
  for (auto& [collection, arrays] : variables) {
    for (auto& [path, array] : arrays) {
      if (array.shape().rank() > 1) continue;
      const bool var = path.ends_with("var");
      const bool scale = path.ends_with("scale");
      testing::FillNormal(array, ++seed, scale ? 0.8f : 0.1f, scale ? 0.5f : 0.3f);
      if (var) {
        for (float& value : array.span()) value = std::abs(value) + 0.3f;
      }
    }
  }
  return variables;
}

Tensor Output(const InferenceModel& model, ConstTensorView input, int threads = 1) {
  InferenceContext context(model, {.threads = threads});
  return Clone(context.Run(input));
}

bool SameBits(ConstTensorView a, ConstTensorView b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.span().size_bytes()) == 0;
}

// The largest difference over the largest value.
double Difference(ConstTensorView a, ConstTensorView b) {
  EXPECT_EQ(a.shape(), b.shape());
  double difference = 0;
  double largest = 0;
  for (int64_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return difference / largest;
}

void ExpectSameAsPredict(const Module& module, const Shape& input_shape, double bound = 2e-6) {
  const Variables variables = TrainedVariables(module, input_shape);
  const Tensor input = Normals(input_shape, 7);
  const Workspace workspace;
  const Activation expected = Predict(module, variables, input, workspace);
  const InferenceModel model(module, variables);
  EXPECT_LE(Difference(Output(model, input), *expected), bound) << model.Describe();
}

Conv Square(int64_t features, int64_t size, int64_t stride = 1, bool bias = false) {
  return Conv({.features = features, .kernel_size = {size, size}, .stride = {stride, stride}, .use_bias = bias});
}

TEST(InferenceModelTest, ResNetsGiveEvaluationsNumbers) {
  for (const bool bottleneck : {false, true}) {
    for (const ResNetStem stem : {ResNetStem::kCifar, ResNetStem::kImageNet}) {
      const ResNetOptions options{.stage_sizes = {1, 2, 1},
                                  .bottleneck = bottleneck,
                                  .stem = stem,
                                  .num_filters = 16,
                                  .num_classes = 10,
                                  .precision = Precision::kHighest};
      ExpectSameAsPredict(ResNet(options), {2, 37, 33, 3});
    }
  }
  ExpectSameAsPredict(ResNet({.stage_sizes = {2, 2}, .num_filters = 32, .num_classes = 10}), {3, 40, 40, 3}, 2e-5);
}

TEST(InferenceModelTest, TheResNetsKinAndMobileNetV2GiveEvaluationsNumbers) {
  for (const char* name : {"resnext50_32x4d", "wide_resnet50_2", "resnet18d", "resnet50d"}) {
    SCOPED_TRACE(name);
    ResNetOptions options = ResNetPreset(name, 0.25);
    options.stage_sizes = {1, 2, 1};
    options.num_classes = 10;
    options.precision = Precision::kHighest;
    ExpectSameAsPredict(ResNet(options), {2, 37, 33, 3});
  }
  for (const int64_t stride : {1, 2}) {
    ExpectSameAsPredict(MobileNetV2({.width = 0.25, .num_classes = 10, .stem_stride = stride}), {2, 37, 33, 3}, 1e-5);
  }
  // Nothing is a pass of its own.
  const MobileNetV2 network({.width = 0.1, .num_classes = 10});
  const std::string steps = InferenceModel(network, TrainedVariables(network, {1, 32, 32, 3})).Describe();
  EXPECT_EQ(std::ranges::count(steps, '\n'), 1 + 52 + 1 + 1) << steps;
}

// A BatchNorm's own ReLU has an upper end too.
TEST(InferenceModelTest, BatchNormsClipAtBothEnds) {
  Sequential network;
  network.Add(Square(8, 3)).Add(BatchNorm({.relu = true, .upper = 0.5f}));
  ExpectSameAsPredict(network, {2, 9, 8, 3});
  Sequential alone;
  alone.Add(BatchNorm({.relu = true, .upper = 0.5f})).Add(Square(8, 3));
  ExpectSameAsPredict(alone, {2, 9, 8, 3});
}

TEST(InferenceModelTest, EveryStepOfAResNetIsAConvolutionPoolOrDense) {
  const ResNet network({.stage_sizes = {1, 1}, .num_filters = 8, .num_classes = 10});
  const std::string steps = InferenceModel(network, TrainedVariables(network, {1, 32, 32, 3})).Describe();
  EXPECT_EQ(std::ranges::count(steps, '\n'), 1 + 1 + 2 + 3 + 1 + 1 + 1) << steps;
  EXPECT_EQ(steps.find("add("), std::string::npos) << steps;
  EXPECT_EQ(steps.find("normalize("), std::string::npos) << steps;
  EXPECT_EQ(steps.find("= relu("), std::string::npos) << steps;
}

// What isn't a ResNet: a BatchNorm that no filter stands before, groups, depthwise, biases, ReLU6 behind each of them.
TEST(InferenceModelTest, OtherOrdersOfLayers) {
  Sequential network;
  network.Add(BatchNorm()).Add(Square(12, 3, 1, /*bias=*/true)).Add(BatchNorm()).Add(Relu({.upper = 0.5f}));
  network.Add(Conv({.features = 24, .kernel_size = {3, 3}, .groups = 4})).Add(BatchNorm({.use_scale = false}));
  network.Add(BatchNorm({.relu = true}));
  network.Add(Conv({.features = 24, .kernel_size = {3, 3}, .stride = {2, 2}, .groups = 24})).Add(BatchNorm());
  network.Add(Relu({.upper = 6.0f})).Add(BatchNorm({.use_bias = false})).Add(Relu({.upper = 1.0f}));
  network.Add(AveragePool({.window = {2, 2}})).Add(Relu()).Add(Dropout()).Add(Flatten());
  network.Add(Dense({.features = 20})).Add(BatchNorm({.relu = true})).Add(Dense({.features = 5, .use_bias = false}));
  ExpectSameAsPredict(network, {3, 9, 11, 3});
}

// What another module could still read must not change: the values between are used twice.
class Twice final : public Module {
 public:
  static constexpr int64_t kFeatures = 8;
  Twice(bool relu, bool norm_first) : relu_(relu), norm_first_(norm_first) {}
  std::string_view TypeName() const override { return "Twice"; }
  Shape Init(InitScope scope, const Shape& input) const override {
    norm_.Init(scope.Child("norm"), conv_.Init(scope.Child("conv"), input));
    return input;
  }
  Activation Forward(const Scope& scope, Activation input) const override {
    const Activation conv = conv_.Forward(scope.Child("conv"), std::move(input));
    const Activation norm = norm_.Forward(scope.Child("norm"), conv);
    Tensor sum = scope.NewTensor(conv.shape());
    for (int64_t i = 0; i < sum.size(); ++i) {
      sum[i] = (*conv)[i] + (*norm)[i];
      if (relu_) sum[i] = std::max(sum[i], 0.0f);
    }
    return MakeActivation(std::move(sum));
  }
  Tensor Backward(const Scope&, Tensor grad) const override { return grad; }
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override {
    const GraphValue conv = conv_.AppendTo(graph, scope.Child("conv"), input);
    const GraphValue norm = norm_.AppendTo(graph, scope.Child("norm"), conv);
    const GraphValue sum =
        norm_first_ ? graph.Append(scope, AddOp{}, {norm, conv}) : graph.Append(scope, AddOp{}, {conv, norm});
    return relu_ ? graph.Append(scope, ReluOp{}, {sum}) : sum;
  }

 private:
  Conv conv_ = Square(kFeatures, 3, 1, true);
  BatchNorm norm_;
  bool relu_, norm_first_;
};

TEST(InferenceModelTest, ValuesThatAreReadTwiceStayAsTheyAre) {
  for (const bool relu : {false, true}) {
    for (const bool norm_first : {false, true}) {
      Sequential network;
      network.Add(Twice(relu, norm_first)).Add(Relu()).Add(GlobalAveragePool());
      ExpectSameAsPredict(network, {2, 6, 5, Twice::kFeatures});
    }
  }
}

// A module of a user's own, which has no operations: it is called.
class AddsItsParam final : public Module {
 public:
  std::string_view TypeName() const override { return "AddsItsParam"; }
  Shape Init(InitScope scope, const Shape& input) const override {
    scope.Param("shift", {input.back()}, initializers::Ones());
    return input;
  }
  Activation Forward(const Scope& scope, Activation input) const override {
    const ConstTensorView shift = scope.Param("shift");
    Tensor output = scope.NewTensor(input.shape());
    for (int64_t i = 0; i < output.size(); ++i) output[i] = (*input)[i] + shift[i % shift.size()];
    return MakeActivation(std::move(output));
  }
  Tensor Backward(const Scope&, Tensor grad) const override { return grad; }
};

class GivesWhatItGets final : public Module {
 public:
  std::string_view TypeName() const override { return "GivesWhatItGets"; }
  Shape Init(InitScope, const Shape& input) const override { return input; }
  Activation Forward(const Scope&, Activation input) const override { return input; }
  Tensor Backward(const Scope&, Tensor grad) const override { return grad; }
};

// Its output is its input's memory, which others must leave alone.
TEST(InferenceModelTest, AModuleMayGiveWhatItGets) {
  Sequential network;
  network.Add(Square(8, 3)).Add(GivesWhatItGets()).Add(Relu()).Add(Twice(true, false)).Add(GivesWhatItGets());
  network.Add(Square(8, 3)).Add(GivesWhatItGets()).Add(BatchNorm()).Add(Square(8, 1)).Add(GivesWhatItGets());
  ExpectSameAsPredict(network, {2, 7, 7, 3});
}

TEST(InferenceModelTest, AModuleOfAUsersOwnIsCalled) {
  Sequential network;
  network.Add(Square(8, 3)).Add(AddsItsParam()).Add(BatchNorm({.relu = true})).Add(AddsItsParam()).Add(Square(4, 3));
  network.Add(AddsItsParam());
  ExpectSameAsPredict(network, {2, 7, 7, 3});
  // A BatchNorm with the batch's own statistics and one on another axis are such modules too.
  Sequential others;
  others.Add(Square(8, 3)).Add(BatchNorm({.use_running_average = true})).Add(BatchNorm({.axis = 1}));
  ExpectSameAsPredict(others, {2, 7, 7, 3});
}

TEST(InferenceModelTest, FoldsConstantChannelsAndFlushesSubnormals) {
  Sequential network;
  network.Add(Square(3, 1)).Add(BatchNorm());
  Variables variables = Init(network, KeyFromSeed(1), {1, 2, 2, 2});
  Collection& params = GetCollection(variables, kParams);
  Tensor& scale = params.find("BatchNorm_0/scale")->second;
  scale[0] = 0.0f;    // a dead channel
  scale[1] = 1e-38f;  // whose products with the filter are subnormal
  scale[2] = -2.0f;
  params.find("BatchNorm_0/bias")->second[0] = 3.0f;
  GetCollection(variables, kBatchStats).find("BatchNorm_0/var")->second[0] = 0.0f;
  Tensor& filter = params.find("Conv_0/kernel")->second;
  std::ranges::fill(filter.span(), 0.25f);
  const InferenceModel model(network, variables);
  const Tensor output = Output(model, Tensor({1, 2, 2, 2}, 4.0f));
  EXPECT_EQ(output[0], 3.0f);
  EXPECT_EQ(output[1], 0.0f);
  EXPECT_NEAR(output[2], -4.0f, 1e-4);
}

TEST(InferenceModelTest, SameBitsForThreadsCallersAndTargets) {
  const ResNet network({.stage_sizes = {1, 1}, .bottleneck = true, .num_filters = 16, .num_classes = 7});
  const Shape shape{5, 41, 47, 3};
  const Variables variables = TrainedVariables(network, shape);
  const InferenceModel model(network, variables);
  const Tensor input = Normals(shape, 3);
  const Tensor expected = Output(model, input);
  for (const int threads : {0, 1, 2, 3}) {
    EXPECT_TRUE(SameBits(Output(model, input, threads), expected)) << threads << " threads";
  }
  std::vector<std::jthread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      InferenceContext context(model, {.threads = 1 + caller % 2});
      for (int call = 0; call < 5; ++call) EXPECT_TRUE(SameBits(context.Run(input), expected));
    });
  }
  callers.clear();
  testing::ExpectSameBitsOnTargets([&] {
    std::vector<Tensor> outputs;
    outputs.push_back(Output(model, input));
    return outputs;
  });
}

TEST(InferenceModelTest, AnImageIsTheSameInAnyBatchWhenAsked) {
  const ResNet network({.stage_sizes = {1, 1, 1}, .num_filters = 32, .num_classes = 7});
  const Shape shape{9, 64, 64, 3};
  const InferenceModel model(network, TrainedVariables(network, shape), {}, {.batch_invariant = true});
  const Tensor images = Normals(shape, 3);
  const Tensor all = Output(model, images);
  for (const int64_t count : {1, 2, 5}) {
    for (int64_t first = 0; first + count <= 9; first += 3) {
      const Tensor some = Output(model, images.view().Rows(first, count));
      EXPECT_TRUE(SameBits(some, all.view().Rows(first, count))) << count << " images from " << first;
    }
  }
}

// A first layer whose output is large runs with its pool, some images at a time; of 7 images one by one.
TEST(InferenceModelTest, LargeFirstLayersRunWithTheirPool) {
  Sequential network;
  network.Add(Conv({.features = 64, .kernel_size = {7, 7}, .stride = {2, 2}, .use_bias = false}));
  network.Add(BatchNorm({.relu = true})).Add(MaxPool({.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()}));
  network.Add(Conv({.features = 8})).Add(GlobalAveragePool());
  const Variables variables = TrainedVariables(network, {1, 224, 224, 3});
  const InferenceModel model(network, variables);
  for (const int64_t batch : {6, 7}) {
    const Tensor images = Normals({batch, 224, 224, 3}, 5);
    const Workspace workspace;
    const Activation expected = Predict(network, variables, images, workspace);
    InferenceContext context(model, {.threads = 2});
    EXPECT_LE(Difference(context.Run(images), *expected), 1e-5);
    // The values between: half of the output of all images, and a little.
    EXPECT_LT(context.bytes(), batch * 112 * 112 * 64 * 4 / 2 + (16 << 20)) << batch;
  }
}

TEST(InferenceModelTest, ImagesOfManySizesInOneContext) {
  const ResNet network({.stage_sizes = {1, 1}, .num_filters = 8, .num_classes = 7});
  const InferenceModel model(network, TrainedVariables(network, {1, 32, 32, 3}));
  InferenceContext context(model);
  std::vector<Shape> shapes;
  for (int64_t size = 7; size < 90; size += 9) shapes.push_back({1 + size % 3, size, 97 - size, 3});
  const auto run_all = [&] {
    for (const Shape& shape : shapes) {
      const Tensor input = Normals(shape, 5);
      EXPECT_TRUE(SameBits(context.Run(input), Output(model, input))) << shape;
    }
  };
  run_all();
  const int64_t bytes = context.bytes();
  const int64_t packed_bytes = model.packed_bytes();
  run_all();
  EXPECT_EQ(context.bytes(), bytes);
  EXPECT_EQ(model.packed_bytes(), packed_bytes);
}

TEST(InferenceModelTest, BytesAreStandardised) {
  const ResNet network({.stage_sizes = {1}, .num_filters = 8, .num_classes = 7});
  const Shape shape{2, 16, 16, 3};
  const InferenceModel model(
      network, TrainedVariables(network, shape),
      {.image_shape = {16, 16, 3}, .standardization = {{0.4f, 0.5f, 0.6f}, {0.2f, 0.3f, 0.25f}}});
  std::vector<uint8_t> bytes(static_cast<size_t>(shape.num_elements()));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37 + i / 256);
  Tensor floats(shape);
  for (int64_t i = 0; i < floats.size(); ++i) {
    const auto c = static_cast<size_t>(i % 3);
    floats[i] = (static_cast<float>(bytes[static_cast<size_t>(i)]) / 255.0f - model.info().standardization.mean[c]) *
                (1.0f / model.info().standardization.stddev[c]);
  }
  InferenceContext context(model);
  const Tensor output = Clone(context.RunBytes(bytes.data(), shape));
  EXPECT_TRUE(SameBits(output, Output(model, floats)));
}

TEST(InferenceModelTest, ErrorsNameWhatIsWrong) {
  const ResNet network({.stage_sizes = {1}, .num_filters = 8, .num_classes = 7});
  const InferenceModel model(network, TrainedVariables(network, {1, 16, 16, 3}));
  InferenceContext context(model);
  const Tensor good = Normals({1, 16, 16, 3}, 1);
  const Tensor expected = Clone(context.Run(good));
  testing::ExpectError<std::invalid_argument>([&] { context.Run(Normals({1, 16, 16, 4}, 1)); }, {"[1,16,16,4]"});
  testing::ExpectError<std::invalid_argument>([&] { context.Run(Normals({16, 3}, 1)); }, {"[16,3]"});
  testing::ExpectError<std::invalid_argument>([&] { context.Run({}); }, {"no elements"});
  EXPECT_TRUE(SameBits(context.Run(good), expected));  // and the context lives on
  EXPECT_THROW(InferenceContext(model, {.threads = -1}), std::invalid_argument);
  testing::ExpectError<std::invalid_argument>([&] { InferenceModel(network, Variables(), {}); },
                                              {"Could not find parameter named \"kernel\""});
}

}  // namespace
}  // namespace hwynn
