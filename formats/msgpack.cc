#include "hwynn/formats/msgpack.h"

#include <bit>
#include <deque>
#include <limits>
#include <type_traits>

#include "hwynn/core/check.h"
#include "hwynn/formats/file_io.h"

namespace hwynn {
namespace {

// Smaller payloads are copied between the values around them: one write call instead of three.
constexpr size_t kCopyBytes = 4096;

// Collects an encoding as pieces: text of its own, and large payloads where they are.
class Encoder {
 public:
  void Write(const MsgpackValue& value) {
    std::visit([this](const auto& data) { Put(data); }, value.data);
  }

  std::vector<std::span<const std::byte>> Pieces() {
    CloseText();
    return pieces_;
  }

 private:
  template <class T>
  void Number(uint8_t first, T value) {
    text_ += static_cast<char>(first);
    const uint64_t bits = static_cast<std::make_unsigned_t<T>>(value);
    for (size_t byte = sizeof(T); byte-- > 0;) text_ += static_cast<char>(bits >> (8 * byte));
  }

  // The first byte of the three codes is for lengths of 1, 2 and 4 bytes; 0: there is none for 1 byte.
  void Length(size_t length, uint8_t code8, uint8_t code16, uint8_t code32) {
    Check(length <= std::numeric_limits<uint32_t>::max(), "EncodeMsgpack: a length of ", length, " is above 2^32 - 1");
    if (code8 != 0 && length <= 0xff) return Number(code8, static_cast<uint8_t>(length));
    if (length <= 0xffff) return Number(code16, static_cast<uint16_t>(length));
    Number(code32, static_cast<uint32_t>(length));
  }

  void Put(std::nullptr_t) { text_ += '\xc0'; }
  void Put(bool value) { text_ += value ? '\xc3' : '\xc2'; }
  void Put(float value) { Number(0xca, std::bit_cast<uint32_t>(value)); }
  void Put(double value) { Number(0xcb, std::bit_cast<uint64_t>(value)); }

  void Put(uint64_t value) {
    if (value <= 0x7f) {
      text_ += static_cast<char>(value);
    } else if (value <= 0xff) {
      Number(0xcc, static_cast<uint8_t>(value));
    } else if (value <= 0xffff) {
      Number(0xcd, static_cast<uint16_t>(value));
    } else if (value <= 0xffffffff) {
      Number(0xce, static_cast<uint32_t>(value));
    } else {
      Number(0xcf, value);
    }
  }

  void Put(int64_t value) {
    if (value >= 0) return Put(static_cast<uint64_t>(value));
    if (value >= -32) {
      text_ += static_cast<char>(value);
    } else if (value >= std::numeric_limits<int8_t>::min()) {
      Number(0xd0, static_cast<int8_t>(value));
    } else if (value >= std::numeric_limits<int16_t>::min()) {
      Number(0xd1, static_cast<int16_t>(value));
    } else if (value >= std::numeric_limits<int32_t>::min()) {
      Number(0xd2, static_cast<int32_t>(value));
    } else {
      Number(0xd3, value);
    }
  }

  void Put(const std::string& value) {
    if (value.size() <= 31) {
      text_ += static_cast<char>(0xa0 | value.size());
    } else {
      Length(value.size(), 0xd9, 0xda, 0xdb);
    }
    text_ += value;
  }

  void Put(const MsgpackValue::Binary& value) {
    Length(value.data.bytes.size(), 0xc4, 0xc5, 0xc6);
    Payload(value.data.bytes);
  }

  void Put(const MsgpackValue::Extension& value) {
    const size_t size = value.data.bytes.size();
    if (size <= 16 && std::has_single_bit(size)) {
      text_ += static_cast<char>(0xd4 + std::countr_zero(size));
    } else {
      Length(size, 0xc7, 0xc8, 0xc9);
    }
    text_ += static_cast<char>(value.type);
    Payload(value.data.bytes);
  }

  void Put(const MsgpackValue::Array& value) {
    if (value.size() <= 15) {
      text_ += static_cast<char>(0x90 | value.size());
    } else {
      Length(value.size(), 0, 0xdc, 0xdd);
    }
    for (const MsgpackValue& element : value) Write(element);
  }

  void Put(const MsgpackValue::Map& value) {
    if (value.size() <= 15) {
      text_ += static_cast<char>(0x80 | value.size());
    } else {
      Length(value.size(), 0, 0xde, 0xdf);
    }
    for (const auto& [key, member] : value) {
      if (key.number()) {
        Put(*key.number());
      } else {
        Put(key.text());
      }
      Write(member);
    }
  }

  void Payload(std::span<const std::byte> bytes) {
    if (bytes.size() <= kCopyBytes) {
      text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return;
    }
    CloseText();
    pieces_.push_back(bytes);
  }

  void CloseText() {
    if (text_.empty()) return;
    pieces_.push_back(std::as_bytes(std::span(texts_.emplace_back(std::move(text_)))));
    text_.clear();
  }

  std::string text_;
  std::deque<std::string> texts_;  // what pieces_ points into: its elements stay where they are
  std::vector<std::span<const std::byte>> pieces_;
};

}  // namespace

SharedBytes SharedBytes::Own(std::vector<std::byte> bytes) {
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return {*owner, owner};
}

const MsgpackValue* MsgpackValue::Find(std::string_view key) const {
  if (const auto* map = std::get_if<Map>(&data)) {
    for (const auto& [name, value] : *map) {
      if (name.text() == key) return &value;
    }
  }
  return nullptr;
}

MsgpackValue* MsgpackValue::Find(std::string_view key) {
  return const_cast<MsgpackValue*>(std::as_const(*this).Find(key));
}

std::vector<std::byte> EncodeMsgpack(const MsgpackValue& value) {
  Encoder encoder;
  encoder.Write(value);
  std::vector<std::byte> bytes;
  for (const auto piece : encoder.Pieces()) bytes.insert(bytes.end(), piece.begin(), piece.end());
  return bytes;
}

void WriteMsgpack(const std::string& path, const MsgpackValue& value) {
  Encoder encoder;
  encoder.Write(value);
  WriteFileAtomically(path, encoder.Pieces());
}

}  // namespace hwynn
