#include "hwynn/tests/support/module_bed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "hwynn/tests/support/fill.h"

namespace hwynn::testing {
namespace {

double Dot(ConstTensorView a, ConstTensorView b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

double Norm(ConstTensorView a) { return std::sqrt(Dot(a, a)); }

}  // namespace

ModuleBed::ModuleBed(const Module& tested, const Shape& input_shape, uint32_t seed)
    : module(tested), variables(Init(tested, KeyFromSeed(seed), input_shape)), input(Normals(input_shape, seed)) {
  for (auto& [path, values] : variables.find(kParams)->second) {
    const Tensor noise = Normals(values.shape(), ++seed, 0.0f, 0.3f);
    for (int64_t i = 0; i < values.size(); ++i) values[i] += noise[i];
  }
  for (auto& [path, values] : variables[std::string(kBatchStats)]) {
    const Tensor noise = Normals(values.shape(), ++seed, 0.0f, 0.2f);
    for (int64_t i = 0; i < values.size(); ++i) values[i] += std::abs(noise[i]);
  }
  gradients = Gradients(GetCollection(variables, kParams));
}

CallContext ModuleBed::Context(Mode mode) {
  rules = LinenRules(KeyFromSeed(7));
  return {.workspace = &workspace,
          .variables = &variables,
          .updates = &variables,
          .gradients = &gradients,
          .tape = &tape,
          .mode = mode,
          .rules = &rules,
          .fusion = fusion,
          .statistics = statistics,
          .ghost_batch_size = ghost_batch_size,
          .averages = averages};
}

Activation ModuleBed::Forward(Mode mode) {
  tape.Clear();
  const CallContext context = Context(mode);
  return module.Forward(Scope(context), BorrowActivation(input));
}

Tensor ModuleBed::Backward(Mode mode, const Tensor& grad_output) {
  Forward(mode);
  const CallContext context = Context(mode);
  Tensor grad_input = Differentiate(module, context, grad_output.Clone());
  EXPECT_TRUE(tape.empty()) << "Backward left entries on the tape";
  return grad_input;
}

void CheckGradients(const Module& module, const Shape& input_shape, Mode mode, const DifferenceOptions& options) {
  ModuleBed bed(module, input_shape);
  const Activation output = bed.Forward(mode);
  const Tensor grad_output = Normals(output->shape(), 99);
  const Tensor grad_input = bed.Backward(mode, grad_output);

  // What rounding leaves of a difference: the outputs' last bits, added up at random.
  const double noise =
      1e-6 / options.step * Norm(*output) * Norm(grad_output) / std::sqrt(static_cast<double>(output->size()));
  uint32_t seed = 1000;
  const auto check = [&](const std::string& name, TensorView values, ConstTensorView gradient) {
    ASSERT_EQ(gradient.shape(), values.shape()) << name;
    const std::vector<float> original(values.span().begin(), values.span().end());
    for (int direction = 0; direction < 2; ++direction) {
      const Tensor step = Normals(values.shape(), ++seed);
      const auto loss_at = [&](double h) {
        for (int64_t i = 0; i < values.size(); ++i) {
          values[i] = original[static_cast<size_t>(i)] + static_cast<float>(h) * step[i];
        }
        return Dot(*bed.Forward(mode), grad_output);
      };
      const auto slope = [&](double h) { return (loss_at(h) - loss_at(-h)) / (2 * h); };
      const double expected = (4 * slope(options.step / 2) - slope(options.step)) / 3;
      EXPECT_NEAR(Dot(gradient, step), expected, options.tolerance * Norm(gradient) + noise) << name;
      std::copy(original.begin(), original.end(), values.data());
    }
  };
  if (!grad_input.empty()) check("input", bed.input, grad_input);
  for (auto& [path, values] : bed.variables.find(kParams)->second) check(path, values, bed.gradients.at(path));
}

std::vector<std::string> Describe(const Collection& collection) {
  std::vector<std::string> lines;
  for (const auto& [path, tensor] : collection) lines.push_back(path + tensor.shape().ToString());
  return lines;
}

std::vector<std::string> Describe(const Gradients& gradients) {
  std::vector<std::string> lines;
  for (const auto& [path, view] : gradients) lines.push_back(path + view.shape().ToString());
  return lines;
}

double MaxDifference(ConstTensorView a, ConstTensorView b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a[i]} - double{b[i]});
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    most = std::max(most, difference);
  }
  return most;
}

}  // namespace hwynn::testing
