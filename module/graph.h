#ifndef HWYNN_MODULE_GRAPH_H_
#define HWYNN_MODULE_GRAPH_H_

// What a model computes in evaluation, as a list of operations. Modules append theirs (Module::AppendTo); inference/
// makes a program of the list, in which BatchNorms are parts of the convolutions.

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/pool.h"
#include "hwynn/module/scope.h"

namespace HWYNN_EXPORT hwynn {

class Module;

// The operations. Arrays are borrowed from the variables that the graph was made with.

struct Conv2dOp {
  Conv2dParams params;
  ConstTensorView filter;  // [KH,KW,IC/groups,OC]
  ConstTensorView bias{};  // [OC] or empty
};
/// Over the last axis, whatever the rank.
struct DenseOp {
  ConstTensorView kernel;  // [C,F]
  ConstTensorView bias{};  // [F] or empty
};
/// (x − mean)·(scale/√(var+epsilon)) + bias over the last axis, with constants.
struct BatchNormOp {
  BatchNormAffine affine;
};
struct ReluOp {
  float upper = std::numeric_limits<float>::infinity();
};
/// The sum of two values of one shape.
struct AddOp {};
struct MaxPoolOp {
  PoolParams params;
};
struct AveragePoolOp {
  PoolParams params;
};
struct GlobalAveragePoolOp {};
/// [N,…] → [N,K].
struct FlattenOp {};
/// A module that has no operations of its own: its Forward is called.
struct ModuleOp {
  const Module* module;
};

/// A value of a Graph, by number.
using GraphValue = int;

struct GraphNode {
  using Op = std::variant<Conv2dOp, DenseOp, BatchNormOp, ReluOp, AddOp, MaxPoolOp, AveragePoolOp, GlobalAveragePoolOp,
                          FlattenOp, ModuleOp>;
  std::string path;  // of the module that appended it
  Op op;
  std::vector<GraphValue> inputs;  // of earlier nodes
};

/// Operations in the order in which they run, each with one result.
class Graph {
 public:
  /// What the model is called with.
  static constexpr GraphValue kInput = 0;

  /// Appends an operation and returns the value that it makes. Throws std::invalid_argument for inputs that no earlier
  /// operation made, and for another number of them than the operation has.
  GraphValue Append(const Scope& scope, GraphNode::Op op, std::initializer_list<GraphValue> inputs);

  /// nodes()[i] makes the value i + 1.
  const std::vector<GraphNode>& nodes() const { return nodes_; }

 private:
  std::vector<GraphNode> nodes_;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_GRAPH_H_
