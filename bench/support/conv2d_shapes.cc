#include "hwynn/bench/support/conv2d_shapes.h"

#include <algorithm>
#include <cstdio>

#include "hwynn/bench/support/model_convs.h"
#include "hwynn/core/check.h"
#include "hwynn/models/make_model.h"

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
  static const std::vector<ConvShape> shapes = [] {
    std::vector<ConvShape> distinct;
    // A full model would draw millions of weights; one with a single filter in the first stage has the same tree, with
    // channels 1/filters of its.
    const auto add_model = [&](const char* name, int64_t filters, const Shape& images) {
      const auto model = MakeModel(name, {.width = 1.0 / static_cast<double>(filters)});
      for (const ModelConv& conv : ConvolutionsOf(*model, InitZeros(*model, images), images)) {
        const Conv2dGeometry& g = conv.geometry;
        const bool first = !conv.input_gradient;
        const bool dense = g.IH == 1;
        const ConvShape shape{g.IH, first ? g.IC : g.IC * filters, g.KH, g.OC * filters, g.stride_h, 1, g.N};
        if (!dense && std::find(distinct.begin(), distinct.end(), shape) == distinct.end()) distinct.push_back(shape);
      }
    };
    add_model("resnet50", 64, {16, 224, 224, 3});
    add_model("resnet18", 64, {16, 224, 224, 3});
    add_model("resnet20", 16, {128, 28, 28, 1});
    add_model("resnet20", 16, {128, 32, 32, 3});
    // MobileNet's depthwise layers: size, channels, stride.
    constexpr int64_t kDepthwise[][3] = {{112, 32, 1}, {112, 64, 2}, {56, 128, 1}, {56, 128, 2}, {28, 256, 1},
                                         {28, 256, 2}, {14, 512, 1}, {14, 512, 2}, {7, 1024, 1}};
    for (const auto& [size, channels, stride] : kDepthwise) {
      distinct.push_back({size, channels, 3, channels, stride, channels});
    }
    return distinct;
  }();
  return shapes;
}

}  // namespace hwynn::bench
