// Stride-1 3×3 convolutions by Winograd's F(4×4,3×3): input tiles are transformed, 36 small matrix products go through
// the micro-kernels of the direct algorithm, outputs are transformed back. Backward-input is the same convolution over
// grad_output, with the filter turned by 180° and transposed; backward-filter is the transposed algorithm.

#include <algorithm>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d_algorithms.h"
#include "hwynn/kernels/gemm_tile.h"
#include "hwynn/kernels/winograd.h"

namespace hwynn {
namespace {

// Of the transformed input of a task, in floats: half a megabyte, a quarter to a half of the second-level cache.
constexpr int64_t kBlockFloats = int64_t{1} << 17;
// The transformed filter is read once per task. 36·T·C·O products against 36·C·O floats: with 28 tiles the
// third-level cache delivers them in time, with fewer it doesn't.
constexpr int64_t kMinTiles = 28;
// Beyond this size it comes from memory, and wants four times as many.
constexpr int64_t kLargeFilterFloats = int64_t{1} << 22;

// One convolution as this algorithm sees it: `in` [N,H,W,C] and `out` [N,OH,OW,O] with tile (ty,tx) reading from
// (4·ty − pad_h, 4·tx − pad_w) on.
struct Problem {
  const float* in;
  float* out;
  int64_t N, H, W, C, OH, OW, O;
  int64_t pad_h, pad_w;
  const Conv2dEpilogue* epilogue;

  int64_t tiles_h() const { return (OH + kWinogradOutput - 1) / kWinogradOutput; }
  int64_t tiles_w() const { return (OW + kWinogradOutput - 1) / kWinogradOutput; }
  int64_t tiles() const { return N * tiles_h() * tiles_w(); }
};

// The tiles of a task, one after the other; stepping is cheaper than three divisions a tile.
class TilePosition {
 public:
  TilePosition(const Problem& p, int64_t tile)
      : p_(p),
        n(tile / (p.tiles_h() * p.tiles_w())),
        y(tile / p.tiles_w() % p.tiles_h() * kWinogradOutput),
        x(tile % p.tiles_w() * kWinogradOutput) {}
  void Advance() {
    if ((x += kWinogradOutput) < p_.OW) return;
    x = 0;
    if ((y += kWinogradOutput) < p_.OH) return;
    y = 0;
    ++n;
  }

 private:
  const Problem& p_;

 public:
  int64_t n, y, x;  // image, and first output
};

// Gradients of the outputs, padded to whole vectors with zeros by the caller.
void TransformGradient(const Problem& p, const float* grad_output, const WinogradTransforms& transforms, int64_t first,
                       int64_t count, const float* zeros, float* to, int64_t pitch, int64_t stride) {
  TilePosition tile(p, first);
  for (int64_t t = 0; t < count; ++t, tile.Advance()) {
    const float* pixels[kWinogradOutput * kWinogradOutput];
    for (int64_t i = 0; i < kWinogradOutput; ++i) {
      for (int64_t j = 0; j < kWinogradOutput; ++j) {
        const bool inside = tile.y + i < p.OH && tile.x + j < p.OW;
        const int64_t offset = ((tile.n * p.OH + tile.y + i) * p.OW + tile.x + j) * p.O;
        pixels[i * kWinogradOutput + j] = inside ? grad_output + offset : zeros;
      }
    }
    transforms.gradient(pixels, p.O, to + t * pitch, stride);
  }
}

// Tiles of one task: whole register tiles.
int64_t TilesPerTask(const Problem& p, const GemmTiles& gemm) {
  const int64_t fit = kBlockFloats / (kWinogradPoints * p.C);
  const int64_t least = p.C * p.O * kWinogradPoints > kLargeFilterFloats ? 4 * kMinTiles : kMinTiles;
  const int64_t wanted = std::max(fit, p.C <= 16 ? 14 : least);
  const int64_t rows = gemm.MaxRows(gemm.PanelVectors(p.O));
  return std::max<int64_t>(1, wanted / rows) * rows;
}

// An odd number of cache lines between points, so that they spread over all sets of the caches.
int64_t PointStride(int64_t tiles, int64_t channels) { return ((tiles * channels + 15) / 16 | 1) * 16; }

// Channels [c0, c1) of the inputs.
void TransformInput(const Problem& p, const WinogradTransforms& transforms, int64_t first, int64_t count, int64_t c0,
                    int64_t c1, const float* zeros, float* to, int64_t stride) {
  TilePosition tile(p, first);
  for (int64_t t = 0; t < count; ++t, tile.Advance()) {
    const float* pixels[kWinogradPoints];
    const int64_t x0 = tile.x - p.pad_w;
    const int64_t j0 = std::max<int64_t>(0, -x0);
    const int64_t j1 = std::min(kWinogradInput, p.W - x0);
    for (int64_t i = 0; i < kWinogradInput; ++i) {
      const float** row = pixels + i * kWinogradInput;
      const int64_t y = tile.y - p.pad_h + i;
      if (y < 0 || y >= p.H) {
        std::fill_n(row, kWinogradInput, zeros);
        continue;
      }
      const int64_t pixel = (tile.n * p.H + y) * p.W + x0;
      for (int64_t j = 0; j < kWinogradInput; ++j) row[j] = j >= j0 && j < j1 ? p.in + (pixel + j) * p.C + c0 : zeros;
    }
    transforms.input(pixels, c1 - c0, to + t * (c1 - c0), stride);
  }
}

void TransformOutput(const Problem& p, const WinogradTransforms& transforms, int64_t first, int64_t count,
                     const float* from, int64_t pitch, int64_t stride) {
  TileEpilogue epilogue;
  const float* residual = nullptr;
  if (p.epilogue != nullptr) {
    if (p.epilogue->scale.size() != 0) epilogue.scale = p.epilogue->scale.data();
    if (p.epilogue->bias.size() != 0) epilogue.bias = p.epilogue->bias.data();
    if (p.epilogue->residual.size() != 0) residual = p.epilogue->residual.data();
    epilogue.relu = p.epilogue->relu;
  }
  TilePosition tile(p, first);
  for (int64_t t = 0; t < count; ++t, tile.Advance()) {
    float* outputs[kWinogradOutput * kWinogradOutput];
    const float* residuals[kWinogradOutput * kWinogradOutput];
    for (int64_t i = 0; i < kWinogradOutput; ++i) {
      for (int64_t j = 0; j < kWinogradOutput; ++j) {
        const bool inside = tile.y + i < p.OH && tile.x + j < p.OW;
        const int64_t offset = ((tile.n * p.OH + tile.y + i) * p.OW + tile.x + j) * p.O;
        outputs[i * kWinogradOutput + j] = inside ? p.out + offset : nullptr;
        residuals[i * kWinogradOutput + j] = inside && residual != nullptr ? residual + offset : nullptr;
      }
    }
    transforms.output(from + t * pitch, stride, p.O, epilogue, residual != nullptr ? residuals : nullptr, outputs);
  }
}

// `filter` is [point][panel][c][panel columns].
void Run(const Problem& p, const float* filter) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const WinogradTransforms& transforms = CurrentWinogradTransforms();
  const int64_t per_task = TilesPerTask(p, gemm);
  const int64_t pitch = gemm.PaddedColumns(p.O);
  const int64_t in_stride = PointStride(per_task, p.C);
  const int64_t out_stride = PointStride(per_task, pitch);
  const int64_t tasks = (p.tiles() + per_task - 1) / per_task;
  const int64_t scratch = p.C + kWinogradPoints * (in_stride + out_stride);
  ParallelForWithScratch(tasks, scratch, [&](int64_t task, float* memory) {
    const int64_t first = task * per_task;
    const int64_t count = std::min(per_task, p.tiles() - first);
    float* in = memory;
    float* out = in + kWinogradPoints * in_stride;
    float* zeros = out + kWinogradPoints * out_stride;
    std::fill_n(zeros, p.C, 0.0f);
    TransformInput(p, transforms, first, count, 0, p.C, zeros, in, in_stride);

    const TileRun run{0, 0, p.C};
    PrefetchStream none;
    ForwardTileArgs args{};
    args.prefetch = &none;
    args.lda = p.C;
    args.runs = &run;
    args.num_runs = 1;
    args.ldc = pitch;
    for (int64_t point = 0; point < kWinogradPoints; ++point) {
      for (int64_t column = 0; column < p.O; column += gemm.panel()) {
        const int64_t vectors = gemm.PanelVectors(p.O - column);
        const EvenSplit rows(count, gemm.MaxRows(vectors));
        args.b = filter + (point * pitch + column) * p.C;
        args.columns = vectors * gemm.lanes;  // the padding too: whole vectors
        for (int64_t i = 0; i < rows.count; ++i) {
          args.a = in + point * in_stride + rows.Begin(i) * p.C;
          args.c = out + point * out_stride + rows.Begin(i) * pitch + column;
          gemm.forward[vectors - 1][rows.End(i) - rows.Begin(i) - 1](args);
        }
      }
    }
    TransformOutput(p, transforms, first, count, out, pitch, out_stride);
  });
}

// taps [3,3,C,O] → [point][panel][c][panel columns], padded with zeros.
void PackFilter(const float* taps, int64_t C, int64_t O, float* packed) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const WinogradTransforms& transforms = CurrentWinogradTransforms();
  const int64_t pitch = gemm.PaddedColumns(O);
  const int64_t panels = (O + gemm.panel() - 1) / gemm.panel();
  const EvenSplit rows(C, 16);
  // Through a scratch array: the points of one (c, o) are megabytes apart, often a power of two.
  const int64_t stride = PointStride(rows.Largest(), gemm.panel());
  ParallelForWithScratch(panels * rows.count, kWinogradPoints * stride, [&](int64_t task, float* scratch) {
    const int64_t column = task / rows.count * gemm.panel();
    const int64_t width = gemm.PanelVectors(O - column) * gemm.lanes;
    const int64_t columns = std::min(width, O - column);
    const int64_t c0 = rows.Begin(task % rows.count);
    const int64_t c1 = rows.End(task % rows.count);
    if (columns < width) std::fill_n(scratch, kWinogradPoints * stride, 0.0f);
    for (int64_t c = c0; c < c1; ++c) {
      transforms.filter(taps + c * O + column, C * O, columns, scratch + (c - c0) * width, stride);
    }
    for (int64_t point = 0; point < kWinogradPoints; ++point) {
      std::copy_n(scratch + point * stride, (c1 - c0) * width, packed + (point * pitch + column) * C + c0 * width);
    }
  });
}

}  // namespace

const char* WinogradDeclines(const Conv2dGeometry& g) {
  if (g.KH != 3 || g.KW != 3 || g.stride_h != 1 || g.stride_w != 1 || g.dilation_h != 1 || g.dilation_w != 1) {
    return "not a 3x3 filter with stride and dilation 1";
  }
  if (g.groups != 1) return "groups";
  if (g.pad_top > 2 || g.pad_left > 2 || g.pad_bottom > 2 || g.pad_right > 2) return "padding beyond the filter";
  return nullptr;
}

// Products, and the bytes of the filter at what two cores could multiply while they wait for one: 190 GFMA/s against
// 40 GB/s. At batch 1 the 512-channel layers on 7×7 have four tiles for 38 MB of filter: better direct.
const char* WinogradDoesNotPay(const Conv2dGeometry& g) {
  if (const char* reason = WinogradDeclines(g)) return reason;
  if (g.IC < 16 || g.OC < 16) return "fewer than 16 channels";
  constexpr double kProductsPerFloat = 20;
  const auto channels = static_cast<double>(g.IC * g.OC);
  const auto pixels = static_cast<double>(g.N * g.OH * g.OW);
  const auto tiles = static_cast<double>(g.N * ((g.OH + 3) / 4) * ((g.OW + 3) / 4));
  // About 300 vector operations a tile and channel in each transform, and 36 loads and stores.
  const double transforms = 400 * tiles * static_cast<double>(g.IC + g.OC);
  const double direct = 9 * channels * (pixels + kProductsPerFloat);
  const double winograd = 36 * channels * (tiles + kProductsPerFloat) + transforms;
  return winograd < direct ? nullptr : "the transforms and the larger filter cost more than they save";
}

int64_t WinogradPackedFloats(Conv2dPass pass, const Conv2dGeometry& g) {
  const bool forward = pass == Conv2dPass::kForward;
  return kWinogradPoints * (forward ? g.IC : g.OC) * CurrentGemmTiles().PaddedColumns(forward ? g.OC : g.IC);
}

void WinogradPackFilter(Conv2dPass pass, const Conv2dGeometry& g, const float* filter, float* packed,
                        const Workspace& workspace) {
  if (pass == Conv2dPass::kForward) {
    PackFilter(filter, g.IC, g.OC, packed);
    return;
  }
  Tensor turned = workspace.NewTensor({9 * g.OC * g.IC});
  const EvenSplit rows(g.OC, 16);
  ParallelFor(9 * rows.count, [&](int64_t task) {
    const int64_t tap = task / rows.count;
    const float* from = filter + (8 - tap) * g.IC * g.OC;
    float* to = turned.data() + tap * g.OC * g.IC;
    for (int64_t c = 0; c < g.IC; ++c) {
      for (int64_t o = rows.Begin(task % rows.count); o < rows.End(task % rows.count); ++o) {
        to[o * g.IC + c] = from[c * g.OC + o];
      }
    }
  });
  PackFilter(turned.data(), g.OC, g.IC, packed);
}

void WinogradForward(const Conv2dGeometry& g, const float* input, const float* packed, float* output,
                     const Workspace& /*workspace*/, const Conv2dOptions& options) {
  Run({input, output, g.N, g.IH, g.IW, g.IC, g.OH, g.OW, g.OC, g.pad_top, g.pad_left, &options.epilogue}, packed);
}

void WinogradBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* packed, float* grad_input,
                           const Workspace& /*workspace*/) {
  Run({grad_output, grad_input, g.N, g.OH, g.OW, g.OC, g.IH, g.IW, g.IC, 2 - g.pad_top, 2 - g.pad_left, nullptr},
      packed);
}

// dF = Gᵀ[Σ_tiles (Bᵀ·d·B) ⊙ (A·dy·Aᵀ)]G. As in the direct algorithm, tasks own some input channels and a chunk of
// the tiles, and the chunks' sums are added in order.
void WinogradBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                            const Workspace& workspace) {
  constexpr int64_t kMaxChannels = 64;
  constexpr int64_t kMinTasks = 16;
  constexpr int64_t kMaxPartialFloats = int64_t{16} << 20;
  const GemmTiles& gemm = CurrentGemmTiles();
  const WinogradTransforms& transforms = CurrentWinogradTransforms();
  const Problem p{input, nullptr, g.N, g.IH, g.IW, g.IC, g.OH, g.OW, g.OC, g.pad_top, g.pad_left, nullptr};
  const int64_t pitch = gemm.PaddedColumns(p.O);
  const int64_t point_floats = p.C * pitch;  // of one point's sums
  const EvenSplit channels(p.C, kMaxChannels);
  // Sums are loaded and stored once a block: at least 56 tiles.
  const int64_t block = std::max<int64_t>(56, 2 * kBlockFloats / (kWinogradPoints * (channels.Largest() + pitch)));
  const int64_t blocks = (p.tiles() + block - 1) / block;
  const int64_t chunks = std::clamp<int64_t>(
      std::min(kMaxPartialFloats / (kWinogradPoints * point_floats), kMinTasks / channels.count), 1, blocks);
  const EvenSplit chunk_blocks(blocks, (blocks + chunks - 1) / chunks);
  const int64_t in_stride = PointStride(block, channels.Largest());
  const int64_t out_stride = PointStride(block, pitch);
  const int64_t widest = std::max(p.C, p.O);
  Tensor sums = workspace.NewTensor({chunk_blocks.count, kWinogradPoints, point_floats});

  ParallelForWithScratch(chunk_blocks.count * channels.count, kWinogradPoints * (in_stride + out_stride) + widest,
                         [&](int64_t task, float* memory) {
                           const int64_t chunk = task / channels.count;
                           const int64_t c0 = channels.Begin(task % channels.count);
                           const int64_t c1 = channels.End(task % channels.count);
                           float* in = memory;
                           float* out = in + kWinogradPoints * in_stride;
                           float* zeros = out + kWinogradPoints * out_stride;
                           std::fill_n(zeros, widest, 0.0f);
                           if (pitch > p.O) std::fill_n(out, kWinogradPoints * out_stride, 0.0f);
                           PixelRow row{0, 0, 0};
                           PrefetchStream none;
                           FilterTileArgs args{};
                           args.prefetch = &none;
                           args.a_stride = c1 - c0;
                           args.b_stride = pitch;
                           args.rows = &row;
                           args.num_rows = 1;
                           args.ldc = pitch;
                           for (int64_t b = chunk_blocks.Begin(chunk); b < chunk_blocks.End(chunk); ++b) {
                             const int64_t first = b * block;
                             const int64_t count = std::min(block, p.tiles() - first);
                             TransformInput(p, transforms, first, count, c0, c1, zeros, in, in_stride);
                             TransformGradient(p, grad_output, transforms, first, count, zeros, out, pitch, out_stride);
                             row.pixels = count;
                             args.accumulate = b > chunk_blocks.Begin(chunk);
                             for (int64_t point = 0; point < kWinogradPoints; ++point) {
                               float* point_sums =
                                   sums.data() + (chunk * kWinogradPoints + point) * point_floats + c0 * pitch;
                               for (int64_t column = 0; column < p.O; column += gemm.panel()) {
                                 const int64_t vectors = gemm.PanelVectors(p.O - column);
                                 const EvenSplit tiles(c1 - c0, gemm.MaxRows(vectors));
                                 args.b = out + point * out_stride + column;
                                 args.columns = vectors * gemm.lanes;
                                 for (int64_t i = 0; i < tiles.count; ++i) {
                                   args.a = in + point * in_stride + tiles.Begin(i);
                                   args.c = point_sums + tiles.Begin(i) * pitch + column;
                                   gemm.filter[vectors - 1][tiles.End(i) - tiles.Begin(i) - 1](args);
                                 }
                               }
                             }
                           }
                         });

  const EvenSplit rows(p.C, 4);
  ParallelFor(rows.count, [&](int64_t task) {
    for (int64_t c = rows.Begin(task); c < rows.End(task); ++c) {
      for (int64_t point = 0; point < kWinogradPoints; ++point) {
        float* total = sums.data() + point * point_floats + c * pitch;
        for (int64_t chunk = 1; chunk < chunk_blocks.count; ++chunk) {
          const float* from = total + chunk * kWinogradPoints * point_floats;
          for (int64_t o = 0; o < p.O; ++o) total[o] += from[o];
        }
      }
      transforms.filter_gradient(sums.data() + c * pitch, point_floats, p.O, grad_filter + c * p.O, p.C * p.O);
    }
  });
}

}  // namespace hwynn
