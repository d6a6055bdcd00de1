#include "hwynn/module/gradients.h"

#include <algorithm>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/kernels/elementwise.h"

namespace hwynn {
namespace {

// Elements up to the next start.
int64_t Padded(int64_t elements) {
  constexpr auto kStep = static_cast<int64_t>(kTensorAlignmentBytes / sizeof(float));
  return (elements + kStep - 1) / kStep * kStep;
}

void Clear(TensorView values) { std::fill_n(values.data(), values.size(), 0.0f); }

template <class Slots>
auto& FindIn(Slots& slots, std::string_view path) {
  const auto found = slots.find(path);
  Check(found != slots.end(), "the gradients have no array \"", path, "\"");
  return found->second;
}

}  // namespace

Gradients::Gradients(const Collection& params) {
  int64_t elements = 0;
  for (const auto& [path, param] : params) elements += Padded(param.size());
  flat_ = Tensor({elements}, 0.0f);
  float* start = flat_.data();
  for (const auto& [path, param] : params) {
    const TensorView view(start, param.shape());
    views_.emplace(path, view);
    slots_.emplace(path, Slot{.view = view});
    start += Padded(param.size());
  }
}

Gradients Gradients::CopyOf(const Collection& gradients) {
  Gradients copy(gradients);
  for (const auto& [path, values] : gradients) std::copy_n(values.data(), values.size(), copy.at(path).data());
  return copy;
}

bool Gradients::Fit(const Collection& params) const {
  return std::ranges::equal(views_, params, [](const auto& view, const auto& param) {
    return view.first == param.first && view.second.shape() == param.second.shape();
  });
}

const Gradients::Slot& Gradients::Find(std::string_view path) const { return FindIn(slots_, path); }

TensorView Gradients::at(std::string_view path) { return Find(path).view; }
ConstTensorView Gradients::at(std::string_view path) const { return Find(path).view; }

void Gradients::Start() {
  for (auto& [path, slot] : slots_) {
    slot.writer.reset();
    slot.adds = false;
  }
  started_ = true;
}

TensorView Gradients::Write(const std::string& path, const Writer& writer) {
  Check(started_, "Backward from the top is Differentiate (module/module.h): it gathers the gradients");
  Slot& slot = FindIn(slots_, path);
  if (!slot.writer) {
    slot.writer = writer;
    return slot.view;
  }
  if (*slot.writer != writer) {
    if (slot.adds) AddAccumulate(slot.addend, slot.view);
    if (slot.addend.empty()) slot.addend = Tensor(slot.view.shape());
    Clear(slot.addend);
    slot.adds = true;
    slot.writer = writer;
  }
  return slot.adds ? slot.addend.view() : slot.view;
}

void Gradients::Finish() {
  for (auto& [path, slot] : slots_) {
    if (!slot.writer) Clear(slot.view);
    if (std::exchange(slot.adds, false)) AddAccumulate(slot.addend, slot.view);
  }
  started_ = false;
}

}  // namespace hwynn
