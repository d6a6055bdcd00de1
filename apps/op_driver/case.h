#ifndef HWYNN_APPS_OP_DRIVER_CASE_H_
#define HWYNN_APPS_OP_DRIVER_CASE_H_

// One run of one op: the arrays of a file, attributes and an algorithm in; named arrays out.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/apps/op_driver/attributes.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"
#include "hwynn/formats/safetensors.h"

namespace hwynn::apps {

struct Op;  // ops.h

/// A few numbers on the command line can describe an array of any size: 1 GiB of floats is the limit.
inline constexpr int64_t kMaxElements = int64_t{1} << 28;

/// An array that an op reads: its name, what it may hold, and whether it may be left out.
struct InputSpec {
  std::string_view name;
  std::vector<std::string_view> dtypes = {"F32"};
  bool optional = false;
};

class Case {
 public:
  /// Throws std::invalid_argument that names what is wrong: attributes, an algorithm for an op that has none, arrays
  /// that are missing, unknown, empty or of another dtype. `file` must outlive the case.
  Case(const Op& op, const SafetensorsFile& file, const std::string& attributes, std::string algorithm);

  const Attributes& attributes() const { return attributes_; }
  /// The algorithm asked for; "": the kernel's choice.
  const std::string& algorithm() const { return algorithm_; }
  const Workspace& workspace() const { return workspace_; }

  bool Has(const std::string& name) const { return file_.entries().contains(name); }
  const Shape& InputShape(const std::string& name) const { return file_.Entry(name).shape; }
  /// A copy of an F32 array; empty when it is optional and not there.
  Tensor Input(const std::string& name) const;
  std::vector<int32_t> Integers(const std::string& name) const { return Copy<int32_t>(name); }
  std::vector<uint8_t> Bytes(const std::string& name) const { return Copy<uint8_t>(name); }

  /// A new array among the outputs. Throws std::invalid_argument for more than kMaxElements.
  TensorView NewOutput(const std::string& name, const Shape& shape);
  /// A fact for the output's metadata.
  void Note(const std::string& key, std::string_view value) { notes_[key] = value; }

  void Write(const std::string& path) const;

 private:
  template <class T>
  std::vector<T> Copy(const std::string& name) const;

  const SafetensorsFile& file_;
  Attributes attributes_;
  std::string algorithm_;
  Workspace workspace_;
  std::map<std::string, Tensor> outputs_;
  SafetensorsMetadata notes_;
};

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_OP_DRIVER_CASE_H_
