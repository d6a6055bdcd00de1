// Scalar code in double: a step has some ten thousand logits, whose exponentials are less than 0.1 % of its time, and
// the loss is the number that training is judged by. So it's also the same on every instruction set.

#include "hwynn/kernels/loss.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/math.h"
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
    sum.rows += part.rows;
  }
  return sum;
}

constexpr int64_t kChunk = 1024;  // classes whose exponentials are kept from the sum to the gradient
constexpr size_t kPartials =
    4;  // of the sum over a row's exponentials, element k in the k mod 4th: no long chain of additions
static_assert(kChunk % kPartials == 0);

// exp(logit − shift) of a row, a chunk at a time; rows of one chunk are computed once.
class Exponentials {
 public:
  Exponentials(const float* logits, double shift) : logits_(logits), shift_(shift) {}

  std::span<const double> Chunk(int64_t begin, int64_t end) {
    const std::span<double> values = std::span(values_).first(static_cast<size_t>(end - begin));
    if (begin == begin_) return values;
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<double>(logits_[begin + static_cast<int64_t>(i)]) - shift_;
    Exp(values);
    begin_ = begin;
    return values;
  }

 private:
  const float* logits_;
  double shift_;
  int64_t begin_ = -1;  // of what values_ holds
  std::array<double, kChunk> values_;
};

constexpr int64_t kNone = -1;  // in a second label's place

// One row of a cross-entropy: its targets are weight[k]·(uniform + (k == label ? hit : 0) + (k == second ? second_hit :
// 0)).
class CrossEntropy {
 public:
  CrossEntropy(const CrossEntropyOptions& options, int64_t classes)
      : options_(options),
        classes_(classes),
        uniform_(static_cast<double>(options.label_smoothing) / static_cast<double>(classes)),
        hit_((1.0 - static_cast<double>(options.label_smoothing)) * FirstShare(options)),
        second_hit_((1.0 - static_cast<double>(options.label_smoothing)) * (1.0 - FirstShare(options))) {
    for (const float weight : options.class_weights) total_weight_ += static_cast<double>(weight);
  }

  bool Ignores(int32_t label) const { return label == options_.ignore_index; }

  /// How much a row of these labels counts.
  double Weight(int64_t label, int64_t second) const {
    if (second == kNone) return Weight(label);
    return FirstShare(options_) * Weight(label) + (1.0 - FirstShare(options_)) * Weight(second);
  }

  int64_t SecondLabel(int64_t row) const {
    return options_.second_labels.empty() ? kNone : options_.second_labels[static_cast<size_t>(row)];
  }

  /// Adds the row's loss and hit to `sum`; writes the gradient, divided by `divisor`, unless grad is null.
  void Row(const float* logits, int64_t label, int64_t second, double divisor, float* grad, LossResult& sum) const {
    int64_t best = 0;
    for (int64_t k = 0; k < classes_; ++k) best = logits[k] > logits[best] ? k : best;
    const double shift = std::isfinite(logits[best]) ? static_cast<double>(logits[best]) : 0.0;
    Exponentials exponentials(logits, shift);
    std::array<double, kPartials> partial = {};
    for (int64_t begin = 0; begin < classes_; begin += kChunk) {
      const std::span<const double> chunk = exponentials.Chunk(begin, std::min(classes_, begin + kChunk));
      for (size_t i = 0; i < chunk.size(); ++i) partial[i % kPartials] += chunk[i];
    }
    const double total = (partial[0] + partial[1]) + (partial[2] + partial[3]);
    const double log_sum = Log(total) + shift;

    const double targets = Targets(label, second);
    sum.loss += targets * log_sum - WeightedLogits(logits, label, second);
    sum.correct += best == label && !std::isnan(log_sum) ? 1 : 0;
    sum.rows += 1;
    if (grad == nullptr) return;
    const double scale = targets / total;
    for (int64_t begin = 0; begin < classes_; begin += kChunk) {
      const int64_t end = std::min(classes_, begin + kChunk);
      const std::span<const double> chunk = exponentials.Chunk(begin, end);
      for (int64_t k = begin; k < end; ++k) {
        const double hits = uniform_ + (k == label ? hit_ : 0.0);
        const double target = Weight(k) * (k == second ? hits + second_hit_ : hits);
        grad[k] = static_cast<float>((scale * chunk[static_cast<size_t>(k - begin)] - target) / divisor);
      }
    }
  }

 private:
  static double FirstShare(const CrossEntropyOptions& options) {
    return options.second_labels.empty() ? 1.0 : static_cast<double>(options.first_share);
  }

  double Weight(int64_t label) const {
    return options_.class_weights.empty() ? 1.0
                                          : static_cast<double>(options_.class_weights[static_cast<size_t>(label)]);
  }

  /// Σ_k of a row's targets: 1 without weights.
  double Targets(int64_t label, int64_t second) const {
    if (options_.class_weights.empty()) return 1.0;
    const double hits = hit_ * Weight(label) + (second == kNone ? 0.0 : second_hit_ * Weight(second));
    return hits + uniform_ * total_weight_;
  }

  /// Σ_k of target·logit, of those logits alone that have a part, as 0·∞ would be NaN.
  double WeightedLogits(const float* logits, int64_t label, int64_t second) const {
    double sum = hit_ == 0.0 ? 0.0 : hit_ * Weight(label) * static_cast<double>(logits[label]);
    if (second != kNone && second_hit_ != 0.0)
      sum += second_hit_ * Weight(second) * static_cast<double>(logits[second]);
    if (uniform_ == 0.0) return sum;
    double all = 0.0;
    for (int64_t k = 0; k < classes_; ++k) all += Weight(k) * static_cast<double>(logits[k]);
    return sum + uniform_ * all;
  }

  const CrossEntropyOptions& options_;
  int64_t classes_;
  double uniform_, hit_, second_hit_;
  double total_weight_ = 0.0;
};

void CheckCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels, const CrossEntropyOptions& options,
                       TensorView grad_logits) {
  const Shape& shape = logits.shape();
  Check(shape.rank() == 2 && shape.num_elements() > 0,
        "SoftmaxCrossEntropy: logits must be [N,K] with no extent 0; logits ", shape);
  const int64_t classes = shape[1];
  Check(std::ssize(labels) == shape[0], "SoftmaxCrossEntropy: ", labels.size(), " labels for ", shape[0],
        " rows; logits ", shape);
  Check(options.label_smoothing >= 0.0f && options.label_smoothing < 1.0f, "SoftmaxCrossEntropy: label_smoothing (",
        options.label_smoothing, ") must be in [0,1)");
  Check(grad_logits.data() == nullptr || grad_logits.shape() == shape, "SoftmaxCrossEntropy: grad_logits ",
        grad_logits.shape(), " must be shaped as logits ", shape);
  Check(options.class_weights.empty() || std::ssize(options.class_weights) == classes,
        "SoftmaxCrossEntropy: ", options.class_weights.size(), " class weights for ", classes, " classes; logits ",
        shape);
  for (size_t k = 0; k < options.class_weights.size(); ++k) {
    const float weight = options.class_weights[k];
    Check(std::isfinite(weight) && weight >= 0.0f, "SoftmaxCrossEntropy: the weight of class ", k, " (", weight,
          ") must be finite and at least 0");
  }
  const std::span<const int32_t> second = options.second_labels;
  Check(second.empty() || second.size() == labels.size(), "SoftmaxCrossEntropy: ", second.size(), " second labels for ",
        labels.size(), " rows");
  Check(second.empty() || !options.ignore_index, "SoftmaxCrossEntropy: second labels with an ignore_index");
  Check(second.empty() || (options.first_share >= 0.0f && options.first_share <= 1.0f),
        "SoftmaxCrossEntropy: first_share (", options.first_share, ") must be in [0,1]");
  for (size_t n = 0; n < second.size(); ++n) {
    Check(second[n] >= 0 && second[n] < classes, "SoftmaxCrossEntropy: second label ", second[n], " of row ", n,
          " is not in 0 … ", classes - 1, " (K = ", classes, ")");
  }
  for (size_t n = 0; n < labels.size(); ++n) {
    Check((labels[n] >= 0 && labels[n] < classes) || labels[n] == options.ignore_index, "SoftmaxCrossEntropy: label ",
          labels[n], " of row ", n, " is not in 0 … ", classes - 1, " (K = ", classes, ")");
  }
}

}  // namespace

LossResult SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels,
                               const CrossEntropyOptions& options, TensorView grad_logits) {
  CheckCrossEntropy(logits, labels, options, grad_logits);
  const int64_t classes = logits.shape()[1];
  const CrossEntropy cross_entropy(options, classes);
  double divisor = 0.0;
  for (int64_t n = 0; n < std::ssize(labels); ++n) {
    const int32_t label = labels[static_cast<size_t>(n)];
    divisor += cross_entropy.Ignores(label) ? 0.0 : cross_entropy.Weight(label, cross_entropy.SecondLabel(n));
  }

  LossResult result = SumOverBlocks(logits.shape()[0], classes, [&](int64_t begin, int64_t end) {
    LossResult block;
    for (int64_t n = begin; n < end; ++n) {
      float* grad = grad_logits.data() ? grad_logits.data() + n * classes : nullptr;
      const int32_t label = labels[static_cast<size_t>(n)];
      if (!cross_entropy.Ignores(label)) {
        cross_entropy.Row(logits.data() + n * classes, label, cross_entropy.SecondLabel(n), divisor, grad, block);
      } else if (grad != nullptr) {
        std::fill_n(grad, classes, 0.0f);
      }
    }
    return block;
  });
  result.loss /= divisor;
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
