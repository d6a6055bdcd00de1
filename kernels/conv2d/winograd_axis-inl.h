// The transforms of Winograd's F(m×m,3×3) along one axis: y = Aᵀ[(G·w) ⊙ (Bᵀ·d)], Toom-Cook at m + 2 points; Lavin &
// Gray, "Fast algorithms for convolutional neural networks" (2015).

#if defined(HWYNN_KERNELS_CONV2D_WINOGRAD_AXIS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_CONV2D_WINOGRAD_AXIS_INL_H_
#undef HWYNN_KERNELS_CONV2D_WINOGRAD_AXIS_INL_H_
#else
#define HWYNN_KERNELS_CONV2D_WINOGRAD_AXIS_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Each transform below maps kFrom vectors to kTo along one axis of a tile. The points are 0, 1, ∞, −1, ½, −2 in this
// order; a tile with 2 or 3 outputs along the axis takes the first 4 or 5. Their products stay small: with all six, rms
// errors are 2.3 to 5.6 times a direct convolution's, two thirds of those with the usual 0, ±1, ±2, ∞
// (docs/numerics.md).
//
// Row i of Bᵀ holds the coefficients of Π_{j≠i}(x − point_j), row ∞ those of the product over all; row i of G the
// powers of the point over N_i = Π_{j≠i}(point_i − point_j). All tiles of a variant share G, whose N_i span all its
// points; so a tile that leaves points out has (point_i − point_left_out) as factors in Bᵀ. Aᵀ: powers of the points.

template <int kOutputs>
struct WinogradAxisOutput;  // Aᵀ

template <int kOutputs>
struct WinogradAxisGradient;  // A

template <>
struct WinogradAxisOutput<2> {
  static constexpr int kFrom = 4, kTo = 2;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D, const V* HWY_RESTRICT m, V* HWY_RESTRICT y) const {
    y[0] = hn::Add(hn::Add(m[1], m[3]), m[0]);
    y[1] = hn::Add(hn::Sub(m[1], m[3]), m[2]);
  }
};

template <>
struct WinogradAxisOutput<3> {
  static constexpr int kFrom = 5, kTo = 3;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT m, V* HWY_RESTRICT y) const {
    const V sum = hn::Add(m[1], m[3]);
    y[0] = hn::Add(hn::Add(m[0], m[4]), sum);
    y[1] = hn::MulAdd(hn::Set(d, 0.5f), m[4], hn::Sub(m[1], m[3]));
    y[2] = hn::MulAdd(hn::Set(d, 0.25f), m[4], hn::Add(sum, m[2]));
  }
};

template <>
struct WinogradAxisOutput<4> {
  static constexpr int kFrom = 6, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT m, V* HWY_RESTRICT y) const {
    const V sum = hn::Add(m[1], m[3]);
    const V difference = hn::Sub(m[1], m[3]);
    y[0] = hn::Add(hn::Add(m[0], sum), hn::Add(m[4], m[5]));
    y[1] = hn::NegMulAdd(hn::Set(d, 2.0f), m[5], hn::MulAdd(hn::Set(d, 0.5f), m[4], difference));
    y[2] = hn::MulAdd(hn::Set(d, 4.0f), m[5], hn::MulAdd(hn::Set(d, 0.25f), m[4], sum));
    y[3] = hn::NegMulAdd(hn::Set(d, 8.0f), m[5], hn::MulAdd(hn::Set(d, 0.125f), m[4], hn::Add(difference, m[2])));
  }
};

template <>
struct WinogradAxisGradient<2> {
  static constexpr int kFrom = 2, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    y[0] = x[0];
    y[1] = hn::Add(x[0], x[1]);
    y[2] = x[1];
    y[3] = hn::Sub(x[0], x[1]);
  }
};

template <>
struct WinogradAxisGradient<3> {
  static constexpr int kFrom = 3, kTo = 5;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V even = hn::Add(x[0], x[2]);
    y[0] = x[0];
    y[1] = hn::Add(even, x[1]);
    y[2] = x[2];
    y[3] = hn::Sub(even, x[1]);
    y[4] = hn::MulAdd(hn::Set(d, 0.25f), x[2], hn::MulAdd(hn::Set(d, 0.5f), x[1], x[0]));
  }
};

template <>
struct WinogradAxisGradient<4> {
  static constexpr int kFrom = 4, kTo = 6;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V even = hn::Add(x[0], x[2]);
    const V odd = hn::Add(x[1], x[3]);
    y[0] = x[0];
    y[1] = hn::Add(even, odd);
    y[2] = x[3];
    y[3] = hn::Sub(even, odd);
    y[4] = hn::MulAdd(hn::Set(d, 0.125f), x[3],
                      hn::MulAdd(hn::Set(d, 0.25f), x[2], hn::MulAdd(hn::Set(d, 0.5f), x[1], x[0])));
    y[5] = hn::NegMulAdd(hn::Set(d, 8.0f), x[3],
                         hn::MulAdd(hn::Set(d, 4.0f), x[2], hn::NegMulAdd(hn::Set(d, 2.0f), x[1], x[0])));
  }
};

// All six points. N = 1, 3, 1, −3, −15/16, 15.
struct WinogradF4 {
  static constexpr int kOutputs = 4;

  template <int kTileOutputs>
  struct Input;  // Bᵀ

  struct Filter {  // G
    static constexpr int kFrom = 3, kTo = 6;
    template <class D, class V = hn::Vec<D>>
    HWY_INLINE void operator()(D d, const V* HWY_RESTRICT w, V* HWY_RESTRICT u) const {
      const V even = hn::Add(w[0], w[2]);
      u[0] = w[0];
      u[1] = hn::Mul(hn::Set(d, kThird), hn::Add(even, w[1]));
      u[2] = w[2];
      u[3] = hn::Mul(hn::Set(d, -kThird), hn::Sub(even, w[1]));
      u[4] = hn::Mul(hn::Set(d, kHalf), hn::MulAdd(hn::Set(d, 0.25f), w[2], hn::MulAdd(hn::Set(d, 0.5f), w[1], w[0])));
      u[5] = hn::Mul(hn::Set(d, kMinusTwo),
                     hn::MulAdd(hn::Set(d, 4.0f), w[2], hn::NegMulAdd(hn::Set(d, 2.0f), w[1], w[0])));
    }
  };

  struct FilterGradient {  // Gᵀ
    static constexpr int kFrom = 6, kTo = 3;
    template <class D, class V = hn::Vec<D>>
    HWY_INLINE void operator()(D d, const V* HWY_RESTRICT u, V* HWY_RESTRICT w) const {
      const V one = hn::Mul(hn::Set(d, kThird), u[1]);
      const V minus_one = hn::Mul(hn::Set(d, -kThird), u[3]);
      const V half = hn::Mul(hn::Set(d, kHalf), u[4]);
      const V minus_two = hn::Mul(hn::Set(d, kMinusTwo), u[5]);
      const V sum = hn::Add(one, minus_one);
      w[0] = hn::Add(hn::Add(u[0], sum), hn::Add(half, minus_two));
      w[1] = hn::NegMulAdd(hn::Set(d, 2.0f), minus_two, hn::MulAdd(hn::Set(d, 0.5f), half, hn::Sub(one, minus_one)));
      w[2] = hn::Add(hn::MulAdd(hn::Set(d, 4.0f), minus_two, hn::MulAdd(hn::Set(d, 0.25f), half, sum)), u[2]);
    }
  };

 private:
  // 1/N of the points.
  static constexpr float kThird = 1.0f / 3.0f;
  static constexpr float kHalf = -16.0f / 15.0f;
  static constexpr float kMinusTwo = 1.0f / 15.0f;
};

template <>
struct WinogradF4::Input<2> {
  static constexpr int kFrom = 4, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V factor = hn::Set(d, 1.5f);
    y[0] = hn::Sub(x[0], x[2]);
    y[1] = hn::Mul(factor, hn::Add(x[1], x[2]));
    y[2] = hn::Sub(x[3], x[1]);
    y[3] = hn::Mul(factor, hn::Sub(x[1], x[2]));
  }
};

template <>
struct WinogradF4::Input<3> {
  static constexpr int kFrom = 5, kTo = 5;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V p = hn::Sub(x[3], x[1]);
    const V q = hn::Sub(x[2], x[1]);
    y[0] = hn::MulAdd(hn::Set(d, 2.0f), p, hn::Sub(x[0], x[2]));
    y[1] = hn::MulAdd(hn::Set(d, 3.0f), x[3], hn::Mul(hn::Set(d, 1.5f), q));
    y[2] = hn::NegMulAdd(hn::Set(d, 0.5f), p, hn::Sub(x[4], x[2]));
    y[3] = hn::NegMulAdd(hn::Set(d, 1.5f), x[2], hn::MulAdd(hn::Set(d, 0.5f), x[1], x[3]));
    y[4] = hn::Mul(hn::Set(d, 2.5f), p);
  }
};

template <>
struct WinogradF4::Input<4> {
  static constexpr int kFrom = 6, kTo = 6;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    // Π over the points but 0 and ∞ is (x² − 1)·r with r = x² + 3/2·x − 1: `r` at each shift, then what is left of it.
    const V factor = hn::Set(d, 1.5f);
    const V p = hn::Sub(x[3], x[1]);
    const V q = hn::Sub(x[4], x[2]);
    const V r0 = hn::MulAdd(factor, x[1], hn::Sub(x[2], x[0]));
    const V r1 = hn::MulAdd(factor, x[2], p);
    const V r2 = hn::MulAdd(factor, x[3], q);
    const V r3 = hn::MulAdd(factor, x[4], hn::Sub(x[5], x[3]));
    y[0] = hn::Sub(r2, r0);
    y[1] = hn::Add(r2, r1);
    y[2] = hn::Sub(r3, r1);
    y[3] = hn::Sub(r2, r1);
    y[4] = hn::MulAdd(hn::Set(d, 2.0f), p, q);
    y[5] = hn::NegMulAdd(hn::Set(d, 0.5f), p, q);
  }
};

// The first four points. N = −1, 2, 1, 2; the sign of the first is in Bᵀ. Rounds about as a direct sum.
struct WinogradF2 {
  static constexpr int kOutputs = 2;

  template <int kTileOutputs>
  struct Input;

  struct Filter {
    static constexpr int kFrom = 3, kTo = 4;
    template <class D, class V = hn::Vec<D>>
    HWY_INLINE void operator()(D d, const V* HWY_RESTRICT w, V* HWY_RESTRICT u) const {
      const V half = hn::Set(d, 0.5f);
      const V even = hn::Add(w[0], w[2]);
      u[0] = w[0];
      u[1] = hn::Mul(half, hn::Add(even, w[1]));
      u[2] = w[2];
      u[3] = hn::Mul(half, hn::Sub(even, w[1]));
    }
  };

  struct FilterGradient {
    static constexpr int kFrom = 4, kTo = 3;
    template <class D, class V = hn::Vec<D>>
    HWY_INLINE void operator()(D d, const V* HWY_RESTRICT u, V* HWY_RESTRICT w) const {
      const V half = hn::Set(d, 0.5f);
      const V sum = hn::Mul(half, hn::Add(u[1], u[3]));
      w[0] = hn::Add(u[0], sum);
      w[1] = hn::Mul(half, hn::Sub(u[1], u[3]));
      w[2] = hn::Add(sum, u[2]);
    }
  };
};

template <>
struct WinogradF2::Input<2> {
  static constexpr int kFrom = 4, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    y[0] = hn::Sub(x[0], x[2]);
    y[1] = hn::Add(x[1], x[2]);
    y[2] = hn::Sub(x[3], x[1]);
    y[3] = hn::Sub(x[2], x[1]);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_CONV2D_WINOGRAD_AXIS_INL_H_
