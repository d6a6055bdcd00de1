#include "hwynn/tests/support/onnx.h"

#include <cstring>
#include <filesystem>
#include <string_view>

#include "hwynn/core/check.h"
#include "hwynn/formats/file_io.h"

namespace hwynn::testing::onnx {
namespace {

using Message = std::string_view;

// One field of a message: a number, or bytes.
struct Field {
  uint64_t number = 0;  // of the field
  uint64_t value = 0;
  Message bytes;

  float ToFloat() const {
    const auto bits = static_cast<uint32_t>(value);
    float result;
    std::memcpy(&result, &bits, sizeof(bits));
    return result;
  }
};

uint64_t TakeVarint(Message& message) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    CheckData(!message.empty(), "protobuf: a number is cut off");
    const auto byte = static_cast<uint8_t>(message.front());
    message.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  throw std::runtime_error("protobuf: a number is too long");
}

Message TakeBytes(Message& message, uint64_t size) {
  CheckData(size <= message.size(), "protobuf: a field is cut off");
  const Message bytes = message.substr(0, size);
  message.remove_prefix(size);
  return bytes;
}

uint64_t LittleEndian(Message bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

Field TakeField(Message& message) {
  const uint64_t key = TakeVarint(message);
  Field field{.number = key >> 3};
  switch (key & 7) {
    case 0:
      field.value = TakeVarint(message);
      return field;
    case 1:
      field.value = LittleEndian(TakeBytes(message, 8));
      return field;
    case 2:
      field.bytes = TakeBytes(message, TakeVarint(message));
      return field;
    case 5:
      field.value = LittleEndian(TakeBytes(message, 4));
      return field;
    default:
      throw std::runtime_error("protobuf: a field of an unknown kind");
  }
}

// Whole numbers come one in a field, or packed.
void Append(const Field& field, std::vector<int64_t>& numbers) {
  if (field.bytes.empty()) return numbers.push_back(static_cast<int64_t>(field.value));
  for (Message rest = field.bytes; !rest.empty();) numbers.push_back(static_cast<int64_t>(TakeVarint(rest)));
}

void AppendFloats(const Field& field, std::vector<float>& floats) {
  if (field.bytes.empty()) return floats.push_back(field.ToFloat());
  for (Message rest = field.bytes; !rest.empty();) {
    floats.push_back(Field{.value = LittleEndian(TakeBytes(rest, 4))}.ToFloat());
  }
}

Value ParseTensor(Message message) {
  Value value;
  Message raw;
  while (!message.empty()) {
    const Field field = TakeField(message);
    if (field.number == 1) Append(field, value.dims);
    if (field.number == 2) value.type = static_cast<int>(field.value);
    if (field.number == 4) AppendFloats(field, value.floats);
    if (field.number == 7) Append(field, value.integers);
    if (field.number == 9) raw = field.bytes;
  }
  while (value.type == Value::kFloat && !raw.empty()) {
    value.floats.push_back(Field{.value = LittleEndian(TakeBytes(raw, 4))}.ToFloat());
  }
  while (value.type == Value::kInt64 && !raw.empty()) {
    value.integers.push_back(static_cast<int64_t>(LittleEndian(TakeBytes(raw, 8))));
  }
  int64_t size = 1;
  for (const int64_t extent : value.dims) size *= extent;
  CheckData(value.type != Value::kFloat || std::ssize(value.floats) == size, "onnx: a tensor lacks elements");
  CheckData(value.type != Value::kInt64 || std::ssize(value.integers) == size, "onnx: a tensor lacks elements");
  return value;
}

std::string NameOf(Message message, uint64_t field_number) {
  std::string name;
  while (!message.empty()) {
    const Field field = TakeField(message);
    if (field.number == field_number) name = field.bytes;
  }
  return name;
}

Attribute ParseAttribute(Message message) {
  Attribute attribute;
  while (!message.empty()) {
    const Field field = TakeField(message);
    if (field.number == 2) attribute.number = field.ToFloat();
    if (field.number == 3) attribute.integer = static_cast<int64_t>(field.value);
    if (field.number == 4) attribute.text = field.bytes;
    if (field.number == 5) attribute.tensor = ParseTensor(field.bytes);
    if (field.number == 8) Append(field, attribute.integers);
  }
  return attribute;
}

Node ParseNode(Message message) {
  Node node;
  while (!message.empty()) {
    const Field field = TakeField(message);
    if (field.number == 1) node.inputs.emplace_back(field.bytes);
    if (field.number == 2) node.outputs.emplace_back(field.bytes);
    if (field.number == 4) node.op = field.bytes;
    if (field.number == 5) node.attributes[NameOf(field.bytes, 1)] = ParseAttribute(field.bytes);
  }
  return node;
}

Model ParseGraph(Message message) {
  Model model;
  std::vector<std::string> inputs;
  while (!message.empty()) {
    const Field field = TakeField(message);
    if (field.number == 1) model.nodes.push_back(ParseNode(field.bytes));
    if (field.number == 5) model.initialisers[NameOf(field.bytes, 8)] = ParseTensor(field.bytes);
    if (field.number == 11) inputs.push_back(NameOf(field.bytes, 1));
    if (field.number == 12) model.outputs.push_back(NameOf(field.bytes, 1));
  }
  for (const std::string& name : inputs) {
    if (!model.initialisers.contains(name)) model.inputs.push_back(name);
  }
  return model;
}

Message ToMessage(const std::vector<std::byte>& file) {
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

}  // namespace

float Node::Number(const std::string& name, float otherwise) const {
  const auto found = attributes.find(name);
  return found == attributes.end() ? otherwise : found->second.number;
}

int64_t Node::Integer(const std::string& name, int64_t otherwise) const {
  const auto found = attributes.find(name);
  return found == attributes.end() ? otherwise : found->second.integer;
}

std::string Node::Text(const std::string& name, const std::string& otherwise) const {
  const auto found = attributes.find(name);
  return found == attributes.end() ? otherwise : found->second.text;
}

std::vector<int64_t> Node::Integers(const std::string& name, const std::vector<int64_t>& otherwise) const {
  const auto found = attributes.find(name);
  return found == attributes.end() ? otherwise : found->second.integers;
}

Model ReadModel(const std::string& path) {
  const std::vector<std::byte> file = ReadFile(path);
  Model model;
  for (Message message = ToMessage(file); !message.empty();) {
    const Field field = TakeField(message);
    if (field.number == 7) model = ParseGraph(field.bytes);
  }
  return model;
}

Value ReadValue(const std::string& path) {
  const std::vector<std::byte> file = ReadFile(path);
  return ParseTensor(ToMessage(file));
}

std::vector<Value> ReadValues(const std::string& folder, const std::string& kind) {
  std::vector<Value> values;
  for (;;) {
    const std::string path = StrCat(folder, "/", kind, "_", values.size(), ".pb");
    if (!std::filesystem::exists(path)) return values;
    values.push_back(ReadValue(path));
  }
}

}  // namespace hwynn::testing::onnx
