#include "hwynn/tests/conformance/onnx_training_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "hwynn/core/check.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/kernels/optimizer_update.h"

namespace hwynn::testing::onnx {
namespace {

// Rows of classes: [N,C,…] is a loss for each of its pixels.
struct Rows {
  Tensor logits;  // [rows,C]
  std::vector<int32_t> labels;
  std::vector<float> weights;  // of a class; empty: 1
  std::optional<int32_t> ignored;

  float Weight(size_t row) const {
    if (labels[row] == ignored) return 0;
    return weights.empty() ? 1 : weights[static_cast<size_t>(labels[row])];
  }
  double LossOf(size_t row, int32_t label) const {
    const int64_t classes = logits.shape()[1];
    const ConstTensorView one(logits.data() + static_cast<int64_t>(row) * classes, {1, classes});
    return SoftmaxCrossEntropy(one, std::array{label}, {}, {}).loss;
  }
};

}  // namespace

std::vector<Output> RunCrossEntropy(const Node& node, const Inputs& inputs) {
  const Value& x = Floats(inputs, 0);
  Require(Has(inputs, 1) && inputs[1]->type == Value::kInt64, "labels that are no int64");
  const Value& y = *inputs[1];
  const Tensor images = ToImages(x);
  const int64_t classes = x.dims[1], count = images.size() / classes;
  Rows rows{.logits = Tensor({count, classes}), .labels = {y.integers.begin(), y.integers.end()}};
  std::copy_n(images.data(), images.size(), rows.logits.data());
  if (Has(inputs, 2)) rows.weights = Floats(inputs, 2).floats;
  if (node.attributes.contains("ignore_index")) rows.ignored = static_cast<int32_t>(node.Integer("ignore_index", 0));

  std::vector<Output> outputs;
  const std::string reduction = node.Text("reduction", "mean");
  if (reduction == "none") {
    Value losses{.type = Value::kFloat, .dims = y.dims};
    for (size_t row = 0; row < rows.labels.size(); ++row) {
      const bool counts = rows.labels[row] != rows.ignored;
      losses.floats.push_back(counts ? static_cast<float>(double{rows.Weight(row)} * rows.LossOf(row, rows.labels[row]))
                                     : 0.0f);
    }
    outputs.push_back(Within(std::move(losses), 8));
  } else {
    const CrossEntropyOptions options{.ignore_index = rows.ignored, .class_weights = rows.weights};
    double loss = SoftmaxCrossEntropy(rows.logits, rows.labels, options, {}).loss;
    if (reduction == "sum") {
      double sum = 0;
      for (size_t row = 0; row < rows.labels.size(); ++row) sum += double{rows.Weight(row)};
      loss *= sum;
    }
    outputs.push_back(Within({.type = Value::kFloat, .floats = {static_cast<float>(loss)}}, 8));
  }
  if (node.outputs.size() < 2) return outputs;
  Tensor log_probabilities(images.shape());  // a class's is minus the loss of a row that has its label
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t c = 0; c < classes; ++c) {
      log_probabilities[row * classes + c] =
          static_cast<float>(-rows.LossOf(static_cast<size_t>(row), static_cast<int32_t>(c)));
    }
  }
  Value value = FromImages(log_probabilities, x.dims);
  value.dims = x.dims;
  outputs.push_back(Within(std::move(value), 8));
  return outputs;
}

namespace {

// R, T, then for each kind of array (parameters, gradients, states …) one of each parameter's.
struct Training {
  Training(const Inputs& inputs, size_t kinds) : count((inputs.size() - 2) / kinds) {
    learning_rate = Floats(inputs, 0).floats[0];
    Require(inputs[1]->type == Value::kInt64 && inputs[1]->integers[0] == 0, "a step after the first");
    for (size_t i = 2; i < inputs.size(); ++i) arrays.push_back(ToTensor(Floats(inputs, i)));
  }
  Tensor& Array(size_t kind, size_t parameter) { return arrays[kind * count + parameter]; }

  // Of the parameters and states, in ONNX's order: all but the gradients, which come second.
  std::vector<Output> Outputs(double units) {
    std::vector<Output> outputs;
    for (size_t i = 0; i < arrays.size(); ++i) {
      if (i / count != 1) outputs.push_back(Within(ToValue(arrays[i]), units));
    }
    return outputs;
  }

  size_t count;
  float learning_rate = 0;
  std::vector<Tensor> arrays;
};

}  // namespace

std::vector<Output> RunMomentum(const Node& node, const Inputs& inputs) {
  Training training(inputs, 3);
  std::vector<SgdLeaf> leaves;
  for (size_t i = 0; i < training.count; ++i) {
    leaves.push_back(
        {.param = training.Array(0, i), .grad = training.Array(1, i), .trace = training.Array(2, i), .decay = true});
  }
  // In the first step, T = 0, the gradient's factor beta isn't looked at.
  SgdUpdate({.learning_rate = training.learning_rate,
             .momentum = node.Number("alpha", 0),
             .nesterov = node.Text("mode", "") == "nesterov",
             .weight_decay = node.Number("norm_coefficient", 0)},
            leaves);
  return training.Outputs(8);
}

std::vector<Output> RunAdam(const Node& node, const Inputs& inputs) {
  Require(node.Number("norm_coefficient_post", 0) == 0, "decay after the step");
  Training training(inputs, 4);
  std::vector<AdamLeaf> leaves;
  for (size_t i = 0; i < training.count; ++i) {
    leaves.push_back({.param = training.Array(0, i),
                      .grad = training.Array(1, i),
                      .mu = training.Array(2, i),
                      .nu = training.Array(3, i),
                      .decay = true});
  }
  // T = 0: without the correction of the first steps, which after so many has gone.
  constexpr int64_t kManySteps = 1'000'000;
  AdamUpdate({.learning_rate = training.learning_rate,
              .b1 = double{node.Number("alpha", 0.9f)},
              .b2 = double{node.Number("beta", 0.999f)},
              .epsilon = node.Number("epsilon", 1e-6f),
              .weight_decay = node.Number("norm_coefficient", 0),
              .decoupled = false},
             kManySteps, leaves);
  return training.Outputs(8);
}

}  // namespace hwynn::testing::onnx
