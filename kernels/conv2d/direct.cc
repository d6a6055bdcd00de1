// Forward is one product (product_plan.h). Backward-input is the same over grad_output: each phase of input pixels
// modulo the stride meets its own subset of taps, so no zeros are inserted or added up.

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/epilogue.h"
#include "hwynn/kernels/conv2d/gradient_parts.h"
#include "hwynn/kernels/conv2d/product_plan.h"
#include "hwynn/kernels/conv2d/statistics.h"

namespace hwynn {
namespace {

class DirectForward final : public Conv2dPassPlan {
 public:
  explicit DirectForward(const Conv2dSetup& setup)
      : geometry_(setup.geometry), product_(ForwardProduct(setup.geometry), setup) {
    scratch_bytes_ = product_.windows.scratch_bytes();
    temporary_bytes_ = OutputEpilogue::Bytes(geometry_.OC);
    if (product_.prologue_first) temporary_bytes_ += TensorBytes(geometry_.input_shape());
    if (setup.statistics) temporary_bytes_ += OutputStatistics::Bytes(product_.blocks.count(), geometry_.OC);
  }

  void Run(const Conv2dCall& call, const Workspace& workspace) const override {
    const Normalization prologue = MakePrologue(*call.prologue);
    Conv2dEpilogue wanted = *call.epilogue;
    ProductCall product_call{.source = call.input, .packed = call.filter, .destination = call.output};
    Tensor input;
    if (!prologue.empty()) {
      if (product_.prologue_first) {
        input = ApplyPrologue(prologue, geometry_, call.input, workspace);
        product_call.source = input.data();
      } else {
        product_call.prologue = &prologue;
      }
    }
    Tensor residual;
    if (wanted.residual.data() == call.output && product_.depths.size() > 1) {
      residual = workspace.NewTensor(geometry_.output_shape());  // the first block of depth overwrites the output
      std::copy_n(wanted.residual.data(), residual.size(), residual.data());
      wanted.residual = residual;
    }
    const OutputEpilogue epilogue(wanted, geometry_.OC, workspace);
    if (!epilogue.tile().empty()) product_call.epilogue = &epilogue.tile();
    if (wanted.mean.size() == 0) return product_.Run(product_call);
    const OutputStatistics statistics(product_.blocks.count(), geometry_.OC, workspace);
    product_call.statistics = &statistics;
    product_.Run(product_call);
    statistics.Merge([&](int64_t block) { return product_.blocks.Get(block).outputs(); }, call.output, wanted.mean,
                     wanted.var);
  }

 private:
  Conv2dGeometry geometry_;
  ProductPlan product_;
};

class DirectBackwardInput final : public Conv2dPassPlan {
 public:
  explicit DirectBackwardInput(const Conv2dSetup& setup) {
    for (Product& product : BackwardInputProducts(setup.geometry)) {
      if (product.taps.empty()) {
        unreached_parts_ += RowTasks(product).count;
        unreached_.push_back(std::move(product));
      } else {
        products_.emplace_back(std::move(product), setup);
        scratch_bytes_ = std::max(scratch_bytes_, products_.back().windows.scratch_bytes());
        parts_ += products_.back().blocks.count();
      }
    }
    if (!products_.empty() && products_.front().product.clear_cells) everything_ = Everything(setup.geometry);
    if (setup.gradient) {
      temporary_bytes_ = std::max(GradientParts::Bytes(Parts(false), setup.geometry.IC),
                                  GradientParts::Bytes(Parts(true), setup.geometry.IC));
    }
  }

  void Run(const Conv2dCall& call, const Workspace& workspace) const override {
    if (call.gradient == nullptr) return Run(call, nullptr);
    const GradientParts gradient(*call.gradient, call.output, Parts(call.accumulate), workspace);
    if (call.accumulate && everything_) {
      Run(call, nullptr);
      AddInPlace(*everything_, call.output, gradient, 0);
    } else {
      Run(call, &gradient);
    }
    gradient.Merge(*call.gradient->sums);
  }

 private:
  // All pixels, as one phase.
  static Product Everything(const Conv2dGeometry& g) {
    return {.source = {g.N, g.IH, g.IW, g.IC, g.IH, g.IW, 1, 1},
            .destination = {g.N, g.IH, g.IW, g.IC, 1, 1, 0, 0},
            .taps = {},
            .groups = g.groups,
            .group_in = g.group_oc(),
            .group_out = g.group_ic()};
  }

  // Of an epilogue: the blocks of each product; with accumulate then rows of what none reaches, or of everything.
  int64_t Parts(bool accumulate) const {
    if (!accumulate) return parts_;
    return everything_ ? RowTasks(*everything_).count : parts_ + unreached_parts_;
  }

  void Run(const Conv2dCall& call, const GradientParts* gradient) const {
    int64_t part = 0;
    for (const ProductPlan& product : products_) {
      product.Run({.source = call.input,
                   .packed = call.filter,
                   .destination = call.output,
                   .gradient = gradient,
                   .first_part = part,
                   .accumulate = call.accumulate});
      part += product.blocks.count();
    }
    for (const Product& product : unreached_) {
      if (!call.accumulate) FillWithZeros(product, call.output);
      if (call.accumulate && gradient != nullptr) AddInPlace(product, call.output, *gradient, part);
      part += RowTasks(product).count;
    }
  }

  static void FillWithZeros(const Product& product, float* data) {
    const Destination& to = product.destination;
    const Source& source = product.source;
    ParallelFor(source.N * source.grid_h, [&](int64_t row) {
      for (int64_t gx = 0; gx < source.grid_w; ++gx) {
        std::fill_n(data + to.Offset(row / source.grid_h, row % source.grid_h, gx), to.C, 0.0f);
      }
    });
  }

  // Rows of a phase, over all images, that a task masks.
  static EvenSplit RowTasks(const Product& product) {
    constexpr int64_t kTaskFloats = int64_t{1} << 15;
    const int64_t row_floats = product.source.grid_w * product.destination.C;
    return {product.source.N * product.source.grid_h, std::max<int64_t>(1, kTaskFloats / row_floats)};
  }

  // The epilogue of what was there before.
  static void AddInPlace(const Product& product, float* data, const GradientParts& gradient, int64_t first_part) {
    const Destination& to = product.destination;
    const Source& source = product.source;
    const EvenSplit tasks = RowTasks(product);
    ParallelFor(tasks.count, [&](int64_t task) {
      GradientPart part(gradient, first_part + task);
      for (int64_t row = tasks.Begin(task); row < tasks.End(task); ++row) {
        float* const first = data + to.Offset(row / source.grid_h, row % source.grid_h, 0);
        const int64_t pitch = to.step_w * to.C;
        part.Add({.from = first,
                  .from_pitch = pitch,
                  .rows = source.grid_w,
                  .to = first,
                  .to_pitch = pitch,
                  .offsets = nullptr,
                  .accumulate = false,
                  .stream = false,
                  .ahead = GradientPart::kPixels * pitch});
      }
      part.Close();
    });
  }

  std::vector<ProductPlan> products_;  // of the phases that taps reach
  std::vector<Product> unreached_;
  // Where one product writes few pixels and clears those between: with accumulate the epilogue is then a pass of its
  // own over all of them, in memory's order.
  std::optional<Product> everything_;
  int64_t parts_ = 0, unreached_parts_ = 0;
};

}  // namespace

std::unique_ptr<const Conv2dPassPlan> PlanDirectForward(const Conv2dSetup& setup) {
  return std::make_unique<DirectForward>(setup);
}

std::unique_ptr<const Conv2dPassPlan> PlanDirectBackwardInput(const Conv2dSetup& setup) {
  return std::make_unique<DirectBackwardInput>(setup);
}

}  // namespace hwynn
