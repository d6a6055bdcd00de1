#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/simd/channel_sums.cc"
#include "hwynn/kernels/simd/channel_sums.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "hwynn/core/parallel.h"
#include "hwynn/core/split.h"
#include "hwynn/kernels/simd/channel_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void RunChannelTask(const ChannelTask& task) {
  switch (task.terms) {
    case ChannelTerms::kSum:
      return SumTask<ChannelTerms::kSum>(task);
    case ChannelTerms::kMoments:
      return SumTask<ChannelTerms::kMoments>(task);
    case ChannelTerms::kStableMoments:
      return MomentsTask(task);
    case ChannelTerms::kGradient:
      return SumGradientTask<ChannelTerms::kGradient>(task);
    case ChannelTerms::kGradientReluOfOutput:
      return SumGradientTask<ChannelTerms::kGradientReluOfOutput>(task);
    case ChannelTerms::kGradientReluOfInput:
      return SumGradientTask<ChannelTerms::kGradientReluOfInput>(task);
  }
}
void GradientsOfRow(const ChannelTask& task, float* gradients) { RowGradients(task, gradients); }

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(RunChannelTask);
HWY_EXPORT(GradientsOfRow);

// Elements of a task: 512 KiB of x, 10 µs and more.
constexpr int64_t kTaskElements = int64_t{1} << 17;
// Narrow rows are taken several at a time as one row of at least this many columns: four vectors of the widest target.
constexpr int64_t kWideColumns = 64;
constexpr int64_t kTaskColumns = kMaxChannelTaskColumns / 2;

// Rows of a chunk: whole blocks, about kTaskElements, and as many in each, so that few chunks keep several threads
// busy.
int64_t ChunkRows(int64_t rows, int64_t columns) {
  const int64_t chunks = CeilDiv(std::max<int64_t>(1, rows * columns), kTaskElements);
  return CeilDiv(std::max<int64_t>(1, rows), chunks * kChannelBlockRows) * kChannelBlockRows;
}

// The cut of a [rows,channels] array, by its shape alone: `fold` rows make one wide row, so that few channels, or
// channels that fill no vector, run at the speed of many. Rows that fill no wide row are the tail.
struct Cut {
  explicit Cut(const ChannelRows& x)
      : fold(CeilDiv(kWideColumns, x.channels)),
        columns(fold * x.channels),
        rows(x.rows / fold),
        column_blocks(std::max<int64_t>(1, columns / kTaskColumns)),
        chunk_rows(ChunkRows(rows, std::min(columns, kTaskColumns))),
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

// Sums of single rows in f64: what rows under a mask take, and what doesn't fit f32. first = Σ (x − shift) and second =
// Σ (x − shift)²; with `gradient`, a task whose tables are [channels], Σ g and Σ g·(x − shift).
ChannelSums SumInDouble(const ChannelRows& x, std::span<const uint8_t> mask, std::span<const double> shift,
                        const ChannelTask* gradient, const Workspace& workspace) {
  const auto C = static_cast<size_t>(x.channels);
  const int64_t chunk_rows = CeilDiv(kTaskElements, x.channels);
  const int64_t chunks = CeilDiv(x.rows, chunk_rows);
  Doubles partials(chunks * 2 * x.channels, workspace);
  ParallelFor(chunks, [&](int64_t chunk) {
    double* first = partials.data() + chunk * 2 * x.channels;
    double* second = first + C;
    std::fill_n(first, 2 * C, 0.0);
    std::vector<float> gradients(gradient == nullptr ? 0 : C);
    const int64_t end = std::min(x.rows, (chunk + 1) * chunk_rows);
    for (int64_t row = chunk * chunk_rows; row < end; ++row) {
      if (!mask.empty() && mask[static_cast<size_t>(row)] == 0) continue;
      if (gradient != nullptr) {
        ChannelTask task = *gradient;
        task.row_begin = row;
        task.column_end = x.channels;
        HWY_DYNAMIC_DISPATCH(GradientsOfRow)(task, gradients.data());
      }
      const float* values = x.data + row * x.channels;
      for (size_t c = 0; c < C; ++c) {
        const double centered = static_cast<double>(values[c]) - (shift.empty() ? 0.0 : shift[c]);
        const double term = gradient == nullptr ? centered : gradients[c];
        first[c] += term;
        second[c] += term * centered;
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

// Whether f32 was too narrow for a channel's sums: one overflowed (or a value wasn't finite), or squares lost bits
// below the smallest normal number. Squares that all vanished are 0, which is right to a rounding of f32.
bool Lost(ChannelTerms terms, double first, double second, int64_t rows) {
  constexpr double kSafeSquare = 0x1p-124;  // of which an underflow's error, at most 2⁻¹⁵⁰, is 2⁻²⁶
  if (!std::isfinite(first) || !std::isfinite(second)) return true;
  const bool squares = terms == ChannelTerms::kMoments || terms == ChannelTerms::kStableMoments;
  return squares && second > 0 && second < kSafeSquare * static_cast<double>(rows);
}

// Makes the sums of channels that are lost again, in f64. The others keep their bits.
template <class Again>
void MakeLostAgain(ChannelTerms terms, const ChannelRows& x, ChannelSums& sums, const Again& again) {
  const auto lost = [&](size_t c) { return Lost(terms, sums.first[c], sums.second[c], x.rows); };
  size_t c = 0;
  while (c < sums.first.size() && !lost(c)) ++c;
  if (c == sums.first.size()) return;
  const ChannelSums wide = again();
  for (; c < sums.first.size(); ++c) {
    if (!lost(c)) continue;
    sums.first[c] = wide.first[c];
    sums.second[c] = wide.second[c];
  }
}

// What a pass adds up: terms of x, for gradients also of the gradient, and of another array that meets it.
struct PassInputs {
  ChannelRows x;
  std::span<const float> shift = {};
  MaskedGradient gradient = {};
  CenteredRows other = {};
};

// Sums of one pass; `third` of the other array, if there is one.
struct PassSums {
  ChannelSums of_x;
  std::vector<double> third;
};

PassSums Sum(ChannelTerms terms, const PassInputs& inputs, const Workspace& workspace) {
  const ChannelRows& x = inputs.x;
  const std::span<const float> shift = inputs.shift;
  const MaskedGradient& gradient = inputs.gradient;
  const CenteredRows& other = inputs.other;
  const bool has_other = other.data != nullptr;
  const Cut cut(x);
  const bool stable = terms == ChannelTerms::kStableMoments;
  const auto shift_of = [&](int64_t channel) { return shift.empty() ? 0.0f : shift[static_cast<size_t>(channel)]; };

  Tensor wide = workspace.NewTensor({4, cut.columns});  // per-channel values as the wide rows want them
  float* wide_shift = wide.data();
  float* wide_mul = wide_shift + cut.columns;
  float* wide_bias = wide_mul + cut.columns;
  float* wide_other = wide_bias + cut.columns;
  for (int64_t c = 0; c < cut.columns; ++c) {
    wide_shift[c] = shift_of(c % x.channels);
    if (gradient.mul != nullptr) wide_mul[c] = gradient.mul[c % x.channels];
    if (gradient.bias != nullptr) wide_bias[c] = gradient.bias[c % x.channels];
    if (has_other) wide_other[c] = other.mean[static_cast<size_t>(c % x.channels)];
  }
  const ChannelTask all{.terms = terms,
                        .x = x.data,
                        .shift = wide_shift,
                        .grad = gradient.grad,
                        .output = gradient.output,
                        .mul = wide_mul,
                        .bias = wide_bias,
                        .last = gradient.last,
                        .masked = gradient.masked,
                        .other = other.data,
                        .other_shift = wide_other,
                        .columns = cut.columns};

  // Partial sums [chunks][first, second, third][columns].
  const int64_t kinds = has_other ? 3 : 2;
  Doubles partials(cut.chunks * kinds * cut.columns, workspace);
  ParallelFor(cut.chunks * cut.column_blocks, [&](int64_t index) {
    const int64_t chunk = index / cut.column_blocks;
    const int64_t block = index % cut.column_blocks;
    ChannelTask task = all;
    task.row_begin = chunk * cut.chunk_rows;
    task.row_end = std::min(cut.rows, (chunk + 1) * cut.chunk_rows);
    task.column_begin = block * kTaskColumns;
    task.column_end = block + 1 < cut.column_blocks ? (block + 1) * kTaskColumns : cut.columns;
    task.first = partials.data() + chunk * kinds * cut.columns + task.column_begin;
    task.second = task.first + cut.columns;
    if (has_other) task.third = task.second + cut.columns;
    HWY_DYNAMIC_DISPATCH(RunChannelTask)(task);
  });

  const auto C = static_cast<size_t>(x.channels);
  ChannelSums sums{std::vector<double>(C), std::vector<double>(C)};
  std::vector<double> third(has_other ? C : 0);
  double merged_rows = 0;  // rows of the array in each channel's sums so far
  for (int64_t chunk = 0; chunk < cut.chunks; ++chunk) {
    const auto rows = static_cast<double>(std::min(cut.chunk_rows, cut.rows - chunk * cut.chunk_rows));
    const double* partial = partials.data() + chunk * kinds * cut.columns;
    for (int64_t f = 0; f < cut.fold; ++f, merged_rows += rows) {
      for (int64_t c = 0; c < x.channels; ++c, ++partial) {
        double& first = sums.first[static_cast<size_t>(c)];
        double& second = sums.second[static_cast<size_t>(c)];
        if (stable) {
          MergeMoments(merged_rows, first, second, rows, partial[0], partial[cut.columns]);
        } else {
          first += partial[0];
          second += partial[cut.columns];
          if (has_other) third[static_cast<size_t>(c)] += partial[2 * cut.columns];
        }
      }
    }
  }
  // The tail is the front of one wide row more.
  const int64_t tail = cut.rows * cut.columns;
  const int64_t tail_columns = x.rows * x.channels - tail;
  std::vector<float> gradients(static_cast<size_t>(tail_columns));
  if (gradient.grad != nullptr) {
    ChannelTask task = all;
    task.row_begin = cut.rows;
    task.column_end = tail_columns;
    HWY_DYNAMIC_DISPATCH(GradientsOfRow)(task, gradients.data());
  }
  for (int64_t column = 0; column < tail_columns; ++column) {
    const int64_t c = column % x.channels;
    double& first = sums.first[static_cast<size_t>(c)];
    double& second = sums.second[static_cast<size_t>(c)];
    const float value = x.data[tail + column];
    if (stable) {
      const int64_t row = column / x.channels;
      MergeMoments(merged_rows + static_cast<double>(row), first, second, 1, value, 0);
      continue;
    }
    if (terms == ChannelTerms::kSum) {
      first += value;
      continue;
    }
    const double centered = static_cast<double>(value) - shift_of(c);
    const double term = gradient.grad == nullptr ? centered : gradients[static_cast<size_t>(column)];
    first += term;
    second += term * centered;
    if (has_other) {
      const auto at = static_cast<size_t>(c);
      third[at] += term * (static_cast<double>(other.data[tail + column]) - other.mean[at]);
    }
  }
  return {std::move(sums), std::move(third)};
}

// Makes sums of gradients that are lost again.
void MakeLostGradientsAgain(ChannelTerms terms, const PassInputs& inputs, ChannelSums& sums,
                            const Workspace& workspace) {
  const MaskedGradient& gradient = inputs.gradient;
  MakeLostAgain(terms, inputs.x, sums, [&] {
    // Gradients that were stored have their mask already; a mask applied twice is the same.
    const ChannelTask task{.terms = terms,
                           .x = inputs.x.data,
                           .shift = inputs.shift.data(),
                           .grad = gradient.grad,
                           .output = gradient.output,
                           .mul = gradient.mul,
                           .bias = gradient.bias,
                           .last = gradient.last,
                           .masked = nullptr,
                           .other = nullptr,
                           .other_shift = nullptr,
                           .columns = inputs.x.channels};
    return SumInDouble(inputs.x, {}, std::vector<double>(inputs.shift.begin(), inputs.shift.end()), &task, workspace);
  });
}

ChannelTerms TermsOf(const MaskedGradient& gradient) {
  return gradient.output != nullptr ? ChannelTerms::kGradientReluOfOutput
         : gradient.mul != nullptr  ? ChannelTerms::kGradientReluOfInput
                                    : ChannelTerms::kGradient;
}

}  // namespace

std::vector<double> SumRows(const ChannelRows& x, const Workspace& workspace) {
  ChannelSums sums = Sum(ChannelTerms::kSum, {x}, workspace).of_x;
  MakeLostAgain(ChannelTerms::kSum, x, sums, [&] { return SumInDouble(x, {}, {}, nullptr, workspace); });
  return std::move(sums.first);
}

ChannelSums SumMoments(const ChannelRows& x, std::span<const float> shift, const Workspace& workspace) {
  ChannelSums sums = Sum(ChannelTerms::kMoments, {x, shift}, workspace).of_x;
  MakeLostAgain(ChannelTerms::kMoments, x, sums, [&] { return SumMaskedMoments(x, {}, shift, workspace); });
  return sums;
}

void MakeLostMomentsAgain(const ChannelRows& x, ChannelSums& moments, const Workspace& workspace) {
  MakeLostAgain(ChannelTerms::kStableMoments, x, moments, [&] {
    ChannelSums sums = SumInDouble(x, {}, {}, nullptr, workspace);
    for (double& mean : sums.first) mean /= static_cast<double>(x.rows);
    sums.second = SumInDouble(x, {}, sums.first, nullptr, workspace).second;
    return sums;
  });
}

ChannelSums StableMoments(const ChannelRows& x, const Workspace& workspace) {
  ChannelSums moments = Sum(ChannelTerms::kStableMoments, {x}, workspace).of_x;
  MakeLostMomentsAgain(x, moments, workspace);
  return moments;
}

ChannelSums SumGradients(const ChannelRows& x, std::span<const float> mean, const MaskedGradient& gradient,
                         const Workspace& workspace) {
  const ChannelTerms terms = TermsOf(gradient);
  const PassInputs inputs{x, mean, gradient};
  ChannelSums sums = Sum(terms, inputs, workspace).of_x;
  MakeLostGradientsAgain(terms, inputs, sums, workspace);
  return sums;
}

std::array<ChannelSums, 2> SumGradientsOfTwo(const ChannelRows& x, std::span<const float> mean,
                                             const CenteredRows& other, const MaskedGradient& gradient,
                                             const Workspace& workspace) {
  const ChannelTerms terms = TermsOf(gradient);
  const PassInputs inputs{x, mean, gradient, other};
  PassSums sums = Sum(terms, inputs, workspace);
  std::array<ChannelSums, 2> both{sums.of_x, ChannelSums{sums.of_x.first, std::move(sums.third)}};
  MakeLostGradientsAgain(terms, inputs, both[0], workspace);
  MakeLostGradientsAgain(terms, {{other.data, x.rows, x.channels}, other.mean, gradient}, both[1], workspace);
  return both;
}

ChannelSums SumMaskedMoments(const ChannelRows& x, std::span<const uint8_t> mask, std::span<const float> shift,
                             const Workspace& workspace) {
  return SumInDouble(x, mask, std::vector<double>(shift.begin(), shift.end()), nullptr, workspace);
}

}  // namespace hwynn
#endif  // HWY_ONCE
