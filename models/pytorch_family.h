#ifndef HWYNN_MODELS_PYTORCH_FAMILY_H_
#define HWYNN_MODELS_PYTORCH_FAMILY_H_

// Not for users: what an importer asks a family of networks (pytorch_import.h).

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/export.h"
#include "hwynn/models/pytorch_import.h"

namespace HWYNN_EXPORT hwynn {

/// Where an array goes, as Flax names it. A count of batches goes nowhere: its name is empty.
struct PyTorchPlace {
  std::string_view collection;
  std::string module;
  std::string_view name;

  std::string path() const { return StrCat(module, "/", name); }
};

/// The arrays of a file that is being read, by their places.
class PyTorchArrays {
 public:
  explicit PyTorchArrays(std::string file) : file_(std::move(file)) {}

  const std::string& file() const { return file_; }
  /// std::runtime_error that names file and array.
  template <class... Parts>
  void Check(bool ok, const std::string& name, const Parts&... parts) const {
    CheckData(ok, file_, ": array \"", name, "\" ", parts...);
  }

  void Add(const PyTorchPlace& place, const std::string& name, Tensor values);
  bool Has(const std::string& collection_and_path) const { return names_.contains(collection_and_path); }
  /// The shape of a kernel, which must have `rank` dimensions; `name` is what PyTorch calls it where it is missing.
  const Shape& Kernel(const std::string& path, std::string_view name, int rank = 4) const;
  /// What the file calls a kernel that is there.
  const std::string& KernelName(const std::string& path) const { return names_.at("params/" + path); }

  const std::map<std::string, std::string>& names() const { return names_; }  // PyTorch's by collection/path
  const Variables& variables() const { return variables_; }
  Variables TakeVariables() { return std::move(variables_); }

 private:
  std::string file_;
  Variables variables_;
  std::map<std::string, std::string> names_;
};

/// Calls a function with each array's name in the file, and the same without what wrappers put before it.
using VisitNames = std::function<void(const std::function<void(const std::string& name, const std::string& bare)>&)>;

/// What networks of a kind call their arrays, and which of them a file holds.
class PyTorchFamily {
 public:
  virtual ~PyTorchFamily() = default;

  /// Where the array goes; `arrays` is for errors.
  virtual PyTorchPlace Find(const PyTorchArrays& arrays, const std::string& name, const std::string& bare) const = 0;
  /// The model, from the arrays' shapes, which may still be others than the model's.
  virtual ImportedOptions Describe(const PyTorchArrays& arrays) const = 0;

 protected:
  /// The place of an array of a BatchNorm.
  static PyTorchPlace FindNorm(const PyTorchArrays& arrays, const std::string& name, std::string module,
                               std::string_view field);
};

std::unique_ptr<PyTorchFamily> MakeResNetFamily(const PyTorchArrays& arrays, const VisitNames& visit);
std::unique_ptr<PyTorchFamily> MakeMobileNetV2Family();
/// Whether a name is of a MobileNetV2, or of a network like it.
bool IsMobileNetV2Name(std::string_view bare);

}  // namespace hwynn

#endif  // HWYNN_MODELS_PYTORCH_FAMILY_H_
