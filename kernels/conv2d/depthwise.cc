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
#include "hwynn/core/stack_memory.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/depthwise-inl.h"
#include "hwynn/kernels/conv2d/depthwise_rows.h"
#include "hwynn/kernels/conv2d/epilogue.h"
#include "hwynn/kernels/conv2d/gradient_parts.h"
#include "hwynn/kernels/conv2d/statistics.h"
#include "hwynn/kernels/simd/flat.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void DepthwisePixels(const DepthwiseArgs& args) {
  if (args.epilogue->empty()) {
    DepthwiseTiles<true>(args);
  } else {
    DepthwiseTiles<false>(args);
  }
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
HWY_EXPORT(DepthwiseLanes);
HWY_EXPORT(DepthwiseRows);

constexpr int64_t kLineFloats = 16;
// Outputs of a task, at most: long enough to hide its start.
constexpr int64_t kTaskFloats = int64_t{1} << 16;
constexpr int64_t kMinTasks = 32;

// Of rows of the target.
EvenSplit RowTasks(const DepthwiseProblem& problem, int64_t images) {
  const int64_t rows = images * problem.h.target;
  return {rows, std::clamp<int64_t>(kTaskFloats / problem.target_row_floats(), 1, CeilDiv(rows, kMinTasks))};
}

// Of the rows that are made at once.
int64_t WaitingFloats(const DepthwiseProblem& problem, int64_t rows) {
  constexpr int64_t kMostFloats = int64_t{1} << 17;
  const int64_t floats = rows * problem.target_row_floats();
  return floats <= kMostFloats ? floats : 0;
}

// What a call brings. Parts, of what isn't null, are tasks.
struct RowsCall {
  const float* source;
  const float* weights;
  float* target;
  Normalization prologue{};
  TileEpilogue epilogue{};
  const OutputStatistics* statistics = nullptr;
  const GradientParts* gradient = nullptr;
  bool stream = false;  // past the caches; set by the plan
};

// Forward and backward-input; the filter is read as it is.
class DepthwiseConvolution final : public Conv2dPassPlan {
 public:
  DepthwiseConvolution(const Conv2dSetup& setup, DepthwiseProblem problem);
  void Run(const Conv2dCall& call, const Workspace& workspace) const override;

 private:
  friend class RowsTask;

  void Run(RowsCall call) const;

  Conv2dGeometry g_;
  DepthwiseProblem problem_;
  int64_t rows_;  // of the target
  EvenSplit tasks_;
  int64_t lanes_;
  int64_t step_rows_;       // whose sums are in registers at once
  int64_t strip_rows_;      // of the source, with a prologue
  int64_t waiting_floats_;  // scratch for the rows of a step; 0 where it wouldn't stay in the second-level cache
};

// Some rows of the target.
class RowsTask {
 public:
  RowsTask(const DepthwiseConvolution& plan, const RowsCall& call, int64_t task, Scratch scratch);
  void Run();

 private:
  void AppendMemoryAhead(int64_t row);
  void RunRows(int64_t row, float* to);
  void AddToGradient(int64_t row, const float* from);
  void AddToMoments(int64_t end);

  const DepthwiseConvolution& plan_;
  const DepthwiseProblem& problem_;
  const RowsCall& call_;
  const Range rows_;
  RowSource source_;
  DepthwiseArgs args_{};         // what all runs of pixels have in common
  StackMemory<8 << 10> memory_;  // of the lists
  RowTaps taps_{memory_.resource()};
  PrefetchPieces ahead_{memory_.resource()};
  RowsAhead rows_ahead_;
  ChannelMoments moments_{};
  std::optional<GradientPart> gradient_;
  float* waiting_ = nullptr;  // rows, before they are written past the caches; null: they wait where they go
  int64_t unseen_;            // the first pixel that isn't in the moments
};

RowsTask::RowsTask(const DepthwiseConvolution& plan, const RowsCall& call, int64_t task, Scratch scratch)
    : plan_(plan),
      problem_(plan.problem_),
      call_(call),
      rows_{plan.tasks_.Begin(task), plan.tasks_.End(task)},
      source_(call.prologue.empty() ? RowSource(plan.problem_, call.source)
                                    : RowSource(plan.problem_, call.source, call.prologue, plan.strip_rows_, scratch)),
      unseen_(rows_.begin * plan.problem_.w.target) {
  args_.x_row_stride = problem_.h.step * problem_.source_row_floats();
  args_.x_stride = problem_.w.step * problem_.C;
  args_.w = call.weights;
  args_.output_row_stride = problem_.target_row_floats();
  args_.output_stride = problem_.w.phases * problem_.C;
  args_.channels = problem_.C;
  if (call.stream && call.gradient != nullptr) waiting_ = scratch.Take<float>(plan.waiting_floats_);
  args_.stream = call.stream && waiting_ == nullptr;
  if (call.statistics != nullptr) moments_ = call.statistics->Part(task);
  if (call.gradient != nullptr) gradient_.emplace(*call.gradient, task);
}

void RowsTask::Run() {
  const bool fetch = WorthFetching(plan_.g_.N * problem_.h.source * problem_.source_row_floats());
  for (int64_t row = rows_.begin; row < rows_.end; row += args_.rows) {
    const bool several =
        row + plan_.step_rows_ <= rows_.end && problem_.h.Alike(row % problem_.h.target, plan_.step_rows_);
    args_.rows = several ? plan_.step_rows_ : 1;
    source_.Take(row, args_.rows, rows_.end);
    ahead_.clear();
    if (fetch) AppendMemoryAhead(row + args_.rows);
    PrefetchStream prefetch(ahead_, args_.rows * problem_.w.target * CeilDiv(problem_.C, plan_.lanes_));
    args_.prefetch = &prefetch;
    float* const to = waiting_ != nullptr ? waiting_ : call_.target + row * problem_.target_row_floats();
    RunRows(row, to);
    if (call_.statistics != nullptr) AddToMoments(row + args_.rows);
    if (gradient_) AddToGradient(row, to);
  }
  if (gradient_) gradient_->Close();
  if (call_.stream) hwy::FlushStream();
}

// What this task, or the one that this thread will likely see next, meets from a row on.
void RowsTask::AppendMemoryAhead(int64_t row) {
  const int64_t source_row = source_.Ahead(row);
  if (source_row < plan_.rows_) {
    const int64_t count = std::min(plan_.step_rows_, plan_.rows_ - source_row);
    rows_ahead_.Append(problem_, call_.source, source_row, count, ahead_);
  }
  if (row >= plan_.rows_) return;
  const int64_t at = row * problem_.target_row_floats();
  const int64_t floats = std::min(plan_.step_rows_, plan_.rows_ - row) * problem_.target_row_floats();
  if (!call_.stream) ahead_.push_back(Piece(call_.target + at, floats));
  const float* residual = call_.epilogue.residual;
  if (residual != nullptr && residual != call_.target) ahead_.push_back(Piece(residual + at, floats));
  if (call_.gradient == nullptr) return;
  const GradientEpilogue& read = call_.gradient->epilogue();
  ahead_.push_back(Piece(read.input + at, floats));
  if (read.output != nullptr) ahead_.push_back(Piece(read.output + at, floats));
}

// Rows [row, row + args_.rows), to `to`.
void RowsTask::RunRows(int64_t row, float* to) {
  TileEpilogue epilogue = call_.epilogue;
  args_.epilogue = &epilogue;
  const float* residual = epilogue.residual;
  if (residual != nullptr) residual += row * problem_.target_row_floats();
  for (int64_t phase = 0; phase < static_cast<int64_t>(problem_.w.taps.size()); ++phase) {
    problem_.FindTaps(row, phase, source_.first_row(), taps_);
    const int64_t first = phase * problem_.C;
    ForEachRun(taps_, problem_.w.Count(phase),
               [&](int64_t begin, int64_t end, const DepthwiseTerm* terms, int64_t count) {
                 args_.terms = terms;
                 args_.num_terms = count;
                 args_.x = source_.data() + begin * args_.x_stride;
                 args_.output = to + first + begin * args_.output_stride;
                 args_.pixels = end - begin;
                 if (residual != nullptr) epilogue.residual = residual + first + begin * args_.output_stride;
                 HWY_DYNAMIC_DISPATCH(DepthwisePixels)(args_);
               });
  }
}

void RowsTask::AddToGradient(int64_t row, const float* from) {
  gradient_->Add({.from = from,
                  .from_pitch = problem_.C,
                  .rows = args_.rows * problem_.w.target,
                  .to = call_.target + row * problem_.target_row_floats(),
                  .to_pitch = problem_.C,
                  .offsets = nullptr,
                  .accumulate = false,  // was done
                  .stream = call_.stream});
}

// The blocks of pixels that are complete before row `end`, while they are in the caches.
void RowsTask::AddToMoments(int64_t end) {
  const int64_t end_pixel = end * problem_.w.target;
  while (end_pixel - unseen_ >= ChannelMoments::kBlockRows || (end == rows_.end && unseen_ < end_pixel)) {
    const int64_t pixels = std::min(ChannelMoments::kBlockRows, end_pixel - unseen_);
    moments_.AddBlock(call_.target + unseen_ * problem_.C, problem_.C, pixels, problem_.C);
    unseen_ += pixels;
  }
}

DepthwiseConvolution::DepthwiseConvolution(const Conv2dSetup& setup, DepthwiseProblem problem)
    : g_(setup.geometry),
      problem_(std::move(problem)),
      rows_(g_.N * problem_.h.target),
      tasks_(RowTasks(problem_, g_.N)),
      lanes_(HWY_DYNAMIC_DISPATCH(DepthwiseLanes)()),
      step_rows_(HWY_DYNAMIC_DISPATCH(DepthwiseRows)()),
      strip_rows_(setup.prologue ? RowSource::StripRows(problem_, g_.N, step_rows_) : 0),
      waiting_floats_(setup.gradient ? WaitingFloats(problem_, step_rows_) : 0) {
  packs_filter_ = setup.packed_filter;
  scratch_bytes_ = RowSource::ScratchBytes(problem_, strip_rows_) + Scratch::Bytes<float>(waiting_floats_);
  if (setup.pass == Conv2dPass::kForward) temporary_bytes_ = OutputEpilogue::Bytes(g_.OC);
  if (setup.prologue && strip_rows_ == 0) temporary_bytes_ += TensorBytes(g_.input_shape());
  if (setup.statistics) temporary_bytes_ += OutputStatistics::Bytes(tasks_.count, g_.OC);
  if (setup.gradient) temporary_bytes_ += GradientParts::Bytes(tasks_.count, g_.IC);
}

void DepthwiseConvolution::Run(RowsCall call) const {
  // A vector must be a cache line: parts of lines would wait for the next channels.
  call.stream = lanes_ == kLineFloats && problem_.C % lanes_ == 0 &&
                WorthStreaming(TensorView(call.target, {rows_, problem_.target_row_floats()}), {}) &&
                call.epilogue.residual != call.target && call.statistics == nullptr;  // which read the outputs again
  // A gradient's rows wait in scratch memory for its epilogue.
  if (call.gradient != nullptr && waiting_floats_ == 0) call.stream = false;
  ParallelForWithScratch(tasks_.count, scratch_bytes_,
                         [&](int64_t task, Scratch scratch) { RowsTask(*this, call, task, scratch).Run(); });
}

void DepthwiseConvolution::Run(const Conv2dCall& call, const Workspace& workspace) const {
  RowsCall rows{.source = call.input, .weights = call.filter, .target = call.output};
  if (call.epilogue == nullptr) {  // backward-input
    rows.epilogue.residual = call.accumulate ? call.output : nullptr;
    if (call.gradient == nullptr) return Run(rows);
    const GradientParts gradient(*call.gradient, call.output, tasks_.count, workspace);
    rows.gradient = &gradient;
    Run(rows);
    return gradient.Merge(*call.gradient->sums);
  }
  rows.prologue = MakePrologue(*call.prologue);
  Tensor input;
  if (!rows.prologue.empty() && strip_rows_ == 0) {
    input = ApplyPrologue(rows.prologue, g_, call.input, workspace);
    rows.source = input.data();
    rows.prologue = {};
  }
  const OutputEpilogue epilogue(*call.epilogue, g_.OC, workspace);
  rows.epilogue = epilogue.tile();
  if (call.epilogue->mean.size() == 0) return Run(rows);
  const OutputStatistics statistics(tasks_.count, g_.OC, workspace);
  rows.statistics = &statistics;
  Run(rows);
  statistics.Merge([&](int64_t task) { return tasks_.Size(task) * g_.OW; }, call.output, call.epilogue->mean,
                   call.epilogue->var);
}

}  // namespace

const char* DepthwiseDeclines(const Conv2dGeometry& g) {
  if (g.groups != g.IC || g.OC != g.IC || g.IC == 1) return "not one filter a channel (groups = IC = OC)";
  return g.KH * g.KW > kMaxDepthwiseTerms ? "a filter of more than 256 taps" : nullptr;
}

int64_t DepthwisePackedFloats(const Conv2dFilterForm& form) { return form.filter.num_elements(); }

void DepthwisePackFilter(const Conv2dFilterForm& form, const float* filter, float* packed) {
  std::copy_n(filter, form.filter.num_elements(), packed);
}

std::unique_ptr<const Conv2dPassPlan> PlanDepthwiseForward(const Conv2dSetup& setup) {
  return std::make_unique<DepthwiseConvolution>(setup, DepthwiseProblem::Forward(setup.geometry));
}

std::unique_ptr<const Conv2dPassPlan> PlanDepthwiseBackwardInput(const Conv2dSetup& setup) {
  return std::make_unique<DepthwiseConvolution>(setup, DepthwiseProblem::Backward(setup.geometry));
}

}  // namespace hwynn
#endif  // HWY_ONCE
