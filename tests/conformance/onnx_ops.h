#ifndef HWYNN_TESTS_CONFORMANCE_ONNX_OPS_H_
#define HWYNN_TESTS_CONFORMANCE_ONNX_OPS_H_

// ONNX's operators by hwynn's kernels: what an attribute is called here, and images [N,C,…] as [N,…,C] and back. What
// an operator asks for and hwynn doesn't have is thrown as Unsupported.

#include <string>
#include <string_view>
#include <vector>

#include "hwynn/tests/support/onnx.h"

namespace hwynn::testing::onnx {

struct Unsupported {
  std::string what;
};

/// A result and how far each of its elements may be from what another implementation in float32 says.
struct Output {
  Value value;
  std::vector<double> bounds;
};

/// The outputs of one node. `inputs` are in the node's order, null where an optional one is left out.
/// `conv_algorithm` is the row of Conv2dAlgorithms that convolutions take; empty: the first that supports the shape.
std::vector<Output> Run(const Node& node, const std::vector<const Value*>& inputs, std::string_view conv_algorithm);

}  // namespace hwynn::testing::onnx

#endif  // HWYNN_TESTS_CONFORMANCE_ONNX_OPS_H_
