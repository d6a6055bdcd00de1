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
  int64_t ky, kx;  // position in the filter
};

/// The rows and columns that a set of taps spans.
struct TapExtent {
  explicit TapExtent(const std::vector<Tap>& taps);
  int64_t min_y, max_y, min_x, max_x;
};

/// An image batch [N,H,W,C] as it lies in memory, and the grid of outputs that read it.
struct Source {
  const float* data;
  int64_t N, H, W, C;
  int64_t grid_h, grid_w;  // outputs per image
  int64_t step_h, step_w;
  // Distances between neighbours.
  int64_t pixel_pitch = C;
  int64_t row_pitch = W * pixel_pitch;
  int64_t image_pitch = H * row_pitch;

  const float* At(int64_t n, int64_t y, int64_t x) const {
    return data + n * image_pitch + y * row_pitch + x * pixel_pitch;
  }
};

/// True for a filter of one tap without padding.
bool IsOneTap(const Conv2dGeometry& g);

/// The source of a convolution whose filter is one tap without padding: no more than the pixels that are read, as one
/// long row where they touch.
Source OneTapSource(const Source& source);

/// Output pixels: images × grid rows × grid columns, half-open.
struct Block {
  int64_t n0, n1, y0, y1, x0, x1;
  int64_t outputs() const { return (n1 - n0) * (y1 - y0) * (x1 - x0); }
};

/// Blocks of about `pixels` outputs, cut by shape alone: long rows are cut, short ones put together, and small images
/// too.
class BlockGrid {
 public:
  BlockGrid(const Source& source, int64_t pixels);
  int64_t count() const { return images_.count * rows_.count * columns_.count; }
  Block Get(int64_t i) const;
  Block Largest() const;

 private:
  EvenSplit columns_, rows_, images_;
};

/// Appends the memory of channels [c0, c1) of the source that a block reads: pixels that touch as one run, others as
/// rows of a piece.
void AppendBlockMemory(const Source& source, const TapExtent& taps, const Block& block, int64_t c0, int64_t c1,
                       std::vector<PrefetchPiece>& pieces);

/// What makes a window a copy.
struct WindowCopy {
  bool pad = true;                          // that taps leave a row; false: callers leave out these taps
  const Normalization* prologue = nullptr;  // applied to the copy; null: none
  int64_t pitch = 0;                        // distance between pixels, at least as many as channels; 0: no matter
};

/// A block's input. Points into the source, or into a copy of the rows, with zeros to the left and right, in the task's
/// scratch memory. Rows above and below the image don't exist: callers leave out their taps.
class Window {
 public:
  /// Channels [c0, c1) of the source.
  Window(const Source& source, const TapExtent& taps, const Block& block, int64_t c0, int64_t c1,
         const WindowCopy& wanted, const GemmTiles& tiles, Scratch& scratch);

  /// Scratch that a block of `channels` needs.
  static int64_t ScratchBytes(const Source& source, const TapExtent& taps, const Block& block, int64_t channels,
                              const WindowCopy& wanted);

  /// Whether it is a copy, with zeros left and right of the image.
  bool copied() const { return copied_; }
  /// Distance in floats between neighbouring pixels.
  int64_t pixel_pitch() const { return pixel_pitch_; }
  /// And between the same pixel of neighbouring images.
  int64_t image_pitch() const { return image_pitch_; }
  const float* data() const { return data_; }
  /// Offset from data() of source pixel (n, y, x); y must be inside the image.
  int64_t Offset(int64_t n, int64_t y, int64_t x) const {
    return (n - n0_) * image_pitch_ + (y - y0_) * row_pitch_ + (x - x0_) * pixel_pitch_;
  }

 private:
  bool copied_;
  const float* data_;
  int64_t n0_, y0_, x0_;
  int64_t image_pitch_, row_pitch_, pixel_pitch_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_WINDOW_H_
