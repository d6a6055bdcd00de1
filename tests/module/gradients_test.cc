// One flat array with a view for each path; params that several calls share, and those that no call reaches.

#include "hwynn/module/gradients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckGradients;
using testing::Describe;
using testing::ExpectError;
using testing::MaxDifference;
using testing::ModuleBed;
using testing::Normals;

Collection Params() {
  Collection params;
  params.emplace("a/bias", Normals({5}, 1));
  params.emplace("a/kernel", Normals({4, 4}, 2));
  params.emplace("b", Normals({3, 7}, 3));
  return params;
}

void Fill(TensorView view, float value) { std::ranges::fill(view.span(), value); }

TEST(GradientsTest, LieInOneArrayInTheOrderOfTheirPaths) {
  Gradients gradients = Gradients::CopyOf(Params());
  EXPECT_EQ(Describe(gradients), (std::vector<std::string>{"a/bias[5]", "a/kernel[4,4]", "b[3,7]"}));
  // 5, 16 and 21 elements begin at 0, 16 and 32; 64 in all.
  EXPECT_EQ(gradients.flat().shape(), Shape({64}));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(gradients.flat().data()) % 64, 0u);
  EXPECT_EQ(gradients.at("a/bias").data(), gradients.flat().data());
  EXPECT_EQ(gradients.at("a/kernel").data(), gradients.flat().data() + 16);
  EXPECT_EQ(gradients.at("b").data(), gradients.flat().data() + 32);
  for (const auto& [path, values] : Params()) EXPECT_EQ(MaxDifference(gradients.at(path), values), 0) << path;
  for (int64_t i = 0; i < 64; ++i) {
    if ((i >= 5 && i < 16) || i >= 53) {
      EXPECT_EQ(gradients.flat()[i], 0.0f) << i;
    }
  }
  const Gradients moved = std::move(gradients);
  EXPECT_EQ(moved.at("b").data(), moved.flat().data() + 32);
  ExpectError<std::invalid_argument>([&] { moved.at("a"); }, {"\"a\""});
  const Gradients zeros(Params());
  EXPECT_EQ(zeros.flat().size(), 64);
  for (const float value : zeros.flat().span()) EXPECT_EQ(value, 0.0f);
}

TEST(GradientsTest, FitParamsOfTheSamePathsAndShapes) {
  const Gradients gradients(Params());
  EXPECT_TRUE(gradients.Fit(Params()));
  EXPECT_FALSE(Gradients().Fit(Params()));
  Collection params = Params();
  params.erase("b");
  EXPECT_FALSE(gradients.Fit(params));
  params.emplace("b", Tensor({7, 3}));
  EXPECT_FALSE(gradients.Fit(params));
  params = Params();
  params.emplace("c", Tensor({1}));
  EXPECT_FALSE(gradients.Fit(params));
}

TEST(GradientsTest, TheFirstWriterOverwritesOthersAdd) {
  Gradients gradients = Gradients::CopyOf(Params());
  for (int step = 0; step < 2; ++step) {  // the second finds what the first left
    gradients.Start();
    Fill(gradients.Write("a/bias", {1, 0}), 1.0f);
    Fill(gradients.Write("a/kernel", {1, 0}), 8.0f);
    EXPECT_EQ(gradients.Write("a/bias", {1, 0}).data(), gradients.at("a/bias").data());  // the same call asks again
    for (const Gradients::Writer& writer : {Gradients::Writer{1, 1}, Gradients::Writer{2, 1}}) {
      const TensorView more = gradients.Write("a/bias", writer);
      EXPECT_EQ(more.shape(), Shape({5}));
      Fill(more, 0.0f);
      Fill(gradients.Write("a/bias", writer), writer.scope == 1 ? 16.0f : 256.0f);
    }
    // Who adds up finds 0.
    for (float& value : gradients.Write("a/bias", {3, 1}).span()) value += 4096.0f;
    gradients.Finish();
    for (const float value : gradients.at("a/bias").span()) EXPECT_EQ(value, 1.0f + 16.0f + 256.0f + 4096.0f);
    for (const float value : gradients.at("a/kernel").span()) EXPECT_EQ(value, 8.0f);
    for (const float value : gradients.at("b").span()) EXPECT_EQ(value, 0.0f);  // nobody wrote it
  }
  ExpectError<std::invalid_argument>([&] { gradients.Write("b", {1, 0}); }, {"Differentiate"});
}

// Adds a bias; Backward needs nothing that Forward saved.
class Bias : public Module {
 public:
  std::string_view TypeName() const override { return "Bias"; }
  Shape Init(InitScope scope, const Shape& input) const override {
    scope.Param("bias", {input.back()}, initializers::Ones());
    return input;
  }
  Activation Forward(const Scope& scope, Activation input) const override {
    const ConstTensorView bias = scope.Param("bias");
    Tensor output = scope.NewTensor(input.shape());
    for (int64_t i = 0; i < output.size(); ++i) output[i] = (*input)[i] + bias[i % bias.size()];
    return MakeActivation(std::move(output));
  }
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    Fill(scope.Gradient("bias"), 0.0f);
    for (int64_t i = 0; i < grad_output.size(); ++i) {
      const TensorView bias = scope.Gradient("bias");  // asked for again and again
      bias[i % bias.size()] += grad_output[i];
    }
    return grad_output;
  }
};

// Calls one child `times` times, all at one path.
class Repeated : public Module {
 public:
  Repeated(std::shared_ptr<const Module> child, int times) : child_(std::move(child)), times_(times) {}
  std::string_view TypeName() const override { return "Repeated"; }
  Shape Init(InitScope scope, const Shape& input) const override { return child_->Init(scope.Child("child"), input); }
  Activation Forward(const Scope& scope, Activation input) const override {
    for (int i = 0; i < times_; ++i) input = child_->Forward(scope.Child("child"), std::move(input));
    return input;
  }
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    for (int i = 0; i < times_; ++i) grad_output = child_->Backward(scope.Child("child"), std::move(grad_output));
    return grad_output;
  }

 private:
  std::shared_ptr<const Module> child_;
  int times_;
};

// The same with one Scope for all calls, whose Backward pops what Forward left.
class RepeatedInOneScope : public Module {
 public:
  explicit RepeatedInOneScope(DenseOptions options) : child_(options) {}
  std::string_view TypeName() const override { return "RepeatedInOneScope"; }
  Shape Init(InitScope scope, const Shape& input) const override { return child_.Init(scope.Child("child"), input); }
  Activation Forward(const Scope& scope, Activation input) const override {
    const Scope child = scope.Child("child");
    return child_.Forward(child, child_.Forward(child, std::move(input)));
  }
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    const Scope child = scope.Child("child");
    return child_.Backward(child, child_.Backward(child, std::move(grad_output)));
  }

 private:
  Dense child_;
};

TEST(SharedParamsTest, GradientsAreTheSumOfAllCalls) {
  CheckGradients(Repeated(std::make_shared<const Dense>(DenseOptions{.features = 5}), 2), {7, 5});
  CheckGradients(Repeated(std::make_shared<const Dense>(DenseOptions{.features = 3}), 4), {7, 3});
  CheckGradients(Repeated(std::make_shared<const BatchNorm>(), 2), {9, 5});
  CheckGradients(Repeated(std::make_shared<const Conv>(ConvOptions{.features = 3}), 3), {2, 5, 4, 3});
  CheckGradients(Repeated(std::make_shared<const Bias>(), 3), {7, 5});
  CheckGradients(RepeatedInOneScope({.features = 5}), {7, 5});
  Sequential inner;
  inner.Add(Dense({.features = 4})).Add(Bias());
  CheckGradients(Repeated(std::make_shared<const Sequential>(inner), 3), {7, 4});
}

// A bias that is added three times has three times the gradient, exactly; also in a second step.
TEST(SharedParamsTest, StepsDontAddUp) {
  const Repeated model(std::make_shared<const Bias>(), 3);
  ModuleBed bed(model, {2, 4});
  for (int step = 0; step < 3; ++step) {
    bed.Backward(Mode::kTrain, Tensor({2, 4}, 1.0f));
    for (const float value : bed.gradients.at("child/bias").span()) EXPECT_EQ(value, 6.0f);
  }
}

// One of two layers, as a switch says.
class OneOfTwo : public Module {
 public:
  std::string_view TypeName() const override { return "OneOfTwo"; }
  Shape Init(InitScope scope, const Shape& input) const override {
    layer_.Init(scope.Child("second"), input);
    return layer_.Init(scope.Child("first"), input);
  }
  Activation Forward(const Scope& scope, Activation input) const override {
    return layer_.Forward(scope.Child(name()), std::move(input));
  }
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    return layer_.Backward(scope.Child(name()), std::move(grad_output));
  }
  bool second = false;

 private:
  std::string_view name() const { return second ? "second" : "first"; }
  Dense layer_{{.features = 3}};
};

TEST(SharedParamsTest, AParamThatACallSkipsHasTheGradientZero) {
  OneOfTwo model;
  ModuleBed bed(model, {4, 3});
  bed.Backward(Mode::kTrain, Normals({4, 3}, 1));
  EXPECT_NE(bed.gradients.at("first/kernel")[0], 0.0f);
  model.second = true;
  bed.Backward(Mode::kTrain, Normals({4, 3}, 1));
  EXPECT_NE(bed.gradients.at("second/kernel")[0], 0.0f);
  for (const float value : bed.gradients.at("first/kernel").span()) EXPECT_EQ(value, 0.0f);
  for (const float value : bed.gradients.at("first/bias").span()) EXPECT_EQ(value, 0.0f);
}

}  // namespace
}  // namespace hwynn
