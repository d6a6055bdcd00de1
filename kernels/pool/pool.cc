#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/pool/pool.cc"
#include "hwynn/kernels/pool.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <memory_resource>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/split.h"
#include "hwynn/core/stack_memory.h"
#include "hwynn/kernels/pool/pool-inl.h"
#include "hwynn/kernels/pool/pool_geometry.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// All pointers are those of one image.

void MaxForwardRows(const PoolGeometry& g, int64_t row_begin, int64_t row_end, const float* input, float* output) {
  PoolForwardRows(hn::ScalableTag<float>(), MaxReduces(), g, row_begin, row_end, input, output);
}

void AverageForwardRows(const PoolGeometry& g, const PoolAreas& areas, int64_t row_begin, int64_t row_end,
                        const float* input, float* output) {
  const hn::ScalableTag<float> d;
  if (areas.equal) {
    const EqualAverageReduces reduces = {{areas.heights[0] * areas.widths[0]}};
    PoolForwardRows(d, reduces, g, row_begin, row_end, input, output);
  } else {
    PoolForwardRows(d, AverageReduces{areas}, g, row_begin, row_end, input, output);
  }
}

void MaxBackwardRows(const PoolGeometry& g, int64_t row_begin, int64_t row_end, const float* input, const float* output,
                     const float* grad_output, float* grad_input) {
  MaxBackwardWindows(hn::ScalableTag<float>(), g, row_begin, row_end, input, output, grad_output, grad_input);
}

void AverageBackwardRows(const PoolGeometry& g, const PoolAreas& areas, int64_t row_begin, int64_t row_end,
                         const float* grad_output, float* grad_input) {
  const hn::ScalableTag<float> d;
  if (areas.equal) {
    AverageBackwardPixels<true>(d, g, areas, row_begin, row_end, grad_output, grad_input);
  } else {
    AverageBackwardPixels<false>(d, g, areas, row_begin, row_end, grad_output, grad_input);
  }
}

void GlobalMean(int64_t pixels, int64_t stride, int64_t channels, const float* input, float* mean) {
  ForChannels(hn::ScalableTag<float>(), channels, MeanOverPixels{pixels, stride, input, mean});
}

void GlobalSpread(int64_t pixels, int64_t stride, int64_t channels, const float* gradient, float* output) {
  ForChannels(hn::ScalableTag<float>(), channels, SpreadOverPixels{pixels, stride, gradient, output});
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(MaxForwardRows);
HWY_EXPORT(AverageForwardRows);
HWY_EXPORT(MaxBackwardRows);
HWY_EXPORT(AverageBackwardRows);
HWY_EXPORT(GlobalMean);
HWY_EXPORT(GlobalSpread);

// Elements of the input that a task covers, about: 512 KiB take some 30 µs, far more than starting a task. Larger ones
// would leave one image to few threads, smaller ones look at more windows twice (backward, at the cuts).
constexpr int64_t kTaskElements = 128 * 1024;

// Runs run(image, begin, end) on blocks of `rows` rows, each worth `row_elements` of work: parts of an image, or
// several small images a task.
void ForRowBlocks(int64_t images, int64_t rows, int64_t row_elements,
                  FunctionRef<void(int64_t image, int64_t begin, int64_t end)> run) {
  const int64_t image_elements = rows * row_elements;
  if (image_elements > kTaskElements) {
    const int64_t blocks = std::min(rows, CeilDiv(image_elements, kTaskElements));
    ParallelFor(images * blocks, [&](int64_t task) {
      const int64_t block = task % blocks;
      run(task / blocks, block * rows / blocks, (block + 1) * rows / blocks);
    });
    return;
  }
  const int64_t images_per_task = kTaskElements / image_elements;
  ParallelFor(CeilDiv(images, images_per_task), [&](int64_t task) {
    const int64_t end = std::min(images, (task + 1) * images_per_task);
    for (int64_t image = task * images_per_task; image < end; ++image) run(image, 0, rows);
  });
}

// Of windows, strides, dilations and padding: far beyond use, and their sums and products fit an int64_t.
constexpr int64_t kMaxExtent = (int64_t{1} << 31) - 1;

PoolAxis ResolvePoolAxis(std::string_view function, const PoolParams& params, int axis, const Shape& shape) {
  const int64_t input = shape[axis + 1];
  const auto at = static_cast<size_t>(axis);
  const int64_t window = params.window[at], stride = params.stride[at], dilation = params.dilation[at];
  WindowAxis resolved = ResolveAxis(params.padding, axis, input, window, stride, dilation);
  const int64_t before = resolved.before, after = resolved.after;
  const int64_t last = std::min(input, input + after);
  if (params.ceil_mode && params.padding.kind != Padding::Kind::kSame) {
    const int64_t room = input + before + after - ((window - 1) * dilation + 1) + stride - 1;
    resolved.output = room < 0 ? 0 : room / stride + 1;
    if ((resolved.output - 1) * stride >= last + before) --resolved.output;
  }
  Check(resolved.output > 0, function, ": window (", params.window[0], ",", params.window[1], "), dilated by (",
        params.dilation[0], ",", params.dilation[1], "), is larger than the padded input; input ", shape);
  return {.input = input,
          .output = resolved.output,
          .window = window,
          .stride = stride,
          .dilation = dilation,
          .before = before,
          .first = std::max<int64_t>(0, -before),
          .last = last,
          .padded_end = input + after};
}

PoolGeometry Resolve(std::string_view function, const PoolParams& params, const Shape& input) {
  Check(input.rank() == 4 && input.num_elements() > 0, function, ": input must be [N,H,W,C] with no extent 0; input ",
        input);
  const auto check_pair = [&](const char* name, const std::array<int64_t, 2>& pair) {
    for (const int64_t value : pair) {
      Check(value > 0, function, ": ", name, " (", pair[0], ",", pair[1], ") must be positive");
      Check(value <= kMaxExtent, function, ": ", name, " (", pair[0], ",", pair[1], ") exceeds ", kMaxExtent);
    }
  };
  check_pair("window", params.window);
  check_pair("stride", params.stride);
  check_pair("dilation", params.dilation);
  for (const int64_t pixels : params.padding.pixels) {
    Check(pixels <= kMaxExtent && pixels >= -kMaxExtent, function, ": padding (", pixels, ") exceeds ", kMaxExtent);
  }
  return {.n = input[0],
          .c = input[3],
          .y = ResolvePoolAxis(function, params, 0, input),
          .x = ResolvePoolAxis(function, params, 1, input)};
}

PoolGeometry ResolveAndCheck(std::string_view function, const PoolParams& params, const Shape& input,
                             const Shape& output) {
  const PoolGeometry g = Resolve(function, params, input);
  const Shape expected = {g.n, g.y.output, g.x.output, g.c};
  Check(output == expected, function, ": output ", output, " must be ", expected, "; input ", input);
  return g;
}

// Floats of one image of the input and of the output.
int64_t InputImage(const PoolGeometry& g) { return g.y.input * g.InputRow(); }
int64_t OutputImage(const PoolGeometry& g) { return g.y.output * g.OutputRow(); }

// An output row costs what its `stride` input rows cost.
int64_t OutputRowWork(const PoolGeometry& g) { return g.InputRow() * std::min(g.y.stride, g.y.input); }

// What the row loops look up for each output, and with windows for each pixel, of an axis.
struct AxisTables {
  AxisTables(PoolAxis& axis, bool with_windows, std::pmr::memory_resource* memory)
      : taps(static_cast<size_t>(axis.output), memory),
        windows(with_windows ? static_cast<size_t>(axis.input) : 0, memory) {
    for (size_t o = 0; o < taps.size(); ++o) taps[o] = axis.FindTaps(static_cast<int64_t>(o));
    for (size_t i = 0; i < windows.size(); ++i) windows[i] = axis.FindWindows(static_cast<int64_t>(i));
    axis.taps = taps.data();
    axis.windows = windows.data();
  }
  std::pmr::vector<PoolAxis::Taps> taps;
  std::pmr::vector<PoolAxis::Windows> windows;
};

struct PoolTables {
  enum Needs { kTaps, kTapsAndWindows };
  PoolTables(PoolGeometry& g, Needs needs)
      : y(g.y, needs == kTapsAndWindows, memory.resource()), x(g.x, needs == kTapsAndWindows, memory.resource()) {}
  StackMemory<16 << 10> memory;
  AxisTables y, x;
};

// The pixels of each window of an average along one axis: all inside the padding, or those inside the image. A window
// without any has the sum 0, whatever it is divided by.
std::pmr::vector<float> Extents(const PoolAxis& axis, bool with_padding, std::pmr::memory_resource* memory) {
  std::pmr::vector<float> extents(static_cast<size_t>(axis.output), memory);
  for (int64_t o = 0; o < axis.output; ++o) {
    const int64_t pixels =
        with_padding ? std::min(axis.window, axis.TapsWithin(axis.padded_end - axis.Start(o))) : axis.FindTaps(o).count;
    extents[static_cast<size_t>(o)] = static_cast<float>(std::max<int64_t>(1, pixels));
  }
  return extents;
}

// The memory behind a PoolAreas.
struct Areas {
  Areas(const PoolGeometry& g, const PoolParams& params)
      : heights(Extents(g.y, params.count_include_pad, memory.resource())),
        widths(Extents(g.x, params.count_include_pad, memory.resource())) {}

  PoolAreas view() const {
    const auto equal = [](const std::pmr::vector<float>& extents) {
      return std::all_of(extents.begin(), extents.end(), [&](float extent) { return extent == extents[0]; });
    };
    return {.heights = heights.data(), .widths = widths.data(), .equal = equal(heights) && equal(widths)};
  }

  StackMemory<4 << 10> memory;
  std::pmr::vector<float> heights, widths;
};

// Channels of a global pool's block: a multiple of every target's four vectors.
constexpr int64_t kGlobalChannels = 64;

void CheckGlobal(std::string_view function, const Shape& images, const Shape& rows) {
  Check(images.rank() == 4 && images.num_elements() > 0, function, ": images must be [N,H,W,C] with no extent 0; got ",
        images);
  Check(rows == Shape({images[0], images[3]}), function, ": ", rows, " must be [N,C] of ", images);
}

void ForChannelBlocks(const Shape& images, FunctionRef<void(int64_t image, int64_t begin, int64_t end)> run) {
  const int64_t channels = images[3];
  ForRowBlocks(images[0], CeilDiv(channels, kGlobalChannels), images[1] * images[2] * kGlobalChannels,
               [&](int64_t image, int64_t begin, int64_t end) {
                 run(image, begin * kGlobalChannels, std::min(channels, end * kGlobalChannels));
               });
}

}  // namespace

Shape PoolOutputShape(std::string_view function, const PoolParams& params, const Shape& input) {
  const PoolGeometry g = Resolve(function, params, input);
  return {g.n, g.y.output, g.x.output, g.c};
}

void MaxPoolForward(const PoolParams& params, ConstTensorView input, TensorView output) {
  PoolGeometry g = ResolveAndCheck("MaxPoolForward", params, input.shape(), output.shape());
  const PoolTables tables(g, PoolTables::kTaps);
  ForRowBlocks(g.n, g.y.output, OutputRowWork(g), [&](int64_t image, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(MaxForwardRows)
    (g, begin, end, input.data() + image * InputImage(g), output.data() + image * OutputImage(g));
  });
}

void MaxPoolBackward(const PoolParams& params, ConstTensorView input, ConstTensorView output,
                     ConstTensorView grad_output, TensorView grad_input) {
  PoolGeometry g = ResolveAndCheck("MaxPoolBackward", params, input.shape(), output.shape());
  Check(grad_output.shape() == output.shape() && grad_input.shape() == input.shape(), "MaxPoolBackward: grad_output ",
        grad_output.shape(), " and grad_input ", grad_input.shape(), " must be shaped as output ", output.shape(),
        " and input ", input.shape());
  const PoolTables tables(g, PoolTables::kTaps);
  ForRowBlocks(g.n, g.y.input, g.InputRow(), [&](int64_t image, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(MaxBackwardRows)
    (g, begin, end, input.data() + image * InputImage(g), output.data() + image * OutputImage(g),
     grad_output.data() + image * OutputImage(g), grad_input.data() + image * InputImage(g));
  });
}

void AveragePoolForward(const PoolParams& params, ConstTensorView input, TensorView output) {
  PoolGeometry g = ResolveAndCheck("AveragePoolForward", params, input.shape(), output.shape());
  const PoolTables tables(g, PoolTables::kTaps);
  const Areas memory(g, params);
  const PoolAreas areas = memory.view();
  ForRowBlocks(g.n, g.y.output, OutputRowWork(g), [&](int64_t image, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AverageForwardRows)
    (g, areas, begin, end, input.data() + image * InputImage(g), output.data() + image * OutputImage(g));
  });
}

void AveragePoolBackward(const PoolParams& params, ConstTensorView grad_output, TensorView grad_input) {
  PoolGeometry g = ResolveAndCheck("AveragePoolBackward", params, grad_input.shape(), grad_output.shape());
  const PoolTables tables(g, PoolTables::kTapsAndWindows);
  const Areas memory(g, params);
  const PoolAreas areas = memory.view();
  ForRowBlocks(g.n, g.y.input, g.InputRow(), [&](int64_t image, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AverageBackwardRows)
    (g, areas, begin, end, grad_output.data() + image * OutputImage(g), grad_input.data() + image * InputImage(g));
  });
}

void GlobalAveragePoolForward(ConstTensorView input, TensorView output) {
  const Shape& shape = input.shape();
  CheckGlobal("GlobalAveragePoolForward", shape, output.shape());
  const int64_t pixels = shape[1] * shape[2];
  const int64_t channels = shape[3];
  ForChannelBlocks(shape, [&](int64_t image, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(GlobalMean)
    (pixels, channels, end - begin, input.data() + image * pixels * channels + begin,
     output.data() + image * channels + begin);
  });
}

void GlobalAveragePoolBackward(ConstTensorView grad_output, TensorView grad_input) {
  const Shape& shape = grad_input.shape();
  CheckGlobal("GlobalAveragePoolBackward", shape, grad_output.shape());
  const int64_t pixels = shape[1] * shape[2];
  const int64_t channels = shape[3];
  ForChannelBlocks(shape, [&](int64_t image, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(GlobalSpread)
    (pixels, channels, end - begin, grad_output.data() + image * channels + begin,
     grad_input.data() + image * pixels * channels + begin);
  });
}

}  // namespace hwynn
#endif  // HWY_ONCE
