#ifndef HWYNN_FORMATS_TENSOR_IO_H_
#define HWYNN_FORMATS_TENSOR_IO_H_

// Named arrays of safetensors files as tensors and labels.

#include <cstdint>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/formats/safetensors.h"

namespace HWYNN_EXPORT hwynn {

/// A copy of the float array (F32) `name`. Throws std::runtime_error with path and name when it is missing, of another
/// dtype or, with `rank` ≥ 0, of another rank.
Tensor LoadTensor(const SafetensorsFile& file, const std::string& name, int rank = -1);

/// The integers (I32 or I64) of the array `name` [N], such as labels. Throws as LoadTensor; for a value that an int32
/// can't hold too.
std::vector<int32_t> LoadLabels(const SafetensorsFile& file, const std::string& name);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_TENSOR_IO_H_
