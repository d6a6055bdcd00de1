// Vector code of resize.h; per-target include guard.
//
// Both passes multiply pairs: of neighbouring columns, then of neighbouring rows. A band of 16 rows is turned so that
// the columns' pairs of all rows lie side by side; then the two passes are the same sums with one weight for a whole
// vector, and nothing is shuffled between the multiplications.
#if defined(HWYNN_KERNELS_RESIZE_RESIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_RESIZE_RESIZE_INL_H_
#undef HWYNN_KERNELS_RESIZE_RESIZE_INL_H_
#else
#define HWYNN_KERNELS_RESIZE_RESIZE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwynn/kernels/resize/resize_tile.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE void SplitAnyChannels(const uint8_t* HWY_RESTRICT pixels, int64_t channels, int64_t plane,
                                 uint8_t* HWY_RESTRICT planes) {
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t x = 0; x < kBlockPixels; ++x) planes[c * plane + x] = pixels[x * channels + c];
  }
}

#if HWY_TARGET == HWY_SCALAR  // one lane: there are no pairs of lanes

// output[i] = Σ over p < count of the pairs at pairs + p·stride + 2i times weights[p], rounded, for i < size.
HWY_INLINE void WeighAllPairs(const uint8_t* HWY_RESTRICT pairs, int64_t stride, int64_t count,
                              const PairWeights* HWY_RESTRICT weights, int64_t size, uint8_t* HWY_RESTRICT output) {
  for (int64_t i = 0; i < size; ++i) {
    int32_t sum = 1 << (kWeightBits - 1);
    for (int64_t p = 0; p < count; ++p) {
      const uint8_t* const pair = pairs + p * stride + 2 * i;
      sum += EvenWeight(weights[p]) * pair[0] + OddWeight(weights[p]) * pair[1];
    }
    output[i] = static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
  }
}

// to[c·to_stride + r] = from[r·from_stride + c] for r, c < 8.
HWY_INLINE void Transpose8x8(const uint16_t* HWY_RESTRICT from, int64_t from_stride, uint16_t* HWY_RESTRICT to,
                             int64_t to_stride) {
  for (int64_t r = 0; r < 8; ++r) {
    for (int64_t c = 0; c < 8; ++c) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

// 16 pixels of a row, each channel's by themselves, `plane` bytes apart.
HWY_INLINE void SplitChannels(const uint8_t* HWY_RESTRICT pixels, int64_t channels, int64_t plane,
                              uint8_t* HWY_RESTRICT planes) {
  SplitAnyChannels(pixels, channels, plane, planes);
}

#else

// Accumulators are two a vector, four where a multiplication of pairs leaves its sums in two vectors (NEON). Six
// vectors of AVX2 are the three channels of a band; wider ones need three for that.
#if HWY_TARGET == HWY_AVX2
inline constexpr int kVectors = 6;
#elif HWY_TARGET <= HWY_AVX3
inline constexpr int kVectors = 3;
#else
inline constexpr int kVectors = 4;
#endif

// output[i] = Σ over p < count of the pairs at pairs + p·stride + 2i times weights[p], rounded, for i < kN·lanes.
template <int kN, class D>
HWY_INLINE void WeighPairs(D d32, const uint8_t* HWY_RESTRICT pairs, int64_t stride, int64_t count,
                           const PairWeights* HWY_RESTRICT weights, uint8_t* HWY_RESTRICT output) {
  const hn::Repartition<int16_t, D> d16;
  const hn::Rebind<uint8_t, decltype(d16)> d_pairs;
  const hn::Rebind<uint8_t, D> d_bytes;
  constexpr size_t kLanes = hn::MaxLanes(D());
  using V = hn::Vec<D>;
  V high[kN], low[kN], more_high[kN], more_low[kN];
  for (int v = 0; v < kN; ++v) high[v] = low[v] = more_high[v] = more_low[v] = hn::Zero(d32);
  for (int64_t p = 0; p < count; ++p, pairs += stride) {
    const auto weight_high = hn::BitCast(d16, hn::Set(d32, weights[p].high));
    const auto weight_low = hn::BitCast(d16, hn::Set(d32, weights[p].low));
    for (int v = 0; v < kN; ++v) {
      const auto pair = hn::PromoteTo(d16, hn::LoadU(d_pairs, pairs + static_cast<size_t>(v) * 2 * kLanes));
      high[v] = hn::ReorderWidenMulAccumulate(d32, pair, weight_high, high[v], more_high[v]);
      low[v] = hn::ReorderWidenMulAccumulate(d32, pair, weight_low, low[v], more_low[v]);
    }
  }
  const V half = hn::Set(d32, 1 << (kWeightBits - 1));
  for (int v = 0; v < kN; ++v) {
    const V sum = hn::Add(hn::ShiftLeft<kLowBits>(hn::RearrangeToOddPlusEven(high[v], more_high[v])),
                          hn::RearrangeToOddPlusEven(low[v], more_low[v]));
    const V rounded = hn::ShiftRight<kWeightBits>(hn::Add(sum, half));
    hn::StoreU(hn::DemoteTo(d_bytes, rounded), d_bytes, output + static_cast<size_t>(v) * kLanes);
  }
}

// The same for i < size, a multiple of 16.
HWY_INLINE void WeighAllPairs(const uint8_t* HWY_RESTRICT pairs, int64_t stride, int64_t count,
                              const PairWeights* HWY_RESTRICT weights, int64_t size, uint8_t* HWY_RESTRICT output) {
  const hn::CappedTag<int32_t, kBandRows> d32;
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(d32));
  static_assert(kBandRows % kLanes == 0);
  int64_t i = 0;
  for (; i + kVectors * kLanes <= size; i += kVectors * kLanes) {
    WeighPairs<kVectors>(d32, pairs + 2 * i, stride, count, weights, output + i);
  }
  for (; i < size; i += kLanes) WeighPairs<1>(d32, pairs + 2 * i, stride, count, weights, output + i);
}

// to[c·to_stride + r] = from[r·from_stride + c] for r, c < 8.
HWY_INLINE void Transpose8x8(const uint16_t* HWY_RESTRICT from, int64_t from_stride, uint16_t* HWY_RESTRICT to,
                             int64_t to_stride) {
  const hn::FixedTag<uint16_t, 8> d16;
  const hn::FixedTag<uint32_t, 4> d32;
  const hn::FixedTag<uint64_t, 2> d64;
  using V16 = hn::Vec<decltype(d16)>;
  using V32 = hn::Vec<decltype(d32)>;
  V16 rows[8];
  for (int r = 0; r < 8; ++r) rows[r] = hn::LoadU(d16, from + r * from_stride);
  V32 pairs[8];  // [2i], [2i+1]: the low and the high four columns of rows 2i and 2i+1
  for (int i = 0; i < 4; ++i) {
    pairs[2 * i] = hn::BitCast(d32, hn::InterleaveLower(d16, rows[2 * i], rows[2 * i + 1]));
    pairs[2 * i + 1] = hn::BitCast(d32, hn::InterleaveUpper(d16, rows[2 * i], rows[2 * i + 1]));
  }
  for (int half = 0; half < 2; ++half) {  // columns 0 … 3, then 4 … 7
    for (int two = 0; two < 2; ++two) {   // of them the first two, then the others
      const V32 a = pairs[half], b = pairs[half + 2], c = pairs[half + 4], d = pairs[half + 6];
      const auto top = hn::BitCast(d64, two == 0 ? hn::InterleaveLower(d32, a, b) : hn::InterleaveUpper(d32, a, b));
      const auto bottom = hn::BitCast(d64, two == 0 ? hn::InterleaveLower(d32, c, d) : hn::InterleaveUpper(d32, c, d));
      uint16_t* const column = to + (4 * half + 2 * two) * to_stride;
      hn::StoreU(hn::BitCast(d16, hn::InterleaveLower(d64, top, bottom)), d16, column);
      hn::StoreU(hn::BitCast(d16, hn::InterleaveUpper(d64, top, bottom)), d16, column + to_stride);
    }
  }
}

// 16 pixels of a row, each channel's by themselves, `plane` bytes apart.
HWY_INLINE void SplitChannels(const uint8_t* HWY_RESTRICT pixels, int64_t channels, int64_t plane,
                              uint8_t* HWY_RESTRICT planes) {
  const hn::FixedTag<uint8_t, 16> d;
  if (channels == 3) {
    hn::Vec<decltype(d)> red, green, blue;
    hn::LoadInterleaved3(d, pixels, red, green, blue);
    hn::StoreU(red, d, planes);
    hn::StoreU(green, d, planes + plane);
    hn::StoreU(blue, d, planes + 2 * plane);
  } else if (channels == 1) {
    hn::StoreU(hn::LoadU(d, pixels), d, planes);
  } else {
    SplitAnyChannels(pixels, channels, plane, planes);
  }
}

#endif  // HWY_SCALAR

// turned[pair][channel][row] = the pair's two bytes, for the tile's columns of 16 rows from `first_row` on. Rows below
// the image repeat the last one, columns beyond it are 0: their weights are 0, so any number does.
HWY_INLINE void TurnBand(const ResizeTile& tile, int64_t first_row, const ResizeMemory& memory) {
  const ByteImageView& input = tile.input;
  const int64_t channels = input.channels;
  constexpr int64_t kPlane = kBandRows * kBlockPixels;
  const int64_t column_end = std::min(input.width, 2 * tile.column_pairs.end);
  for (int64_t pair = tile.column_pairs.begin; pair < tile.column_pairs.end; pair += kBlockPixels / 2) {
    const int64_t pixels = std::min(kBlockPixels, column_end - 2 * pair);
    for (int64_t r = 0; r < kBandRows; ++r) {
      const uint8_t* source = input.data + std::min(first_row + r, input.height - 1) * input.row_stride;
      source += 2 * pair * channels;
      if (pixels < kBlockPixels) {
        std::memset(memory.block, 0, static_cast<size_t>(kBlockPixels * channels));
        std::memcpy(memory.block, source, static_cast<size_t>(pixels * channels));
        source = memory.block;
      }
      SplitChannels(source, channels, kPlane, memory.planes + r * kBlockPixels);
    }
    uint8_t* const turned = memory.turned + (pair - tile.column_pairs.begin) * channels * 2 * kBandRows;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t r = 0; r < kBandRows; r += 8) {
        Transpose8x8(reinterpret_cast<const uint16_t*>(memory.planes + c * kPlane + r * kBlockPixels), kBlockPixels / 2,
                     reinterpret_cast<uint16_t*>(turned + c * 2 * kBandRows + 2 * r), channels * kBandRows);
      }
    }
  }
}

// The first pass over 16 rows: the tile's columns of the result, in pairs of rows, `row_pairs` of them from 0 on.
HWY_INLINE void ResizeBand(const ResizeTile& tile, int64_t first_row, const ResizeMemory& memory, uint8_t* row_pairs) {
  const int64_t channels = tile.input.channels;
  const int64_t pair_bytes = channels * 2 * kBandRows;
  TurnBand(tile, first_row, memory);
  for (int64_t x = 0; x < tile.columns.size(); ++x) {
    const Range pairs = tile.x_taps->Pairs(tile.columns.begin + x);
    WeighAllPairs(memory.turned + (pairs.begin - tile.column_pairs.begin) * pair_bytes, pair_bytes, pairs.size(),
                  tile.x_taps->Weights(tile.columns.begin + x), channels * kBandRows,
                  memory.columns + x * channels * kBandRows);
  }
  const int64_t row_bytes = tile.columns.size() * channels;
  for (int64_t k = 0; k < row_bytes; k += 8) {
    Transpose8x8(reinterpret_cast<const uint16_t*>(memory.columns + k * kBandRows), kBandRows / 2,
                 reinterpret_cast<uint16_t*>(row_pairs + 2 * k), tile.row_pair_bytes / 2);
  }
}

// A tile: the first pass over all rows that it needs, the second over what that gave.
HWY_INLINE void ResizeTileRows(const ResizeTile& tile, const ResizeMemory& memory) {
  const int64_t num_pairs = tile.row_pairs.size();
  for (int64_t pair = 0; pair < num_pairs; pair += kBandRows / 2) {
    ResizeBand(tile, 2 * (tile.row_pairs.begin + pair), memory, memory.row_pairs + pair * tile.row_pair_bytes);
  }
  const int64_t row_bytes = tile.columns.size() * tile.input.channels;
  const int64_t whole = row_bytes - row_bytes % kBandRows;
  for (int64_t y = tile.rows.begin; y < tile.rows.end; ++y) {
    const Range pairs = tile.y_taps->Pairs(y);
    const uint8_t* const source = memory.row_pairs + (pairs.begin - tile.row_pairs.begin) * tile.row_pair_bytes;
    const PairWeights* const weights = tile.y_taps->Weights(y);
    uint8_t* const output = tile.output + y * tile.output_stride + tile.columns.begin * tile.input.channels;
    WeighAllPairs(source, tile.row_pair_bytes, pairs.size(), weights, whole, output);
    if (whole == row_bytes) continue;
    uint8_t tail[kBandRows];
    WeighAllPairs(source + 2 * whole, tile.row_pair_bytes, pairs.size(), weights, kBandRows, tail);
    std::memcpy(output + whole, tail, static_cast<size_t>(row_bytes - whole));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_RESIZE_RESIZE_INL_H_
