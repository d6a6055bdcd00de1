#include <limits>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d.h"

namespace hwynn {

Conv2dGeometry ResolveConv2d(std::string_view function, const Conv2dParams& params, const Shape& input,
                             const Shape& filter) {
  const auto check = [&](bool ok, const auto&... what) {
    Check(ok, function, ": ", what..., "; input ", input, ", filter ", filter);
  };
  check(input.rank() == 4, "input must be [N,H,W,C]");
  check(filter.rank() == 4, "filter must be [KH,KW,IC/groups,OC]");
  check(input.num_elements() > 0, "input has an extent of 0");
  check(filter.num_elements() > 0, "filter has an extent of 0");

  Conv2dGeometry g{};
  g.N = input[0], g.IH = input[1], g.IW = input[2], g.IC = input[3];
  g.KH = filter[0], g.KW = filter[1], g.OC = filter[3];
  g.stride_h = params.stride[0], g.stride_w = params.stride[1];
  g.dilation_h = params.dilation[0], g.dilation_w = params.dilation[1];
  g.groups = params.groups;
  check(g.stride_h >= 1 && g.stride_w >= 1, "stride {", g.stride_h, ",", g.stride_w, "} must be at least 1");
  check(g.dilation_h >= 1 && g.dilation_w >= 1, "dilation {", g.dilation_h, ",", g.dilation_w, "} must be at least 1");
  check(g.groups >= 1, "groups (", g.groups, ") must be at least 1");
  check(g.IC % g.groups == 0, "input C (", g.IC, ") doesn't divide by groups (", g.groups, ")");
  check(g.OC % g.groups == 0, "filter OC (", g.OC, ") doesn't divide by groups (", g.groups, ")");
  if (g.groups == 1) {
    check(filter[2] == g.IC, "filter IC (", filter[2], ") != input C (", g.IC, ")");
  } else {
    check(filter[2] == g.group_ic(), "filter IC (", filter[2], ") != input C (", g.IC, ") / groups (", g.groups, ")");
  }
  // Far beyond what memory holds, and products of two still fit an int64_t.
  constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();
  for (const int64_t extent :
       {g.IH, g.IW, g.KH, g.KW, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w, params.padding.pixels[0],
        params.padding.pixels[1], params.padding.pixels[2], params.padding.pixels[3]}) {
    check(extent <= kLargest && extent >= -kLargest, "extent, stride, dilation or padding ", extent, " exceeds ",
          kLargest);
  }
  const WindowAxis height = ResolveAxis(params.padding, 0, g.IH, g.KH, g.stride_h, g.dilation_h);
  const WindowAxis width = ResolveAxis(params.padding, 1, g.IW, g.KW, g.stride_w, g.dilation_w);
  check(height.output > 0 && width.output > 0, "the output would have no pixels");
  g.OH = height.output, g.pad_top = height.before, g.pad_bottom = height.after;
  g.OW = width.output, g.pad_left = width.before, g.pad_right = width.after;
  static_cast<void>(g.output_shape());  // throws where its size overflows
  return g;
}

}  // namespace hwynn
