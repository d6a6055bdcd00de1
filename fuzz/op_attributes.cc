// The attributes of op_driver, and the geometry of convolutions and pools that they describe.

#include <limits>
#include <vector>

#include "hwynn/apps/op_driver/attributes.h"
#include "hwynn/fuzz/target.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/pool.h"

namespace hwynn::fuzz {
namespace {

void Read(const std::string& text) {
  const std::vector<apps::AttributeSpec> specs = {
      {"stride", ""}, {"dilation", ""}, {"window", ""},      {"padding", ""},      {"groups", ""},   {"epsilon", ""},
      {"relu", ""},   {"variance", ""}, {"input_shape", ""}, {"filter_shape", ""}, {"ceil_mode", ""}};
  const apps::Attributes attributes(text, specs);
  const auto stride = attributes.Pair("stride", {{1, 1}});
  const auto dilation = attributes.Pair("dilation", {{1, 1}});
  const auto window = attributes.Pair("window", {{2, 2}});
  const Padding padding = attributes.PaddingOr("padding", Padding::Same());
  const int64_t groups = attributes.PositiveOr("groups", 1);
  Require(attributes.FloatOr("epsilon", 1e-5f) <= std::numeric_limits<float>::max(), "a number is finite");
  attributes.FlagOr("relu", false);
  Require(attributes.WordOrFirst("variance", {"stable", "fast", "two_pass"}) < 3, "a word is one of those asked for");

  const Shape input = attributes.Shape4("input_shape");
  const Shape pooled = PoolOutputShape("Pool",
                                       {.window = window,
                                        .stride = stride,
                                        .dilation = dilation,
                                        .padding = padding,
                                        .ceil_mode = attributes.FlagOr("ceil_mode", false)},
                                       input);
  Require(pooled.num_elements() > 0, "a pool has an output");
  const Conv2dGeometry conv =
      ResolveConv2d("Conv2d", {.stride = stride, .dilation = dilation, .padding = padding, .groups = groups}, input,
                    attributes.Shape4("filter_shape"));
  Require(conv.output_shape().num_elements() > 0, "a convolution has an output");
}

}  // namespace

std::string ReadInput(Bytes input) {
  return ErrorOf([&] { Read({reinterpret_cast<const char*>(input.data()), input.size()}); });
}

}  // namespace hwynn::fuzz
