#include "hwynn/kernels/conv2d/window.h"

#include <algorithm>
#include <cstring>

namespace hwynn {

std::vector<Tap> ForwardTaps(const Conv2dGeometry& g) {
  std::vector<Tap> taps;
  for (int64_t ky = 0; ky < g.KH; ++ky) {
    for (int64_t kx = 0; kx < g.KW; ++kx) {
      taps.push_back({ky * g.dilation_h - g.pad_top, kx * g.dilation_w - g.pad_left, ky * g.KW + kx});
    }
  }
  return taps;
}

TapExtent::TapExtent(const std::vector<Tap>& taps)
    : min_y(taps.front().y), max_y(min_y), min_x(taps.front().x), max_x(min_x) {
  for (const Tap& tap : taps) {
    min_y = std::min(min_y, tap.y), max_y = std::max(max_y, tap.y);
    min_x = std::min(min_x, tap.x), max_x = std::max(max_x, tap.x);
  }
}

BlockGrid::BlockGrid(const Source& source, int64_t pixels)
    : columns_(source.grid_w, source.grid_w > 2 * pixels ? pixels : source.grid_w),
      rows_(source.grid_h, std::max<int64_t>(1, pixels / columns_.Largest())),
      images_(source.N, std::max<int64_t>(1, pixels / (columns_.Largest() * rows_.Largest()))) {}

Block BlockGrid::Get(int64_t i) const {
  const int64_t column = i % columns_.count;
  const int64_t row = i / columns_.count % rows_.count;
  const int64_t image = i / columns_.count / rows_.count;
  return {{images_.Begin(image), images_.End(image)},
          {rows_.Begin(row), rows_.End(row)},
          {columns_.Begin(column), columns_.End(column)}};
}

Block BlockGrid::Largest() const { return {{0, images_.Largest()}, {0, rows_.Largest()}, {0, columns_.Largest()}}; }

bool IsOneTap(const Conv2dGeometry& g) {
  return g.KH == 1 && g.KW == 1 && g.pad_top == 0 && g.pad_left == 0 && g.pad_bottom == 0 && g.pad_right == 0;
}

Source OneTapSource(const Source& source) {
  if (source.step_h == 1 && source.step_w == 1 && source.grid_h == source.H && source.grid_w == source.W) {
    const int64_t pixels = source.N * source.H * source.W;
    return {1, 1, pixels, source.C, 1, pixels, 1, 1};
  }
  return {.N = source.N,
          .H = source.grid_h,
          .W = source.grid_w,
          .C = source.C,
          .grid_h = source.grid_h,
          .grid_w = source.grid_w,
          .step_h = 1,
          .step_w = 1,
          .pixel_pitch = source.step_w * source.pixel_pitch,
          .row_pitch = source.step_h * source.row_pitch,
          .image_pitch = source.image_pitch};
}

// The source rows and columns that a block's taps touch; rows clipped to the image, columns not.
struct SourceWindows::Span {
  Range y, x;
};

SourceWindows::Span SourceWindows::SpanOf(const Block& block) const {
  const int64_t y0 = std::clamp<int64_t>(block.y.begin * source_.step_h + extent_.min_y, 0, source_.H);
  const int64_t y1 = std::clamp<int64_t>((block.y.end - 1) * source_.step_h + extent_.max_y + 1, y0, source_.H);
  return {{y0, y1},
          {block.x.begin * source_.step_w + extent_.min_x, (block.x.end - 1) * source_.step_w + extent_.max_x + 1}};
}

bool SourceWindows::NeedsCopy(const Span& span, const WindowCopy& copy) const {
  return copy.pitch > 0 || copy.prologue || (copy.pad && (span.x.begin < 0 || span.x.end > source_.W));
}

int64_t SourceWindows::CopyBytes(const Block& largest, int64_t channels) const {
  // Whether a copy is needed depends on the block's place; any block may need one when the whole grid does.
  const Span grid = SpanOf({{0, 1}, {0, 1}, {0, source_.grid_w}});
  if (!NeedsCopy(grid, copy_)) return 0;
  const int64_t rows = std::min(source_.H, (largest.y.size() - 1) * source_.step_h + extent_.max_y - extent_.min_y + 1);
  const int64_t columns = (largest.x.size() - 1) * source_.step_w + extent_.max_x - extent_.min_x + 1;
  // A row alone may be beyond all memory.
  if (columns > kMaxBytes) return columns;
  return Scratch::Bytes<float>(largest.n.size() * rows * columns * std::max(channels, copy_.pitch));
}

SourceWindows::SourceWindows(const Source& source, const std::vector<Tap>& taps, const Block& largest, int64_t channels,
                             const WindowCopy& copy)
    : source_(source), extent_(taps), copy_(copy), tiles_(CurrentGemmTiles()) {
  if (CopyBytes(largest, channels) > kMaxBytes) {
    copy_ = {.pad = false};
    prologue_first_ = copy.prologue;
  }
  scratch_bytes_ = CopyBytes(largest, channels);
}

void SourceWindows::AppendMemory(const float* data, const Block& block, Range c, PrefetchPieces& pieces) const {
  const Span span = SpanOf(block);
  const int64_t x0 = std::clamp<int64_t>(span.x.begin, 0, source_.W);
  const int64_t x1 = std::clamp<int64_t>(span.x.end, x0, source_.W);
  // Pixels that touch are one run of floats, others rows of a piece; image rows may go on where the last one ended.
  const bool touching = c.size() == source_.pixel_pitch;
  const int64_t row_floats = touching ? (x1 - x0) * source_.pixel_pitch : c.size();
  const int64_t pixels = touching ? 1 : x1 - x0;
  for (int64_t n = block.n.begin; n < block.n.end; ++n) {
    for (int64_t y = span.y.begin; y < span.y.end; ++y) {
      AppendRows(Piece(data + source_.Offset(n, y, x0) + c.begin, row_floats, pixels, source_.pixel_pitch), pieces);
    }
  }
}

Window SourceWindows::Open(const float* data, const Normalization* prologue, const Block& block, Range c,
                           Scratch& scratch) const {
  const Span span = SpanOf(block);
  Window window;
  window.n0_ = block.n.begin;
  window.y0_ = span.y.begin;
  window.copied_ = NeedsCopy(span, {copy_.pad, prologue != nullptr, copy_.pitch});
  if (!window.copied_) {
    window.x0_ = 0;
    window.pixel_pitch_ = source_.pixel_pitch;
    window.row_pitch_ = source_.row_pitch;
    window.image_pitch_ = source_.image_pitch;
    window.data_ = data + source_.Offset(window.n0_, window.y0_, 0) + c.begin;
    return window;
  }
  const int64_t channels = c.size();
  const int64_t pitch = std::max(channels, copy_.pitch);
  // The columns inside the image; none for a block that lies in the padding.
  const int64_t inside0 = std::clamp<int64_t>(0, span.x.begin, span.x.end);
  const int64_t inside1 = std::clamp<int64_t>(source_.W, inside0, span.x.end);
  const int64_t pixels = inside1 - inside0;
  window.x0_ = span.x.begin;
  window.pixel_pitch_ = pitch;
  window.row_pitch_ = span.x.size() * pitch;
  window.image_pitch_ = span.y.size() * window.row_pitch_;
  auto* to = scratch.Take<float>(block.n.size() * window.image_pitch_);
  window.data_ = to;
  for (int64_t n = block.n.begin; n < block.n.end; ++n) {
    for (int64_t y = span.y.begin; y < span.y.end; ++y) {
      to = std::fill_n(to, (inside0 - span.x.begin) * pitch, 0.0f);
      const float* from = data + source_.Offset(n, y, pixels > 0 ? inside0 : 0) + c.begin;
      const PixelCopy copy{from, source_.pixel_pitch, to, pitch, pixels, channels};
      if (prologue != nullptr) {
        tiles_.copy_normalized(copy, prologue->From(c.begin));
      } else if (channels == source_.pixel_pitch && pitch == channels) {
        std::memcpy(to, from, static_cast<size_t>(pixels * channels) * sizeof(float));
      } else {
        tiles_.copy(copy);
      }
      to += pixels * pitch;
      to = std::fill_n(to, (span.x.end - inside1) * pitch, 0.0f);
    }
  }
  return window;
}

}  // namespace hwynn
