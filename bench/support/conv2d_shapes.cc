#include "hwynn/bench/support/conv2d_shapes.h"

#include <cstdio>

#include "hwynn/core/check.h"

namespace hwynn::bench {

std::string ConvName(const ConvShape& s) {
  return StrCat(s.size, "x", s.size, "x", s.ic, "_", s.kernel, "x", s.kernel, "x", s.oc, "_s", s.stride,
                s.groups > 1 ? StrCat("_g", s.groups) : "");
}

ConvShape ParseConvName(const std::string& name) {
  long size, width, ic, kernel, kernel_width, oc, stride;
  long groups = 1;
  int used = 0;
  const int fields = std::sscanf(name.c_str(), "%ldx%ldx%ld_%ldx%ldx%ld_s%ld%n_g%ld%n", &size, &width, &ic, &kernel,
                                 &kernel_width, &oc, &stride, &used, &groups, &used);
  Check(fields >= 7 && static_cast<size_t>(used) == name.size(), "--shape: \"", name,
        "\" isn't of the form 56x56x64_3x3x64_s1 or 56x56x64_3x3x64_s1_g64");
  Check(size == width && kernel == kernel_width, "--shape: \"", name, "\": images and filters must be square");
  return {size, ic, kernel, oc, stride, groups};
}

Conv2dParams ParamsOf(const ConvShape& s) {
  return {.stride = {s.stride, s.stride},
          .padding = s.kernel == 7 ? Padding::Symmetric(3) : Padding::Same(),
          .groups = s.groups};
}

Conv2dGeometry GeometryOf(const ConvShape& s, int64_t batch) {
  Check(s.groups >= 1, "--shape: groups (", s.groups, ") must be at least 1");
  return ResolveConv2d("conv2d_bench", ParamsOf(s), {batch, s.size, s.size, s.ic},
                       {s.kernel, s.kernel, s.ic / s.groups, s.oc});
}

const std::vector<ConvShape>& ConvShapes() {
  static const std::vector<ConvShape> shapes = {
      // ResNet-50 v1.5.
      {224, 3, 7, 64, 2},
      {56, 64, 1, 64, 1},
      {56, 64, 3, 64, 1},
      {56, 64, 1, 256, 1},
      {56, 256, 1, 64, 1},
      {56, 256, 1, 128, 1},
      {56, 128, 3, 128, 2},
      {28, 128, 1, 512, 1},
      {56, 256, 1, 512, 2},
      {28, 512, 1, 128, 1},
      {28, 128, 3, 128, 1},
      {28, 512, 1, 256, 1},
      {28, 256, 3, 256, 2},
      {14, 256, 1, 1024, 1},
      {28, 512, 1, 1024, 2},
      {14, 1024, 1, 256, 1},
      {14, 256, 3, 256, 1},
      {14, 1024, 1, 512, 1},
      {14, 512, 3, 512, 2},
      {7, 512, 1, 2048, 1},
      {14, 1024, 1, 2048, 2},
      {7, 2048, 1, 512, 1},
      {7, 512, 3, 512, 1},
      // ResNet-18 and 34 besides.
      {56, 64, 3, 128, 2},
      {56, 64, 1, 128, 2},
      {28, 128, 3, 256, 2},
      {28, 128, 1, 256, 2},
      {14, 256, 3, 512, 2},
      {14, 256, 1, 512, 2},
      // The CIFAR family on 28×28×1 and 32×32×3.
      {28, 1, 3, 16, 1, 1, 128},
      {28, 16, 3, 16, 1, 1, 128},
      {28, 16, 3, 32, 2, 1, 128},
      {28, 16, 1, 32, 2, 1, 128},
      {14, 32, 3, 32, 1, 1, 128},
      {14, 32, 3, 64, 2, 1, 128},
      {14, 32, 1, 64, 2, 1, 128},
      {7, 64, 3, 64, 1, 1, 128},
      {32, 3, 3, 16, 1, 1, 128},
      {32, 16, 3, 16, 1, 1, 128},
      {32, 16, 3, 32, 2, 1, 128},
      {16, 32, 3, 32, 1, 1, 128},
      {16, 32, 3, 64, 2, 1, 128},
      {8, 64, 3, 64, 1, 1, 128},
      // MobileNet's depthwise layers.
      {112, 32, 3, 32, 1, 32},
      {112, 64, 3, 64, 2, 64},
      {56, 128, 3, 128, 1, 128},
      {56, 128, 3, 128, 2, 128},
      {28, 256, 3, 256, 1, 256},
      {28, 256, 3, 256, 2, 256},
      {14, 512, 3, 512, 1, 512},
      {14, 512, 3, 512, 2, 512},
      {7, 1024, 3, 1024, 1, 1024},
  };
  return shapes;
}

}  // namespace hwynn::bench
