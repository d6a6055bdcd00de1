#include <bit>
#include <limits>
#include <set>
#include <type_traits>

#include "hwynn/core/check.h"
#include "hwynn/formats/msgpack.h"

namespace hwynn {
namespace {

constexpr int kMaxDepth = 100;
constexpr int64_t kMaxValues = 1 << 20;

// Reads values from bytes that may be anything.
class Parser {
 public:
  Parser(const SharedBytes& data, const std::string& path, size_t offset)
      : data_(data), path_(path), file_offset_(offset) {}

  MsgpackValue Parse() {
    MsgpackValue value = ReadValue(0);
    CheckData(position_ == data_.bytes.size(), At(position_), "trailing bytes after the end of the msgpack value");
    return value;
  }

 private:
  std::string At(size_t position) const { return StrCat(path_, ": byte ", file_offset_ + position, ": "); }

  SharedBytes Take(size_t count) {
    const size_t left = data_.bytes.size() - position_;
    // The text is put together for errors alone: this runs for every value.
    if (count > left) CheckData(false, At(position_), count, " bytes must follow, but ", left, " are left");
    position_ += count;
    return data_.Part(position_ - count, count);
  }

  // A big-endian number.
  template <class T>
  T Number() {
    std::make_unsigned_t<T> bits = 0;
    for (const std::byte byte : Take(sizeof(T)).bytes)
      bits = static_cast<decltype(bits)>((bits << 8) | uint64_t{std::to_integer<uint8_t>(byte)});
    return static_cast<T>(bits);
  }

  MsgpackValue ReadValue(int depth) {
    if (depth > kMaxDepth) CheckData(false, At(position_), "more than ", kMaxDepth, " levels of msgpack values");
    if (++num_values_ > kMaxValues) CheckData(false, At(position_), "more than ", kMaxValues, " msgpack values");
    MsgpackValue value;
    value.offset = file_offset_ + position_;
    const auto set = [&](auto data) { value.data = std::move(data); };
    const auto first = Number<uint8_t>();
    if (first <= 0x7f) {
      set(int64_t{first});
    } else if (first <= 0x8f) {
      set(ReadMap(first & 0x0f, depth));
    } else if (first <= 0x9f) {
      set(ReadArray(first & 0x0f, depth));
    } else if (first <= 0xbf) {
      set(ReadString(first & 0x1f));
    } else if (first >= 0xe0) {
      set(int64_t{static_cast<int8_t>(first)});
    } else {
      ReadLong(first, depth, set);
    }
    return value;
  }

  template <class Set>
  void ReadLong(uint8_t first, int depth, const Set& set) {
    switch (first) {
      case 0xc0:
        return set(nullptr);
      case 0xc2:
        return set(false);
      case 0xc3:
        return set(true);
      case 0xc4:
        return set(MsgpackValue::Binary{Take(Number<uint8_t>())});
      case 0xc5:
        return set(MsgpackValue::Binary{Take(Number<uint16_t>())});
      case 0xc6:
        return set(MsgpackValue::Binary{Take(Number<uint32_t>())});
      case 0xc7:
        return set(ReadExtension(Number<uint8_t>()));
      case 0xc8:
        return set(ReadExtension(Number<uint16_t>()));
      case 0xc9:
        return set(ReadExtension(Number<uint32_t>()));
      case 0xca:
        return set(std::bit_cast<float>(Number<uint32_t>()));
      case 0xcb:
        return set(std::bit_cast<double>(Number<uint64_t>()));
      case 0xcc:
        return set(int64_t{Number<uint8_t>()});
      case 0xcd:
        return set(int64_t{Number<uint16_t>()});
      case 0xce:
        return set(int64_t{Number<uint32_t>()});
      case 0xcf: {
        const auto number = Number<uint64_t>();
        return number > uint64_t{std::numeric_limits<int64_t>::max()} ? set(number) : set(static_cast<int64_t>(number));
      }
      case 0xd0:
        return set(int64_t{Number<int8_t>()});
      case 0xd1:
        return set(int64_t{Number<int16_t>()});
      case 0xd2:
        return set(int64_t{Number<int32_t>()});
      case 0xd3:
        return set(Number<int64_t>());
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return set(ReadExtension(uint32_t{1} << (first - 0xd4)));
      case 0xd9:
        return set(ReadString(Number<uint8_t>()));
      case 0xda:
        return set(ReadString(Number<uint16_t>()));
      case 0xdb:
        return set(ReadString(Number<uint32_t>()));
      case 0xdc:
        return set(ReadArray(Number<uint16_t>(), depth));
      case 0xdd:
        return set(ReadArray(Number<uint32_t>(), depth));
      case 0xde:
        return set(ReadMap(Number<uint16_t>(), depth));
      case 0xdf:
        return set(ReadMap(Number<uint32_t>(), depth));
      default:
        CheckData(false, At(position_ - 1), "0x", std::hex, int{first}, " starts no msgpack value");
    }
  }

  std::string ReadString(size_t count) {
    const std::span<const std::byte> bytes = Take(count).bytes;
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  MsgpackValue::Extension ReadExtension(size_t count) {
    const auto type = Number<int8_t>();
    const size_t offset = file_offset_ + position_;
    return {type, Take(count), offset};
  }

  MsgpackValue::Array ReadArray(size_t count, int depth) {
    MsgpackValue::Array array;  // grows as values come: `count` may lie
    for (size_t i = 0; i < count; ++i) array.push_back(ReadValue(depth + 1));
    return array;
  }

  MsgpackKey ReadKey(int depth) {
    const size_t position = position_;
    MsgpackValue key = ReadValue(depth);
    if (auto* text = std::get_if<std::string>(&key.data)) return MsgpackKey(std::move(*text));
    const auto* number = std::get_if<int64_t>(&key.data);
    if (number == nullptr) CheckData(false, At(position), "the key of a map is neither a string nor an integer");
    return MsgpackKey(*number);
  }

  static std::string Quoted(const MsgpackKey& key) { return key.number() ? key.text() : StrCat('"', key.text(), '"'); }

  MsgpackValue::Map ReadMap(size_t count, int depth) {
    MsgpackValue::Map map;
    std::set<MsgpackKey> keys;
    for (size_t i = 0; i < count; ++i) {
      const size_t position = position_;
      const MsgpackKey key = ReadKey(depth + 1);
      if (!keys.insert(key).second) CheckData(false, At(position), "the key ", Quoted(key), " is there twice");
      map.push_back({key, ReadValue(depth + 1)});
    }
    return map;
  }

  const SharedBytes& data_;
  const std::string& path_;
  const size_t file_offset_;
  size_t position_ = 0;
  int64_t num_values_ = 0;
};

}  // namespace

MsgpackValue ParseMsgpack(const SharedBytes& data, const std::string& path, size_t offset) {
  return Parser(data, path, offset).Parse();
}

}  // namespace hwynn
