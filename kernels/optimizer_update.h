#ifndef HWYNN_KERNELS_OPTIMIZER_UPDATE_H_
#define HWYNN_KERNELS_OPTIMIZER_UPDATE_H_

// Parameter updates, as optax computes them under jit (fused multiply-adds). One call updates all leaves of a
// tree: its tasks are cut across leaves, so that many small ones cost no more than one large one.
//
// Numerics: each a·b + c below is one fused multiply-add. Aliasing: all arrays of a call are distinct. Determinism: the
// same bits for any number of threads and on every instruction set that has such an addition; SSE4 rounds twice. Throws
// std::invalid_argument, before anything is written, for arrays of other shapes.

#include <cstdint>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"

namespace HWYNN_EXPORT hwynn {

/// One parameter array, its gradient and its state; arrays of one shape.
struct SgdLeaf {
  TensorView param{};
  ConstTensorView grad{};
  TensorView trace{};  // not read or written with momentum 0: may be empty
  bool decay = false;  // weight decay applies
};

struct SgdParams {
  float learning_rate = 0.1f;
  float momentum = 0.0f;
  bool nesterov = false;
  float weight_decay = 0.0f;  // L2: added to the gradient, g ← g + weight_decay·p, before the momentum
  float grad_scale = 1.0f;    // g ← grad_scale·g first: clipping
};

/// t ← g + momentum·t; u = nesterov ? g + momentum·t : t; p ← p − learning_rate·u (optax.sgd).
void SgdUpdate(const SgdParams& params, std::span<const SgdLeaf> leaves);

struct AdamLeaf {
  TensorView param{};
  ConstTensorView grad{};
  TensorView mu{};
  TensorView nu{};
  bool decay = false;
};

struct AdamParams {
  float learning_rate = 1e-3f;
  double b1 = 0.9;
  double b2 = 0.999;
  float epsilon = 1e-8f;
  float epsilon_root = 0.0f;
  float weight_decay = 0.0f;
  bool decoupled = true;  // AdamW: weight_decay·p is added to the direction; false: L2, added to the gradient
  float grad_scale = 1.0f;
};

/// m ← (1−b1)g + b1·m; v ← (1−b2)g² + b2·v; p ← p − learning_rate·(m̂/(√(v̂+epsilon_root)+epsilon)) with
/// m̂ = m/(1−b1^count), v̂ = v/(1−b2^count); `count` is 1 in the first step (optax.adam, optax.adamw).
/// Numerics: 1−b1 and 1−b2 are formed in double and rounded; the powers are those of the rounded b1 and b2, correctly
/// rounded to float, as under jit.
void AdamUpdate(const AdamParams& params, int64_t count, std::span<const AdamLeaf> leaves);

/// Σ x² over all arrays, in double, in an order that depends on their sizes alone: for clipping by the global norm.
/// The same bits on any instruction set.
double SumOfSquares(std::span<const ConstTensorView> arrays);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_OPTIMIZER_UPDATE_H_
