#include "hwynn/formats/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include "hwynn/core/check.h"
#include "hwynn/core/split.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/dtype.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/formats/json/document.h"

namespace hwynn {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;  // the header's length, before the header
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr char kMetadataKey[] = "__metadata__";

// The header nests three levels: itself, entry, shape or offsets. Below keys that the format doesn't know there may be
// more, which its own library skips.
constexpr int kMaxDepth = 100;

// Reads the header of one file into entries and metadata; every error names the file.
class HeaderReader {
 public:
  HeaderReader(const std::string& path, std::span<const std::byte> file) : path_(path), file_(file) {
    CheckData(file.size() >= kLengthBytes, path, ": ends at byte ", file.size(), ", before the ", kLengthBytes,
              " bytes of the header's length");
    uint64_t length = 0;
    for (size_t i = 0; i < kLengthBytes; ++i) length |= static_cast<uint64_t>(file[i]) << (8 * i);
    CheckData(length <= kMaxHeaderBytes, path, ": the header's length at byte 0 is ", length, ", above ",
              kMaxHeaderBytes);
    CheckData(length <= file.size() - kLengthBytes, path, ": the header's length at byte 0 is ", length,
              ", but the file ends at byte ", file.size());
    header_ = {reinterpret_cast<const char*>(file.data()) + kLengthBytes, static_cast<size_t>(length)};
    data_begin_ = kLengthBytes + length;
    const size_t first = header_.find_first_not_of(" \t\r\n");
    CheckData(first != std::string_view::npos && header_[first] == '{', path, ": the header at byte ", kLengthBytes,
              " doesn't start with '{'");
    // The JSON parser would take a zero byte for the end of its input.
    const size_t zero = header_.find('\0');
    CheckData(zero == std::string_view::npos, path, ": a zero byte in the header at byte ", kLengthBytes + zero);
  }

  void Read(SafetensorsEntries& entries, SafetensorsMetadata& metadata) {
    const json::Document<Json> header = Parse();
    for (const auto& [name, value] : header->items()) {
      if (name == kMetadataKey) {
        metadata = ReadMetadata(value);
      } else {
        entries.emplace(name, ReadEntry(name, value));
      }
    }
    CheckCoverage();
  }

 private:
  struct Range {
    uint64_t begin, end;
    std::string name;
  };

  // Throws what names `name`'s part of the header.
  template <class... Parts>
  void CheckEntry(bool ok, const std::string& name, const Parts&... parts) const {
    CheckData(ok, path_, ": header at byte ", kLengthBytes, ": \"", name, "\" ", parts...);
  }

  json::Document<Json> Parse() const {
    // Names seen in each object that is open. The format's own library takes the last of two arrays of one name, which
    // then has readers of two minds.
    std::vector<std::set<std::string>> names;
    const auto observe = [&](int depth, Json::parse_event_t event, const std::string& key) {
      switch (event) {
        case Json::parse_event_t::object_start:
          names.emplace_back();
          [[fallthrough]];
        case Json::parse_event_t::array_start:
          CheckData(depth < kMaxDepth, path_, ": the header at byte ", kLengthBytes, " nests too deeply");
          break;
        case Json::parse_event_t::object_end:
          names.pop_back();
          break;
        case Json::parse_event_t::key:
          CheckData(names.back().insert(key).second, path_, ": the header at byte ", kLengthBytes, " names ",
                    Json(key).dump(), " twice");
          break;
        default:
          break;
      }
    };
    try {
      return json::Parse<Json>(header_, observe);
    } catch (const Json::parse_error& error) {
      throw std::runtime_error(
          StrCat(path_, ": the header is not JSON at byte ", kLengthBytes + std::max<size_t>(error.byte, 1) - 1));
    } catch (const Json::exception&) {  // a number that no double holds
      throw std::runtime_error(StrCat(path_, ": the header at byte ", kLengthBytes, " holds a number out of range"));
    }
  }

  SafetensorsMetadata ReadMetadata(const Json& value) const {
    SafetensorsMetadata metadata;
    if (value.is_null()) return metadata;
    CheckEntry(value.is_object(), kMetadataKey, "is not an object");
    for (const auto& [key, text] : value.items()) {
      CheckEntry(text.is_string(), kMetadataKey, "holds \"", key, "\", which is not a string");
      metadata.emplace(key, text.get<std::string>());
    }
    return metadata;
  }

  SafetensorsEntry ReadEntry(const std::string& name, const Json& value) {
    CheckEntry(value.is_object(), name, "is not an object");
    const auto field = [&](const char* key) -> const Json& {
      const auto found = value.find(key);
      CheckEntry(found != value.end(), name, "has no ", key);
      return *found;
    };
    const Json& dtype_name = field("dtype");
    CheckEntry(dtype_name.is_string(), name, "has a dtype that is not a string");
    const Dtype* dtype = FindSafetensorsDtype(dtype_name.get_ref<const std::string&>());
    CheckEntry(dtype != nullptr, name, "has the unknown dtype ", dtype_name.dump());
    const Shape shape = ReadShape(name, field("shape"));

    const std::vector<uint64_t> offsets = ReadNumbers(name, "data_offsets", field("data_offsets"));
    CheckEntry(offsets.size() == 2, name, "has ", offsets.size(), " data_offsets instead of 2");
    const auto [begin, end] = std::pair(offsets[0], offsets[1]);
    const uint64_t data_bytes = file_.size() - data_begin_;
    CheckEntry(begin <= end, name, "ends at ", end, ", before it begins at ", begin);
    CheckEntry(end <= data_bytes, name, "ends at byte ", end, " of the data, which have ", data_bytes);
    CheckEntry(HasBytes(*dtype, shape, end - begin), name, "has ", end - begin, " bytes, which are not a ",
               dtype->safetensors, " array of ", shape);
    ranges_.push_back({begin, end, name});
    return {std::string(dtype->safetensors), shape, file_.subspan(data_begin_ + begin, end - begin)};
  }

  std::vector<uint64_t> ReadNumbers(const std::string& name, const char* key, const Json& value) const {
    CheckEntry(value.is_array(), name, "has a ", key, " that is not a list");
    std::vector<uint64_t> numbers;
    for (const Json& number : value) {
      CheckEntry(number.is_number_unsigned(), name, "has a ", key, " with ", number.dump(), ", not a size");
      numbers.push_back(number.get<uint64_t>());
    }
    return numbers;
  }

  Shape ReadShape(const std::string& name, const Json& value) const {
    const std::variant<Shape, std::string> shape = ParseShape(ReadNumbers(name, "shape", value));
    if (const auto* error = std::get_if<std::string>(&shape)) CheckEntry(false, name, "has ", *error);
    return std::get<Shape>(shape);
  }

  // The arrays cover the data: no overlap, no hole, nothing left over.
  void CheckCoverage() {
    std::ranges::sort(
        ranges_, [](const Range& a, const Range& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
    uint64_t end = 0;
    for (const Range& range : ranges_) {
      CheckData(range.begin == end, path_, ": \"", range.name, "\" begins at byte ", data_begin_ + range.begin,
                ", but the array before it ends at byte ", data_begin_ + end);
      end = range.end;
    }
    CheckData(data_begin_ + end == file_.size(), path_, ": trailing bytes from byte ", data_begin_ + end, " on");
  }

  const std::string& path_;
  std::span<const std::byte> file_;
  std::string_view header_;
  uint64_t data_begin_ = 0;
  std::vector<Range> ranges_;
};

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : SafetensorsFile(path, ReadContainer(path)) {}

SafetensorsFile::SafetensorsFile(std::string path, std::vector<std::byte> file)
    : SafetensorsFile(std::move(path), std::make_shared<const std::vector<std::byte>>(std::move(file))) {}

SafetensorsFile::SafetensorsFile(std::string path, const std::shared_ptr<const std::vector<std::byte>>& file)
    : SafetensorsFile(std::move(path), *file, file) {}

SafetensorsFile::SafetensorsFile(std::string path, std::span<const std::byte> file, std::shared_ptr<const void> keeper)
    : path_(std::move(path)), keeper_(std::move(keeper)) {
  CheckContainer(path_, file, {Container::kSafetensors});
  HeaderReader(path_, file).Read(entries_, metadata_);
}

const SafetensorsEntry& SafetensorsFile::Entry(const std::string& name) const {
  const auto found = entries_.find(name);
  CheckData(found != entries_.end(), path_, ": has no array \"", name, "\"");
  return found->second;
}

void WriteSafetensors(const std::string& path, const SafetensorsEntries& entries, const SafetensorsMetadata& metadata,
                      int64_t alignment_bytes) {
  Check(alignment_bytes > 0 && alignment_bytes % 8 == 0, "WriteSafetensors: alignment_bytes (", alignment_bytes,
        ") must be a multiple of 8");
  struct Item {
    const std::string* name;
    const SafetensorsEntry* entry;
    const Dtype* dtype;
  };
  std::vector<Item> items;
  for (const auto& [name, entry] : entries) {
    const Dtype* dtype = FindSafetensorsDtype(entry.dtype);
    Check(name != kMetadataKey, "WriteSafetensors: an array can't be named ", name);
    Check(dtype != nullptr, "WriteSafetensors: \"", name, "\" has the unknown dtype ", entry.dtype);
    Check(HasBytes(*dtype, entry.shape, entry.bytes.size()), "WriteSafetensors: \"", name, "\" has ",
          entry.bytes.size(), " bytes, which are not a ", entry.dtype, " array of ", entry.shape);
    items.push_back({&name, &entry, dtype});
  }
  std::ranges::sort(
      items, [](const Item& a, const Item& b) { return a.dtype != b.dtype ? a.dtype > b.dtype : *a.name < *b.name; });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  uint64_t offset = 0;
  for (const Item& item : items) {
    const uint64_t end = offset + item.entry->bytes.size();
    header[*item.name] = {
        {"dtype", item.entry->dtype}, {"shape", item.entry->shape.extents()}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::type_error&) {
    throw std::invalid_argument("WriteSafetensors: a name or the metadata are not UTF-8");
  }
  text.resize(
      static_cast<size_t>(RoundUp(static_cast<int64_t>(kLengthBytes + text.size()), alignment_bytes)) - kLengthBytes,
      ' ');
  Check(text.size() <= kMaxHeaderBytes, "WriteSafetensors: the header has ", text.size(), " bytes, above ",
        kMaxHeaderBytes);

  std::array<std::byte, kLengthBytes> length;
  for (size_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<std::byte>(text.size() >> (8 * i));
  std::vector<std::span<const std::byte>> pieces{length, std::as_bytes(std::span(text))};
  for (const Item& item : items) pieces.push_back(item.entry->bytes);
  WriteFileAtomically(path, pieces);
}

}  // namespace hwynn
