#include "hwynn/formats/npy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "hwynn/core/check.h"
#include "hwynn/formats/dtype.h"

namespace hwynn {
namespace {

using namespace std::literals;

constexpr std::string_view kMagic = "\x93NUMPY";

struct ElementType {
  std::string_view code;  // kind and bytes
  std::string_view numpy;
  size_t bytes;
};

constexpr std::array kTypes = std::to_array<ElementType>({
    {"u1", "uint8", 1},
    {"u2", "uint16", 2},
    {"u4", "uint32", 4},
    {"u8", "uint64", 8},
    {"i1", "int8", 1},
    {"i2", "int16", 2},
    {"i4", "int32", 4},
    {"i8", "int64", 8},
    {"f2", "float16", 2},
    {"f4", "float32", 4},
    {"f8", "float64", 8},
});

// A literal of Python's as numpy.lib.format writes it: what a header may hold, and no more.
class Literal {
 public:
  Literal(std::string_view text, const std::string& where, size_t offset)
      : text_(text), where_(where), offset_(offset) {}

  bool Skip(std::string_view token) {
    SkipSpaces();
    if (!text_.substr(position_).starts_with(token)) return false;
    position_ += token.size();
    return true;
  }

  void Expect(std::string_view token) { Require(Skip(token), "expected '", token, "'"); }

  std::string_view Quoted() {
    SkipSpaces();
    const char quote = position_ < text_.size() ? text_[position_] : '\0';
    Require(quote == '\'' || quote == '"', "expected a text in quotes");
    const size_t begin = position_ + 1, end = text_.find(quote, begin);
    Require(end != text_.npos, "a text has no end");
    const std::string_view content = text_.substr(begin, end - begin);
    Require(content.find('\\') == content.npos, "a text has escapes");
    position_ = end + 1;
    return content;
  }

  bool Bool() {
    if (Skip("True")) return true;
    Require(Skip("False"), "expected True or False");
    return false;
  }

  uint64_t Number() {
    SkipSpaces();
    const size_t begin = position_;
    uint64_t number = 0;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') {
      const auto digit = static_cast<uint64_t>(text_[position_] - '0');
      Require(number <= (std::numeric_limits<uint64_t>::max() - digit) / 10, "a number is out of range");
      number = 10 * number + digit;
      ++position_;
    }
    Require(position_ > begin, "expected a number");
    Skip("L");  // Python 2's long
    return number;
  }

  std::vector<uint64_t> Tuple() {
    std::vector<uint64_t> numbers;
    Expect("(");
    while (!Skip(")")) {
      numbers.push_back(Number());
      Require(numbers.size() <= Shape::kMaxRank, "more than ", Shape::kMaxRank, " dimensions");
      if (Skip(",")) continue;
      Require(numbers.size() != 1, "(1) is no tuple");
      Expect(")");
      break;
    }
    return numbers;
  }

  void ExpectEnd() {
    SkipSpaces();
    Require(position_ == text_.size(), "something is left over");
  }

  template <class... Parts>
  void Require(bool ok, const Parts&... parts) const {
    CheckData(ok, where_, ": the header can't be read at byte ", offset_ + position_, ": ", parts...);
  }

 private:
  void SkipSpaces() { position_ = std::min(text_.find_first_not_of(" \t\r\n", position_), text_.size()); }

  const std::string_view text_;
  const std::string& where_;
  const size_t offset_;
  size_t position_ = 0;
};

// The next element's place by rows of an array that lies by columns: extents and strides, an odometer.
class ColumnOrder {
 public:
  explicit ColumnOrder(const Shape& shape) : shape_(shape) {
    size_t stride = 1;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      strides_[static_cast<size_t>(axis)] = stride;
      stride *= static_cast<size_t>(shape[axis]);
    }
  }

  size_t place() const { return place_; }

  void Advance() {
    for (int axis = shape_.rank() - 1; axis >= 0; --axis) {
      const auto a = static_cast<size_t>(axis);
      place_ += strides_[a];
      if (++index_[a] < shape_[axis]) return;
      place_ -= strides_[a] * static_cast<size_t>(shape_[axis]);
      index_[a] = 0;
    }
  }

 private:
  const Shape& shape_;
  std::array<size_t, Shape::kMaxRank> strides_{};
  std::array<int64_t, Shape::kMaxRank> index_{};
  size_t place_ = 0;
};

template <class T>
void Widen(std::span<const std::byte> bytes, std::vector<int64_t>& integers, const std::string& where) {
  for (size_t i = 0; i < integers.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    CheckData(std::in_range<int64_t>(value), where, ": element ", i, " is ", value, ", which is out of range");
    integers[i] = static_cast<int64_t>(value);  // NOLINT(bugprone-signed-char-misuse): numbers, no characters
  }
}

}  // namespace

NpyArray::NpyArray(std::string where, std::span<const std::byte> file) : where_(std::move(where)) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  constexpr size_t kVersion = kMagic.size(), kLength = kVersion + 2;
  CheckData(text.starts_with(kMagic), where_, ": isn't NumPy's .npy: its magic number isn't at byte 0");
  CheckData(text.size() >= kLength, where_, ": ends at byte ", text.size(), ", in its header");
  const auto major = static_cast<int>(file[kVersion]), minor = static_cast<int>(file[kVersion + 1]);
  CheckData(major >= 1 && major <= 3 && minor == 0, where_, ": is of version ", major, ".", minor, " at byte ",
            kVersion, " of NumPy's .npy, not of 1.0 to 3.0");
  const size_t length_bytes = major == 1 ? 2 : 4, header = kLength + length_bytes;
  CheckData(text.size() >= header, where_, ": ends at byte ", text.size(), ", in its header");
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= static_cast<size_t>(file[kLength + i]) << (8 * i);
  CheckData(length <= text.size() - header, where_, ": the header of ", length, " bytes from byte ", header,
            " on is longer than the file");
  ReadHeader(text.substr(header, length), header);

  elements_ = file.subspan(header + length);
  const auto num_elements = static_cast<uint64_t>(shape_.num_elements());
  const bool fits = element_bytes_ == 0 ||
                    (elements_.size() % element_bytes_ == 0 && elements_.size() / element_bytes_ == num_elements);
  CheckData(fits, where_, ": ", elements_.size(), " bytes from byte ", header + length, " on are not ", num_elements,
            " elements of ", element_bytes_, " bytes");
}

void NpyArray::ReadHeader(std::string_view header, size_t offset) {
  Literal literal(header, where_, offset);
  std::optional<std::string_view> descr;
  std::optional<bool> is_fortran;
  std::optional<std::vector<uint64_t>> extents;
  literal.Expect("{");
  while (!literal.Skip("}")) {
    const std::string_view key = literal.Quoted();
    literal.Expect(":");
    if (key == "descr" && !descr) {
      CheckData(!literal.Skip("["), where_, ": is a structured array, of records");
      descr = literal.Quoted();
    } else if (key == "fortran_order" && !is_fortran) {
      is_fortran = literal.Bool();
    } else if (key == "shape" && !extents) {
      extents = literal.Tuple();
    } else {
      literal.Require(false, "expected descr, fortran_order and shape, once each");
    }
    if (literal.Skip(",")) continue;
    literal.Expect("}");
    break;
  }
  literal.ExpectEnd();
  literal.Require(descr && is_fortran && extents, "descr, fortran_order or shape is missing");

  const auto shape = ParseShape(*extents);
  if (const auto* reason = std::get_if<std::string>(&shape)) CheckData(false, where_, ": has ", *reason);
  shape_ = std::get<Shape>(shape);
  is_fortran_ = *is_fortran;
  descr_ = descr->substr(0, 32);
  std::ranges::replace_if(
      descr_, [](unsigned char c) { return c < ' ' || c >= 0x7f; }, '?');
  const bool has_order = !descr->empty() && "<>|="sv.find(descr->front()) != std::string_view::npos;
  const auto* type = std::ranges::find(kTypes, descr->substr(has_order ? 1 : 0), &ElementType::code);
  if (!has_order || type == kTypes.end()) return;
  type_ = type->numpy;
  element_bytes_ = type->bytes;
  is_swapped_ = descr->front() == '>' && type->bytes > 1;
}

void NpyArray::CheckType(bool ok, const char* wanted) const {
  const std::string_view what = descr_.ends_with('O') ? " (Python objects, a pickle)" : "";
  CheckData(ok, where_, ": is of type ", type_.empty() ? descr_ : type_, what, ", not ", wanted);
}

std::vector<std::byte> NpyArray::Rows() const {
  if (!is_fortran_ && !is_swapped_) return {elements_.begin(), elements_.end()};
  std::vector<std::byte> rows(elements_.size());
  ColumnOrder columns(shape_);
  for (size_t out = 0; out < rows.size(); out += element_bytes_) {
    const size_t in = is_fortran_ ? columns.place() * element_bytes_ : out;
    for (size_t i = 0; i < element_bytes_; ++i) {
      rows[out + i] = elements_[in + (is_swapped_ ? element_bytes_ - 1 - i : i)];
    }
    if (is_fortran_) columns.Advance();
  }
  return rows;
}

std::vector<uint8_t> NpyArray::Bytes() const {
  CheckType(type_ == "uint8", "uint8");
  const std::vector<std::byte> rows = Rows();
  const auto* bytes = reinterpret_cast<const uint8_t*>(rows.data());
  return {bytes, bytes + rows.size()};
}

std::vector<float> NpyArray::Floats() const {
  CheckType(type_.starts_with("float"), "float16, float32 or float64");
  std::vector<float> floats(static_cast<size_t>(shape_.num_elements()));
  ToFloats(*FindNumpyDtype(type_), Rows(), floats);
  return floats;
}

std::vector<int64_t> NpyArray::Integers() const {
  CheckType(type_.starts_with("int") || type_.starts_with("uint"), "whole numbers");
  const std::vector<std::byte> rows = Rows();
  std::vector<int64_t> integers(static_cast<size_t>(shape_.num_elements()));
  if (type_ == "uint8") Widen<uint8_t>(rows, integers, where_);
  if (type_ == "uint16") Widen<uint16_t>(rows, integers, where_);
  if (type_ == "uint32") Widen<uint32_t>(rows, integers, where_);
  if (type_ == "uint64") Widen<uint64_t>(rows, integers, where_);
  if (type_ == "int8") Widen<int8_t>(rows, integers, where_);
  if (type_ == "int16") Widen<int16_t>(rows, integers, where_);
  if (type_ == "int32") Widen<int32_t>(rows, integers, where_);
  if (type_ == "int64") Widen<int64_t>(rows, integers, where_);
  return integers;
}

}  // namespace hwynn
