#include "hwynn/kernels/conv2d/window.h"

#include <algorithm>
#include <cstring>

namespace hwynn {
namespace {

// The source rows and columns that a block's taps touch; rows clipped to the image, columns not.
struct Span {
  Span(const Source& source, const TapExtent& taps, const Block& block)
      : y0(std::clamp<int64_t>(block.y0 * source.step_h + taps.min_y, 0, source.H)),
        y1(std::clamp<int64_t>((block.y1 - 1) * source.step_h + taps.max_y + 1, y0, source.H)),
        x0(block.x0 * source.step_w + taps.min_x),
        x1((block.x1 - 1) * source.step_w + taps.max_x + 1) {}
  int64_t y0, y1, x0, x1;
};

bool NeedsCopy(const Source& source, const Span& span, const WindowCopy& wanted) {
  return wanted.pitch > 0 || wanted.prologue != nullptr || (wanted.pad && (span.x0 < 0 || span.x1 > source.W));
}

}  // namespace

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
  return {images_.Begin(image), images_.End(image),     rows_.Begin(row),
          rows_.End(row),       columns_.Begin(column), columns_.End(column)};
}

Block BlockGrid::Largest() const { return {0, images_.Largest(), 0, rows_.Largest(), 0, columns_.Largest()}; }

bool IsOneTap(const Conv2dGeometry& g) {
  return g.KH == 1 && g.KW == 1 && g.pad_top == 0 && g.pad_left == 0 && g.pad_bottom == 0 && g.pad_right == 0;
}

Source OneTapSource(const Source& source) {
  if (source.step_h == 1 && source.step_w == 1 && source.grid_h == source.H && source.grid_w == source.W) {
    const int64_t pixels = source.N * source.H * source.W;
    return {source.data, 1, 1, pixels, source.C, 1, pixels, 1, 1};
  }
  return {.data = source.data,
          .N = source.N,
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

void AppendBlockMemory(const Source& source, const TapExtent& taps, const Block& block, int64_t c0, int64_t c1,
                       std::vector<PrefetchPiece>& pieces) {
  const Span span(source, taps, block);
  const int64_t x0 = std::clamp<int64_t>(span.x0, 0, source.W);
  const int64_t x1 = std::clamp<int64_t>(span.x1, x0, source.W);
  // Pixels that touch are one run of floats, others rows of a piece; image rows may go on where the last one ended.
  const bool touching = c1 - c0 == source.pixel_pitch;
  const int64_t row_floats = touching ? (x1 - x0) * source.pixel_pitch : c1 - c0;
  const int64_t pixels = touching ? 1 : x1 - x0;
  for (int64_t n = block.n0; n < block.n1; ++n) {
    for (int64_t y = span.y0; y < span.y1; ++y) {
      const PrefetchPiece row = Piece(source.At(n, y, x0) + c0, row_floats, pixels, source.pixel_pitch);
      PrefetchPiece* last = pieces.empty() ? nullptr : &pieces.back();
      if (last != nullptr && touching && last->rows == 1 && last->data + last->bytes == row.data) {
        last->bytes += row.bytes;
      } else if (last != nullptr && !touching && last->bytes == row.bytes && last->pitch_bytes == row.pitch_bytes &&
                 last->data + last->rows * last->pitch_bytes == row.data) {
        last->rows += pixels;
      } else if (x1 > x0) {
        pieces.push_back(row);
      }
    }
  }
}

int64_t Window::ScratchBytes(const Source& source, const TapExtent& taps, const Block& block, int64_t channels,
                             const WindowCopy& wanted) {
  // Whether a copy is needed depends on the block's place; any block may need one when the whole grid does.
  const Span grid(source, taps, {0, 1, 0, 1, 0, source.grid_w});
  if (!NeedsCopy(source, grid, wanted)) return 0;
  const int64_t rows = std::min(source.H, (block.y1 - block.y0 - 1) * source.step_h + taps.max_y - taps.min_y + 1);
  const int64_t columns = (block.x1 - block.x0 - 1) * source.step_w + taps.max_x - taps.min_x + 1;
  return Scratch::Bytes<float>((block.n1 - block.n0) * rows * columns * std::max(channels, wanted.pitch));
}

Window::Window(const Source& source, const TapExtent& taps, const Block& block, int64_t c0, int64_t c1,
               const WindowCopy& wanted, const GemmTiles& tiles, Scratch& scratch)
    : n0_(block.n0) {
  const Span span(source, taps, block);
  y0_ = span.y0;
  copied_ = NeedsCopy(source, span, wanted);
  if (!copied_) {
    x0_ = 0;
    pixel_pitch_ = source.pixel_pitch;
    row_pitch_ = source.row_pitch;
    image_pitch_ = source.image_pitch;
    data_ = source.At(n0_, y0_, 0) + c0;
    return;
  }
  const int64_t channels = c1 - c0;
  const Normalization* prologue = wanted.prologue;
  // The columns inside the image; none for a block that lies in the padding.
  const int64_t inside0 = std::clamp<int64_t>(0, span.x0, span.x1);
  const int64_t inside1 = std::clamp<int64_t>(source.W, inside0, span.x1);
  x0_ = span.x0;
  pixel_pitch_ = std::max(channels, wanted.pitch);
  row_pitch_ = (span.x1 - span.x0) * pixel_pitch_;
  image_pitch_ = (span.y1 - span.y0) * row_pitch_;
  auto* to = scratch.Take<float>((block.n1 - block.n0) * image_pitch_);
  data_ = to;
  for (int64_t n = block.n0; n < block.n1; ++n) {
    for (int64_t y = span.y0; y < span.y1; ++y) {
      to = std::fill_n(to, (inside0 - span.x0) * pixel_pitch_, 0.0f);
      const int64_t pixels = inside1 - inside0;
      const float* from = source.At(n, y, pixels > 0 ? inside0 : 0) + c0;
      if (channels == source.pixel_pitch && pixel_pitch_ == channels) {
        std::memcpy(to, from, static_cast<size_t>(pixels * channels) * sizeof(float));
      } else {
        tiles.copy(from, source.pixel_pitch, pixels, channels, to, pixel_pitch_);
      }
      if (prologue != nullptr) {
        tiles.prologue(to, pixels, channels, prologue->From(c0));
      }
      to += pixels * pixel_pitch_;
      to = std::fill_n(to, (span.x1 - inside1) * pixel_pitch_, 0.0f);
    }
  }
}

}  // namespace hwynn
