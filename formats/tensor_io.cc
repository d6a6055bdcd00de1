#include "hwynn/formats/tensor_io.h"

#include <cstring>
#include <limits>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

// Entries may lie unaligned in the file: values are copied out.
template <class T>
std::vector<T> CopyValues(const SafetensorsEntry& entry) {
  std::vector<T> values(entry.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
  return values;
}

}  // namespace

Tensor LoadTensor(const SafetensorsFile& file, const std::string& name, int rank) {
  const SafetensorsEntry& entry = file.Entry(name);
  CheckData(entry.dtype == "F32", file.path(), ": array \"", name, "\" has dtype ", entry.dtype, ", not F32");
  CheckData(rank < 0 || entry.shape.rank() == rank, file.path(), ": array \"", name, "\" has shape ", entry.shape,
            ", not ", rank, " axes");
  Tensor tensor(entry.shape);
  if (!entry.bytes.empty()) std::memcpy(tensor.data(), entry.bytes.data(), entry.bytes.size());
  return tensor;
}

std::vector<int32_t> LoadLabels(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsEntry& entry = file.Entry(name);
  CheckData(entry.dtype == "I32" || entry.dtype == "I64", file.path(), ": array \"", name, "\" has dtype ", entry.dtype,
            ", not I32 or I64");
  CheckData(entry.shape.rank() == 1, file.path(), ": array \"", name, "\" has shape ", entry.shape, ", not [N]");
  if (entry.dtype == "I32") return CopyValues<int32_t>(entry);
  std::vector<int32_t> labels;
  for (const int64_t value : CopyValues<int64_t>(entry)) {
    CheckData(value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max(), file.path(),
              ": array \"", name, "\" holds ", value);
    labels.push_back(static_cast<int32_t>(value));
  }
  return labels;
}

}  // namespace hwynn
