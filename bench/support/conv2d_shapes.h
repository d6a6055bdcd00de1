#ifndef HWYNN_BENCH_SUPPORT_CONV2D_SHAPES_H_
#define HWYNN_BENCH_SUPPORT_CONV2D_SHAPES_H_

// The convolutions of the networks people run: distinct shapes only, SAME padding (the 7×7 stem: 3 pixels).

#include <string>
#include <vector>

#include "hwynn/kernels/conv2d.h"

namespace hwynn::bench {

struct ConvShape {
  int64_t size, ic, kernel, oc, stride;
  int64_t groups = 1;
  int64_t batch = 16;

  friend bool operator==(const ConvShape&, const ConvShape&) = default;
};

/// "56x56x64_3x3x64_s1", with "_g64" behind it for 64 groups.
std::string ConvName(const ConvShape& shape);
/// The inverse, for --shape. Square images and filters only; throws std::invalid_argument.
ConvShape ParseConvName(const std::string& name);

Conv2dParams ParamsOf(const ConvShape& shape);
Conv2dGeometry GeometryOf(const ConvShape& shape, int64_t batch);

/// Those of the library's models, ResNet-50 (23 shapes) and ResNet-18 on 224×224×3 and the CIFAR family on 28×28×1 and
/// 32×32×3, and MobileNet's depthwise layers. Deeper models of a family have no others.
const std::vector<ConvShape>& ConvShapes();

}  // namespace hwynn::bench

#endif  // HWYNN_BENCH_SUPPORT_CONV2D_SHAPES_H_
