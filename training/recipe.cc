#include "hwynn/training/recipe.h"

#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/models/presets.h"

namespace hwynn {
namespace {

constexpr std::string_view kNothing = "preset";  // of an optional value

std::string ToText(const std::string& value) { return value; }
std::string ToText(bool value) { return value ? "true" : "false"; }

template <class T>
requires(std::is_arithmetic_v<T>) std::string ToText(T value) {
  std::array<char, 64> text;
  // The shortest text that reads back to the same bits, in any locale.
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  return std::string(text.data(), result.ptr);
}

template <class T>
requires(std::is_enum_v<T>) std::string ToText(T value) {
  for (const auto& [name, known] : EnumNames<T>()) {
    if (known == value) return name;
  }
  return {};
}

template <class T>
std::string ToText(const std::optional<T>& value) {
  return value ? ToText(*value) : std::string(kNothing);
}

template <class T>
std::string ToText(const std::vector<T>& values) {
  std::string text;
  for (const T value : values) text.append(text.empty() ? "" : ",").append(ToText(value));
  return text;
}

std::string ToText(const ColorJitterOptions& jitter) {
  return ToText(std::vector<double>{jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue});
}

std::string ToText(const RandAugmentOptions& options) {
  return ToText(std::vector<int64_t>{options.operations, options.magnitude});
}

/// False when `text` is no value of the type.
bool FromText(std::string_view text, std::string& value) {
  value = text;
  return true;
}

bool FromText(std::string_view text, bool& value) {
  value = text == "true";
  return value || text == "false";
}

template <class T>
requires(std::is_arithmetic_v<T>) bool FromText(std::string_view text, T& value) {
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

template <class T>
requires(std::is_enum_v<T>) bool FromText(std::string_view text, T& value) {
  const auto found = EnumNames<T>().find(std::string(text));
  if (found == EnumNames<T>().end()) return false;
  value = found->second;
  return true;
}

template <class T>
bool FromText(std::string_view text, std::optional<T>& value) {
  value.reset();
  return text == kNothing || FromText(text, value.emplace());
}

template <class T>
bool FromText(std::string_view text, std::vector<T>& values) {
  values.clear();
  while (!text.empty()) {
    const size_t comma = text.find(',');
    if (!FromText(text.substr(0, comma), values.emplace_back())) return false;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return false;
  }
  return true;
}

/// One number is brightness, contrast and saturation.
bool FromText(std::string_view text, ColorJitterOptions& jitter) {
  std::vector<double> values;
  if (!FromText(text, values) || (values.size() != 1 && values.size() != 4)) return false;
  if (values.size() == 1) values = {values[0], values[0], values[0], 0.0};
  jitter = {values[0], values[1], values[2], values[3]};
  return true;
}

/// The magnitude may be left out.
bool FromText(std::string_view text, RandAugmentOptions& options) {
  std::vector<int64_t> values;
  if (!FromText(text, values) || values.empty() || values.size() > 2) return false;
  options = {.operations = values[0]};
  if (values.size() == 2) options.magnitude = values[1];
  return true;
}

}  // namespace

template <>
const std::map<std::string, ResNetStem>& EnumNames<ResNetStem>() {
  static const std::map<std::string, ResNetStem> names{
      {"imagenet", ResNetStem::kImageNet}, {"cifar", ResNetStem::kCifar}, {"deep", ResNetStem::kDeep}};
  return names;
}

template <>
const std::map<std::string, PaddingRule>& EnumNames<PaddingRule>() {
  static const std::map<std::string, PaddingRule> names{{"flax", PaddingRule::kFlax},
                                                        {"pytorch", PaddingRule::kPyTorch}};
  return names;
}

template <>
const std::map<std::string, OptimizerKind>& EnumNames<OptimizerKind>() {
  static const std::map<std::string, OptimizerKind> names{
      {"sgd", OptimizerKind::kSgd}, {"adam", OptimizerKind::kAdam}, {"adamw", OptimizerKind::kAdamW}};
  return names;
}

template <>
const std::map<std::string, ScheduleKind>& EnumNames<ScheduleKind>() {
  static const std::map<std::string, ScheduleKind> names{
      {"constant", ScheduleKind::kConstant}, {"cosine", ScheduleKind::kCosine}, {"step", ScheduleKind::kStep}};
  return names;
}

template <>
const std::map<std::string, ErasingFill>& EnumNames<ErasingFill>() {
  static const std::map<std::string, ErasingFill> names{{"noise", ErasingFill::kNoise}, {"mean", ErasingFill::kMean}};
  return names;
}

std::map<std::string, std::string> ToFields(const Recipe& recipe) {
  std::map<std::string, std::string> fields;
  VisitFields(recipe, [&](const std::string& name, const auto& value, const std::string&) {
    fields.emplace(name, ToText(value));
  });
  return fields;
}

const std::map<std::string, std::string>& ValuesWhenAbsent() {
  static const std::map<std::string, std::string> values{
      {"padding", "flax"},         {"stem", "preset"},       {"fusion", "false"}, {"freeze-batch-norm", "false"},
      {"ghost-batch", "0"},        {"recalibrate", "false"}, {"image-size", "0"}, {"random-resized-crop", "0"},
      {"color-jitter", "0,0,0,0"}, {"randaugment", "0,9"},   {"mixup", "0"}};
  return values;
}

Recipe RecipeFromFields(std::map<std::string, std::string> fields) {
  fields.insert(ValuesWhenAbsent().begin(), ValuesWhenAbsent().end());
  Recipe recipe;
  VisitFields(recipe, [&](const std::string& name, auto& value, const std::string&) {
    const auto field = fields.extract(name);
    Check(!field.empty(), "option \"", name, "\" is missing");
    Check(FromText(field.mapped(), value), "option \"", name, "\" can't be \"", field.mapped(), "\"");
  });
  Check(fields.empty(), "option \"", fields.empty() ? "" : fields.begin()->first,
        "\" is unknown to this version of hwynn");
  return recipe;
}

ModelOptions RecipeModelOptions(const Recipe& recipe, int64_t num_classes) {
  return {.num_classes = num_classes, .width = recipe.width, .stem = recipe.stem, .padding = recipe.padding};
}

void SetModel(const ResNetOptions& options, Recipe& recipe) {
  const auto preset = FindResNetPreset(options);
  Check(preset.has_value(), "a recipe has no name for ", ResNetText(options), "; models: ", ModelNamesText());
  recipe.model = preset->name;
  recipe.width = preset->width;
  recipe.stem = preset->same_stem ? std::nullopt : std::optional(options.stem);
  recipe.padding = options.padding;
}

void SetModel(const MobileNetV2Options& options, Recipe& recipe) {
  Check(options.stem_stride == 1 || options.stem_stride == 2, "a recipe has no name for a stem of stride ",
        options.stem_stride);
  recipe.model = "mobilenet_v2";
  recipe.width = options.width;
  recipe.stem = options.stem_stride == 2 ? std::nullopt : std::optional(ResNetStem::kCifar);
  recipe.padding = options.padding;
}

}  // namespace hwynn
