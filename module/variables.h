#ifndef HWYNN_MODULE_VARIABLES_H_
#define HWYNN_MODULE_VARIABLES_H_

// A model's variables live outside the model: named collections ("params", "batch_stats") of arrays at Flax's
// paths ("ResNetBlock_0/Conv_0/kernel"). Gradients and optimizers see "params" alone; BatchNorm alone writes
// "batch_stats".

#include <map>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"

namespace HWYNN_EXPORT hwynn {

inline constexpr std::string_view kParams = "params";
inline constexpr std::string_view kBatchStats = "batch_stats";

/// Arrays by path, sorted.
using Collection = std::map<std::string, Tensor, std::less<>>;
/// Collections by name.
using Variables = std::map<std::string, Collection, std::less<>>;

/// Deep copies.
Collection Clone(const Collection& collection);
Variables Clone(const Variables& variables);

/// A collection of the same paths and shapes, filled with 0.
Collection ZerosLike(const Collection& collection);

/// Elements of all arrays: 11,689,512 for the params of ResNet-18.
int64_t CountElements(const Collection& collection);

/// The collection, or std::invalid_argument that names it.
const Collection& GetCollection(const Variables& variables, std::string_view name);
Collection& GetCollection(Variables& variables, std::string_view name);

}  // namespace hwynn

#endif  // HWYNN_MODULE_VARIABLES_H_
