// A model with PyTorch's names: what is imported is the variables of the model that it is said to be.

#include "hwynn/models/pytorch_import.h"

#include <vector>

#include "hwynn/fuzz/repair.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

void Read(const std::vector<std::byte>& bytes) {
  const SafetensorsFile file("input", bytes);
  const ImportedModel imported = ImportPyTorchModel(file);
  const Variables expected = InitZeros(*imported.options.MakeModel(), {1, 32, 32, imported.options.channels});
  Require(imported.variables.size() == expected.size(), "an imported model has all collections");
  for (const auto& [name, collection] : expected) {
    const Collection& arrays = GetCollection(imported.variables, name);
    Require(arrays.size() == collection.size(), "an imported model has no array more");
    for (const auto& [path, tensor] : collection) {
      const auto found = arrays.find(path);
      Require(found != arrays.end() && found->second.shape() == tensor.shape(), "an imported model has every array");
    }
  }
}

}  // namespace

std::string ReadInput(Bytes input) {
  std::vector<std::byte> bytes(input.begin(), input.end());
  const std::string error = ErrorOf([&] { Read(bytes); });
  if (RepairSafetensors(bytes)) ErrorOf([&] { Read(bytes); });
  return error;
}

}  // namespace hwynn::fuzz
