#include "hwynn/formats/pickle.h"

#include <algorithm>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/pickle/machine.h"
#include "hwynn/formats/utf8.h"

namespace hwynn {

using pickle::Kind;
using pickle::NameOf;
using pickle::Value;

struct PickledDictionary::Content {
  std::string path;
  pickle::Pools pools;
  std::vector<Value> items;  // key, value, key, …

  const std::vector<Value>& ElementsOf(const Value& value) const {
    return pools.sequences[static_cast<size_t>(value.number)];
  }

  const Value* Find(std::string_view key) const {
    const Value* found = nullptr;
    for (size_t i = 0; i < items.size(); i += 2) {
      const Value& name = items[i];
      const bool is_text = name.kind == Kind::kText || name.kind == Kind::kBytes || name.kind == Kind::kLatin1Bytes;
      if (!is_text || name.bytes != key) continue;
      CheckData(found == nullptr, path, ": the pickled dictionary has \"", key, "\" twice");
      found = &items[i + 1];
    }
    return found;
  }

  const Value& Get(std::string_view key, Kind kind) const {
    const Value* value = Find(key);
    CheckData(value != nullptr, path, ": the pickled dictionary has no \"", key, "\"");
    CheckData(value->kind == kind, path, ": the pickle's \"", key, "\" is ", NameOf(value->kind), ", not ",
              NameOf(kind));
    return *value;
  }

  // The bytes that a text of U+0000 … U+00FF stands for.
  std::vector<uint8_t> DecodeLatin1(std::string_view key, std::string_view text) const {
    std::vector<uint8_t> bytes;
    bytes.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      const uint8_t next = i + 1 < text.size() ? static_cast<uint8_t>(text[i + 1]) : 0;
      const bool is_pair = (byte == 0xC2 || byte == 0xC3) && (next & 0xC0) == 0x80;
      CheckData(byte < 0x80 || is_pair, path, ": the pickle's \"", key, "\" is no text of Latin-1 at its byte ", i);
      bytes.push_back(is_pair ? static_cast<uint8_t>(byte << 6 | (next & 0x3F)) : byte);
      if (is_pair) ++i;
    }
    return bytes;
  }
};

PickledDictionary::PickledDictionary(std::string path, std::span<const std::byte> file) {
  auto content = std::make_unique<Content>();
  content->path = std::move(path);
  pickle::Machine machine(content->path, file);
  const Value dictionary = machine.Run(kMaxValues);
  CheckData(dictionary.kind == Kind::kDictionary, content->path, ": is a pickle of ", NameOf(dictionary.kind),
            ", not of a dictionary");
  content->pools = std::move(machine.pools());
  content->items = content->ElementsOf(dictionary);
  content_ = std::move(content);
}

PickledDictionary::~PickledDictionary() = default;

bool PickledDictionary::Has(std::string_view key) const { return content_->Find(key) != nullptr; }

std::vector<int64_t> PickledDictionary::Integers(std::string_view key) const {
  const std::vector<Value>& elements = content_->ElementsOf(content_->Get(key, Kind::kList));
  std::vector<int64_t> numbers;
  numbers.reserve(elements.size());
  for (const Value& element : elements) {
    CheckData(element.kind == Kind::kInteger, content_->path, ": the pickle's \"", key, "\" holds ",
              NameOf(element.kind), " at element ", numbers.size(), ", not a whole number");
    numbers.push_back(element.number);
  }
  return numbers;
}

std::vector<std::string> PickledDictionary::Texts(std::string_view key, size_t count) const {
  constexpr size_t kMostBytes = 255;
  const std::vector<Value>& elements = content_->ElementsOf(content_->Get(key, Kind::kList));
  CheckData(elements.size() == count, content_->path, ": the pickle's \"", key, "\" has ", elements.size(),
            " elements, not ", count);
  std::vector<std::string> texts;
  for (const Value& element : elements) {
    const bool is_text =
        element.kind == Kind::kText || element.kind == Kind::kBytes || element.kind == Kind::kLatin1Bytes;
    CheckData(is_text && element.bytes.size() <= kMostBytes && IsUtf8(element.bytes), content_->path,
              ": the pickle's \"", key, "\" holds at element ", texts.size(), " no UTF-8 text of at most ", kMostBytes,
              " bytes");
    texts.emplace_back(element.bytes);
  }
  return texts;
}

ByteMatrix PickledDictionary::Matrix(std::string_view key) const {
  const Value& value = content_->Get(key, Kind::kArray);
  const pickle::Array& array = content_->pools.arrays[static_cast<size_t>(value.number)];
  const auto require = [&](bool ok, const auto&... parts) {
    CheckData(ok, content_->path, ": the pickle's array \"", key, "\" ", parts...);
  };
  require(array.is_built, "has no state");
  require(array.dtype.bytes == "u1" || array.dtype.bytes == "|u1", "isn't of type uint8");
  const std::vector<Value>& shape = content_->ElementsOf(array.shape);
  require(shape.size() == 2 && shape[0].kind == Kind::kInteger && shape[1].kind == Kind::kInteger,
          "doesn't have two dimensions");

  ByteMatrix matrix{.rows = shape[0].number, .columns = shape[1].number};
  if (array.bytes.kind == Kind::kLatin1Bytes) {
    matrix.values = content_->DecodeLatin1(key, array.bytes.bytes);
  } else {
    matrix.values.assign(array.bytes.bytes.begin(), array.bytes.bytes.end());
  }
  const std::vector<uint8_t>& values = matrix.values;
  require(matrix.rows > 0 && matrix.columns > 0, "of shape [", matrix.rows, ",", matrix.columns, "] is empty");
  const bool fits = values.size() % static_cast<uint64_t>(matrix.columns) == 0 &&
                    values.size() / static_cast<uint64_t>(matrix.columns) == static_cast<uint64_t>(matrix.rows);
  require(fits, "of shape [", matrix.rows, ",", matrix.columns, "] holds ", values.size(), " bytes");
  if (array.is_fortran) {
    const std::vector<uint8_t> columns = std::move(matrix.values);
    const auto num_rows = static_cast<size_t>(matrix.rows), num_columns = static_cast<size_t>(matrix.columns);
    matrix.values.resize(columns.size());
    for (size_t r = 0; r < num_rows; ++r) {
      for (size_t c = 0; c < num_columns; ++c) matrix.values[r * num_columns + c] = columns[c * num_rows + r];
    }
  }
  return matrix;
}

}  // namespace hwynn
