// Backward-filter: dF[tap, c, o] = Σ_pixels x[pixel + tap, c]·dy[pixel, o], outer products accumulated in registers.
// A task owns some input and output channels and a chunk of the pixel blocks; chunks are fixed by the shape, each sums
// into an array of its own, and these are added in order. A block's sums are formed in registers before they reach
// memory: two-level summation, so that errors grow with the block's and the chunks' lengths, not with their product.

#include <algorithm>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/chunks.h"
#include "hwynn/kernels/conv2d/epilogue.h"
#include "hwynn/kernels/conv2d/window.h"
#include "hwynn/kernels/simd/panels.h"

namespace hwynn {
namespace {

// A panel of a block's dy, 112 × 64 floats, stays in the first-level cache.
constexpr int64_t kBlockPixels = 112;
// In the second level stay a task's sums, which are read and written once a block, a block's x and dy, copied or not,
// and those of the next block, which are on their way.
constexpr int64_t kCacheFloats = int64_t{1} << 19;
constexpr int64_t kMaxColumns = 512;  // output channels of a task: whole panels
constexpr int64_t kMaxChannels = 512;
// A copied panel of dy lies in one piece, where one in place may share few sets of the caches; worth it for so many
// products a value.
constexpr int64_t kMinReuse = 128;
// From so many panels on, a copy of a block's x costs little beside its products.
constexpr int64_t kManyPanels = 8;
// From so many input channels on, taps leave out the padding.
constexpr int64_t kMinUnpadded = 64;
constexpr int64_t kLineFloats = 16;
constexpr int64_t kMinTasks = 32;
constexpr int64_t kMinBlocksPerChunk = 16;
constexpr int64_t kMaxPartialFloats = int64_t{16} << 20;

Source SourceOf(const Conv2dGeometry& g) {
  const Source source{g.N, g.IH, g.IW, g.IC, g.OH, g.OW, g.stride_h, g.stride_w};
  return IsOneTap(g) ? OneTapSource(source) : source;
}

// dy on the grid of outputs that the source has.
Source GradSource(const Source& x, int64_t channels) {
  return {x.N, x.grid_h, x.grid_w, channels, x.grid_h, x.grid_w, 1, 1};
}

// Input channels of a task.
int64_t MaxChannels(const Conv2dGeometry& g) {
  // Whole lines, not vectors: how channels are cut decides how many chunks there are, and so the order of the sums.
  const int64_t columns = RoundUp(std::min(g.group_oc(), kMaxColumns), kLineFloats);
  constexpr int64_t kRows = 4 * kBlockPixels;  // of x and dy: this block's and the next one's, and their copies
  return std::clamp<int64_t>((kCacheFloats - kRows * columns) / (g.KH * g.KW * columns + kRows), 16, kMaxChannels);
}

// Blocks of a chunk, where a chunk makes so many tasks.
int64_t ChunkBlocks(const Conv2dGeometry& g, int64_t blocks, int64_t tasks) {
  const int64_t chunks = std::min(
      {CeilDiv(kMinTasks, tasks), blocks / kMinBlocksPerChunk, kMaxPartialFloats / g.filter_shape().num_elements()});
  return CeilDiv(blocks, std::max<int64_t>(chunks, 1));
}

// Whether pixels so many floats apart share so few sets of the caches that a block of them doesn't stay there: from 4
// KiB on always; where a panel has few columns, so that x is read often, already from 1 KiB on (16 columns).
bool Conflict(const GemmTiles& tiles, int64_t distance) {
  return distance % std::min<int64_t>(1024, kLineFloats * tiles.panel()) == 0;
}

// What is copied of a block's x, which a task reads once a panel. Pixels that conflict are put an odd number of lines
// apart, which spreads them over all sets. Of a strided filter of one tap, whose rows are short and don't touch, a copy
// makes one long row. Of few channels the taps of a filter row make one run, in a copy with zeros in the padding.
WindowCopy CopyOf(const Conv2dSetup& setup, const Source& source, int64_t channels, int64_t panels) {
  const GemmTiles& tiles = CurrentGemmTiles();
  const bool few = setup.geometry.group_ic() < kMinUnpadded;
  const int64_t distance = source.step_w * source.pixel_pitch;
  const bool short_rows = IsOneTap(setup.geometry) && setup.geometry.stride_w > 1 && panels >= kManyPanels;
  const bool apart = few ? distance % 1024 == 0 : Conflict(tiles, distance) || short_rows || setup.prologue;
  return {
      .pad = few, .prologue = setup.prologue, .pitch = apart ? (CeilDiv(channels, kLineFloats) | 1) * kLineFloats : 0};
}

// One call: its arrays, and what happens to the input as it is loaded.
struct FilterOperands {
  const float* input;
  const float* grad_output;
  const Normalization* prologue;  // null: nothing
};

// What a task owns: input and output channels of a group.
struct Part {
  int64_t group;
  Range in, out;
};

class DirectBackwardFilter final : public Conv2dPassPlan {
 public:
  explicit DirectBackwardFilter(const Conv2dSetup& setup);
  void Run(const Conv2dCall& call, const Workspace& workspace) const override;

 private:
  friend class FilterTask;

  Part PartOf(int64_t task) const;
  int64_t parts() const { return g_.groups * channels_.count * panels_.count; }

  Conv2dGeometry g_;
  const GemmTiles& tiles_;
  Source source_;
  std::vector<Tap> taps_;
  BlockGrid blocks_;
  EvenSplit panels_;    // of each group's outputs
  EvenSplit channels_;  // of each group's inputs
  EvenSplit chunks_;    // of the blocks
  SourceWindows windows_;
  SourceWindows grad_windows_;  // in place: what is fetched
  int64_t sum_floats_;          // of a part
};

DirectBackwardFilter::DirectBackwardFilter(const Conv2dSetup& setup)
    : g_(setup.geometry),
      tiles_(CurrentGemmTiles()),
      source_(SourceOf(g_)),
      taps_(ForwardTaps(g_)),
      blocks_(source_, kBlockPixels),
      panels_(CeilDiv(g_.group_oc(), tiles_.panel()), kMaxColumns / tiles_.panel()),
      channels_(g_.group_ic(), MaxChannels(g_)),
      chunks_(blocks_.count(), ChunkBlocks(g_, blocks_.count(), g_.groups * channels_.count * panels_.count)),
      windows_(source_, taps_, blocks_.Largest(), channels_.Largest(),
               CopyOf(setup, source_, channels_.Largest(), panels_.Largest())),
      grad_windows_(GradSource(source_, g_.OC), {{0, 0, 0}}, blocks_.Largest(), 0, {.pad = false}) {
  const auto taps = static_cast<int64_t>(taps_.size());
  const Block largest = blocks_.Largest();
  const int64_t columns = std::min(g_.group_oc(), panels_.Largest() * tiles_.panel());
  sum_floats_ = PackedPanels(tiles_, taps * channels_.Largest(), columns).floats();
  scratch_bytes_ = Scratch::Bytes<float>(sum_floats_) +
                   Scratch::Bytes<PixelRow>(taps * largest.n.size() * largest.y.size()) +
                   Scratch::Bytes<float>(largest.outputs() * tiles_.panel()) + windows_.scratch_bytes();
  temporary_bytes_ = ChunkedGradient::Bytes(chunks_.count, g_.filter_shape().num_elements());
  if (windows_.prologue_first()) temporary_bytes_ += TensorBytes(g_.input_shape());
}

Part DirectBackwardFilter::PartOf(int64_t task) const {
  const int64_t panels = task % panels_.count;
  const int64_t channels = task / panels_.count % channels_.count;
  return {
      .group = task / (panels_.count * channels_.count) % g_.groups,
      .in = {channels_.Begin(channels), channels_.End(channels)},
      .out = {panels_.Begin(panels) * tiles_.panel(), std::min(g_.group_oc(), panels_.End(panels) * tiles_.panel())}};
}

// The sums of one part over one chunk of the blocks.
class FilterTask {
 public:
  FilterTask(const DirectBackwardFilter& plan, const FilterOperands& operands, int64_t task, Scratch scratch)
      : plan_(plan),
        operands_(operands),
        task_(task),
        chunk_(task / plan.parts()),
        part_(plan.PartOf(task)),
        sum_panels_(plan.tiles_, static_cast<int64_t>(plan.taps_.size()) * part_.in.size(), part_.out.size()),
        sums_(scratch.Take<float>(plan.sum_floats_)),
        scratch_(scratch) {}

  /// `gradient` is laid out like dF.
  void Run(float* gradient);

 private:
  // Neighbouring taps whose channels touch, in the window and in the filter alike: `length` consecutive k.
  struct TapGroup {
    const Tap* tap;
    int64_t length;
    const PixelRow* rows;  // of the block's pixels that meet it
    int64_t num_rows;
  };
  // A block with what it reads.
  struct OpenBlock {
    Block block;
    Window window;
    std::vector<TapGroup> groups;
    float* grad_copy;  // a panel's
    bool first, last;  // of the chunk
  };

  void AppendMemory(int64_t block, const Part& part);
  void AddBlock(int64_t index, float* gradient);
  std::vector<TapGroup> GroupTaps(const Block& block, const Window& window, PixelRow* pixel_rows) const;
  int64_t MakePixelRows(const Block& block, const Window& window, const Tap& tap, PixelRow* pixel_rows) const;
  void PackGradOutput(const Block& block, int64_t panel, float* to) const;
  void AddPanel(const OpenBlock& open, int64_t panel, float* gradient, PrefetchStream& prefetch) const;

  // Tiles read whole vectors of dy.
  bool GradInPlace() const {
    const int64_t reuse = static_cast<int64_t>(plan_.taps_.size()) * part_.in.size();
    return sum_panels_.padded_columns() == part_.out.size() &&
           (plan_.g_.OC <= plan_.tiles_.panel() || reuse < kMinReuse);
  }
  int64_t input_channel() const { return part_.group * plan_.g_.group_ic() + part_.in.begin; }
  int64_t output_channel() const { return part_.group * plan_.g_.group_oc() + part_.out.begin; }

  const DirectBackwardFilter& plan_;
  const FilterOperands& operands_;
  const int64_t task_;
  const int64_t chunk_;
  const Part part_;
  // Of the blocks so far: [tap][channel] rows of the part's columns. Rows of dF, up to 8 KiB apart, would share few
  // sets of the caches; only the last block's sums go there.
  const PackedPanels sum_panels_;
  float* sums_;
  Scratch scratch_;  // of a block
  PrefetchPieces ahead_;
};

void FilterTask::Run(float* gradient) {
  for (int64_t i = plan_.chunks_.Begin(chunk_); i < plan_.chunks_.End(chunk_); ++i) {
    // What this thread will likely see next.
    ahead_.clear();
    if (i + 1 < plan_.chunks_.End(chunk_)) {
      AppendMemory(i + 1, part_);
    } else if (task_ + 1 < plan_.chunks_.count * plan_.parts()) {
      AppendMemory(plan_.chunks_.Begin((task_ + 1) / plan_.parts()), plan_.PartOf(task_ + 1));
    }
    AddBlock(i, gradient);
  }
}

// The memory of x and dy that a part reads of a block.
void FilterTask::AppendMemory(int64_t block, const Part& part) {
  const Block at = plan_.blocks_.Get(block);
  const int64_t in = part.group * plan_.g_.group_ic();
  const int64_t out = part.group * plan_.g_.group_oc();
  plan_.windows_.AppendMemory(operands_.input, at, {in + part.in.begin, in + part.in.end}, ahead_);
  plan_.grad_windows_.AppendMemory(operands_.grad_output, at, {out + part.out.begin, out + part.out.end}, ahead_);
}

// Adds a block's sums to those so far, while it fetches what is ahead.
void FilterTask::AddBlock(int64_t index, float* gradient) {
  const Block block = plan_.blocks_.Get(index);
  const auto taps = static_cast<int64_t>(plan_.taps_.size());
  Scratch scratch = scratch_;
  auto* pixel_rows = scratch.Take<PixelRow>(taps * block.n.size() * block.y.size());
  auto* grad_copy = scratch.Take<float>(block.outputs() * plan_.tiles_.panel());
  const Range channels{input_channel(), input_channel() + part_.in.size()};
  const Window window = plan_.windows_.Open(operands_.input, operands_.prologue, block, channels, scratch);
  const OpenBlock open{.block = block,
                       .window = window,
                       .groups = GroupTaps(block, window, pixel_rows),
                       .grad_copy = grad_copy,
                       .first = index == plan_.chunks_.Begin(chunk_),
                       .last = index + 1 == plan_.chunks_.End(chunk_)};
  const int64_t max_rows = plan_.tiles_.MaxRows(plan_.tiles_.PanelVectors(part_.out.size()));
  PrefetchStream prefetch(ahead_, sum_panels_.count() * sum_panels_.rows() * block.outputs() / max_rows);
  for (int64_t panel = 0; panel < sum_panels_.count(); ++panel) AddPanel(open, panel, gradient, prefetch);
}

std::vector<FilterTask::TapGroup> FilterTask::GroupTaps(const Block& block, const Window& window,
                                                        PixelRow* pixel_rows) const {
  const Conv2dGeometry& g = plan_.g_;
  const int64_t channels = part_.in.size();
  const bool touching =
      plan_.windows_.pads() && channels == window.pixel_pitch() && channels == g.group_ic() && g.dilation_w == 1;
  std::vector<TapGroup> groups;
  for (const Tap& tap : plan_.taps_) {
    if (touching && tap.number % g.KW > 0) {
      groups.back().length += channels;
      continue;
    }
    const int64_t rows = MakePixelRows(block, window, tap, pixel_rows);
    groups.push_back({.tap = &tap, .length = channels, .rows = pixel_rows, .num_rows = rows});
    pixel_rows += rows;
  }
  return groups;
}

// The rows of a block's pixels that meet a tap inside the image, or in the padding of a padded window; rows that touch
// are one. Returns their number.
int64_t FilterTask::MakePixelRows(const Block& block, const Window& window, const Tap& tap,
                                  PixelRow* pixel_rows) const {
  const Source& source = plan_.source_;
  const bool in_place = GradInPlace();
  const int64_t a_pitch = source.step_w * window.pixel_pitch();
  int64_t x0 = block.x.begin;
  int64_t x1 = block.x.end;
  if (!plan_.windows_.pads()) {
    while (x0 < x1 && x0 * source.step_w + tap.x < 0) ++x0;
    while (x1 > x0 && (x1 - 1) * source.step_w + tap.x >= source.W) --x1;
  }
  int64_t count = 0;
  for (int64_t n = block.n.begin; n < block.n.end && x0 < x1; ++n) {
    for (int64_t gy = block.y.begin; gy < block.y.end; ++gy) {
      const int64_t y = gy * source.step_h + tap.y;
      if (y < 0 || y >= source.H) continue;
      const int64_t a = window.Offset(n, y, x0 * source.step_w + tap.x);
      const int64_t b =
          in_place ? (n * source.grid_h + gy) * source.grid_w + x0
                   : ((n - block.n.begin) * block.y.size() + gy - block.y.begin) * block.x.size() + x0 - block.x.begin;
      PixelRow* last = count > 0 ? &pixel_rows[count - 1] : nullptr;
      if (last != nullptr && last->a + last->pixels * a_pitch == a && last->b + last->pixels == b) {
        last->pixels += x1 - x0;
      } else {
        pixel_rows[count++] = {a, b, x1 - x0};
      }
    }
  }
  return count;
}

// A panel of a block's dy, one pixel after the other, padded with zeros to whole vectors.
void FilterTask::PackGradOutput(const Block& block, int64_t panel, float* to) const {
  const Source& source = plan_.source_;
  const int64_t columns = sum_panels_.Columns(panel);
  const int64_t width = sum_panels_.Width(panel);
  if (width != columns) std::fill_n(to, block.outputs() * width, 0.0f);
  const float* dy = operands_.grad_output + output_channel() + sum_panels_.Begin(panel);
  for (int64_t n = block.n.begin; n < block.n.end; ++n) {
    for (int64_t y = block.y.begin; y < block.y.end; ++y, to += block.x.size() * width) {
      const float* from = dy + ((n * source.grid_h + y) * source.grid_w + block.x.begin) * plan_.g_.OC;
      plan_.tiles_.copy({from, plan_.g_.OC, to, width, block.x.size(), columns});
    }
  }
}

void FilterTask::AddPanel(const OpenBlock& open, int64_t panel, float* gradient, PrefetchStream& prefetch) const {
  const GemmTiles& tiles = plan_.tiles_;
  const int64_t OC = plan_.g_.OC;
  const int64_t width = sum_panels_.Width(panel);
  const int64_t vectors = sum_panels_.Vectors(panel);
  const int64_t channel = output_channel() + sum_panels_.Begin(panel);
  const bool in_place = GradInPlace();
  if (!in_place) PackGradOutput(open.block, panel, open.grad_copy);
  FilterTileArgs args{};
  args.a_pitch = plan_.source_.step_w * open.window.pixel_pitch();
  args.b = in_place ? operands_.grad_output + channel : open.grad_copy;
  args.b_pitch = in_place ? OC : width;
  args.add_pitch = width;
  args.c_pitch = open.last ? OC : width;
  args.columns = open.last ? sum_panels_.Columns(panel) : width;
  args.prefetch = &prefetch;
  for (const TapGroup& group : open.groups) {
    args.rows = group.rows;
    args.num_rows = group.num_rows;
    const int64_t row = group.tap->number * part_.in.size();
    float* sums = sums_ + sum_panels_.Offset(0, panel, row);
    float* to = open.last ? gradient + (group.tap->number * plan_.g_.group_ic() + part_.in.begin) * OC + channel : sums;
    const TileSplit split(group.length, tiles.MaxRows(vectors));
    for (int64_t i = 0; i < split.count; i += args.tiles) {
      args.tiles = split.Alike(i);
      args.a = open.window.data() + split.Begin(i);
      args.add = open.first ? nullptr : sums + split.Begin(i) * width;
      args.c = to + split.Begin(i) * args.c_pitch;
      tiles.filter[vectors - 1][split.Size(i) - 1](args);
    }
  }
}

void DirectBackwardFilter::Run(const Conv2dCall& call, const Workspace& workspace) const {
  const Normalization prologue = MakePrologue(*call.prologue);
  FilterOperands operands{.input = call.input, .grad_output = call.filter, .prologue = nullptr};
  Tensor input;
  if (!prologue.empty() && windows_.prologue_first()) {
    input = ApplyPrologue(prologue, g_, call.input, workspace);
    operands.input = input.data();
  } else if (!prologue.empty()) {
    operands.prologue = &prologue;
  }
  ChunkedGradient gradient(chunks_.count, g_.filter_shape().num_elements(), call.output, workspace);
  ParallelForWithScratch(chunks_.count * parts(), scratch_bytes_, [&](int64_t task, Scratch scratch) {
    FilterTask(*this, operands, task, scratch).Run(gradient.Chunk(task / parts()));
  });
  gradient.Add();
}

}  // namespace

std::unique_ptr<const Conv2dPassPlan> PlanDirectBackwardFilter(const Conv2dSetup& setup) {
  return std::make_unique<DirectBackwardFilter>(setup);
}

}  // namespace hwynn
