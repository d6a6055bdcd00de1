#ifndef HWYNN_KERNELS_CONV2D_WINDOW_H_
#define HWYNN_KERNELS_CONV2D_WINDOW_H_

// Not for users: how the direct algorithms cut a convolution into blocks of output pixels, and how a block sees its
// input. All three passes read a source image on a grid of outputs: the pixel at grid position (gy, gx) meets, for
// each tap, the source pixel (gy·step_h + tap.y, gx·step_w + tap.x).

#include <cstdint>
#include <vector>

#include "hwynn/core/scratch.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/simd/gemm_tile.h"

namespace hwynn {

struct Tap {
  int64_t y, x;    // offset into the source
  int64_t number;  // in the filter as the pass sees it, row by row
};

/// Of forward and backward-filter, in their order.
std::vector<Tap> ForwardTaps(const Conv2dGeometry& g);

/// The rows and columns that a set of taps spans.
struct TapExtent {
  explicit TapExtent(const std::vector<Tap>& taps);
  int64_t min_y, max_y, min_x, max_x;
};

/// An image batch [N,H,W,C] as it lies in memory, and the grid of outputs that read it.
struct Source {
  int64_t N, H, W, C;
  int64_t grid_h, grid_w;  // outputs per image
  int64_t step_h, step_w;
  // Distances between neighbours.
  int64_t pixel_pitch = C;
  int64_t row_pitch = W * pixel_pitch;
  int64_t image_pitch = H * row_pitch;

  int64_t Offset(int64_t n, int64_t y, int64_t x) const { return n * image_pitch + y * row_pitch + x * pixel_pitch; }
};

/// True for a filter of one tap without padding.
bool IsOneTap(const Conv2dGeometry& g);

/// The source of a convolution whose filter is one tap without padding: no more than the pixels that are read, as one
/// long row where they touch.
Source OneTapSource(const Source& source);

/// Output pixels: images × grid rows × grid columns.
struct Block {
  Range n, y, x;
  int64_t outputs() const { return n.size() * y.size() * x.size(); }
};

/// Blocks of about `pixels` outputs, cut by shape alone: long rows are cut, short ones put together, and small images
/// too.
class BlockGrid {
 public:
  BlockGrid(const Source& source, int64_t pixels);
  int64_t count() const { return images_.count * rows_.count * columns_.count; }
  Block Get(int64_t i) const;
  /// As large as any in each direction, from 0 on.
  Block Largest() const;

 private:
  EvenSplit columns_, rows_, images_;
};

/// What makes a window a copy.
struct WindowCopy {
  bool pad = true;        // that taps leave a row; false: callers leave out these taps
  bool prologue = false;  // that calls may have one
  int64_t pitch = 0;      // distance between pixels, at least as many as channels; 0: no matter
};

/// A block's input. Points into the source, or into a copy of the rows, with zeros to the left and right, in the task's
/// scratch memory. Rows above and below the image don't exist: callers leave out their taps.
class Window {
 public:
  /// Whether it is a copy, with zeros left and right of the image.
  bool copied() const { return copied_; }
  /// Distance in floats between neighbouring pixels, and between the same pixel of neighbouring images.
  int64_t pixel_pitch() const { return pixel_pitch_; }
  int64_t image_pitch() const { return image_pitch_; }
  const float* data() const { return data_; }
  /// Offset from data() of source pixel (n, y, x); y must be inside the image.
  int64_t Offset(int64_t n, int64_t y, int64_t x) const {
    return (n - n0_) * image_pitch_ + (y - y0_) * row_pitch_ + (x - x0_) * pixel_pitch_;
  }

 private:
  friend class SourceWindows;

  bool copied_;
  const float* data_;
  int64_t n0_, y0_, x0_;
  int64_t image_pitch_, row_pitch_, pixel_pitch_;
};

/// The windows of all blocks of a source.
class SourceWindows {
 public:
  /// For blocks no larger than `largest`, of so many channels at most. Where copies would take more than kMaxBytes, as
  /// they do where few channels meet a large dilation, there are none: taps are left out instead, and a prologue is for
  /// the caller.
  SourceWindows(const Source& source, const std::vector<Tap>& taps, const Block& largest, int64_t channels,
                const WindowCopy& copy);
  static constexpr int64_t kMaxBytes = int64_t{4} << 20;

  /// Channels [c.begin, c.end) of a block of the source at `data`. `prologue` may be null.
  Window Open(const float* data, const Normalization* prologue, const Block& block, Range c, Scratch& scratch) const;

  /// Appends the memory that such a window reads: pixels that touch as one run, others as rows of a piece.
  void AppendMemory(const float* data, const Block& block, Range c, PrefetchPieces& pieces) const;

  const TapExtent& extent() const { return extent_; }
  int64_t scratch_bytes() const { return scratch_bytes_; }
  /// Whether no tap leaves a row of the window.
  bool pads() const { return copy_.pad; }
  /// Whether calls with a prologue must bring a source that has it applied.
  bool prologue_first() const { return prologue_first_; }

 private:
  struct Span;
  Span SpanOf(const Block& block) const;
  bool NeedsCopy(const Span& span, const WindowCopy& copy) const;
  int64_t CopyBytes(const Block& largest, int64_t channels) const;

  Source source_;
  TapExtent extent_;
  WindowCopy copy_;
  const GemmTiles& tiles_;
  bool prologue_first_ = false;
  int64_t scratch_bytes_ = 0;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_WINDOW_H_
