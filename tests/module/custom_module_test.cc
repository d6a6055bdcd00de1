// A module of a user's own, written with the public headers alone: the BatchNorm that Flax users write by hand, with
// params and running statistics of its own names.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/module/module.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckGradients;
using testing::Describe;
using testing::ExpectError;
using testing::MaxDifference;
using testing::ModuleBed;

/// output = gamma·(x − μ)/√(σ² + 1e-5) + beta for x [N,C], with running averages of momentum 0.9.
class MyBatchNorm : public Module {
 public:
  std::string_view TypeName() const override { return "MyBatchNorm"; }

  Shape Init(InitScope scope, const Shape& input) const override {
    Check(input.rank() == 2, "MyBatchNorm: input ", input, " must be [N,C]");
    scope.Param("gamma", {input[1]}, initializers::Ones());
    scope.Param("beta", {input[1]}, initializers::Zeros());
    scope.Variable(kBatchStats, "running_mean", {input[1]}, 0.0f);
    scope.Variable(kBatchStats, "running_var", {input[1]}, 1.0f);
    return input;
  }

  Activation Forward(const Scope& scope, Activation input) const override {
    const int64_t rows = input->shape()[0];
    const int64_t channels = input->shape()[1];
    const ConstTensorView gamma = scope.Param("gamma");
    const ConstTensorView beta = scope.Param("beta");
    Tensor output = scope.NewTensor(input->shape());
    Tensor deviations = scope.NewTensor({channels});
    Tensor normalized = scope.NewTensor(input->shape());
    for (int64_t c = 0; c < channels; ++c) {
      float mean = 0;
      float var = 0;
      if (scope.train()) {
        for (int64_t n = 0; n < rows; ++n) mean += (*input)[n * channels + c];
        mean /= static_cast<float>(rows);
        for (int64_t n = 0; n < rows; ++n) {
          const float d = (*input)[n * channels + c] - mean;
          var += d * d;
        }
        var /= static_cast<float>(rows);
        const TensorView running_mean = scope.MutableVariable(kBatchStats, "running_mean");
        const TensorView running_var = scope.MutableVariable(kBatchStats, "running_var");
        running_mean[c] = 0.9f * running_mean[c] + 0.1f * mean;
        running_var[c] = 0.9f * running_var[c] + 0.1f * var;
      } else {
        mean = scope.Variable(kBatchStats, "running_mean")[c];
        var = scope.Variable(kBatchStats, "running_var")[c];
      }
      deviations[c] = std::sqrt(var + 1e-5f);
      for (int64_t i = c; i < rows * channels; i += channels) {
        normalized[i] = ((*input)[i] - mean) / deviations[c];
        output[i] = gamma[c] * normalized[i] + beta[c];
      }
    }
    scope.Save(this, MakeActivation(std::move(normalized)));
    scope.Save(this, MakeActivation(std::move(deviations)));
    return MakeActivation(std::move(output));
  }

  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    const Activation deviations = scope.Saved(this);
    const Activation normalized = scope.Saved(this);
    const int64_t rows = grad_output.shape()[0];
    const int64_t channels = grad_output.shape()[1];
    const ConstTensorView gamma = scope.Param("gamma");
    const TensorView grad_gamma = scope.Gradient("gamma");
    const TensorView grad_beta = scope.Gradient("beta");
    Tensor grad_input = scope.NewTensor(grad_output.shape());
    for (int64_t c = 0; c < channels; ++c) {
      float sum = 0;
      float sum_normalized = 0;
      for (int64_t i = c; i < rows * channels; i += channels) {
        sum += grad_output[i];
        sum_normalized += grad_output[i] * (*normalized)[i];
      }
      grad_beta[c] = sum;
      grad_gamma[c] = sum_normalized;
      const float m = scope.train() ? static_cast<float>(rows) : INFINITY;  // evaluation: constant statistics
      for (int64_t i = c; i < rows * channels; i += channels) {
        grad_input[i] =
            gamma[c] / (*deviations)[c] * (grad_output[i] - sum / m - (*normalized)[i] * sum_normalized / m);
      }
    }
    return grad_input;
  }
};

TEST(CustomModuleTest, HasItsVariablesAtFlaxPaths) {
  Sequential net;
  net.Add(Dense({.features = 4})).Add(MyBatchNorm()).Add(MyBatchNorm());
  const Variables variables = Init(net, KeyFromSeed(0), {2, 3});
  EXPECT_TRUE(GetCollection(variables, kParams).contains("MyBatchNorm_1/gamma"));
  EXPECT_EQ(Describe(GetCollection(variables, kBatchStats)),
            (std::vector<std::string>{"MyBatchNorm_0/running_mean[4]", "MyBatchNorm_0/running_var[4]",
                                      "MyBatchNorm_1/running_mean[4]", "MyBatchNorm_1/running_var[4]"}));
}

TEST(CustomModuleTest, Gradients) {
  CheckGradients(MyBatchNorm(), {9, 5});
  CheckGradients(MyBatchNorm(), {9, 5}, Mode::kEval);
  Sequential net;
  net.Add(Dense({.features = 4})).Add(MyBatchNorm()).Add(Dense({.features = 2}));
  CheckGradients(net, {9, 5});
}

TEST(CustomModuleTest, AgreesWithTheLibrarysLayer) {
  const MyBatchNorm mine;
  const BatchNorm library({.momentum = 0.9, .variance = Variance::kTwoPass});
  ModuleBed bed(mine, {9, 5});
  Collection params;
  params.emplace("scale", GetCollection(bed.variables, kParams).find("gamma")->second.Clone());
  params.emplace("bias", GetCollection(bed.variables, kParams).find("beta")->second.Clone());
  bed.variables[std::string(kParams)].merge(params);
  Collection& stats = GetCollection(bed.variables, kBatchStats);
  stats.emplace("mean", stats.find("running_mean")->second.Clone());
  stats.emplace("var", stats.find("running_var")->second.Clone());

  const Activation output = bed.Forward(Mode::kTrain);
  const CallContext context = bed.Context(Mode::kTrain);
  EXPECT_LT(MaxDifference(*output, *library.Forward(Scope(context), BorrowActivation(bed.input))), 1e-5);
  EXPECT_LT(MaxDifference(stats.find("mean")->second, stats.find("running_mean")->second), 1e-6);
  EXPECT_LT(MaxDifference(stats.find("var")->second, stats.find("running_var")->second), 1e-6);
}

TEST(CustomModuleTest, MeetsTheSameErrors) {
  const MyBatchNorm mine;
  ModuleBed bed(mine, {9, 5});
  CallContext context = bed.Context(Mode::kTrain);
  context.updates = nullptr;
  ExpectError<std::invalid_argument>(
      [&] { mine.Forward(Scope(context), BorrowActivation(bed.input)); },
      {"Cannot update variable \"running_mean\" in \"/\" because collection \"batch_stats\" is immutable."});
}

}  // namespace
}  // namespace hwynn
