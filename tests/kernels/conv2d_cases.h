#ifndef HWYNN_TESTS_KERNELS_CONV2D_CASES_H_
#define HWYNN_TESTS_KERNELS_CONV2D_CASES_H_

// The shapes on which convolution is tested, chosen by the structure of the kernels: tails of vectors, panels and
// tiles, rows shorter than a tile, every geometry option, depths beyond one block.

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string_view>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d.h"

namespace hwynn::testing {

struct Conv2dCase {
  Shape input;   // [N,IH,IW,IC]
  Shape filter;  // [KH,KW,IC/groups,OC]
  Conv2dParams params;
};

inline std::ostream& operator<<(std::ostream& out, const Conv2dCase& c) {
  return out << "input " << c.input << " filter " << c.filter << " stride " << c.params.stride[0] << ","
             << c.params.stride[1] << " dilation " << c.params.dilation[0] << "," << c.params.dilation[1] << " groups "
             << c.params.groups << " padding " << static_cast<int>(c.params.padding.kind);
}

/// Of a call's output, to be written.
struct Statistics {
  explicit Statistics(int64_t channels) : mean({channels}, std::nanf("")), var({channels}, std::nanf("")) {}
  Tensor mean, var;
};

inline std::vector<Conv2dCase> Conv2dCases() {
  std::vector<Conv2dCase> cases = {
      // The networks' layers, small.
      {{2, 14, 14, 16}, {3, 3, 16, 16}, {}},
      {{1, 28, 28, 3}, {7, 7, 3, 64}, {.stride = {2, 2}, .padding = Padding::Symmetric(3)}},
      {{2, 8, 8, 64}, {3, 3, 64, 32}, {.stride = {2, 2}}},
      {{2, 7, 7, 48}, {3, 3, 48, 48}, {.stride = {2, 2}}},
      {{3, 7, 7, 64}, {1, 1, 64, 80}, {}},
      {{2, 8, 8, 33}, {1, 1, 33, 65}, {.stride = {2, 2}}},
      // Depths of more than one block, by taps and by channels.
      {{1, 5, 5, 300}, {3, 3, 300, 20}, {}},
      {{1, 3, 4, 1100}, {1, 1, 1100, 18}, {}},
      {{1, 3, 3, 1030}, {3, 3, 1030, 3}, {}},
      // Tiles that go on in the next image.
      {{5, 7, 7, 24}, {3, 3, 24, 70}, {}},
      {{3, 9, 9, 5}, {3, 3, 5, 130}, {.stride = {2, 2}}},
      // Pixels a multiple of 4 KiB apart; several parts of channels and of columns, several blocks of each.
      {{2, 5, 3, 1024}, {1, 1, 1024, 7}, {}},
      {{2, 5, 5, 512}, {1, 1, 512, 9}, {.stride = {2, 2}}},
      {{1, 5, 5, 1024}, {3, 3, 1024, 3}, {}},
      {{2, 14, 14, 600}, {1, 1, 600, 70}, {}},
      // Pixels 1 KiB apart, short rows of one tap by many panels: copied where panels are narrow.
      {{2, 7, 7, 128}, {3, 3, 128, 20}, {.stride = {2, 2}}},
      {{2, 9, 10, 66}, {1, 1, 66, 270}, {.stride = {2, 2}}},
      {{2, 14, 14, 12}, {3, 3, 4, 9}, {.groups = 3}},
      {{1, 4, 5, 6}, {1, 1, 6, 1024}, {}},
      {{1, 3, 3, 70}, {3, 3, 70, 530}, {}},
      // Few Winograd tiles, whose columns are shared out to tasks: as many to each as there are inputs.
      {{1, 8, 8, 16}, {3, 3, 16, 32}, {}},
      {{2, 8, 8, 32}, {3, 3, 32, 64}, {}},
      // Long rows, cut in blocks.
      {{1, 2, 500, 3}, {3, 3, 3, 5}, {}},
      {{1, 1, 701, 2}, {1, 5, 2, 4}, {.stride = {1, 2}}},
      // More blocks of pixels than chunks, which they don't divide by.
      {{1, 96, 97, 2}, {3, 3, 2, 3}, {}},
      {{3, 61, 70, 3}, {1, 1, 3, 4}, {}},
      // Strides of one axis alone, which leave pixels without a tap.
      {{1, 7, 7, 3}, {1, 1, 3, 4}, {.stride = {1, 2}}},
      {{1, 7, 6, 20}, {1, 1, 20, 4}, {.stride = {3, 1}}},
      // More taps than a tile takes runs, none of which touch; and just as many as depthwise takes, and one row more.
      {{1, 40, 40, 2}, {9, 9, 2, 3}, {.dilation = {2, 2}}},
      {{1, 18, 19, 3}, {16, 16, 1, 3}, {.groups = 3}},
      {{1, 18, 19, 3}, {17, 16, 1, 3}, {.groups = 3}},
      // Just past a block: of 448 pixels, 224, 112 and 256 (of a depthwise filter's gradient, in a chunk of five rows).
      {{1, 3, 150, 4}, {3, 3, 4, 3}, {}},
      {{1, 15, 15, 17}, {1, 1, 17, 3}, {}},
      {{1, 17, 15, 17}, {3, 3, 17, 18}, {.stride = {1, 2}}},
      {{2, 66, 130, 3}, {3, 3, 1, 3}, {.groups = 3}},
      // Just past a task's channels: 512 of the filter's gradient, 1024 of depth by taps.
      {{1, 3, 3, 513}, {1, 1, 513, 5}, {}},
      {{1, 3, 3, 5}, {1, 1, 5, 513}, {}},
      {{1, 4, 4, 114}, {3, 3, 114, 5}, {}},
      // Whole blocks of columns in the padding.
      {{1, 2, 4, 3}, {2, 3, 3, 4}, {.padding = Padding::Explicit(0, 1, 600, 600)}},
      // Geometry.
      {{2, 9, 11, 5}, {3, 3, 5, 7}, {.padding = Padding::Valid()}},
      {{1, 9, 11, 5}, {3, 2, 5, 7}, {.stride = {2, 3}, .padding = Padding::Explicit(0, 2, 1, 3)}},
      {{1, 10, 10, 4}, {3, 3, 4, 6}, {.dilation = {2, 2}}},
      {{1, 12, 9, 4}, {3, 4, 4, 6}, {.stride = {2, 1}, .dilation = {1, 3}}},
      {{1, 6, 6, 4}, {5, 5, 4, 4}, {.stride = {3, 3}, .dilation = {2, 1}, .padding = Padding::Symmetric(4)}},
      {{1, 7, 7, 3}, {1, 1, 3, 4}, {.stride = {3, 2}, .padding = Padding::Symmetric(1)}},
      {{1, 5, 6, 3}, {2, 2, 3, 4}, {.stride = {3, 3}, .padding = Padding::Valid()}},
      {{1, 1, 1, 8}, {3, 3, 8, 8}, {}},
      {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
      {{2, 3, 1, 6}, {5, 3, 6, 2}, {}},
      {{1, 4, 4, 2}, {4, 4, 2, 3}, {.padding = Padding::Valid()}},
      {{1, 2, 2, 3}, {3, 3, 3, 3}, {.padding = Padding::Symmetric(5)}},
      // Crops: of rows, columns and all that a stride or dilation makes of them; more than the image has.
      {{2, 9, 11, 5}, {3, 3, 5, 7}, {.padding = Padding::Explicit(-1, 2, -2, 0)}},
      {{1, 10, 9, 20}, {3, 2, 20, 18}, {.stride = {2, 3}, .padding = Padding::Explicit(-3, 0, 1, -2)}},
      {{2, 8, 9, 33}, {1, 1, 33, 17}, {.padding = Padding::Symmetric(-2)}},
      {{1, 8, 9, 6}, {1, 1, 6, 5}, {.stride = {2, 2}, .padding = Padding::Explicit(0, -1, -1, 0)}},
      {{1, 9, 12, 3}, {3, 3, 3, 4}, {.dilation = {2, 3}, .padding = Padding::Explicit(-2, 1, 2, -3)}},
      {{1, 4, 5, 16}, {3, 3, 16, 16}, {.padding = Padding::Explicit(-6, 7, -1, 0)}},
      {{1, 9, 8, 18}, {3, 3, 1, 18}, {.stride = {1, 2}, .padding = Padding::Explicit(-1, -2, 1, -3), .groups = 18}},
      {{1, 16, 16, 2}, {9, 9, 2, 3}, {}},
      // Enough channels for tiles to leave out taps in the padding.
      {{2, 9, 10, 20},
       {3, 3, 20, 24},
       {.stride = {2, 1}, .dilation = {2, 3}, .padding = Padding::Explicit(5, 0, 7, 1)}},
      {{1, 2, 3, 64}, {3, 3, 64, 17}, {.padding = Padding::Symmetric(5)}},
      {{2, 6, 5, 32}, {3, 3, 16, 34}, {.dilation = {2, 2}, .groups = 2}},
      {{1, 6, 5, 128},
       {3, 3, 64, 6},
       {.stride = {2, 1}, .dilation = {2, 1}, .padding = Padding::Symmetric(4), .groups = 2}},
      // Groups and depthwise.
      {{2, 6, 6, 12}, {3, 3, 4, 9}, {.groups = 3}},
      {{1, 6, 7, 8}, {3, 3, 4, 40}, {.stride = {2, 2}, .groups = 2}},
      {{1, 5, 5, 6}, {1, 1, 2, 6}, {.groups = 3}},
      {{2, 7, 7, 40}, {3, 3, 1, 40}, {.groups = 40}},
      {{1, 9, 8, 35}, {5, 3, 1, 35}, {.stride = {2, 2}, .groups = 35}},
      {{1, 8, 8, 17}, {3, 3, 1, 17}, {.stride = {2, 1}, .dilation = {1, 2}, .groups = 17}},
      {{1, 5, 5, 4}, {3, 3, 1, 8}, {.groups = 4}},
      // Depthwise, many pixels of a row, several rows at a time.
      {{1, 3, 41, 20}, {3, 3, 1, 20}, {.groups = 20}},
      {{2, 66, 5, 19}, {3, 3, 1, 19}, {.groups = 19}},
      {{1, 150, 7, 18}, {3, 5, 1, 18}, {.stride = {1, 2}, .dilation = {2, 1}, .groups = 18}},
  };
  // Every tail of channels and of tiles.
  for (int64_t c = 1; c <= 34; ++c) {
    cases.push_back({{1, 3, c % 17 + 1, c}, {3, 3, c, 35 - c}, {}});
    cases.push_back({{1, 2, c, 5}, {1, 1, 5, c + 16}, {}});
  }
  return cases;
}

inline Conv2dGeometry GeometryOf(const Conv2dCase& c) { return ResolveConv2d("test", c.params, c.input, c.filter); }

// Calls body(algorithm) for all that support the shape.
template <class Body>
void ForEachAlgorithm(Conv2dPass pass, const Conv2dGeometry& g, const Body& body) {
  for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
    if (Conv2dSupports(pass, algorithm, g)) body(algorithm);
  }
}

// A pass as a map from its two operands to its result, so that all three are tested alike.
struct PassShapes {
  Shape a, b, result;
};

inline PassShapes ShapesOf(Conv2dPass pass, const Conv2dGeometry& g) {
  switch (pass) {
    case Conv2dPass::kForward:
      return {g.input_shape(), g.filter_shape(), g.output_shape()};
    case Conv2dPass::kBackwardInput:
      return {g.output_shape(), g.filter_shape(), g.input_shape()};
    default:
      return {g.input_shape(), g.output_shape(), g.filter_shape()};
  }
}

inline void RunPass(Conv2dPass pass, const Conv2dParams& params, ConstTensorView a, ConstTensorView b,
                    TensorView result, const Workspace& workspace, std::string_view algorithm) {
  switch (pass) {
    case Conv2dPass::kForward:
      return Conv2dForward(params, a, b, result, workspace, {.algorithm = algorithm});
    case Conv2dPass::kBackwardInput:
      return Conv2dBackwardInput(params, a, b, result, workspace, {.algorithm = algorithm});
    default:
      return Conv2dBackwardFilter(params, a, b, result, workspace, {.algorithm = algorithm});
  }
}

// Leaves NaN in the memory that the next call takes: what it reads before it has written it shows.
inline void Poison(const Workspace& workspace, int64_t floats = int64_t{1} << 18) {
  const auto fill = [&](float* values) { std::fill_n(values, floats, std::nanf("")); };
  const int64_t bytes = Scratch::Bytes<float>(floats);
  Tensor tensor = workspace.NewTensor({floats});
  fill(tensor.data());
  ParallelForWithScratch(4, bytes, [&](int64_t, Scratch scratch) { fill(scratch.Take<float>(floats)); });
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_KERNELS_CONV2D_CASES_H_
