#include "hwynn/module/init_scope.h"

#include <algorithm>

#include "hwynn/core/check.h"
#include "hwynn/module/path.h"

namespace hwynn {
namespace {

void CheckName(std::string_view name) {
  Check(!name.empty() && name.find('/') == std::string_view::npos, "InitScope: bad name \"", name,
        "\": it must not be empty or hold a '/'");
}

}  // namespace

InitScope InitScope::Child(std::string_view name) const {
  CheckName(name);
  InitScope child = *this;
  child.path_ = JoinPath(path_, name);
  child.draws_ = 0;
  return child;
}

void InitScope::Param(std::string_view name, const Shape& shape, const Initializer& initializer) {
  Tensor& values = Create(kParams, name, shape);
  if (!draws_values_) {
    std::ranges::fill(values.span(), 0.0f);
    return;
  }
  initializer(rngs_ != nullptr ? rngs_->Draw("params") : LinenKey(root_, path_, ++draws_), values);
}

void InitScope::Variable(std::string_view collection, std::string_view name, const Shape& shape, float value) {
  Tensor& values = Create(collection, name, shape);
  std::fill_n(values.data(), values.size(), value);
}

void InitScope::DropoutStream() {
  if (rngs_ != nullptr) dropout_streams_->insert_or_assign(path_, nnx::RngStream{.key = rngs_->Draw("dropout")});
}

Tensor& InitScope::Create(std::string_view collection, std::string_view name, const Shape& shape) {
  CheckName(name);
  const std::string path = JoinPath(path_, name);
  int64_t left = max_elements_;
  for (const auto& [other, arrays] : *variables_) left -= CountElements(arrays);
  Check(shape.num_elements() <= left, "InitScope: with ", collection, "/", path, " ", shape,
        " the model has more than the ", max_elements_, " elements allowed");
  auto [found, added] = (*variables_)[std::string(collection)].try_emplace(path);
  Check(added, "InitScope: ", collection, "/", path, " exists already");
  found->second = Tensor(shape);
  return found->second;
}

}  // namespace hwynn
