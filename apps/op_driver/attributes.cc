#include "hwynn/apps/op_driver/attributes.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

#include "hwynn/core/check.h"

namespace hwynn::apps {
namespace {

using Json = nlohmann::json;

/// A value for an error message: hostile ones may be long.
std::string Show(const Json& value) {
  constexpr size_t kLongest = 80;
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "…";
}

Json Parse(const std::string& text) {
  std::set<std::string> names;
  const auto callback = [&](int depth, Json::parse_event_t event, Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
        Check(depth == 0, "attributes: a value is an object; it must be a number, a flag, a word or a list");
        break;
      case Json::parse_event_t::array_start:
        Check(depth <= 2, "attributes: lists nest too deeply");
        break;
      case Json::parse_event_t::key:
        Check(names.insert(parsed.get<std::string>()).second, "attributes: ", Show(parsed), " is there twice");
        break;
      default:
        break;
    }
    return true;
  };
  // The parser would take a zero byte for the end of its input.
  Check(text.find('\0') == std::string::npos, "attributes: a zero byte");
  try {
    Json values = Json::parse(text, callback);
    Check(values.is_object(), "attributes: must be a JSON object such as {\"stride\": [2,2]}, are ", Show(values));
    return values;
  } catch (const Json::parse_error& error) {
    throw std::invalid_argument(
        StrCat("attributes: not JSON at character ", error.byte, "; they look like {\"stride\": [2,2]}"));
  } catch (const Json::exception&) {  // a number that no double holds
    throw std::invalid_argument("attributes: a number is out of range");
  }
}

std::optional<int64_t> AsInteger(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  return value.get<int64_t>();
}

/// The integers of a list of `count`, all ≥ `least`; nothing for any other value.
std::optional<std::vector<int64_t>> AsIntegers(const Json& value, size_t count, int64_t least) {
  if (!value.is_array() || value.size() != count) return std::nullopt;
  std::vector<int64_t> integers;
  for (const Json& item : value) {
    const std::optional<int64_t> integer = AsInteger(item);
    if (!integer || *integer < least) return std::nullopt;
    integers.push_back(*integer);
  }
  return integers;
}

void CheckForm(bool ok, const char* name, const char* form, const Json& value) {
  Check(ok, "attribute ", name, " must be ", form, ", is ", ok ? "" : Show(value));
}

}  // namespace

Attributes::Attributes(const std::string& text, const std::vector<AttributeSpec>& specs) : values_(Parse(text)) {
  std::string known;
  for (const AttributeSpec& spec : specs) known += StrCat(known.empty() ? "" : ", ", spec.name);
  for (const auto& item : values_.items()) {
    Check(std::ranges::find(specs, item.key(), &AttributeSpec::name) != specs.end(), "no attribute ", Show(item.key()),
          "; this op takes ", known.empty() ? "none" : known);
  }
}

const Json* Attributes::Find(const char* name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? nullptr : &*found;
}

const Json& Attributes::Required(const char* name) const {
  const Json* value = Find(name);
  Check(value != nullptr, "attribute ", name, " is missing");
  return *value;
}

std::array<int64_t, 2> Attributes::Pair(const char* name, std::optional<std::array<int64_t, 2>> otherwise) const {
  if (otherwise && !Find(name)) return *otherwise;
  const Json& value = Required(name);
  const auto pair = AsIntegers(value, 2, 1);
  CheckForm(pair.has_value(), name, "two positive integers [h,w]", value);
  return {pair->at(0), pair->at(1)};
}

Padding Attributes::PaddingOr(const char* name, Padding otherwise) const {
  const Json* value = Find(name);
  if (!value) return otherwise;
  if (*value == "SAME") return Padding::Same();
  if (*value == "VALID") return Padding::Valid();
  std::optional<std::vector<int64_t>> height, width;
  if (value->is_array() && value->size() == 2) {
    constexpr int64_t kAny = std::numeric_limits<int64_t>::min();  // negative pixels crop: the op knows if it can
    height = AsIntegers((*value)[0], 2, kAny);
    width = AsIntegers((*value)[1], 2, kAny);
  }
  CheckForm(height && width, name, R"("SAME", "VALID" or [[top,bottom],[left,right]])", *value);
  return Padding::Explicit(height->at(0), height->at(1), width->at(0), width->at(1));
}

Shape Attributes::Shape4(const char* name) const {
  const Json& value = Required(name);
  const auto extents = AsIntegers(value, 4, 1);
  const double elements = extents ? std::accumulate(extents->begin(), extents->end(), 1.0, std::multiplies<>()) : 0;
  CheckForm(extents && elements < 0x1p60, name, "four positive integers with a product below 2^60", value);
  return Shape(*extents);
}

int64_t Attributes::PositiveOr(const char* name, int64_t otherwise) const {
  const Json* value = Find(name);
  if (!value) return otherwise;
  const std::optional<int64_t> integer = AsInteger(*value);
  CheckForm(integer && *integer > 0, name, "a positive integer", *value);
  return *integer;
}

std::optional<int32_t> Attributes::MaybeInteger(const char* name) const {
  const Json* value = Find(name);
  if (!value) return std::nullopt;
  const std::optional<int64_t> integer = AsInteger(*value);
  CheckForm(integer && std::in_range<int32_t>(*integer), name, "an integer of 32 bits", *value);
  return static_cast<int32_t>(*integer);
}

float Attributes::FloatOr(const char* name, float otherwise) const {
  const Json* value = Find(name);
  if (!value) return otherwise;
  const double number = value->is_number() ? value->get<double>() : -1;
  CheckForm(number >= 0 && number <= std::numeric_limits<float>::max(), name, "a number from 0 on", *value);
  return static_cast<float>(number);
}

bool Attributes::FlagOr(const char* name, bool otherwise) const {
  const Json* value = Find(name);
  if (!value) return otherwise;
  CheckForm(value->is_boolean(), name, "true or false", *value);
  return value->get<bool>();
}

size_t Attributes::WordOrFirst(const char* name, std::initializer_list<std::string_view> words) const {
  const Json* value = Find(name);
  if (!value) return 0;
  std::string form;
  for (const std::string_view word : words) form += StrCat(form.empty() ? "one of \"" : ", \"", word, "\"");
  const auto* found = value->is_string() ? std::ranges::find(words, value->get_ref<const std::string&>()) : words.end();
  CheckForm(found != words.end(), name, form.c_str(), *value);
  return static_cast<size_t>(found - words.begin());
}

}  // namespace hwynn::apps
