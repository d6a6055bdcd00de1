#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/channel_sums.cc"
#include "hwynn/kernels/channel_sums.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/channel_sums-inl.h"
#include "hwynn/kernels/conv2d.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void RunChannelTask(const ChannelTask& task) {
  switch (task.terms) {
    case ChannelTerms::kMoments:
      return SumTask<ChannelTerms::kMoments>(task);
    case ChannelTerms::kStableMoments:
      return SumTask<ChannelTerms::kStableMoments>(task);
    case ChannelTerms::kGradient:
      return SumTask<ChannelTerms::kGradient>(task);
    case ChannelTerms::kReluGradient:
      return SumTask<ChannelTerms::kReluGradient>(task);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(RunChannelTask);

// Elements of a task: 512 KiB of x, 10 µs and more.
constexpr int64_t kTaskElements = int64_t{1} << 17;
// Narrow rows are taken several at a time as one row of at least this many columns: four vectors of the widest target.
constexpr int64_t kWideColumns = 64;
constexpr int64_t kTaskColumns = kMaxChannelTaskColumns / 2;

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The cut of a [rows,channels] array, by its shape alone: `fold` rows make one wide row, so that few channels, or
// channels that fill no vector, run at the speed of many. Rows that fill no wide row are the tail.
struct Cut {
  explicit Cut(const ChannelRows& x)
      : fold(CeilDiv(kWideColumns, x.channels)),
        columns(fold * x.channels),
        rows(x.rows / fold),
        column_blocks(std::max<int64_t>(1, columns / kTaskColumns)),
        chunk_rows(CeilDiv(CeilDiv(kTaskElements, std::min(columns, kTaskColumns)), kChannelBlockRows) *
                   kChannelBlockRows),
        chunks(CeilDiv(rows, chunk_rows)) {}

  int64_t fold, columns, rows;
  int64_t column_blocks;  // of kTaskColumns columns; the last takes what is left, less than twice as many
  int64_t chunk_rows, chunks;
};

// Room for `count` doubles.
struct Doubles {
  Doubles(int64_t count, const Workspace& workspace) : memory(workspace.NewTensor({2 * count})) {}
  double* data() { return reinterpret_cast<double*>(memory.data()); }
  Tensor memory;
};

ChannelSums Sum(ChannelTerms terms, const ChannelRows& x, const float* grad, const float* output,
                std::span<const float> shift, const Workspace& workspace) {
  const Cut cut(x);
  const bool stable = terms == ChannelTerms::kStableMoments;
  const auto shift_of = [&](int64_t channel) { return shift.empty() ? 0.0f : shift[static_cast<size_t>(channel)]; };

  Tensor wide_shift = workspace.NewTensor({cut.columns});
  for (int64_t c = 0; c < cut.columns; ++c) wide_shift[c] = shift_of(c % x.channels);

  // Partial sums [chunks][first, second][columns].
  Doubles partials(cut.chunks * 2 * cut.columns, workspace);
  ParallelFor(cut.chunks * cut.column_blocks, [&](int64_t index) {
    const int64_t chunk = index / cut.column_blocks;
    const int64_t block = index % cut.column_blocks;
    double* partial = partials.data() + chunk * 2 * cut.columns + block * kTaskColumns;
    HWY_DYNAMIC_DISPATCH(RunChannelTask)
    ({.terms = terms,
      .x = x.data,
      .grad = grad,
      .output = output,
      .shift = wide_shift.data(),
      .columns = cut.columns,
      .row_begin = chunk * cut.chunk_rows,
      .row_end = std::min(cut.rows, (chunk + 1) * cut.chunk_rows),
      .column_begin = block * kTaskColumns,
      .column_end = block + 1 < cut.column_blocks ? (block + 1) * kTaskColumns : cut.columns,
      .first = partial,
      .second = partial + cut.columns});
  });

  ChannelSums sums{std::vector<double>(static_cast<size_t>(x.channels)),
                   std::vector<double>(static_cast<size_t>(x.channels))};
  double merged_rows = 0;  // rows of the array in each channel's sums so far
  for (int64_t chunk = 0; chunk < cut.chunks; ++chunk) {
    const auto rows = static_cast<double>(std::min(cut.chunk_rows, cut.rows - chunk * cut.chunk_rows));
    const double* partial = partials.data() + chunk * 2 * cut.columns;
    for (int64_t f = 0; f < cut.fold; ++f, merged_rows += rows) {
      for (int64_t c = 0; c < x.channels; ++c, ++partial) {
        double& first = sums.first[static_cast<size_t>(c)];
        double& second = sums.second[static_cast<size_t>(c)];
        if (stable) {
          MergeMoments(merged_rows, first, second, rows, partial[0], partial[cut.columns]);
        } else {
          first += partial[0];
          second += partial[cut.columns];
        }
      }
    }
  }
  int64_t i = cut.rows * cut.columns;
  for (int64_t row = cut.rows * cut.fold; row < x.rows; ++row, ++merged_rows) {
    for (int64_t c = 0; c < x.channels; ++c, ++i) {
      double& first = sums.first[static_cast<size_t>(c)];
      double& second = sums.second[static_cast<size_t>(c)];
      if (stable) {
        MergeMoments(merged_rows, first, second, 1, x.data[i], 0);
        continue;
      }
      const double centered = static_cast<double>(x.data[i]) - shift_of(c);
      const double term = grad == nullptr ? centered : output == nullptr || output[i] > 0 ? grad[i] : 0.0;
      first += term;
      second += term * centered;
    }
  }
  return sums;
}

}  // namespace

ChannelSums SumMoments(const ChannelRows& x, std::span<const float> shift, const Workspace& workspace) {
  return Sum(ChannelTerms::kMoments, x, nullptr, nullptr, shift, workspace);
}

ChannelSums StableMoments(const ChannelRows& x, const Workspace& workspace) {
  return Sum(ChannelTerms::kStableMoments, x, nullptr, nullptr, {}, workspace);
}

ChannelSums SumGradients(const ChannelRows& x, const float* grad, const float* output, std::span<const float> mean,
                         const Workspace& workspace) {
  const ChannelTerms terms = output == nullptr ? ChannelTerms::kGradient : ChannelTerms::kReluGradient;
  return Sum(terms, x, grad, output, mean, workspace);
}

ChannelSums SumMaskedMoments(const ChannelRows& x, std::span<const uint8_t> mask, std::span<const float> shift,
                             const Workspace& workspace) {
  const auto C = static_cast<size_t>(x.channels);
  const int64_t chunk_rows = CeilDiv(kTaskElements, x.channels);
  const int64_t chunks = CeilDiv(x.rows, chunk_rows);
  Doubles partials(chunks * 2 * x.channels, workspace);
  ParallelFor(chunks, [&](int64_t chunk) {
    double* first = partials.data() + chunk * 2 * x.channels;
    double* second = first + C;
    std::fill_n(first, 2 * C, 0.0);
    const int64_t end = std::min(x.rows, (chunk + 1) * chunk_rows);
    for (int64_t row = chunk * chunk_rows; row < end; ++row) {
      if (mask[static_cast<size_t>(row)] == 0) continue;
      const float* values = x.data + row * x.channels;
      for (size_t c = 0; c < C; ++c) {
        const double centered = static_cast<double>(values[c]) - (shift.empty() ? 0.0 : shift[c]);
        first[c] += centered;
        second[c] += centered * centered;
      }
    }
  });
  ChannelSums sums{std::vector<double>(C), std::vector<double>(C)};
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const double* partial = partials.data() + chunk * 2 * x.channels;
    for (size_t c = 0; c < C; ++c) {
      sums.first[c] += partial[c];
      sums.second[c] += partial[C + c];
    }
  }
  return sums;
}

void BiasGradient(ConstTensorView grad_output, TensorView grad_bias, const Workspace& workspace) {
  const Shape& shape = grad_output.shape();
  Check(shape.rank() >= 1 && grad_output.size() > 0 && grad_bias.shape() == Shape{shape.back()},
        "BiasGradient: grad_bias must be [C] for grad_output [...,C], not empty; grad_output ", shape, ", grad_bias ",
        grad_bias.shape());
  const int64_t C = shape.back();
  const ChannelSums sums = SumMoments({grad_output.data(), grad_output.size() / C, C}, {}, workspace);
  std::transform(sums.first.begin(), sums.first.end(), grad_bias.data(),
                 [](double sum) { return static_cast<float>(sum); });
}

}  // namespace hwynn
#endif  // HWY_ONCE
