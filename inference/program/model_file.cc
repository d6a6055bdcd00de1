#include "hwynn/inference/program/model_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/split.h"
#include "hwynn/formats/checksum.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/formats/json/document.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/formats/sound_values.h"
#include "hwynn/formats/utf8.h"

namespace hwynn {
namespace {

using Json = nlohmann::json;                 // what is read
using OrderedJson = nlohmann::ordered_json;  // what is written

using Kind = ProgramStep::Kind;

constexpr char kFormat[] = "hwynn inference";
constexpr char kVersion[] = "1";
constexpr char kWeights[] = "weights";
constexpr int64_t kAlignmentBytes = 64;
constexpr int64_t kAlignment = kAlignmentBytes / static_cast<int64_t>(sizeof(float));

// All that a file can hold: not kModule.
constexpr std::array<Kind, 9> kKinds{Kind::kConv2d, Kind::kDense,   Kind::kNormalize,   Kind::kRelu,
                                     Kind::kAdd,    Kind::kMaxPool, Kind::kAveragePool, Kind::kGlobalAveragePool,
                                     Kind::kFlatten};
constexpr std::array<std::string_view, 3> kPaddingKinds{"same", "valid", "explicit"};  // of Padding::Kind

// ---- writing ----

// Gives each array its place in "weights".
class ArrayWriter {
 public:
  OrderedJson Place(std::span<const float> array) {
    return Place(ConstTensorView(array.data(), Shape{static_cast<int64_t>(array.size())}));
  }
  OrderedJson Place(ConstTensorView array) {
    OrderedJson place{{"offset", floats_}, {"shape", array.shape().extents()}};
    pieces_.push_back(array);
    floats_ += RoundUp(array.size(), kAlignment);
    return place;
  }

  std::vector<float> Weights() const {
    std::vector<float> weights(static_cast<size_t>(floats_));
    auto* place = weights.data();
    for (const ConstTensorView& piece : pieces_) {
      std::ranges::copy(piece.span(), place);
      place += RoundUp(piece.size(), kAlignment);
    }
    return weights;
  }

 private:
  int64_t floats_ = 0;
  std::vector<ConstTensorView> pieces_;
};

OrderedJson ToJson(const Padding& padding) {
  if (padding.kind == Padding::Kind::kExplicit) return OrderedJson(padding.pixels);
  return OrderedJson(kPaddingKinds[static_cast<size_t>(padding.kind)]);
}

OrderedJson ToJson(const ProgramStep& step, ArrayWriter& arrays) {
  Check(step.kind != Kind::kModule, "InferenceModel::Save: the model calls a module of a user's own at \"/", step.path,
        "\", which no file holds");
  OrderedJson json{{"kind", ProgramStep::KindName(step.kind)}, {"path", step.path}, {"input", step.input}};
  if (step.addend >= 0) json["addend"] = step.addend;
  if (step.kind == Kind::kConv2d) {
    json["stride"] = step.conv.stride;
    json["dilation"] = step.conv.dilation;
    json["padding"] = ToJson(step.conv.padding);
    json["groups"] = step.conv.groups;
    json["highest_precision"] = step.conv.precision == Precision::kHighest;
  }
  if (step.kind == Kind::kMaxPool || step.kind == Kind::kAveragePool) {
    json["window"] = step.pool.window;
    json["stride"] = step.pool.stride;
    json["dilation"] = step.pool.dilation;
    json["padding"] = ToJson(step.pool.padding);
    json["ceil_mode"] = step.pool.ceil_mode;
    json["count_include_pad"] = step.pool.count_include_pad;
  }
  for (const auto& [name, array] : {std::pair("filter", step.filter), std::pair("mean", step.mean),
                                    std::pair("scale", step.scale), std::pair("bias", step.bias)}) {
    if (array.size() != 0) json[name] = arrays.Place(array);
  }
  if (step.relu) json["relu"] = true;
  if (step.relu && step.upper != std::numeric_limits<float>::infinity()) json["upper"] = step.upper;
  return json;
}

std::string Hex(uint64_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), value, 16).ptr;
  return {digits.begin(), end};
}

// ---- reading ----

class ProgramReader {
 public:
  ProgramReader(const std::string& path, ConstTensorView weights) : path_(path), weights_(weights) {}

  Program Read(const Json& json) {
    Program program;
    const Json& steps = Field(json, "steps");
    CheckData(steps.is_array() && steps.size() <= kMostSteps, path_, ": has no list of steps");
    for (const Json& step : steps) program.steps.push_back(ReadStep(step, static_cast<int>(program.steps.size())));
    program.output = ReadValue(json, "output", static_cast<int>(program.steps.size()));
    return program;
  }

  // Without what CheckInfo checks.
  InferenceInfo ReadInfo(const Json& json) const {
    InferenceInfo info{.standardization = {ReadFloats(json, "mean"), ReadFloats(json, "stddev")}};
    const Json& extents = Field(json, "image_shape");
    CheckData(extents.is_array() && extents.size() == 3, path_, ": \"image_shape\" is not [H,W,C]");
    std::vector<int64_t> shape;
    for (const Json& extent : extents)
      shape.push_back(ReadInteger(extent, "image_shape", 0, std::numeric_limits<int32_t>::max()));
    info.image_shape = Shape(shape);
    const Json& names = Field(json, "class_names");
    CheckData(names.is_array(), path_, ": \"class_names\" is not a list");
    for (const Json& name : names) info.class_names.push_back(Text(name, "class_names"));
    if (json.contains("transform")) info.transform = ParseEvaluationTransform(Text(json["transform"], "transform"));
    return info;
  }

  PackedSteps ReadPacked(const Json& json) {
    PackedSteps packed;
    if (!json.contains("packed_for")) return packed;
    packed.target = Text(json["packed_for"], "packed_for");
    const Json& steps = Field(json, "steps");
    for (size_t i = 0; i < steps.size(); ++i) {
      if (!steps[i].contains("packed")) continue;
      const Json& field = steps[i]["packed"];
      packed.steps.push_back(
          {static_cast<int>(i), Text(Field(field, "algorithm"), "algorithm"), ReadArray(field, "floats", 1).span()});
    }
    return packed;
  }

  std::vector<Tensor> TakeArrays() { return std::move(ones_); }

 private:
  static constexpr size_t kMostSteps = 20'000;     // places in memory are found in quadratic time
  static constexpr int64_t kMostExtent = 1 << 16;  // of strides, dilations and windows

  const Json& Field(const Json& json, const char* name) const {
    CheckData(json.is_object(), path_, ": a part of the program is not an object");
    const auto found = json.find(name);
    CheckData(found != json.end(), path_, ": the program lacks a field \"", name, "\"");
    return *found;
  }

  std::string Text(const Json& json, const char* name) const {
    CheckData(json.is_string(), path_, ": \"", name, "\" is not a string");
    return json.get<std::string>();
  }

  float ReadFloat(const Json& json, const char* name) const {
    CheckData(json.is_number(), path_, ": \"", name, "\" is not a number");
    const auto value = json.get<double>();
    CheckData(std::abs(value) <= std::numeric_limits<float>::max(), path_, ": \"", name, "\" is ", value);
    return static_cast<float>(value);
  }

  std::vector<float> ReadFloats(const Json& json, const char* name) const {
    const Json& list = Field(json, name);
    CheckData(list.is_array(), path_, ": \"", name, "\" is not a list");
    std::vector<float> values;
    for (const Json& value : list) values.push_back(ReadFloat(value, name));
    return values;
  }

  int64_t ReadInteger(const Json& json, const char* name, int64_t least, int64_t most) const {
    CheckData(json.is_number_integer(), path_, ": \"", name, "\" is not a whole number");
    const auto value = json.get<int64_t>();
    CheckData(value >= least && value <= most, path_, ": \"", name, "\" is ", value, ", not ", least, " … ", most);
    return value;
  }

  // A value that a step before `step` made.
  int ReadValue(const Json& json, const char* name, int step) const {
    return static_cast<int>(ReadInteger(Field(json, name), name, 0, step));
  }

  bool ReadFlag(const Json& json, const char* name) const {
    const auto found = json.find(name);
    if (found == json.end()) return false;
    CheckData(found->is_boolean(), path_, ": \"", name, "\" is neither true nor false");
    return found->get<bool>();
  }

  std::array<int64_t, 2> ReadPair(const Json& json, const char* name) const {
    const Json& pair = Field(json, name);
    CheckData(pair.is_array() && pair.size() == 2, path_, ": \"", name, "\" is not a pair");
    return {ReadInteger(pair[0], name, 1, kMostExtent), ReadInteger(pair[1], name, 1, kMostExtent)};
  }

  Padding ReadPadding(const Json& json) const {
    const Json& value = Field(json, "padding");
    if (value.is_array()) {
      CheckData(value.size() == 4, path_, ": \"padding\" has ", value.size(), " numbers instead of 4");
      Padding padding = Padding::Explicit(0, 0, 0, 0);
      for (size_t side = 0; side < 4; ++side) {
        padding.pixels[side] = ReadInteger(value[side], "padding", -kMostExtent, kMostExtent);
      }
      return padding;
    }
    const auto* kind = value.get_ptr<const std::string*>();
    const bool is_same = kind != nullptr && *kind == "same", is_valid = kind != nullptr && *kind == "valid";
    CheckData(is_same || is_valid, path_, ": \"padding\" is neither same nor valid nor four numbers");
    return is_same ? Padding::Same() : Padding::Valid();
  }

  // The array called `name`, of that rank; with `size` of so many elements.
  ConstTensorView ReadArray(const Json& json, const char* name, int rank, std::optional<int64_t> size = {}) {
    const Json& place = Field(json, name);
    const Json& extents = Field(place, "shape");
    CheckData(extents.is_array() && static_cast<int>(extents.size()) == rank, path_, ": \"", name, "\" is not of rank ",
              rank);
    std::vector<int64_t> shape;
    int64_t elements = 1;
    for (const Json& extent : extents) {
      shape.push_back(ReadInteger(extent, name, 1, weights_.size()));
      CheckData(shape.back() <= weights_.size() / elements, path_, ": \"", name, "\" is larger than the file");
      elements *= shape.back();
    }
    const int64_t offset = ReadInteger(Field(place, "offset"), name, 0, weights_.size() - elements);
    CheckData(offset % kAlignment == 0, path_, ": \"", name, "\" is not aligned");
    CheckData(!size || *size == elements, path_, ": \"", name, "\" has ", elements, " elements instead of ",
              size.value_or(0));
    // No array serves twice: what is made of them is then as large as the file at most.
    elements_left_ -= elements;
    CheckData(elements_left_ >= 0, path_, ": the program's arrays are larger than \"weights\"");
    return {weights_.data() + offset, Shape(shape)};
  }

  ProgramStep ReadStep(const Json& json, int index) {
    const Json& name = Field(json, "kind");
    const auto* kind = std::ranges::find_if(kKinds, [&](Kind known) { return name == ProgramStep::KindName(known); });
    CheckData(kind != kKinds.end(), path_, ": a step of the unknown kind ", name.dump());
    ProgramStep step{
        .kind = *kind, .path = Text(Field(json, "path"), "path"), .input = ReadValue(json, "input", index)};
    if (json.contains("addend")) step.addend = ReadValue(json, "addend", index);
    CheckData(step.kind != Kind::kAdd || step.addend >= 0, path_, ": an addition of one value");
    const bool adds = step.multiplies() || step.kind == Kind::kNormalize || step.kind == Kind::kAdd;
    CheckData(adds || step.addend < 0, path_, ": a step of kind ", name.dump(), " adds nothing");
    step.relu = ReadFlag(json, "relu");
    if (json.contains("upper")) {
      const Json& upper = json["upper"];
      step.upper = ReadFloat(upper, "upper");
      CheckData(step.upper >= 0, path_, ": \"upper\" is below 0");
      CheckData(step.multiplies() || step.kind == Kind::kRelu, path_, ": \"upper\" in a step of kind ", name.dump());
    }
    if (step.multiplies()) ReadProduct(json, step);
    if (step.kind == Kind::kNormalize) {
      step.scale = ReadArray(json, "scale", 1);
      step.mean = ReadArray(json, "mean", 1, step.scale.size());
      if (json.contains("bias")) step.bias = ReadArray(json, "bias", 1, step.scale.size());
      ones_.emplace_back(step.scale.shape(), 1.0f);
      step.ones = ones_.back();
    }
    if (step.kind == Kind::kMaxPool || step.kind == Kind::kAveragePool) {
      step.pool = {.window = ReadPair(json, "window"),
                   .stride = ReadPair(json, "stride"),
                   .dilation = ReadPair(json, "dilation"),
                   .ceil_mode = ReadFlag(json, "ceil_mode"),
                   .count_include_pad = ReadFlag(json, "count_include_pad")};
      step.pool.padding = ReadPadding(json);
    }
    return step;
  }

  void ReadProduct(const Json& json, ProgramStep& step) {
    step.filter = ReadArray(json, "filter", 4);
    const Shape& filter = step.filter.shape();
    if (step.kind == Kind::kConv2d) {
      step.conv = {.stride = ReadPair(json, "stride"),
                   .dilation = ReadPair(json, "dilation"),
                   .groups = ReadInteger(Field(json, "groups"), "groups", 1, filter[3]),
                   .precision = ReadFlag(json, "highest_precision") ? Precision::kHighest : Precision::kDefault};
      step.conv.padding = ReadPadding(json);
    } else {
      CheckData(filter[0] == 1 && filter[1] == 1, path_, ": a dense layer's filter is ", filter);
      step.conv.padding = Padding::Valid();
    }
    if (json.contains("bias")) step.bias = ReadArray(json, "bias", 1, filter[3]);
  }

  const std::string& path_;
  ConstTensorView weights_;
  int64_t elements_left_ = weights_.size();
  std::vector<Tensor> ones_;
};

// Arrays within arrays are copied and printed by functions that call themselves: what nests deeply must not get so far.
json::Document<Json> Parse(const std::string& path, const std::string& text) {
  constexpr int kMostDepth = 8;  // of 5: program, steps, step, filter, shape
  return json::Parse<Json>(text, [&](int depth, Json::parse_event_t, const std::string&) {
    CheckData(depth <= kMostDepth, path, ": the program nests too deeply");
  });
}

}  // namespace

std::string ProgramChecksum(std::span<const std::byte> weights, const std::string& text) {
  return Hex(Checksum(weights)) + Hex(Checksum(std::as_bytes(std::span(text))));
}

void CheckInfo(const InferenceInfo& info) {
  Check(info.image_shape.rank() == 3, "InferenceInfo: image_shape ", info.image_shape, " must be [H,W,C]");
  CheckStandardization(info.standardization, info.image_shape[2]);
  CheckEvaluationTransform(info.transform, info.image_shape);
  Check(std::ranges::all_of(info.class_names, [](const std::string& name) { return IsUtf8(name); }),
        "InferenceInfo: a class name isn't UTF-8");
}

void WriteProgramFile(const std::string& path, const Program& program, const InferenceInfo& info,
                      const PackedSteps& packed) {
  ArrayWriter arrays;
  OrderedJson steps = OrderedJson::array();
  for (const ProgramStep& step : program.steps) steps.push_back(ToJson(step, arrays));
  for (const PackedStep& step : packed.steps) {
    steps[static_cast<size_t>(step.step)]["packed"] = {{"algorithm", step.algorithm},
                                                       {"floats", arrays.Place(step.packed)}};
  }
  OrderedJson json{{"steps", std::move(steps)},
                   {"output", program.output},

                   {"image_shape", info.image_shape.extents()},
                   {"class_names", info.class_names},
                   {"mean", info.standardization.mean},
                   {"stddev", info.standardization.stddev}};
  // Not written where there is none, so that programs older than transforms read such files.
  if (info.transform != EvaluationTransform()) json["transform"] = ToText(info.transform);
  if (!packed.steps.empty()) json["packed_for"] = packed.target;
  const std::vector<float> weights = arrays.Weights();
  const auto bytes = std::as_bytes(std::span(weights));
  const std::string text = json.dump();
  WriteSafetensors(
      path, {{kWeights, {"F32", Shape{static_cast<int64_t>(weights.size())}, bytes}}},
      {{"format", kFormat}, {"version", kVersion}, {"program", text}, {"checksum", ProgramChecksum(bytes, text)}},
      kAlignmentBytes);
}

bool IsProgramFile(const std::string& path) try {
  const auto mapped = std::make_shared<const MappedFile>(path);
  const SafetensorsFile file(path, mapped->bytes(), mapped);
  const auto format = file.metadata().find("format");
  return format != file.metadata().end() && format->second == kFormat;
} catch (const std::runtime_error&) {
  return false;
}

ProgramFile ReadProgramFile(const std::string& path) {
  auto mapped = std::make_shared<const MappedFile>(path);
  const SafetensorsFile file(path, mapped->bytes(), mapped);
  const SafetensorsMetadata& metadata = file.metadata();
  const auto text_of = [&](const char* name) -> std::string {
    const auto found = metadata.find(name);
    return found != metadata.end() ? found->second : "";
  };
  CheckData(text_of("format") == kFormat, path, ": isn't a compiled model (hwynn compile writes them)");
  CheckData(text_of("version") == kVersion, path, ": is of version ", text_of("version"),
            " of compiled models; this is ", kVersion);
  const SafetensorsEntry& weights = file.Entry(kWeights);
  CheckData(weights.dtype == "F32" && weights.shape.rank() == 1, path, ": \"weights\" is ", weights.dtype, " ",
            weights.shape, ", not F32 of one axis");
  CheckData(reinterpret_cast<uintptr_t>(weights.bytes.data()) % kAlignmentBytes == 0, path,
            ": \"weights\" doesn't begin at a multiple of ", kAlignmentBytes, " bytes");
  const std::string text = text_of("program");
  CheckData(ProgramChecksum(weights.bytes, text) == text_of("checksum"), path,
            ": was changed since it was written: the checksum doesn't fit");
  if (const auto unsound = FindUnsoundValue(kWeights, weights.bytes)) {
    CheckData(false, path, ": \"weights\" ", *unsound);
  }

  const ConstTensorView view(reinterpret_cast<const float*>(weights.bytes.data()), weights.shape);
  ProgramReader reader(path, view);
  try {
    const json::Document<Json> document = Parse(path, text);
    const Json& json = *document;
    ProgramFile result{.program = reader.Read(json), .info = reader.ReadInfo(json), .packed = reader.ReadPacked(json)};
    CheckInfo(result.info);
    struct Kept {
      std::shared_ptr<const MappedFile> file;
      std::vector<Tensor> arrays;
    };
    result.program.arrays = std::make_shared<const Kept>(Kept{std::move(mapped), reader.TakeArrays()});
    return result;
  } catch (const Json::exception& error) {
    throw std::runtime_error(StrCat(path, ": the program isn't JSON of this format: ", error.what()));
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(StrCat(path, ": ", error.what()));
  }
}

}  // namespace hwynn
