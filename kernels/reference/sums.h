#ifndef HWYNN_KERNELS_REFERENCE_SUMS_H_
#define HWYNN_KERNELS_REFERENCE_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hwynn::reference {

/// A result in double, and for each element the Σ|terms| that went into it: rounding errors of a float version are
/// bounded by a multiple of it.
struct Sums {
  explicit Sums(int64_t size) : values(static_cast<size_t>(size)), magnitudes(static_cast<size_t>(size)) {}
  void Add(int64_t i, double term) {
    values[static_cast<size_t>(i)] += term;
    magnitudes[static_cast<size_t>(i)] += term < 0 ? -term : term;
  }
  std::vector<double> values;
  std::vector<double> magnitudes;
};

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_SUMS_H_
