#include "hwynn/bench/support/model_convs.h"

#include <stdexcept>
#include <utility>
#include <variant>

#include "hwynn/core/check.h"
#include "hwynn/module/graph.h"

namespace hwynn::bench {
namespace {

class ConvLister {
 public:
  /// The shape of an operation's result from that of its first input; lists convolutions.
  Shape operator()(const Conv2dOp& op, const Shape& input) {
    const Conv2dGeometry g = ResolveConv2d("ConvolutionsOf", op.params, input, op.filter.shape());
    Add(op.params, g);
    return g.output_shape();
  }
  Shape operator()(const DenseOp& op, const Shape& input) {
    const Shape& kernel = op.kernel.shape();
    const Shape filter{1, 1, kernel[0], kernel[1]};
    Add({}, ResolveConv2d("ConvolutionsOf", {}, {input[0], 1, 1, kernel[0]}, filter));
    return {input[0], kernel[1]};
  }
  Shape operator()(const MaxPoolOp& op, const Shape& input) {
    return PoolOutputShape("ConvolutionsOf", op.params, input);
  }
  Shape operator()(const AveragePoolOp& op, const Shape& input) {
    return PoolOutputShape("ConvolutionsOf", op.params, input);
  }
  Shape operator()(const GlobalAveragePoolOp&, const Shape& input) { return {input[0], input[3]}; }
  Shape operator()(const FlattenOp&, const Shape& input) { return {input[0], input.num_elements() / input[0]}; }
  Shape operator()(const ModuleOp&, const Shape&) {
    throw std::invalid_argument("ConvolutionsOf: a module says nothing of its operations");
  }
  template <class Other>
  Shape operator()(const Other&, const Shape& input) {
    return input;
  }

  std::vector<ModelConv> Take() { return std::move(convs_); }

 private:
  void Add(const Conv2dParams& params, const Conv2dGeometry& g) {
    for (ModelConv& conv : convs_) {
      const bool same = conv.geometry.input_shape() == g.input_shape() &&
                        conv.geometry.filter_shape() == g.filter_shape() && conv.params.stride == params.stride;
      if (!same || !conv.input_gradient) continue;
      ++conv.count;
      return;
    }
    convs_.push_back({params, g, 1, !convs_.empty()});
  }

  std::vector<ModelConv> convs_;
};

}  // namespace

std::vector<ModelConv> ConvolutionsOf(const Module& model, const Variables& variables, const Shape& images) {
  const Workspace workspace;
  const CallContext context{.workspace = &workspace, .variables = &variables};
  Graph graph;
  model.AppendTo(graph, Scope(context), Graph::kInput);
  ConvLister lister;
  std::vector<Shape> shapes = {images};
  for (const GraphNode& node : graph.nodes()) {
    const Shape input = shapes[static_cast<size_t>(node.inputs[0])];
    shapes.push_back(std::visit([&](const auto& op) { return lister(op, input); }, node.op));
  }
  return lister.Take();
}

}  // namespace hwynn::bench
