#include "hwynn/apps/op_driver/case.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "hwynn/apps/op_driver/ops.h"
#include "hwynn/core/check.h"
#include "hwynn/kernels/target.h"

namespace hwynn::apps {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

Case::Case(const Op& op, const SafetensorsFile& file, const std::string& attributes, std::string algorithm)
    : file_(file), attributes_(attributes, op.attributes), algorithm_(std::move(algorithm)) {
  Check(op.pass || algorithm_.empty(), "algorithm \"", algorithm_, "\": this op has a single one, without a name");
  std::string known;
  for (const InputSpec& spec : op.inputs) {
    const std::string name(spec.name);
    known += StrCat(known.empty() ? "" : ", ", name);
    if (!Has(name)) {
      Check(spec.optional, file.path(), ": tensor \"", name, "\" is missing");
      continue;
    }
    const SafetensorsEntry& entry = file.Entry(name);
    std::string dtypes;
    for (const std::string_view dtype : spec.dtypes) dtypes += StrCat(dtypes.empty() ? "" : " or ", dtype);
    Check(std::ranges::find(spec.dtypes, entry.dtype) != spec.dtypes.end(), file.path(), ": tensor \"", name,
          "\" must be ", dtypes, ", is ", entry.dtype);
    Check(entry.shape.num_elements() > 0, file.path(), ": tensor \"", name, "\" ", entry.shape, " has an extent of 0");
  }
  for (const auto& [name, entry] : file.entries()) {
    Check(std::ranges::find(op.inputs, name, &InputSpec::name) != op.inputs.end(), file.path(), ": tensor \"", name,
          "\" is none of this op's; they are ", known);
  }
  Note("op", op.name);
  Note("target", CurrentTarget());
  // In memory that the kernel will take NaN shows what is read before it is written.
  Tensor poison = workspace_.NewTensor({int64_t{4} << 20});
  std::ranges::fill(poison.span(), kNan);
}

template <class T>
std::vector<T> Case::Copy(const std::string& name) const {
  if (!Has(name)) return {};
  const SafetensorsEntry& entry = file_.Entry(name);
  std::vector<T> values(entry.bytes.size() / sizeof(T));
  std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
  return values;
}
template std::vector<int32_t> Case::Copy(const std::string&) const;
template std::vector<uint8_t> Case::Copy(const std::string&) const;

Tensor Case::Input(const std::string& name) const {
  if (!Has(name)) return {};
  const SafetensorsEntry& entry = file_.Entry(name);
  Tensor tensor(entry.shape);
  std::memcpy(tensor.data(), entry.bytes.data(), entry.bytes.size());
  return tensor;
}

TensorView Case::NewOutput(const std::string& name, const Shape& shape) {
  Check(shape.num_elements() <= kMaxElements, "output \"", name, "\" ", shape, " would have more than ", kMaxElements,
        " elements");
  return outputs_.insert_or_assign(name, Tensor(shape, kNan)).first->second;
}

void Case::Write(const std::string& path) const {
  SafetensorsEntries entries;
  for (const auto& [name, tensor] : outputs_) {
    entries.emplace(name, SafetensorsEntry{"F32", tensor.shape(), std::as_bytes(tensor.span())});
  }
  WriteSafetensors(path, entries, notes_);
}

}  // namespace hwynn::apps
