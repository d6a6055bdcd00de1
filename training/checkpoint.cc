#include "hwynn/training/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/array_name.h"
#include "hwynn/formats/flax_safetensors.h"
#include "hwynn/formats/json/document.h"
#include "hwynn/formats/sound_values.h"
#include "hwynn/formats/utf8.h"

namespace hwynn {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

using Json = nlohmann::json;

constexpr std::string_view kFormat = "hwynn checkpoint 1";
constexpr std::string_view kOptState = "opt_state";
constexpr std::string_view kOptionPrefix = "option.";
constexpr char kTransform[] = "evaluation_transform";

/// The arrays of collections by their names in the file.
using Arrays = std::map<std::string, Tensor*>;

void AddArrays(std::string_view name, Collection& collection, Arrays& arrays) {
  for (auto& [path, tensor] : collection) arrays.emplace(ArrayName(name, path), &tensor);
}

Arrays VariableArrays(Variables& variables) {
  Arrays arrays;
  for (auto& [name, collection] : variables) AddArrays(name, collection, arrays);
  return arrays;
}

bool IsOptState(std::string_view name) { return ParseArrayName(name).collection == kOptState; }

/// The state before the first step: the optimizer's is all zeros, and need not be there.
bool IsBeforeTraining(const SafetensorsFile& file, int64_t step) {
  return step == 0 && std::ranges::none_of(file.entries(), [](const auto& entry) { return IsOptState(entry.first); });
}

/// Every array of the model is in the file as F32, and, but for the optimizer's state, no other.
void CheckNames(const SafetensorsFile& file, const Arrays& arrays, bool with_opt_state) {
  for (const auto& [name, tensor] : arrays) {
    const SafetensorsEntry& entry = file.Entry(name);
    CheckData(entry.dtype == "F32", file.path(), ": array \"", name, "\" has dtype ", entry.dtype, ", not F32");
  }
  for (const auto& [name, entry] : file.entries()) {
    CheckData(arrays.contains(name) || (!with_opt_state && IsOptState(name)), file.path(), ": array \"", name,
              "\" isn't one of the model's");
  }
}

void CheckShape(const SafetensorsFile& file, const std::string& name, const Tensor& tensor) {
  const Shape& shape = file.Entry(name).shape;
  CheckData(shape == tensor.shape(), file.path(), ": array \"", name, "\" has shape ", shape, ", the model's is ",
            tensor.shape());
}

bool DifferInLastExtentAlone(const Shape& a, const Shape& b) {
  if (a == b || a.rank() != b.rank()) return false;
  const auto rest = static_cast<size_t>(a.rank() - 1);
  return std::ranges::equal(a.extents().first(rest), b.extents().first(rest));
}

/// The arrays' names and shapes were checked.
void Copy(const SafetensorsFile& file, const Arrays& arrays) {
  for (const auto& [name, tensor] : arrays) {
    const auto unsound = FindUnsoundValue(name, file.Entry(name).bytes);
    CheckData(!unsound, file.path(), ": array \"", name, "\" ", unsound.value_or(""));
  }
  for (const auto& [name, tensor] : arrays) {
    const std::span<const std::byte> bytes = file.Entry(name).bytes;
    if (!bytes.empty()) std::memcpy(tensor->data(), bytes.data(), bytes.size());
  }
}

void CheckInfo(const CheckpointInfo& info) {
  const Shape& shape = info.image_shape;
  Check(shape.rank() == 3 && shape.num_elements() > 0, "image shape ", shape, " isn't [H,W,C]");
  Check(shape.num_elements() <= kMaxImageElements, "image shape ", shape, " has more than ", kMaxImageElements,
        " elements");
  Check(!info.class_names.empty(), "there are no class names");
  for (size_t i = 0; i < info.class_names.size(); ++i) {
    Check(IsUtf8(info.class_names[i]), "the name of class ", i, " isn't UTF-8");
  }
  CheckStandardization(info.standardization, shape.back());
  CheckEvaluationTransform(info.transform, shape);
}

const std::string& MetadataText(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  CheckData(found != file.metadata().end(), file.path(), ": the metadata has no \"", key, "\"");
  return found->second;
}

/// A value that is stored as JSON. A number that should be whole is.
template <class T>
T Metadata(const SafetensorsFile& file, const std::string& key) {
  constexpr bool kWhole = std::is_same_v<T, int64_t> || std::is_same_v<T, std::vector<int64_t>>;
  const auto fits = [](const Json& number) { return !kWhole || number.is_number_integer(); };
  try {
    const auto check_depth = [&](int depth, Json::parse_event_t event, const std::string&) {
      const bool opens = event == Json::parse_event_t::array_start || event == Json::parse_event_t::object_start;
      CheckData(!opens || depth == 0, file.path(), ": the metadata's \"", key, "\" nests too deeply");
    };
    const json::Document<Json> document = json::Parse<Json>(MetadataText(file, key), check_depth);
    const Json& value = *document;
    CheckData(value.is_array() ? std::ranges::all_of(value, fits) : fits(value), file.path(), ": the metadata's \"",
              key, "\" isn't whole");
    return value.get<T>();
  } catch (const Json::exception&) {
    throw std::runtime_error(StrCat(file.path(), ": the metadata's \"", key, "\" can't be read"));
  }
}

Recipe ReadRecipe(const SafetensorsFile& file) {
  std::map<std::string, std::string> fields;
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with(kOptionPrefix)) fields.emplace(key.substr(kOptionPrefix.size()), value);
  }
  try {
    return RecipeFromFields(fields);
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(StrCat(file.path(), ": ", error.what()));
  }
}

}  // namespace

void SaveCheckpoint(const std::string& path, const CheckpointInfo& info, const TrainState& state) {
  CheckInfo(info);
  SafetensorsEntries entries;
  for (const auto& [name, collection] : state.variables) AddNamedArrays(name, collection, entries);
  AddNamedArrays(kOptState, state.opt_state, entries);

  const auto extents = info.image_shape.extents();
  SafetensorsMetadata metadata{
      {"format", std::string(kFormat)},
      {"naming", kFlaxNaming},
      {"step", Json(state.step).dump()},
      {"epoch_loss_sum", Json(state.epoch_sums.loss).dump()},
      {"epoch_correct", Json(state.epoch_sums.correct).dump()},
      {"epoch_examples", Json(state.epoch_sums.examples).dump()},
      {"image_shape", Json(std::vector<int64_t>(extents.begin(), extents.end())).dump()},
      {"class_names", Json(info.class_names).dump()},
      {"mean", Json(info.standardization.mean).dump()},
      {"stddev", Json(info.standardization.stddev).dump()},
  };
  if (info.transform != EvaluationTransform()) metadata.emplace(kTransform, ToText(info.transform));
  // What absence means isn't written, so that programs older than an option read files that don't use it.
  const auto& absent = ValuesWhenAbsent();
  for (const auto& [name, value] : ToFields(info.recipe)) {
    const auto same = absent.find(name);
    if (same == absent.end() || same->second != value) metadata.emplace(std::string(kOptionPrefix) + name, value);
  }
  WriteSafetensors(path, entries, metadata);
}

Checkpoint::Checkpoint(const std::string& path) : Checkpoint(SafetensorsFile(path)) {}

Checkpoint::Checkpoint(SafetensorsFile file) : file_(std::move(file)) {
  const std::string& path = file_.path();
  CheckData(file_.metadata().contains("format"), path, ": a safetensors file, but not a checkpoint of hwynn");
  const std::string format = MetadataText(file_, "format");
  CheckData(format == kFormat, path, ": format \"", format, "\" isn't \"", kFormat, "\", the one known here");
  step_ = Metadata<int64_t>(file_, "step");
  epoch_sums_ = {.loss = Metadata<double>(file_, "epoch_loss_sum"),
                 .correct = Metadata<int64_t>(file_, "epoch_correct"),
                 .examples = Metadata<int64_t>(file_, "epoch_examples")};
  constexpr int64_t kMaxCount = int64_t{1} << 53;  // far from where adding a batch overflows
  CheckData(step_ >= 0 && step_ <= kMaxCount, path, ": step ", step_, " is out of range");
  CheckData(
      epoch_sums_.correct >= 0 && epoch_sums_.correct <= epoch_sums_.examples && epoch_sums_.examples <= kMaxCount,
      path, ": ", epoch_sums_.correct, " hits in ", epoch_sums_.examples, " images of the epoch are out of range");
  try {
    info_.image_shape = Shape(Metadata<std::vector<int64_t>>(file_, "image_shape"));
    info_.class_names = Metadata<std::vector<std::string>>(file_, "class_names");
    info_.standardization = {Metadata<std::vector<float>>(file_, "mean"),
                             Metadata<std::vector<float>>(file_, "stddev")};
    if (file_.metadata().contains(kTransform)) {
      info_.transform = ParseEvaluationTransform(MetadataText(file_, kTransform));
    }
    CheckInfo(info_);
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(StrCat(path, ": the metadata: ", error.what()));
  }
  info_.recipe = ReadRecipe(file_);
}

int64_t Checkpoint::num_elements() const {
  int64_t count = 0;
  for (const auto& [name, entry] : file_.entries()) count += entry.shape.num_elements();
  return count;
}

void Checkpoint::Restore(TrainState& state) const {
  Arrays arrays = VariableArrays(state.variables);
  const bool zeros = IsBeforeTraining(file_, step_);
  if (!zeros) AddArrays(kOptState, state.opt_state, arrays);
  CheckNames(file_, arrays, /*with_opt_state=*/true);
  for (const auto& [name, tensor] : arrays) CheckShape(file_, name, *tensor);
  Copy(file_, arrays);
  if (zeros) {
    for (auto& [path, tensor] : state.opt_state) std::ranges::fill(tensor.span(), 0.0f);
  }
  state.step = step_;
  state.epoch_sums = epoch_sums_;
}

void Checkpoint::RestoreVariables(Variables& variables) const {
  const Arrays arrays = VariableArrays(variables);
  CheckNames(file_, arrays, /*with_opt_state=*/false);
  for (const auto& [name, tensor] : arrays) CheckShape(file_, name, *tensor);
  Copy(file_, arrays);
}

std::vector<std::string> Checkpoint::RestoreBody(Variables& variables) const {
  Arrays arrays = VariableArrays(variables);
  CheckNames(file_, arrays, /*with_opt_state=*/false);
  std::vector<std::string> fresh;
  const auto module_of = [](const std::string& name) { return name.substr(0, name.rfind('.')); };
  for (const auto& [name, tensor] : arrays) {
    const bool of_head = fresh.empty() || module_of(name) == module_of(fresh[0]);
    if (of_head && DifferInLastExtentAlone(file_.Entry(name).shape, tensor->shape())) {
      fresh.push_back(name);
    } else {
      CheckShape(file_, name, *tensor);
    }
  }
  for (const std::string& name : fresh) arrays.erase(name);
  Copy(file_, arrays);
  return fresh;
}

}  // namespace hwynn
