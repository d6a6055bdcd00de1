#ifndef HWYNN_KERNELS_SIMD_PREFETCH_H_
#define HWYNN_KERNELS_SIMD_PREFETCH_H_

// Not for users: memory that a later block reads, fetched into the second-level cache a few lines at a time, between
// the multiplications of this one. The hardware's own prefetchers follow lines, not blocks.

#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "hwynn/core/split.h"

namespace hwynn {

/// `rows`, at least one, of so many bytes, `pitch_bytes` apart.
struct PrefetchPiece {
  const char* data = nullptr;
  int64_t bytes = 0;
  int64_t rows = 1;
  int64_t pitch_bytes = 0;

  static constexpr int64_t kLineBytes = 64;
  int64_t row_lines() const { return CeilDiv(bytes, kLineBytes); }
};

using PrefetchPieces = std::pmr::vector<PrefetchPiece>;

/// So many elements of an array, or rows of them `pitch` elements apart.
template <class T>
PrefetchPiece Piece(const T* data, int64_t elements, int64_t rows = 1, int64_t pitch = 0) {
  constexpr int64_t kBytes = sizeof(T);
  return {reinterpret_cast<const char*>(data), elements * kBytes, rows, pitch * kBytes};
}

/// Appends a piece, to the last one if it goes on where that ends.
inline void AppendRows(const PrefetchPiece& piece, PrefetchPieces& pieces) {
  if (piece.bytes == 0 || piece.rows == 0) return;
  if (!pieces.empty()) {
    PrefetchPiece& last = pieces.back();
    if (last.rows == 1 && piece.rows == 1 && last.data + last.bytes == piece.data) {
      last.bytes += piece.bytes;
      return;
    }
    if (last.bytes == piece.bytes && last.pitch_bytes == piece.pitch_bytes && piece.pitch_bytes != 0 &&
        last.data + last.rows * last.pitch_bytes == piece.data) {
      last.rows += piece.rows;
      return;
    }
  }
  pieces.push_back(piece);
}

/// Appends the i-th of n even shares of a piece of one row.
inline void AppendShare(const PrefetchPiece& piece, int64_t i, int64_t n, PrefetchPieces& pieces) {
  const int64_t begin = piece.bytes * i / n;
  const int64_t end = piece.bytes * (i + 1) / n;
  if (begin < end) pieces.push_back({piece.data + begin, end - begin});
}

/// Spreads lines evenly over steps: k, pixels or tiles of a micro-kernel.
class PrefetchRate {
 public:
  PrefetchRate() = default;
  PrefetchRate(int64_t lines, int64_t steps) : rate_((lines << kBits) / std::max<int64_t>(steps, 1) + 1) {}
  /// Lines due before the next `steps` steps.
  int64_t Due(int64_t steps) {
    due_ += steps * rate_;
    const int64_t lines = due_ >> kBits;
    due_ -= lines << kBits;
    return lines;
  }

 private:
  static constexpr int kBits = 16;
  int64_t rate_ = 0;  // lines a step, and what is due of them, both times 2^kBits
  int64_t due_ = 0;
};

/// Lines that follow each other.
class PrefetchRow {
 public:
  PrefetchRow() = default;
  PrefetchRow(const char* data, int64_t lines) : next_(data), lines_(lines) {}
  int64_t lines() const { return lines_; }
  /// At most `lines` of what is left; returns how many.
  int64_t Fetch(int64_t lines) {
    lines = std::min(lines, lines_);
    for (int64_t i = 0; i < lines; ++i) __builtin_prefetch(next_ + i * PrefetchPiece::kLineBytes, 0, 2);
    next_ += lines * PrefetchPiece::kLineBytes;
    lines_ -= lines;
    return lines;
  }

 private:
  const char* next_ = nullptr;
  int64_t lines_ = 0;
};

/// Fetches pieces, which must outlive it, over so many steps.
class PrefetchStream {
 public:
  PrefetchStream() = default;
  PrefetchStream(std::span<const PrefetchPiece> pieces, int64_t steps)
      : piece_(pieces.data()), end_(pieces.data() + pieces.size()) {
    int64_t lines = 0;
    for (const PrefetchPiece& piece : pieces) lines += piece.rows * piece.row_lines();
    // An eighth early: rows that lie outside the image take no steps.
    rate_ = {lines, steps - steps / 8};
    if (active()) BeginRow();
  }

  bool active() const { return piece_ != end_; }

  /// What is due before the next `steps` steps.
  void Fetch(int64_t steps) {
    for (int64_t lines = rate_.Due(steps); lines > 0 && active();) {
      lines -= line_.Fetch(lines);
      if (line_.lines() == 0) EndRow();
    }
  }

 private:
  void BeginRow() { line_ = {piece_->data + row_ * piece_->pitch_bytes, piece_->row_lines()}; }
  void EndRow() {
    if (++row_ == piece_->rows) ++piece_, row_ = 0;
    if (active()) BeginRow();
  }

  const PrefetchPiece* piece_ = nullptr;
  const PrefetchPiece* end_ = nullptr;
  int64_t row_ = 0;
  PrefetchRow line_;
  PrefetchRate rate_;
};

/// The same for one piece of one row: for products so short that a stream's bookkeeping shows.
class PrefetchRun {
 public:
  PrefetchRun() = default;
  PrefetchRun(const PrefetchPiece& piece, int64_t steps)
      : row_(piece.data, piece.row_lines()), rate_(row_.lines(), steps) {}
  void Fetch(int64_t steps) { row_.Fetch(rate_.Due(steps)); }

 private:
  PrefetchRow row_;
  PrefetchRate rate_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_PREFETCH_H_
