#include "hwynn/kernels/conv2d/depthwise_rows.h"

#include "hwynn/kernels/simd/flat.h"

namespace hwynn {
namespace {

// Of a strip, at most, unless a step needs more: it stays in the second-level cache.
constexpr int64_t kStripFloats = int64_t{96} << 10;

Axis ForwardAxis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  Axis axis{out, in, 1, stride, std::vector<std::vector<AxisTap>>(1)};
  for (int64_t k = 0; k < kernel; ++k) axis.Add(0, k, k * dilation - pad);
  return axis;
}

Axis BackwardAxis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  const int64_t phases = std::min(stride, in);
  Axis axis{in, out, stride, 1, std::vector<std::vector<AxisTap>>(static_cast<size_t>(phases))};
  for (int64_t phase = 0; phase < phases; ++phase) {
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t x = phase + pad - k * dilation;
      if (x % stride == 0) axis.Add(phase, k, x / stride);
    }
  }
  return axis;
}

}  // namespace

DepthwiseProblem DepthwiseProblem::Forward(const Conv2dGeometry& g) {
  return {ForwardAxis(g.IH, g.OH, g.KH, g.stride_h, g.dilation_h, g.pad_top),
          ForwardAxis(g.IW, g.OW, g.KW, g.stride_w, g.dilation_w, g.pad_left), g.IC, g.KW};
}

DepthwiseProblem DepthwiseProblem::Backward(const Conv2dGeometry& g) {
  return {BackwardAxis(g.IH, g.OH, g.KH, g.stride_h, g.dilation_h, g.pad_top),
          BackwardAxis(g.IW, g.OW, g.KW, g.stride_w, g.dilation_w, g.pad_left), g.IC, g.KW};
}

void DepthwiseProblem::FindTaps(int64_t row, int64_t phase, int64_t source_row, RowTaps& taps) const {
  const int64_t image = row / h.target * h.source;
  taps.clear();
  h.ForEachTap(row % h.target, [&](int64_t ky, int64_t y) {
    for (const AxisTap& tap : w.taps[static_cast<size_t>(phase)]) {
      taps.push_back(
          {{((image + y - source_row) * w.source + tap.shift) * C, (ky * KW + tap.tap) * C}, tap.first, tap.end});
    }
  });
}

Range DepthwiseProblem::SourceRows(int64_t row, int64_t count) const {
  Range rows{0, 0};
  for (int64_t r = row; r < row + count; ++r) {
    h.ForEachTap(r % h.target, [&](int64_t, int64_t y) {
      const int64_t at = r / h.target * h.source + y;
      rows = rows.size() == 0 ? Range{at, at + 1} : Range{std::min(rows.begin, at), std::max(rows.end, at + 1)};
    });
  }
  return rows;
}

int64_t RowSource::StripRows(const DepthwiseProblem& problem, int64_t images, int64_t step) {
  int64_t lowest = 0;
  int64_t highest = 0;
  for (const AxisTap& tap : problem.h.taps.front()) {
    lowest = std::min(lowest, tap.shift);
    highest = std::max(highest, tap.shift);
  }
  const int64_t needed = std::min(problem.h.source, (step - 1) * problem.h.step + highest - lowest + 1);
  const int64_t row_floats = problem.source_row_floats();
  if (needed * row_floats * static_cast<int64_t>(sizeof(float)) > kMaxBytes) return 0;
  return std::min(images * problem.h.source, std::max(needed, kStripFloats / row_floats));
}

void RowSource::Take(int64_t row, int64_t count, int64_t end) {
  if (prologue_ == nullptr) return;
  Range rows = problem_.SourceRows(row, count);
  if (rows.size() == 0 || (rows_.begin <= rows.begin && rows.end <= rows_.end)) return;
  target_ = {row, row + count};
  // Steps that follow, as far as they fit.
  for (; target_.end < end; target_.end = std::min(end, target_.end + count)) {
    const Range next = problem_.SourceRows(target_.end, std::min(count, end - target_.end));
    if (next.size() == 0) continue;
    const Range both{std::min(rows.begin, next.begin), std::max(rows.end, next.end)};
    if (both.size() > strip_rows_) break;
    rows = both;
  }
  rows_ = rows;
  const int64_t row_floats = problem_.source_row_floats();
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    CurrentGemmTiles().copy_normalized({source_ + r * row_floats, problem_.C, strip_ + (r - rows.begin) * row_floats,
                                        problem_.C, problem_.w.source, problem_.C},
                                       *prologue_);
  }
}

void RowsAhead::Append(const DepthwiseProblem& problem, const float* source, int64_t row, int64_t count,
                       PrefetchPieces& pieces) {
  const Range rows = problem.SourceRows(row, count);
  const int64_t begin = std::max(end_, rows.begin);
  if (begin >= rows.end) return;
  const int64_t row_floats = problem.source_row_floats();
  pieces.push_back(Piece(source + begin * row_floats, (rows.end - begin) * row_floats));
  end_ = rows.end;
}

bool WorthFetching(int64_t floats) { return floats * static_cast<int64_t>(sizeof(float)) >= kStreamBytes; }

}  // namespace hwynn
