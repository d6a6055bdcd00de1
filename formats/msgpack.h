#ifndef HWYNN_FORMATS_MSGPACK_H_
#define HWYNN_FORMATS_MSGPACK_H_

// MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) as a tree of values that keeps the order of maps
// and the exact types, so that what was read in its shortest encoding is written back byte for byte.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// Bytes and who keeps them alive. Copies share the bytes.
struct SharedBytes {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> keeper{};

  static SharedBytes Own(std::vector<std::byte> bytes);
  SharedBytes Part(size_t offset, size_t count) const { return {bytes.subspan(offset, count), keeper}; }
};

/// A key of a map: a text, or a whole number as NNX gives the items of its lists.
class MsgpackKey {
 public:
  MsgpackKey(std::string text) : text_(std::move(text)) {}
  MsgpackKey(std::string_view text) : text_(text) {}
  MsgpackKey(const char* text) : text_(text) {}
  explicit MsgpackKey(int64_t number) : text_(std::to_string(number)), number_(number) {}

  /// The text; of a number its digits, which is what a path says: layers/0/kernel.
  const std::string& text() const { return text_; }
  std::optional<int64_t> number() const { return number_; }

  /// 0 and "0" are two keys.
  friend auto operator<=>(const MsgpackKey&, const MsgpackKey&) = default;  // NOLINT: clang-tidy 14 sees a 0 there

 private:
  std::string text_;
  std::optional<int64_t> number_;
};

/// One value. Integers are int64_t but for those above its range; float and double stay what they were.
struct MsgpackValue {
  using Array = std::vector<MsgpackValue>;
  using Map = std::vector<std::pair<MsgpackKey, MsgpackValue>>;  // each key once, in the order of the file
  struct Binary {
    SharedBytes data;
  };
  struct Extension {
    int8_t type = 0;
    SharedBytes data;
    size_t data_offset = 0;  // in the file
  };

  std::variant<std::nullptr_t, bool, int64_t, uint64_t, float, double, std::string, Binary, Array, Map, Extension> data{
      nullptr};
  size_t offset = 0;  // of the value's first byte in the file; 0 for values made in memory

  /// The member of a map whose key has this text, or nullptr when there is none or this is no map.
  const MsgpackValue* Find(std::string_view key) const;
  MsgpackValue* Find(std::string_view key);
};

/// Reads one value, which is all of `data`; binaries and extensions in it share the bytes. `path` and `offset`, the
/// place of data[0] in that file, are for error messages. Throws std::runtime_error with both for truncated or trailing
/// bytes, a byte that starts no value, a key that is neither a string nor an int64_t or is there twice, more than 100
/// levels, and more than 2²⁰ values. Memory is taken for values that are there, never for a count that the file claims.
MsgpackValue ParseMsgpack(const SharedBytes& data, const std::string& path, size_t offset = 0);

/// The shortest encoding of every value, as msgpack-python writes it; floating-point numbers keep their width. Throws
/// std::invalid_argument for a length above 2³² − 1.
std::vector<std::byte> EncodeMsgpack(const MsgpackValue& value);

/// Writes EncodeMsgpack(value) to `path` (WriteFileAtomically), without a copy of large binaries and extensions.
void WriteMsgpack(const std::string& path, const MsgpackValue& value);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_MSGPACK_H_
