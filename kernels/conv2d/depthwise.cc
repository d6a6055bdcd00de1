// Depthwise convolution: each value is used as often as the filter has taps, so memory decides. Channels are the
// vectors; a row of pixels is cut where other taps begin or end to lie inside the image, and what is left are runs of
// pixels that meet the same taps. Backward-input is the same over grad_output: the pixels of each phase modulo the
// stride meet taps of their own.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/conv2d/depthwise.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/chunks.h"
#include "hwynn/kernels/conv2d/depthwise-inl.h"
#include "hwynn/kernels/conv2d/epilogue.h"
#include "hwynn/kernels/conv2d/gradient_parts.h"
#include "hwynn/kernels/conv2d/statistics.h"
#include "hwynn/kernels/simd/flat.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void DepthwisePixels(const DepthwiseArgs& args) {
  if (args.prologue.empty() && args.epilogue->empty()) {
    DepthwiseTiles<true>(args);
  } else {
    DepthwiseTiles<false>(args);
  }
}

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

int64_t DepthwiseLanes() { return static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>())); }
int64_t DepthwiseRows() { return kDepthwiseRows; }

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(DepthwisePixels);
HWY_EXPORT(DepthwiseGradient);
HWY_EXPORT(AddGradientBlock);
HWY_EXPORT(DepthwiseLanes);
HWY_EXPORT(DepthwiseRows);

constexpr int64_t kMaxTerms = 256;
constexpr int64_t kLineFloats = 16;
// Outputs of a task, at most: long enough to hide its start.
constexpr int64_t kTaskFloats = int64_t{1} << 16;
constexpr int64_t kMinTasks = 32;
// Images × row ranges of at most this many chunks: partial sums of the filter's gradient.
constexpr int64_t kMaxChunks = 32;
// Pixels, at least, whose sums are formed by themselves before they are added to the chunk's: two levels, as the direct
// algorithm has them.
constexpr int64_t kGradientBlockPixels = 256;
// Rows whose sums of the filter's gradient stay in registers.
constexpr int64_t kGradientRows = 2;

// Positions k of the target along an axis, first ≤ k < end, meet the source at shift + k·step.
struct AxisTap {
  int64_t tap, shift, first, end;
};

// One axis: the target's position phase + k·phases is number k of its phase, and meets the taps of that phase.
struct Axis {
  int64_t target, source;  // extents
  int64_t phases, step;
  std::vector<std::vector<AxisTap>> taps;  // [phase]

  int64_t Count(int64_t phase) const { return CeilDiv(target - phase, phases); }
  void Add(int64_t phase, int64_t tap, int64_t shift) {
    const int64_t first = shift < 0 ? CeilDiv(-shift, step) : 0;
    const int64_t end = shift < source ? std::min(Count(phase), (source - 1 - shift) / step + 1) : 0;
    if (first < end) taps[static_cast<size_t>(phase)].push_back({tap, shift, first, end});
  }
  /// The taps that position `at` meets: tap(tap, source position).
  template <class Tap>
  void ForEachTap(int64_t at, const Tap& tap) const {
    const int64_t k = at / phases;
    for (const AxisTap& t : taps[static_cast<size_t>(at % phases)]) {
      if (t.first <= k && k < t.end) tap(t.tap, t.shift + k * step);
    }
  }
  /// Whether positions [at, at + count) meet the same taps.
  bool Alike(int64_t at, int64_t count) const {
    return phases == 1 && at + count <= target && std::ranges::all_of(taps.front(), [&](const AxisTap& tap) {
             return (tap.first <= at && at + count <= tap.end) || at + count <= tap.first || tap.end <= at;
           });
  }
  /// The source positions [first, second) that positions [at, at + count) meet; empty if they meet none.
  std::pair<int64_t, int64_t> Span(int64_t at, int64_t count) const {
    int64_t begin = source;
    int64_t end = 0;
    for (int64_t i = at; i < std::min(at + count, target); ++i) {
      ForEachTap(i, [&](int64_t, int64_t source_at) {
        begin = std::min(begin, source_at);
        end = std::max(end, source_at + 1);
      });
    }
    return {begin, end};
  }
};

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

// A tap of a row of pixels.
struct RowTap {
  DepthwiseTerm term;
  int64_t first, end;  // pixels that it meets
};

// Both axes, and where they lie: source [N,h.source,w.source,C], filter [·,KW,C].
struct Problem {
  Axis h, w;
  int64_t C, KW;

  int64_t target_row_floats() const { return w.target * C; }
  int64_t source_row_floats() const { return w.source * C; }

  /// Taps of the pixels of one phase of row y of image n.
  void RowTaps(int64_t n, int64_t y, int64_t phase, std::vector<RowTap>& taps) const {
    taps.clear();
    h.ForEachTap(y, [&](int64_t ky, int64_t source_y) {
      for (const AxisTap& tap : w.taps[static_cast<size_t>(phase)]) {
        taps.push_back(
            {{((n * h.source + source_y) * w.source + tap.shift) * C, (ky * KW + tap.tap) * C}, tap.first, tap.end});
      }
    });
  }
};

// The source rows that a task will come to, each asked for once. Rows are counted over all images.
class RowsAhead {
 public:
  /// Appends what target rows [row, row + count) of an image meet and no rows before.
  void Append(const Problem& problem, const float* source, int64_t row, int64_t count,
              std::vector<PrefetchPiece>& pieces) {
    const int64_t image = row / problem.h.target * problem.h.source;
    const auto [first, last] = problem.h.Span(row % problem.h.target, count);
    const int64_t begin = std::max(end_, image + first);
    const int64_t end = image + last;
    if (begin >= end) return;
    pieces.push_back(Piece(source + begin * problem.source_row_floats(), (end - begin) * problem.source_row_floats()));
    end_ = end;
  }

 private:
  int64_t end_ = 0;
};

// Calls run(begin, end, terms, count) for runs of pixels that meet the same taps.
template <class Run>
void ForEachRun(const std::vector<RowTap>& taps, int64_t pixels, const Run& run) {
  DepthwiseTerm terms[kMaxTerms];
  for (int64_t begin = 0, end; begin < pixels; begin = end) {
    int64_t count = 0;
    end = pixels;
    for (const RowTap& tap : taps) {
      if (begin < tap.first) {
        end = std::min(end, tap.first);
      } else if (begin < tap.end) {
        terms[count++] = tap.term;
        end = std::min(end, tap.end);
      }
    }
    run(begin, end, terms, count);
  }
}

// An array of so many floats isn't in the last-level cache any more.
bool WorthFetching(int64_t floats) { return floats * static_cast<int64_t>(sizeof(float)) >= kStreamBytes; }

// Rows [row, row + args.rows) of the target, to `to`. `args` holds what all runs of pixels have in common; a residual
// is addressed like the target.
void RunRows(const Problem& problem, const float* source, float* to, int64_t row, DepthwiseArgs args,
             TileEpilogue epilogue, std::vector<RowTap>& taps) {
  const float* residual = epilogue.residual;
  if (residual != nullptr) residual += row * problem.target_row_floats();
  args.epilogue = &epilogue;
  for (int64_t phase = 0; phase < static_cast<int64_t>(problem.w.taps.size()); ++phase) {
    problem.RowTaps(row / problem.h.target, row % problem.h.target, phase, taps);
    const int64_t first = phase * problem.C;
    ForEachRun(taps, problem.w.Count(phase),
               [&](int64_t begin, int64_t end, const DepthwiseTerm* terms, int64_t count) {
                 args.terms = terms;
                 args.num_terms = count;
                 args.x = source + begin * args.x_stride;
                 args.output = to + first + begin * args.output_stride;
                 args.pixels = end - begin;
                 if (residual != nullptr) epilogue.residual = residual + first + begin * args.output_stride;
                 HWY_DYNAMIC_DISPATCH(DepthwisePixels)(args);
               });
  }
}

// Of rows of the target, over all images.
EvenSplit RowTasks(const Problem& problem, int64_t images) {
  const int64_t rows = images * problem.h.target;
  return {rows, std::clamp<int64_t>(kTaskFloats / problem.target_row_floats(), 1, CeilDiv(rows, kMinTasks))};
}

// Adds the blocks of a task's pixels that are complete up to `end` to its moments, while they are in the caches. `next`
// is the first pixel that wasn't added yet.
void AddPixels(const float* target, int64_t C, int64_t end, bool last, int64_t& next, ChannelMoments& moments) {
  while (end - next >= ChannelMoments::kBlockRows || (last && next < end)) {
    const int64_t pixels = std::min(ChannelMoments::kBlockRows, end - next);
    moments.AddBlock(target + next * C, C, pixels, C);
    next += pixels;
  }
}

// Scratch for the rows that are made at once; none where it wouldn't stay in the second-level cache.
int64_t WaitingFloats(const Problem& problem) {
  constexpr int64_t kMostFloats = int64_t{1} << 17;
  const int64_t floats = HWY_DYNAMIC_DISPATCH(DepthwiseRows)() * problem.target_row_floats();
  return floats <= kMostFloats ? floats : 0;
}

// What a call brings. Parts, of what isn't null, are tasks.
struct DepthwiseCall {
  const float* source;
  float* target;
  TileEpilogue epilogue;
  const OutputStatistics* statistics = nullptr;
  const GradientParts* gradient = nullptr;
};

// Forward and backward-input. `args` has weights and prologue.
void Convolve(const Problem& problem, int64_t images, const DepthwiseCall& call, DepthwiseArgs args) {
  const float* source = call.source;
  float* target = call.target;
  const TileEpilogue& epilogue = call.epilogue;
  const OutputStatistics* statistics = call.statistics;
  const int64_t rows = images * problem.h.target;
  const int64_t row_floats = problem.target_row_floats();
  const EvenSplit tasks = RowTasks(problem, images);
  const int64_t lanes = HWY_DYNAMIC_DISPATCH(DepthwiseLanes)();
  const int64_t most_rows = HWY_DYNAMIC_DISPATCH(DepthwiseRows)();
  const bool fetch = WorthFetching(images * problem.h.source * problem.source_row_floats());
  // A vector must be a cache line: parts of lines would wait for the next channels.
  args.stream = lanes == kLineFloats && problem.C % lanes == 0 &&
                WorthStreaming(TensorView(target, {rows, row_floats}), {}) && epilogue.residual != target &&
                statistics == nullptr;  // which read the outputs again
  // Then a gradient's rows wait here for its epilogue; others wait where they go.
  const int64_t waiting_floats = args.stream && call.gradient != nullptr ? WaitingFloats(problem) : 0;
  if (call.gradient != nullptr && waiting_floats == 0) args.stream = false;
  args.x_row_stride = problem.h.step * problem.source_row_floats();
  args.x_stride = problem.w.step * problem.C;
  args.output_row_stride = row_floats;
  args.output_stride = problem.w.phases * problem.C;
  args.channels = problem.C;
  ParallelForWithScratch(tasks.count, Scratch::Bytes<float>(waiting_floats), [&](int64_t task, Scratch scratch) {
    DepthwiseArgs task_args = args;
    float* const waiting = waiting_floats > 0 ? scratch.Take<float>(waiting_floats) : nullptr;
    if (waiting != nullptr) task_args.stream = false;
    std::vector<RowTap> taps;
    std::vector<PrefetchPiece> ahead;
    RowsAhead rows_ahead;
    ChannelMoments moments{};
    if (statistics != nullptr) moments = statistics->Part(task);
    std::optional<GradientPart> gradient;
    if (call.gradient != nullptr) gradient.emplace(*call.gradient, task);
    int64_t unseen = tasks.Begin(task) * problem.w.target;  // the first pixel that isn't in the moments
    for (int64_t row = tasks.Begin(task); row < tasks.End(task); row += task_args.rows) {
      const int64_t y = row % problem.h.target;
      const bool several = row + most_rows <= tasks.End(task) && problem.h.Alike(y, most_rows);
      task_args.rows = several ? most_rows : 1;
      ahead.clear();
      const int64_t next = row + task_args.rows;
      if (fetch && next < rows) {
        rows_ahead.Append(problem, source, next, most_rows, ahead);
        const int64_t at = next * row_floats;
        const int64_t floats = std::min(most_rows, rows - next) * row_floats;
        if (!args.stream) ahead.push_back(Piece(target + at, floats));
        if (epilogue.residual != nullptr && epilogue.residual != target) {
          ahead.push_back(Piece(epilogue.residual + at, floats));
        }
        if (call.gradient != nullptr) {
          const GradientEpilogue& read = call.gradient->epilogue();
          ahead.push_back(Piece(read.input + at, floats));
          if (read.output != nullptr) ahead.push_back(Piece(read.output + at, floats));
        }
      }
      PrefetchStream prefetch(ahead, task_args.rows * problem.w.target * CeilDiv(problem.C, lanes));
      task_args.prefetch = &prefetch;
      float* const to = target + row * row_floats;
      float* const from = waiting != nullptr ? waiting : to;
      RunRows(problem, source, from, row, task_args, epilogue, taps);
      if (statistics != nullptr) {
        const int64_t end = row + task_args.rows;
        AddPixels(target, problem.C, end * problem.w.target, end == tasks.End(task), unseen, moments);
      }
      if (gradient) {
        gradient->Add({.from = from,
                       .from_pitch = problem.C,
                       .rows = task_args.rows * problem.w.target,
                       .to = to,
                       .to_pitch = problem.C,
                       .offsets = nullptr,
                       .accumulate = false,  // was done
                       .stream = args.stream});
      }
    }
    if (gradient) gradient->Close();
    if (args.stream) hwy::FlushStream();
  });
}

Problem ForwardProblem(const Conv2dGeometry& g) {
  return {ForwardAxis(g.IH, g.OH, g.KH, g.stride_h, g.dilation_h, g.pad_top),
          ForwardAxis(g.IW, g.OW, g.KW, g.stride_w, g.dilation_w, g.pad_left), g.IC, g.KW};
}

Problem BackwardProblem(const Conv2dGeometry& g) {
  return {BackwardAxis(g.IH, g.OH, g.KH, g.stride_h, g.dilation_h, g.pad_top),
          BackwardAxis(g.IW, g.OW, g.KW, g.stride_w, g.dilation_w, g.pad_left), g.IC, g.KW};
}

EvenSplit ChunksOf(const Conv2dGeometry& g) { return {g.N * g.OH, CeilDiv(g.N * g.OH, kMaxChunks)}; }

// The sums of a block of a chunk.
int64_t GradientScratchBytes(const Conv2dGeometry& g) { return Scratch::Bytes<float>(g.filter_shape().num_elements()); }

void RunGradient(const Conv2dGeometry& g, const Problem& problem, const Conv2dCall& call, const Workspace& workspace) {
  const float* input = call.input;
  const float* grad_output = call.filter;
  const int64_t rows = g.N * g.OH;
  const EvenSplit chunks = ChunksOf(g);
  const int64_t filter_floats = g.filter_shape().num_elements();
  const int64_t lanes = HWY_DYNAMIC_DISPATCH(DepthwiseLanes)();
  const int64_t row_floats = g.OW * g.OC;
  const bool fetch = WorthFetching(g.input_shape().num_elements());
  ChunkedGradient gradient(chunks.count, filter_floats, call.output, workspace);
  const auto run_chunk = [&](int64_t chunk, Scratch scratch) {
    float* sums = gradient.Chunk(chunk);
    auto* block = scratch.Take<float>(filter_floats);
    int64_t block_pixels = 0;
    std::fill_n(sums, filter_floats, 0.0f);
    std::fill_n(block, filter_floats, 0.0f);
    std::vector<RowTap> taps;
    std::vector<PrefetchPiece> ahead;
    RowsAhead rows_ahead;
    DepthwiseGradientArgs args{};
    args.x_stride = g.stride_w * g.IC;
    args.w = block;
    args.channels = g.IC;
    args.x_row_stride = problem.h.step * problem.source_row_floats();
    args.grad_row_stride = row_floats;
    for (int64_t row = chunks.Begin(chunk); row < chunks.End(chunk); row += args.rows) {
      const int64_t y = row % g.OH;
      const bool several = row + kGradientRows <= chunks.End(chunk) && problem.h.Alike(y, kGradientRows);
      args.rows = several ? kGradientRows : 1;
      ahead.clear();
      const int64_t next = row + args.rows;
      if (fetch && next < rows) {
        rows_ahead.Append(problem, input, next, kGradientRows, ahead);
        ahead.push_back(Piece(grad_output + next * row_floats, std::min(kGradientRows, rows - next) * row_floats));
      }
      PrefetchStream prefetch(ahead, args.rows * g.OW * CeilDiv(g.IC, lanes));
      args.prefetch = &prefetch;
      problem.RowTaps(row / g.OH, y, 0, taps);
      ForEachRun(taps, g.OW, [&](int64_t begin, int64_t end, const DepthwiseTerm* terms, int64_t count) {
        args.terms = terms;
        args.num_terms = count;
        args.x = input + begin * args.x_stride;
        args.grad_output = grad_output + row * row_floats + begin * g.OC;
        args.pixels = end - begin;
        HWY_DYNAMIC_DISPATCH(DepthwiseGradient)(args);
      });
      block_pixels += args.rows * g.OW;
      if (block_pixels >= kGradientBlockPixels || next == chunks.End(chunk)) {
        HWY_DYNAMIC_DISPATCH(AddGradientBlock)(block, filter_floats, sums);
        block_pixels = 0;
      }
    }
  };
  ParallelForWithScratch(chunks.count, GradientScratchBytes(g), run_chunk);
  gradient.Add();
}

// Forward and backward-input; the filter is read as it is.
class DepthwiseConvolution final : public Conv2dPassPlan {
 public:
  DepthwiseConvolution(const Conv2dSetup& setup, Problem problem) : g_(setup.geometry), problem_(std::move(problem)) {
    packs_filter_ = setup.packed_filter;
    if (setup.pass == Conv2dPass::kForward) temporary_bytes_ = OutputEpilogue::Bytes(g_.OC);
    const int64_t tasks = RowTasks(problem_, g_.N).count;
    if (setup.statistics) temporary_bytes_ += OutputStatistics::Bytes(tasks, g_.OC);
    if (setup.gradient) {
      temporary_bytes_ += GradientParts::Bytes(tasks, g_.IC);
      scratch_bytes_ = Scratch::Bytes<float>(WaitingFloats(problem_));
    }
  }

  void Run(const Conv2dCall& call, const Workspace& workspace) const override {
    DepthwiseArgs args{};
    args.w = call.filter;
    const EvenSplit tasks = RowTasks(problem_, g_.N);
    DepthwiseCall wanted{.source = call.input, .target = call.output, .epilogue = {}};
    if (call.epilogue == nullptr) {  // backward-input
      wanted.epilogue.residual = call.accumulate ? call.output : nullptr;
      if (call.gradient == nullptr) return Convolve(problem_, g_.N, wanted, args);
      const GradientParts gradient(*call.gradient, call.output, tasks.count, workspace);
      wanted.gradient = &gradient;
      Convolve(problem_, g_.N, wanted, args);
      return gradient.Merge(*call.gradient->sums);
    }
    args.prologue = MakePrologue(*call.prologue);
    const OutputEpilogue epilogue(*call.epilogue, g_.OC, workspace);
    wanted.epilogue = epilogue.tile();
    if (call.epilogue->mean.size() == 0) return Convolve(problem_, g_.N, wanted, args);
    const OutputStatistics statistics(tasks.count, g_.OC, workspace);
    wanted.statistics = &statistics;
    Convolve(problem_, g_.N, wanted, args);
    statistics.Merge([&](int64_t task) { return tasks.Size(task) * g_.OW; }, call.output, call.epilogue->mean,
                     call.epilogue->var);
  }

 private:
  Conv2dGeometry g_;
  Problem problem_;
};

class DepthwiseBackwardFilter final : public Conv2dPassPlan {
 public:
  explicit DepthwiseBackwardFilter(const Conv2dSetup& setup)
      : g_(setup.geometry), problem_(ForwardProblem(setup.geometry)) {
    scratch_bytes_ = GradientScratchBytes(g_);
    temporary_bytes_ = ChunkedGradient::Bytes(ChunksOf(g_).count, g_.filter_shape().num_elements());
    if (setup.prologue) temporary_bytes_ += TensorBytes(g_.input_shape());
  }

  void Run(const Conv2dCall& call, const Workspace& workspace) const override {
    const Normalization prologue = MakePrologue(*call.prologue);
    if (prologue.empty()) return RunGradient(g_, problem_, call, workspace);
    const Tensor input = ApplyPrologue(prologue, g_, call.input, workspace);
    Conv2dCall normalized = call;
    normalized.input = input.data();
    RunGradient(g_, problem_, normalized, workspace);
  }

 private:
  Conv2dGeometry g_;
  Problem problem_;
};

}  // namespace

const char* DepthwiseDeclines(const Conv2dGeometry& g) {
  if (g.groups != g.IC || g.OC != g.IC || g.IC == 1) return "not one filter a channel (groups = IC = OC)";
  return g.KH * g.KW > kMaxTerms ? "a filter of more than 256 taps" : nullptr;
}

int64_t DepthwisePackedFloats(const Conv2dFilterForm& form) { return form.filter.num_elements(); }

void DepthwisePackFilter(const Conv2dFilterForm& form, const float* filter, float* packed) {
  std::copy_n(filter, form.filter.num_elements(), packed);
}

std::unique_ptr<const Conv2dPassPlan> PlanDepthwiseForward(const Conv2dSetup& setup) {
  return std::make_unique<DepthwiseConvolution>(setup, ForwardProblem(setup.geometry));
}

std::unique_ptr<const Conv2dPassPlan> PlanDepthwiseBackwardInput(const Conv2dSetup& setup) {
  return std::make_unique<DepthwiseConvolution>(setup, BackwardProblem(setup.geometry));
}

std::unique_ptr<const Conv2dPassPlan> PlanDepthwiseBackwardFilter(const Conv2dSetup& setup) {
  return std::make_unique<DepthwiseBackwardFilter>(setup);
}

}  // namespace hwynn
#endif  // HWY_ONCE
