// Backward-filter of depthwise convolution: dF[tap, c] = Σ_pixels x[pixel + tap, c]·dy[pixel, c], in the rows and runs
// of pixels that forward has. A task owns a chunk of the rows; chunks are fixed by the shape, each sums into an array
// of its own, and these are added in order.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/conv2d/depthwise_filter.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/chunks.h"
#include "hwynn/kernels/conv2d/depthwise-inl.h"
#include "hwynn/kernels/conv2d/depthwise_rows.h"
#include "hwynn/kernels/conv2d/epilogue.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void DepthwiseGradient(const DepthwiseGradientArgs& args) {
  // Few pixels at a time, whose channels are read one after the other.
  const int64_t most = std::max<int64_t>(1, kDepthwiseGradientPixels / args.rows);
  for (int64_t p0 = 0; p0 < args.pixels; p0 += most) {
    const int64_t p1 = std::min(args.pixels, p0 + most);
    ForChannels(args.channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
      int64_t t = 0;
      for (; t + kDepthwiseTaps <= args.num_terms; t += kDepthwiseTaps) {
        DepthwiseGradientTaps<kDepthwiseTaps>(d, access, args, args.terms + t, p0, p1, c);
      }
      DepthwiseGradientRest<kDepthwiseTaps - 1>(d, access, args, args.terms + t, args.num_terms - t, p0, p1, c);
      if (args.prefetch->active()) args.prefetch->Fetch(args.rows * (p1 - p0));
    });
  }
}

// sums += block, whose memory is 0 then.
void AddGradientBlock(float* HWY_RESTRICT block, int64_t floats, float* HWY_RESTRICT sums) {
  ForChannels(floats, [&](const auto& access, auto d, int64_t i) HWY_ATTR {
    access.Store(hn::Add(access.Load(d, sums + i), access.Load(d, block + i)), d, sums + i);
    access.Store(hn::Zero(d), d, block + i);
  });
}

int64_t GradientLanes() { return static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>())); }

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(DepthwiseGradient);
HWY_EXPORT(AddGradientBlock);
HWY_EXPORT(GradientLanes);

// Images × row ranges of at most this many chunks: partial sums of the filter's gradient.
constexpr int64_t kMaxChunks = 32;
// Pixels, at least, whose sums are formed by themselves before they are added to the chunk's: two levels, as the direct
// algorithm has them.
constexpr int64_t kBlockPixels = 256;
// Rows whose sums stay in registers.
constexpr int64_t kStepRows = 2;

// One call: its arrays, and what happens to the input as it is loaded.
struct GradientOperands {
  const float* input;
  const float* grad_output;
  Normalization prologue;
};

class DepthwiseBackwardFilter final : public Conv2dPassPlan {
 public:
  explicit DepthwiseBackwardFilter(const Conv2dSetup& setup);
  void Run(const Conv2dCall& call, const Workspace& workspace) const override;

 private:
  // Adds up a chunk of the rows.
  void RunChunk(const GradientOperands& operands, int64_t chunk, Scratch scratch, float* sums) const;
  // Adds rows [row, row + args.rows) to the block's sums.
  void AddRows(const GradientOperands& operands, int64_t row, const RowSource& source,
               DepthwiseGradientArgs& args) const;

  int64_t filter_floats() const { return g_.filter_shape().num_elements(); }
  int64_t row_floats() const { return g_.OW * g_.OC; }

  Conv2dGeometry g_;
  DepthwiseProblem problem_;
  EvenSplit chunks_;  // of the rows
  int64_t lanes_;
  int64_t strip_rows_;  // of the input, with a prologue
};

DepthwiseBackwardFilter::DepthwiseBackwardFilter(const Conv2dSetup& setup)
    : g_(setup.geometry),
      problem_(DepthwiseProblem::Forward(g_)),
      chunks_(g_.N * g_.OH, CeilDiv(g_.N * g_.OH, kMaxChunks)),
      lanes_(HWY_DYNAMIC_DISPATCH(GradientLanes)()),
      strip_rows_(setup.prologue ? RowSource::StripRows(problem_, g_.N, kStepRows) : 0) {
  scratch_bytes_ = Scratch::Bytes<float>(filter_floats()) + RowSource::ScratchBytes(problem_, strip_rows_);
  temporary_bytes_ = ChunkedGradient::Bytes(chunks_.count, filter_floats());
  if (setup.prologue && strip_rows_ == 0) temporary_bytes_ += TensorBytes(g_.input_shape());
}

void DepthwiseBackwardFilter::AddRows(const GradientOperands& operands, int64_t row, const RowSource& source,
                                      DepthwiseGradientArgs& args) const {
  RowTaps taps;
  problem_.FindTaps(row, 0, source.first_row(), taps);
  ForEachRun(taps, g_.OW, [&](int64_t begin, int64_t end, const DepthwiseTerm* terms, int64_t count) {
    args.terms = terms;
    args.num_terms = count;
    args.x = source.data() + begin * args.x_stride;
    args.grad_output = operands.grad_output + row * row_floats() + begin * g_.OC;
    args.pixels = end - begin;
    HWY_DYNAMIC_DISPATCH(DepthwiseGradient)(args);
  });
}

void DepthwiseBackwardFilter::RunChunk(const GradientOperands& operands, int64_t chunk, Scratch scratch,
                                       float* sums) const {
  const int64_t rows = g_.N * g_.OH;
  const int64_t end = chunks_.End(chunk);
  const bool fetch = WorthFetching(g_.input_shape().num_elements());
  // A strip is copied in one go, which would wait for each of its lines; what training normalises again it hasn't seen
  // for long.
  const bool fetch_input = fetch || !operands.prologue.empty();
  auto* block = scratch.Take<float>(filter_floats());
  int64_t block_pixels = 0;
  std::fill_n(sums, filter_floats(), 0.0f);
  std::fill_n(block, filter_floats(), 0.0f);
  RowSource source = operands.prologue.empty()
                         ? RowSource(problem_, operands.input)
                         : RowSource(problem_, operands.input, operands.prologue, strip_rows_, scratch);
  PrefetchPieces ahead;
  RowsAhead rows_ahead;
  DepthwiseGradientArgs args{};
  args.x_stride = g_.stride_w * g_.IC;
  args.w = block;
  args.channels = g_.IC;
  args.x_row_stride = problem_.h.step * problem_.source_row_floats();
  args.grad_row_stride = row_floats();
  for (int64_t row = chunks_.Begin(chunk); row < end; row += args.rows) {
    const bool several = row + kStepRows <= end && problem_.h.Alike(row % g_.OH, kStepRows);
    args.rows = several ? kStepRows : 1;
    source.Take(row, args.rows, end);
    ahead.clear();
    const int64_t next = row + args.rows;
    if (const int64_t at = source.Ahead(next); fetch_input && at < rows) {
      rows_ahead.Append(problem_, operands.input, at, std::min(kStepRows, rows - at), ahead);
    }
    if (fetch && next < rows) {
      const int64_t count = std::min(kStepRows, rows - next);
      ahead.push_back(Piece(operands.grad_output + next * row_floats(), count * row_floats()));
    }
    PrefetchStream prefetch(ahead, args.rows * g_.OW * CeilDiv(g_.IC, lanes_));
    args.prefetch = &prefetch;
    AddRows(operands, row, source, args);
    block_pixels += args.rows * g_.OW;
    if (block_pixels >= kBlockPixels || next == end) {
      HWY_DYNAMIC_DISPATCH(AddGradientBlock)(block, filter_floats(), sums);
      block_pixels = 0;
    }
  }
}

void DepthwiseBackwardFilter::Run(const Conv2dCall& call, const Workspace& workspace) const {
  GradientOperands operands{call.input, call.filter, MakePrologue(*call.prologue)};
  Tensor input;
  if (!operands.prologue.empty() && strip_rows_ == 0) {
    input = ApplyPrologue(operands.prologue, g_, call.input, workspace);
    operands.input = input.data();
    operands.prologue = {};
  }
  ChunkedGradient gradient(chunks_.count, filter_floats(), call.output, workspace);
  ParallelForWithScratch(chunks_.count, scratch_bytes_, [&](int64_t chunk, Scratch scratch) {
    RunChunk(operands, chunk, scratch, gradient.Chunk(chunk));
  });
  gradient.Add();
}

}  // namespace

std::unique_ptr<const Conv2dPassPlan> PlanDepthwiseBackwardFilter(const Conv2dSetup& setup) {
  return std::make_unique<DepthwiseBackwardFilter>(setup);
}

}  // namespace hwynn
#endif  // HWY_ONCE
