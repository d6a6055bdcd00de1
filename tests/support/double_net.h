#ifndef HWYNN_TESTS_SUPPORT_DOUBLE_NET_H_
#define HWYNN_TESTS_SUPPORT_DOUBLE_NET_H_

// Networks by their definition, in double: the outputs of a model and, by differences with steps so short that no ReLU
// changes sides, its gradients.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "hwynn/module/module.h"

namespace hwynn::testing {

struct DoubleArray {
  DoubleArray() = default;
  explicit DoubleArray(const Shape& s) : shape(s), values(static_cast<size_t>(s.num_elements())) {}
  explicit DoubleArray(ConstTensorView view) : shape(view.shape()), values(view.span().begin(), view.span().end()) {}

  Shape shape{0};
  std::vector<double> values;
};

/// Layers over the arrays of a float model, by path, in Flax's default options: SAME padding, epsilon 1e-5.
class DoubleNet {
 public:
  DoubleNet(const Variables& variables, Mode mode);

  /// In as many groups as the kernel's shape says.
  DoubleArray Conv(const std::string& path, const DoubleArray& input, int64_t stride = 1) const;
  /// In training from the batch's own statistics.
  DoubleArray BatchNorm(const std::string& path, const DoubleArray& input) const;
  DoubleArray Dense(const std::string& path, const DoubleArray& input) const;
  /// The residual blocks of layers/residual.h. `path` is empty or ends in "/". `pools`: average_projection.
  DoubleArray ResNetBlock(const std::string& path, const DoubleArray& input, int64_t stride = 1,
                          bool pools = false) const;
  DoubleArray BottleneckResNetBlock(const std::string& path, const DoubleArray& input, int64_t stride = 1,
                                    bool pools = false) const;
  /// The block of layers/inverted_residual.h, with an expansion or without.
  DoubleArray InvertedResidual(const std::string& path, const DoubleArray& input, int64_t stride = 1) const;

  static DoubleArray Relu(DoubleArray input);
  static DoubleArray Relu6(DoubleArray input);
  /// The mean over size × size pixels at that stride, of those inside the image.
  static DoubleArray AveragePool(const DoubleArray& input, int64_t size);
  static DoubleArray Add(DoubleArray a, const DoubleArray& b);
  static DoubleArray GlobalAverage(const DoubleArray& input);
  static DoubleArray Reshaped(DoubleArray input, const Shape& shape);

  DoubleArray& param(const std::string& path) { return params_.at(path); }

 private:
  DoubleArray AddShortcut(const std::string& path, const DoubleArray& main, const DoubleArray& input, int64_t stride,
                          bool pools) const;

  Mode mode_;
  std::map<std::string, DoubleArray> params_;
  std::map<std::string, DoubleArray> statistics_;
};

using DoubleForward = std::function<DoubleArray(const DoubleNet& net, const DoubleArray& input)>;

/// Compares a module's outputs, and its gradients along random directions in the input and in each param, with those of
/// its definition. What may differ is float's rounding: some tens of its unit, relative to a gradient's norm.
void CheckAgainstDouble(const Module& module, const Shape& input_shape, Mode mode, const DoubleForward& forward);

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_DOUBLE_NET_H_
