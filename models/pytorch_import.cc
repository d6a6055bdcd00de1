#include "hwynn/models/pytorch_import.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/formats/dtype.h"
#include "hwynn/formats/sound_values.h"
#include "hwynn/models/presets.h"
#include "hwynn/models/pytorch_family.h"

namespace hwynn {
namespace {

constexpr std::string_view kBatchCount = "num_batches_tracked";

/// A name without what wrappers put before it.
std::string_view WithoutWrappers(std::string_view name) {
  constexpr std::array<std::string_view, 4> kWrappers = {"module.", "model.", "_orig_mod.", "backbone."};
  for (;;) {
    const auto wrapper = std::ranges::find_if(kWrappers, [&](auto prefix) { return name.starts_with(prefix); });
    if (wrapper == kWrappers.end()) return name;
    name.remove_prefix(wrapper->size());
  }
}

Tensor Read(const PyTorchArrays& arrays, const std::string& name, std::string_view flax_name,
            const SafetensorsEntry& entry) {
  arrays.Check(entry.shape.num_elements() > 0, name, "is empty");
  const Dtype& dtype = *FindSafetensorsDtype(entry.dtype);
  arrays.Check(ConvertsToFloat(dtype), name, "is ", entry.dtype, ", not F32, F16, BF16 or F64");
  std::vector<float> values(static_cast<size_t>(entry.shape.num_elements()));
  ToFloats(dtype, entry.bytes, values);
  const auto unsound = FindUnsoundValue(flax_name, std::as_bytes(std::span(values)));
  arrays.Check(!unsound, name, unsound.value_or(""));
  const Shape& shape = entry.shape;
  const bool is_kernel = shape.rank() == 4 || shape.rank() == 2;
  arrays.Check(is_kernel || shape.rank() == 1, name, "has shape ", shape);
  const int64_t outer = shape[0];
  const int64_t inner = is_kernel ? shape[1] : 1;
  const int64_t window = shape.rank() == 4 ? shape[2] * shape[3] : 1;
  Tensor tensor(shape.rank() == 4 ? Shape{shape[2], shape[3], inner, outer} : is_kernel ? Shape{inner, outer} : shape);
  // [O,I,H·W] → [H·W,I,O].
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      for (int64_t w = 0; w < window; ++w) {
        tensor[(w * inner + i) * outer + o] = values[static_cast<size_t>((o * inner + i) * window + w)];
      }
    }
  }
  return tensor;
}

/// The model has these arrays with these shapes, and no others.
void CheckAgainstModel(const PyTorchArrays& arrays, const ImportedOptions& options) {
  constexpr int64_t kExtent = 32;  // of an image; any will do
  const std::string text = options.Text();
  Variables expected;
  try {
    int64_t limit = 1 << 20;  // more than the file has, so that what is missing gets named
    for (const auto& [name, collection] : arrays.variables()) limit += 2 * CountElements(collection);
    expected = InitZeros(*options.MakeModel(), {1, kExtent, kExtent, options.channels}, limit);
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(StrCat(arrays.file(), ": looks like ", text, ", but ", error.what()));
  }
  auto names = arrays.names();
  for (const auto& [collection, tensors] : expected) {
    for (const auto& [path, tensor] : tensors) {
      const std::string full = StrCat(collection, "/", path);
      const auto name = names.find(full);
      CheckData(name != names.end(), arrays.file(), ": has no array for ", full, " of ", text);
      const Shape& shape = arrays.variables().find(collection)->second.find(path)->second.shape();
      arrays.Check(shape == tensor.shape(), name->second, "becomes ", shape, ", ", full, " of ", text, " is ",
                   tensor.shape());
      names.erase(name);
    }
  }
  for (const auto& [full, name] : names) arrays.Check(false, name, "isn't one of ", text);
}

}  // namespace

void PyTorchArrays::Add(const PyTorchPlace& place, const std::string& name, Tensor values) {
  const bool added = names_.emplace(StrCat(place.collection, "/", place.path()), name).second;
  Check(added, name, "is there twice: the file holds more than one model");
  variables_[std::string(place.collection)].emplace(place.path(), std::move(values));
}

const Shape& PyTorchArrays::Kernel(const std::string& path, std::string_view name, int rank) const {
  CheckData(Has(StrCat(kParams, "/", path)), file_, ": has no array \"", name, "\"");
  const Shape& shape = variables_.find(kParams)->second.find(path)->second.shape();
  Check(shape.rank() == rank, KernelName(path), "has ", shape.rank(), " dimensions, not ", rank);
  return shape;
}

PyTorchPlace PyTorchFamily::FindNorm(const PyTorchArrays& arrays, const std::string& name, std::string module,
                                     std::string_view field) {
  if (field == "weight") return {kParams, std::move(module), "scale"};
  if (field == "bias") return {kParams, std::move(module), "bias"};
  if (field == "running_mean") return {kBatchStats, std::move(module), "mean"};
  if (field == kBatchCount) return {kBatchStats, std::move(module), {}};
  arrays.Check(field == "running_var", name, "isn't one of a BatchNorm in PyTorch's naming");
  return {kBatchStats, std::move(module), "var"};
}

int64_t ImportedOptions::num_classes() const {
  return std::visit([](const auto& options) { return options.num_classes; }, model);
}

std::unique_ptr<const Module> ImportedOptions::MakeModel() const {
  if (const auto* resnet = std::get_if<ResNetOptions>(&model)) return std::make_unique<ResNet>(*resnet);
  return std::make_unique<MobileNetV2>(std::get<MobileNetV2Options>(model));
}

std::string ImportedOptions::Text() const {
  const auto* resnet = std::get_if<ResNetOptions>(&model);
  return resnet != nullptr ? ResNetText(*resnet) : "mobilenet_v2";
}

bool HasPyTorchNames(const SafetensorsFile& file) {
  constexpr std::array<std::string_view, 3> kCollections = {"params.", "batch_stats.", "opt_state."};
  const auto is_flax = [&](const auto& entry) {
    return std::ranges::any_of(kCollections, [&](auto collection) { return entry.first.starts_with(collection); });
  };
  const auto is_pytorch = [](const auto& entry) {
    return entry.first.ends_with(".weight") || entry.first.ends_with(".running_mean");
  };
  return std::ranges::any_of(file.entries(), is_pytorch) && std::ranges::none_of(file.entries(), is_flax) &&
         !file.metadata().contains("naming");
}

ImportedModel ImportPyTorchModel(const SafetensorsFile& file) {
  PyTorchArrays arrays(file.path());
  const VisitNames visit = [&](const auto& visitor) {
    for (const auto& [name, entry] : file.entries()) visitor(name, std::string(WithoutWrappers(name)));
  };
  const bool mobile = std::ranges::any_of(
      file.entries(), [](const auto& entry) { return IsMobileNetV2Name(WithoutWrappers(entry.first)); });
  const auto family = mobile ? MakeMobileNetV2Family() : MakeResNetFamily(arrays, visit);
  std::vector<std::pair<std::string, std::string>> counted;  // the names of counts, the statistics that they count
  for (const auto& [name, entry] : file.entries()) {
    const PyTorchPlace place = family->Find(arrays, name, std::string(WithoutWrappers(name)));
    if (place.name.empty()) {
      counted.emplace_back(name, StrCat(kBatchStats, "/", place.module, "/mean"));
    } else {
      arrays.Add(place, name, Read(arrays, name, place.name, entry));
    }
  }
  for (const auto& [name, mean] : counted) arrays.Check(arrays.Has(mean), name, "is of no BatchNorm of the file");
  ImportedModel imported{.options = family->Describe(arrays), .variables = {}};
  CheckAgainstModel(arrays, imported.options);
  imported.variables = arrays.TakeVariables();
  return imported;
}

}  // namespace hwynn
