#ifndef HWYNN_TESTS_KERNELS_POOL_CASE_H_
#define HWYNN_TESTS_KERNELS_POOL_CASE_H_

// What the tests of pools share: windows, numbers of channels, and comparisons with the reference.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "hwynn/kernels/pool.h"
#include "hwynn/kernels/reference/pool.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn::testing {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr double kUnit = 0x1p-24;  // one rounding to float

struct PoolCase {
  PoolParams params;
  int64_t n, h, w;
};

inline const PoolCase kPoolCases[] = {
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()}, 2, 8, 6},
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()}, 1, 7, 5},
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Symmetric(1)}, 2, 6, 7},
    {{.window = {2, 2}, .stride = {2, 2}}, 3, 5, 4},
    {{.window = {2, 3}, .stride = {1, 1}, .padding = Padding::Same()}, 1, 4, 5},
    {{.window = {3, 2}, .stride = {1, 3}, .padding = Padding::Explicit(2, 0, 1, 3)}, 2, 4, 3},
    {{.window = {1, 1}, .stride = {3, 2}}, 2, 7, 5},  // pixels that no window holds
    {{.window = {5, 5}, .stride = {1, 2}, .padding = Padding::Same()}, 1, 3, 2},
    {{.window = {4, 4}}, 1, 4, 4},
    {{.window = {1, 1}}, 1, 1, 1},
    // Dilation: coprime to the stride, a multiple of it, divisors of it, windows that reach over the whole image.
    {{.window = {3, 2}, .dilation = {2, 3}}, 2, 9, 8},
    {{.window = {3, 3}, .stride = {2, 2}, .dilation = {2, 3}, .padding = Padding::Same()}, 1, 9, 8},
    {{.window = {2, 3}, .stride = {4, 3}, .dilation = {2, 1}, .padding = Padding::Symmetric(3)}, 2, 11, 7},
    {{.window = {3, 2}, .stride = {3, 2}, .dilation = {6, 5}, .padding = Padding::Explicit(7, 6, 2, 4)}, 1, 5, 6},
    // Crops, on some sides and on all, beside padding, with pixels that no window sees.
    {{.window = {2, 2}, .padding = Padding::Symmetric(-1)}, 2, 5, 6},
    {{.window = {3, 2}, .stride = {2, 1}, .padding = Padding::Explicit(-2, 1, 1, -3)}, 1, 8, 7},
    {{.window = {2, 3}, .stride = {1, 2}, .dilation = {3, 2}, .padding = Padding::Explicit(-1, 2, 4, -2)}, 2, 7, 8},
    {{.window = {2, 2}, .stride = {2, 2}, .padding = Padding::Explicit(-6, 4, -3, 5)}, 1, 5, 4},  // nothing left
    // A last window that starts inside and ends outside, one that would start outside, one larger than the image.
    {{.window = {2, 2}, .stride = {2, 2}, .ceil_mode = true}, 2, 5, 4},
    {{.window = {3, 3}, .stride = {2, 3}, .padding = Padding::Symmetric(1), .ceil_mode = true}, 1, 6, 7},
    {{.window = {1, 2}, .stride = {3, 4}, .padding = Padding::Explicit(0, 2, 1, 2), .ceil_mode = true}, 1, 4, 5},
    {{.window = {3, 4}, .stride = {2, 3}, .ceil_mode = true}, 1, 2, 3},
    {{.window = {3, 2},
      .stride = {2, 3},
      .dilation = {2, 2},
      .padding = Padding::Explicit(1, -1, -1, 2),
      .ceil_mode = true},
     2,
     9,
     8},
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same(), .ceil_mode = true}, 1, 7, 6},
    // Averages over the pixels inside.
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same(), .count_include_pad = false}, 2, 8, 6},
    {{.window = {3, 3}, .padding = Padding::Symmetric(1), .count_include_pad = false}, 1, 5, 7},
    {{.window = {2, 2}, .stride = {2, 2}, .padding = Padding::Symmetric(2), .count_include_pad = false},
     1,
     4,
     3},  // some have none
    {{.window = {3, 2},
      .stride = {2, 3},
      .padding = Padding::Symmetric(1),
      .ceil_mode = true,
      .count_include_pad = false},
     1,
     6,
     7},
    {{.window = {2, 3},
      .stride = {3, 2},
      .dilation = {3, 2},
      .padding = Padding::Explicit(2, -1, -1, 3),
      .count_include_pad = false},
     2,
     8,
     7},
};

// Around each multiple of 4, 8 and 16 lanes up to four vectors of 16 and one more.
inline const int64_t kPoolChannels[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 84};

inline Tensor NewOutput(const PoolParams& params, const Shape& input) {
  return Tensor(PoolOutputShape("test", params, input), kNaN);
}

inline void ExpectExact(const Tensor& got, const reference::Sums& want) {
  ASSERT_EQ(got.span().size(), want.values.size());
  for (size_t i = 0; i < want.values.size(); ++i) ASSERT_EQ(got.span()[i], static_cast<float>(want.values[i])) << i;
}

// Every element's error is at most `roundings` units of its Σ|terms|; returns the largest share of that bound.
inline double ExpectBounded(const Tensor& got, const reference::Sums& want, int64_t roundings) {
  double worst = 0.0;
  for (size_t i = 0; i < want.values.size(); ++i) {
    const double bound = static_cast<double>(roundings) * kUnit * want.magnitudes[i];
    const double error = std::abs(static_cast<double>(got.span()[i]) - want.values[i]);
    EXPECT_LE(error, bound) << i;
    if (bound > 0.0) worst = std::max(worst, error / bound);
  }
  return worst;
}

template <class Body>
void ForEachPoolCase(const Body& body) {
  ForEachTarget([&](const std::string&) {
    for (const PoolCase& test : kPoolCases) {
      for (const int64_t c : kPoolChannels) {
        SCOPED_TRACE(::testing::Message() << "case " << &test - kPoolCases << " channels " << c);
        body(test.params, Shape({test.n, test.h, test.w, c}));
      }
    }
  });
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_KERNELS_POOL_CASE_H_
