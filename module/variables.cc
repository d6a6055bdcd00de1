#include "hwynn/module/variables.h"

#include <utility>

#include "hwynn/core/check.h"

namespace hwynn {

Collection Clone(const Collection& collection) {
  Collection copy;
  for (const auto& [path, tensor] : collection) copy.emplace(path, tensor.Clone());
  return copy;
}

Variables Clone(const Variables& variables) {
  Variables copy;
  for (const auto& [name, collection] : variables) copy.emplace(name, Clone(collection));
  return copy;
}

Collection ZerosLike(const Collection& collection) {
  Collection zeros;
  for (const auto& [path, tensor] : collection) zeros.emplace(path, Tensor(tensor.shape(), 0.0f));
  return zeros;
}

int64_t CountElements(const Collection& collection) {
  int64_t count = 0;
  for (const auto& [path, tensor] : collection) count += tensor.size();
  return count;
}

const Collection& GetCollection(const Variables& variables, std::string_view name) {
  const auto found = variables.find(name);
  Check(found != variables.end(), "variables have no collection \"", name, "\"");
  return found->second;
}

Collection& GetCollection(Variables& variables, std::string_view name) {
  return const_cast<Collection&>(GetCollection(std::as_const(variables), name));
}

}  // namespace hwynn
