#include "hwynn/bench/support/model_convs.h"

#include <map>

#include "hwynn/core/check.h"

namespace hwynn::bench {
namespace {

struct Family {
  std::vector<int64_t> stage_sizes;
  bool bottleneck;
  bool imagenet;
};

Family FamilyOf(const std::string& model) {
  static const std::map<std::string, Family> families = {
      {"resnet18", {{2, 2, 2, 2}, false, true}},  {"resnet34", {{3, 4, 6, 3}, false, true}},
      {"resnet50", {{3, 4, 6, 3}, true, true}},   {"resnet101", {{3, 4, 23, 3}, true, true}},
      {"resnet152", {{3, 8, 36, 3}, true, true}}, {"resnet20", {{3, 3, 3}, false, false}},
      {"resnet32", {{5, 5, 5}, false, false}},    {"resnet44", {{7, 7, 7}, false, false}},
      {"resnet56", {{9, 9, 9}, false, false}},    {"resnet110", {{18, 18, 18}, false, false}},
  };
  const auto found = families.find(model);
  Check(found != families.end(), "ConvolutionsOf: no ResNet \"", model, "\"");
  return found->second;
}

}  // namespace

std::vector<ModelConv> ConvolutionsOf(const std::string& model, int64_t size, int64_t channels, int64_t classes,
                                      int64_t batch) {
  const Family family = FamilyOf(model);
  std::vector<ModelConv> convs;
  // Adds a convolution on images of `extent` and returns the output's extent.
  const auto add = [&](int64_t extent, int64_t ic, int64_t kernel, int64_t oc, int64_t stride) {
    const Conv2dParams params{.stride = {stride, stride},
                              .padding = kernel == 7 ? Padding::Symmetric(3) : Padding::Same()};
    const Conv2dGeometry g =
        ResolveConv2d("model_bench", params, {batch, extent, extent, ic}, {kernel, kernel, ic, oc});
    for (ModelConv& conv : convs) {
      const bool same = conv.geometry.input_shape() == g.input_shape() &&
                        conv.geometry.filter_shape() == g.filter_shape() && conv.params.stride == params.stride;
      if (same && conv.input_gradient) {
        ++conv.count;
        return g.OH;
      }
    }
    convs.push_back({params, g, 1, !convs.empty()});
    return g.OH;
  };

  int64_t filters = family.imagenet ? 64 : 16;
  int64_t extent = family.imagenet ? add(size, channels, 7, filters, 2) : add(size, channels, 3, filters, 1);
  if (family.imagenet) extent = (extent + 1) / 2;  // the max pool
  int64_t width = filters;
  for (size_t stage = 0; stage < family.stage_sizes.size(); ++stage, filters *= 2) {
    for (int64_t block = 0; block < family.stage_sizes[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      const int64_t out = family.bottleneck ? 4 * filters : filters;
      if (width != out || stride != 1) add(extent, width, 1, out, stride);
      if (family.bottleneck) {
        add(extent, width, 1, filters, 1);
        extent = add(extent, filters, 3, filters, stride);
        add(extent, filters, 1, out, 1);
      } else {
        extent = add(extent, width, 3, filters, stride);
        add(extent, filters, 3, filters, 1);
      }
      width = out;
    }
  }
  add(1, width, 1, classes, 1);
  return convs;
}

}  // namespace hwynn::bench
