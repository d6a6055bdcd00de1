// Scalar code in double: a step has some ten thousand logits, whose exponentials are less than 0.1 % of its time, and
// the loss is the number that training is judged by. So it's also the same on every instruction set.

#include "hwynn/kernels/loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"

namespace hwynn {
namespace {

// Elements of a task: about 100 µs of exponentials. A usual batch is one task or a few.
constexpr int64_t kTaskElements = 8 * 1024;

// Runs block(begin, end) → LossResult on blocks of `rows` and adds the results up in the order of the blocks.
LossResult SumOverBlocks(int64_t rows, int64_t row_elements,
                         FunctionRef<LossResult(int64_t begin, int64_t end)> block) {
  const int64_t rows_per_task = std::max<int64_t>(1, kTaskElements / row_elements);
  std::vector<LossResult> partial(static_cast<size_t>((rows + rows_per_task - 1) / rows_per_task));
  ParallelFor(static_cast<int64_t>(partial.size()), [&](int64_t task) {
    partial[static_cast<size_t>(task)] = block(task * rows_per_task, std::min(rows, (task + 1) * rows_per_task));
  });
  LossResult sum;
  for (const LossResult& part : partial) {
    sum.loss += part.loss;
    sum.correct += part.correct;
  }
  return sum;
}

struct CrossEntropyRow {
  double loss;
  bool correct;
};

CrossEntropyRow SoftmaxCrossEntropyRow(const float* logits, int64_t classes, int64_t label, double smoothing,
                                       double rows, float* grad) {
  int64_t best = 0;
  double total = 0.0;
  for (int64_t k = 0; k < classes; ++k) {
    if (logits[k] > logits[best]) best = k;
    total += static_cast<double>(logits[k]);
  }
  const double shift = std::isfinite(logits[best]) ? static_cast<double>(logits[best]) : 0.0;
  double sum = 0.0;
  for (int64_t k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(logits[k]) - shift);
  const double log_sum = std::log(sum) + shift;

  const double uniform = smoothing / static_cast<double>(classes);
  double target = (1.0 - smoothing) * static_cast<double>(logits[label]);
  if (smoothing > 0.0) target += uniform * total;  // not 0·∞ without smoothing
  const CrossEntropyRow result = {log_sum - target, best == label && !std::isnan(log_sum)};
  if (grad == nullptr) return result;
  for (int64_t k = 0; k < classes; ++k) {
    const double wanted = uniform + (k == label ? 1.0 - smoothing : 0.0);
    grad[k] = static_cast<float>((std::exp(static_cast<double>(logits[k]) - log_sum) - wanted) / rows);
  }
  return result;
}

}  // namespace

LossResult SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels, float label_smoothing,
                               TensorView grad_logits) {
  const Shape& shape = logits.shape();
  Check(shape.rank() == 2 && shape.num_elements() > 0,
        "SoftmaxCrossEntropy: logits must be [N,K] with no extent 0; logits ", shape);
  const int64_t rows = shape[0];
  const int64_t classes = shape[1];
  Check(static_cast<int64_t>(labels.size()) == rows, "SoftmaxCrossEntropy: ", labels.size(), " labels for ", rows,
        " rows; logits ", shape);
  Check(label_smoothing >= 0.0f && label_smoothing < 1.0f, "SoftmaxCrossEntropy: label_smoothing (", label_smoothing,
        ") must be in [0,1)");
  Check(grad_logits.data() == nullptr || grad_logits.shape() == shape, "SoftmaxCrossEntropy: grad_logits ",
        grad_logits.shape(), " must be shaped as logits ", shape);
  for (int64_t n = 0; n < rows; ++n) {
    const int32_t label = labels[static_cast<size_t>(n)];
    Check(label >= 0 && label < classes, "SoftmaxCrossEntropy: label ", label, " of row ", n, " is not in 0 … ",
          classes - 1, " (K = ", classes, ")");
  }

  LossResult result = SumOverBlocks(rows, classes, [&](int64_t begin, int64_t end) {
    LossResult block;
    for (int64_t n = begin; n < end; ++n) {
      float* grad = grad_logits.data() ? grad_logits.data() + n * classes : nullptr;
      const CrossEntropyRow row =
          SoftmaxCrossEntropyRow(logits.data() + n * classes, classes, labels[static_cast<size_t>(n)],
                                 static_cast<double>(label_smoothing), static_cast<double>(rows), grad);
      block.loss += row.loss;
      block.correct += row.correct ? 1 : 0;
    }
    return block;
  });
  result.loss /= static_cast<double>(rows);
  return result;
}

LossResult MeanSquaredError(ConstTensorView predictions, ConstTensorView targets, TensorView grad_predictions) {
  const Shape& shape = predictions.shape();
  Check(predictions.size() > 0 && targets.shape() == shape, "MeanSquaredError: targets ", targets.shape(),
        " must be shaped as predictions ", shape, ", with no extent 0");
  Check(grad_predictions.data() == nullptr || grad_predictions.shape() == shape, "MeanSquaredError: grad_predictions ",
        grad_predictions.shape(), " must be shaped as predictions ", shape);
  const auto size = static_cast<double>(predictions.size());
  LossResult result = SumOverBlocks(predictions.size(), 1, [&](int64_t begin, int64_t end) {
    LossResult block;
    for (int64_t i = begin; i < end; ++i) {
      const double difference = static_cast<double>(predictions[i]) - static_cast<double>(targets[i]);
      block.loss += difference * difference;
      if (grad_predictions.data() != nullptr) grad_predictions[i] = static_cast<float>(2.0 * difference / size);
    }
    return block;
  });
  result.loss /= size;
  return result;
}

}  // namespace hwynn
