// BatchNorm over groups of images, each of them a batch with statistics of its own (Hoffer et al. 2017,
// https://arxiv.org/abs/1705.08741). A group's images lie together in memory, so the kernels take it as they take a
// batch. Convolutions know of one batch alone: nothing is fused here.

#include <algorithm>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/layers/batch_norm.h"

namespace hwynn {
namespace {

// Calls visit(group, first image, images) for each group of a batch, in order.
template <class Visitor>
void VisitGroups(int64_t batch, int64_t group_size, Visitor&& visit) {
  for (int64_t first = 0; first < batch; first += group_size) {
    visit(first / group_size, first, std::min(group_size, batch - first));
  }
}

// A group's part of a mask over `positions` of each image.
std::span<const uint8_t> MaskOf(std::span<const uint8_t> mask, int64_t positions, int64_t first, int64_t images) {
  if (mask.empty()) return mask;
  return mask.subspan(static_cast<size_t>(first * positions), static_cast<size_t>(images * positions));
}

int64_t PositionsPerImage(const Shape& input) { return input.num_elements() / (input[0] * input.back()); }

template <class View>
View RowsOf(const View& values, int64_t first, int64_t images) {
  return values.size() == 0 ? View() : values.Rows(first, images);
}

}  // namespace

int64_t BatchNorm::GhostBatchSize(const Scope& scope, const BatchNormCall& call, const Shape& input) const {
  const int64_t images = options_.ghost_batch_size != 0 ? options_.ghost_batch_size : scope.ghost_batch_size();
  if (images <= 0 || images >= input[0] || UsesRunningAverage(scope, call)) return 0;
  return images;
}

Activation BatchNorm::NormalizeGhosts(const Scope& scope, const Activation& input, const BatchNormCall& call,
                                      ConstTensorView residual) const {
  const ConstTensorView values = *input;
  const Shape& shape = input.shape();
  const int64_t positions = PositionsPerImage(shape);
  Check(options_.axis != 0 && options_.axis != -shape.rank(), "BatchNorm in \"", scope.path(),
        "\": ghost batches are parts of the first axis, which can't be that of the channels");
  Check(call.mask.empty() || static_cast<int64_t>(call.mask.size()) == shape[0] * positions, "BatchNorm in \"",
        scope.path(), "\": a mask of ", call.mask.size(), " bytes isn't one of ", shape);
  const int64_t group_size = GhostBatchSize(scope, call, shape);
  const int64_t groups = (shape[0] + group_size - 1) / group_size;
  const Running running = RunningStatistics(scope);
  Tensor means = scope.NewTensor({groups, shape.back()});
  Tensor vars = scope.NewTensor({groups, shape.back()});
  Tensor output = scope.NewTensor(shape);
  Tensor mean = scope.NewTensor({shape.back()});
  Tensor var = scope.NewTensor({shape.back()});
  VisitGroups(shape[0], group_size, [&](int64_t group, int64_t first, int64_t images) {
    const ConstTensorView x = values.Rows(first, images);
    const ConstTensorView addend = RowsOf(residual, first, images);
    const TensorView y = output.view().Rows(first, images);
    {
      const WorkTimer timer = scope.Observe("statistics", WorkKind::kPass, {x});
      BatchNormStatistics(x, options_.variance, mean, var, scope.workspace(),
                          MaskOf(call.mask, positions, first, images));
    }
    Update(scope, running, images, mean, var);
    {
      const WorkTimer timer = scope.Observe("normalize", WorkKind::kPass, {x, addend, y});
      BatchNormNormalize(x, Affine(scope, mean, var), y,
                         {.residual = addend, .relu = options_.relu, .upper = options_.upper});
    }
    std::ranges::copy(mean.span(), means.view().Rows(group, 1).data());
    std::ranges::copy(var.span(), vars.view().Rows(group, 1).data());
  });
  scope.Save(this, input);
  scope.Save(this, MakeActivation(std::move(means)));
  scope.Save(this, MakeActivation(std::move(vars)));
  return MakeActivation(std::move(output));
}

void BatchNorm::DifferentiateGhosts(const Scope& scope, const Kept& kept, int64_t images,
                                    BatchNormBackwardArgs args) const {
  const Shape& shape = args.input.shape();
  const Shape channels{shape.back()};
  const BatchNormBackwardArgs whole = args;
  std::vector<double> scale_sums(static_cast<size_t>(whole.grad_scale.size()));
  std::vector<double> bias_sums(static_cast<size_t>(whole.grad_bias.size()));
  VisitGroups(shape[0], images, [&](int64_t group, int64_t first, int64_t count) {
    args.input = whole.input.Rows(first, count);
    args.output = RowsOf(whole.output, first, count);
    args.grad_output = whole.grad_output.Rows(first, count);
    args.affine.mean = kept.mean->view().Rows(group, 1).Reshaped(channels);
    args.affine.var = kept.var->view().Rows(group, 1).Reshaped(channels);
    args.mask = MaskOf(whole.mask, PositionsPerImage(shape), first, count);
    args.grad_input = RowsOf(whole.grad_input, first, count);
    args.grad_residual = RowsOf(whole.grad_residual, first, count);
    BatchNormBackward(args, scope.workspace());  // the gradients of scale and bias are this group's alone
    for (size_t c = 0; c < scale_sums.size(); ++c) scale_sums[c] += static_cast<double>(args.grad_scale.span()[c]);
    for (size_t c = 0; c < bias_sums.size(); ++c) bias_sums[c] += static_cast<double>(args.grad_bias.span()[c]);
  });
  for (size_t c = 0; c < scale_sums.size(); ++c) whole.grad_scale.span()[c] = static_cast<float>(scale_sums[c]);
  for (size_t c = 0; c < bias_sums.size(); ++c) whole.grad_bias.span()[c] = static_cast<float>(bias_sums[c]);
}

}  // namespace hwynn
