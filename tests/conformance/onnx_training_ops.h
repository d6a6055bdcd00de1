#ifndef HWYNN_TESTS_CONFORMANCE_ONNX_TRAINING_OPS_H_
#define HWYNN_TESTS_CONFORMANCE_ONNX_TRAINING_OPS_H_

// ONNX's loss and optimizers, by hwynn's kernels.

#include "hwynn/tests/conformance/onnx_values.h"

namespace hwynn::testing::onnx {

std::vector<Output> RunCrossEntropy(const Node& node, const Inputs& inputs);
std::vector<Output> RunMomentum(const Node& node, const Inputs& inputs);
std::vector<Output> RunAdam(const Node& node, const Inputs& inputs);

}  // namespace hwynn::testing::onnx

#endif  // HWYNN_TESTS_CONFORMANCE_ONNX_TRAINING_OPS_H_
