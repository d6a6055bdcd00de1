#ifndef HWYNN_CORE_SPLIT_H_
#define HWYNN_CORE_SPLIT_H_

// How a number of things is cut into pieces. Kernels cut by the problem's shape alone, so that results don't depend on
// threads.

#include <algorithm>
#include <cstdint>

#include "hwynn/core/check.h"
#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// ⌈a/b⌉ for a ≥ 0, b > 0.
constexpr int64_t CeilDiv(int64_t a, int64_t b) {
  HWYNN_DCHECK(a >= 0 && b > 0);
  return (a + b - 1) / b;
}

/// The smallest multiple of `unit` that is at least `value`.
constexpr int64_t RoundUp(int64_t value, int64_t unit) { return CeilDiv(value, unit) * unit; }

/// Half-open.
struct Range {
  int64_t begin, end;
  constexpr int64_t size() const { return end - begin; }
};

/// Cuts `total` ≥ 1 into ⌈total/most⌉ pieces of at most `most` ≥ 1, whose sizes differ by one at most: piece `i` is
/// [Begin(i), End(i)).
struct EvenSplit {
  constexpr EvenSplit(int64_t total_, int64_t most) : total(total_), count(Count(total_, most)) {}
  constexpr int64_t Begin(int64_t i) const { return total * i / count; }
  constexpr int64_t End(int64_t i) const { return total * (i + 1) / count; }
  constexpr int64_t Size(int64_t i) const { return End(i) - Begin(i); }
  constexpr int64_t Largest() const { return CeilDiv(total, count); }

  static constexpr int64_t Count(int64_t total, int64_t most) {
    HWYNN_DCHECK(total > 0 && most > 0);
    return CeilDiv(total, most);
  }

  int64_t total;
  int64_t count;
};

/// The same with the larger pieces first, so that pieces of one size are neighbours.
struct TileSplit {
  constexpr TileSplit(int64_t total, int64_t most)
      : count(EvenSplit::Count(total, most)), low(total / count), num_tall(total % count) {}
  constexpr int64_t Begin(int64_t i) const { return i * low + std::min(i, num_tall); }
  constexpr int64_t Size(int64_t i) const { return low + (i < num_tall ? 1 : 0); }
  /// Pieces from `i` on that have the same size.
  constexpr int64_t Alike(int64_t i) const { return (i < num_tall ? num_tall : count) - i; }

  int64_t count;
  int64_t low;       // the size of the smaller ones
  int64_t num_tall;  // pieces that are one larger
};

}  // namespace hwynn

#endif  // HWYNN_CORE_SPLIT_H_
