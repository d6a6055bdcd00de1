#ifndef HWYNN_CORE_MATH_H_
#define HWYNN_CORE_MATH_H_

// Elementary functions with the same bits everywhere. The C library's may differ in the last bit between its versions,
// operating systems and, since it picks their code by CPU, machines; what ends up in weights, losses or data uses
// these. (Its sqrt, fma, floor, fmod and ldexp are exact or correctly rounded: they are the same everywhere.)
//
// Accuracy: within 1.5 units in the last place unless said otherwise. NaN gives NaN.

#include <cstdint>
#include <span>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// eˣ; infinity where that overflows.
double Exp(double x);
/// The same for each of `values`, in place; some times as fast.
void Exp(std::span<double> values);

/// The natural logarithm; −infinity for 0, NaN below.
double Log(double x);

/// Sine and cosine of x radians; NaN for infinities. Beyond |x| = 2²⁰ they have the period of double's 2π, so that the
/// error grows as 4·10⁻¹⁷·|x|.
double Sin(double x);
double Cos(double x);

/// xⁿ for 0 ≤ x ≤ 1 and n ≥ 0; 1 for n = 0. Accuracy: correctly rounded but for ties within n·2⁻¹⁰⁰, where the result
/// isn't below 2⁻⁹⁰⁰.
double Pow(double x, int64_t n);

}  // namespace hwynn

#endif  // HWYNN_CORE_MATH_H_
