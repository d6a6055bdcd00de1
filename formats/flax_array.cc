#include "hwynn/formats/flax_array.h"

#include <algorithm>
#include <charconv>

#include "hwynn/core/check.h"
#include "hwynn/formats/array_name.h"
#include "hwynn/formats/dtype.h"

namespace hwynn {
namespace {

constexpr int8_t kArrayType = 1;
constexpr std::string_view kChunkedKey = "__msgpack_chunked_array__";

/// Where a value stands, for error messages.
struct Place {
  const std::string& path;
  const std::string& name;

  template <class... Parts>
  void CheckAt(const MsgpackValue& value, bool ok, const Parts&... parts) const {
    CheckData(ok, path, ": byte ", value.offset, ": \"", name, "\" ", parts...);
  }
};

/// The elements of an array, or the members "0", "1", … of a map, in any order; T is MsgpackValue, const or not.
template <class T>
std::vector<T*> Items(T& list, const Place& place) {
  std::vector<T*> items;
  if (auto* array = std::get_if<MsgpackValue::Array>(&list.data)) {
    for (auto& item : *array) items.push_back(&item);
    return items;
  }
  auto* map = std::get_if<MsgpackValue::Map>(&list.data);
  place.CheckAt(list, map != nullptr, "has something else where a list should be");
  items.resize(map->size());
  for (auto& [map_key, item] : *map) {
    const std::string& key = map_key.text();
    size_t index = 0;
    const auto result = std::from_chars(key.data(), key.data() + key.size(), index);
    const bool is_index =
        !map_key.number() && result.ec == std::errc() && key == std::to_string(index) && index < items.size();
    place.CheckAt(item, is_index, "has an item \"", key, "\" in a list of ", items.size());
    items[index] = &item;
  }
  return items;  // without holes: no key is there twice
}

Shape ReadShape(const MsgpackValue& list, const Place& place) {
  std::vector<uint64_t> extents;
  for (const MsgpackValue* extent : Items(list, place)) {
    const auto* number = std::get_if<int64_t>(&extent->data);
    place.CheckAt(*extent, number != nullptr && *number >= 0, "has an extent that isn't a size");
    extents.push_back(static_cast<uint64_t>(*number));
  }
  const std::variant<Shape, std::string> shape = ParseShape(extents);
  if (const auto* error = std::get_if<std::string>(&shape)) place.CheckAt(list, false, "has ", *error);
  return std::get<Shape>(shape);
}

void CheckSize(const FlaxArray& array, const MsgpackValue& value, const Place& place) {
  const Dtype* dtype = FindNumpyDtype(array.dtype);
  place.CheckAt(value, dtype != nullptr, "has the unknown dtype ", array.dtype);
  place.CheckAt(value, HasBytes(*dtype, array.shape, array.data.bytes.size()), "has ", array.data.bytes.size(),
                " bytes, which are not a ", array.dtype, " array of ", array.shape);
}

FlaxArray ReadPlainArray(const MsgpackValue& value, const Place& place) {
  const auto* extension = std::get_if<MsgpackValue::Extension>(&value.data);
  place.CheckAt(value, extension != nullptr && IsFlaxArray(value), "isn't an array");
  const MsgpackValue payload = ParseMsgpack(extension->data, place.path, extension->data_offset);
  const auto* items = std::get_if<MsgpackValue::Array>(&payload.data);
  place.CheckAt(value, items != nullptr && items->size() == 3, "isn't an array of shape, dtype and bytes");
  FlaxArray array;
  array.shape = ReadShape((*items)[0], place);
  if (const auto* text = std::get_if<std::string>(&(*items)[1].data)) {
    array.dtype = *text;
  } else {
    const auto* binary = std::get_if<MsgpackValue::Binary>(&(*items)[1].data);
    place.CheckAt(value, binary != nullptr, "has a dtype that isn't a name");
    const std::span<const std::byte> name = binary->data.bytes;
    array.dtype.assign(reinterpret_cast<const char*>(name.data()), name.size());
  }
  const auto* data = std::get_if<MsgpackValue::Binary>(&(*items)[2].data);
  place.CheckAt(value, data != nullptr, "has no bytes");
  array.data = data->data;
  CheckSize(array, value, place);
  return array;
}

FlaxArray ReadChunkedArray(const MsgpackValue& value, const Place& place) {
  const MsgpackValue* shape = value.Find("shape");
  const MsgpackValue* chunks = value.Find("chunks");
  place.CheckAt(value, shape != nullptr && chunks != nullptr, "is a chunked array without shape or chunks");
  std::vector<std::byte> bytes;
  FlaxArray array;
  array.shape = ReadShape(*shape, place);
  for (const MsgpackValue* item : Items(*chunks, place)) {
    const FlaxArray chunk = ReadPlainArray(*item, place);
    if (array.dtype.empty()) array.dtype = chunk.dtype;
    place.CheckAt(*item, chunk.dtype == array.dtype && chunk.shape.rank() == 1, "has a chunk of ", chunk.dtype, " ",
                  chunk.shape, " after one of ", array.dtype);
    bytes.insert(bytes.end(), chunk.data.bytes.begin(), chunk.data.bytes.end());
  }
  array.data = SharedBytes::Own(std::move(bytes));
  CheckSize(array, value, place);
  return array;
}

MsgpackValue MakePlainArray(std::string_view dtype, const Shape& shape, std::span<const std::byte> bytes) {
  MsgpackValue::Array extents;
  for (const int64_t extent : shape.extents()) extents.push_back({extent});
  const MsgpackValue payload{
      MsgpackValue::Array{{std::move(extents)}, {std::string(dtype)}, {MsgpackValue::Binary{{bytes}}}}};
  return {MsgpackValue::Extension{kArrayType, SharedBytes::Own(EncodeMsgpack(payload))}};
}

}  // namespace

bool IsChunkedFlaxArray(const MsgpackValue& value) { return value.Find(kChunkedKey) != nullptr; }

bool IsFlaxArray(const MsgpackValue& value) {
  const auto* extension = std::get_if<MsgpackValue::Extension>(&value.data);
  return (extension != nullptr && (extension->type == kArrayType || extension->type == kFlaxScalarType)) ||
         IsChunkedFlaxArray(value);
}

FlaxArray ReadFlaxArray(const MsgpackValue& value, const std::string& path, const std::string& name) {
  const Place place{path, name};
  return IsChunkedFlaxArray(value) ? ReadChunkedArray(value, place) : ReadPlainArray(value, place);
}

MsgpackValue MakeFlaxArray(std::string_view dtype, const Shape& shape, std::span<const std::byte> bytes,
                           size_t chunk_bytes) {
  if (bytes.size() <= chunk_bytes) return MakePlainArray(dtype, shape, bytes);
  MsgpackValue::Map extents;
  for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back({std::to_string(axis), {shape[axis]}});
  const size_t item_bytes = FindNumpyDtype(dtype)->bits / 8;
  const size_t step = std::max<size_t>(1, chunk_bytes / item_bytes) * item_bytes;
  MsgpackValue::Map chunks;
  for (size_t begin = 0; begin < bytes.size(); begin += step) {
    const auto chunk = bytes.subspan(begin, std::min(step, bytes.size() - begin));
    chunks.push_back({std::to_string(chunks.size()),
                      MakePlainArray(dtype, {static_cast<int64_t>(chunk.size() / item_bytes)}, chunk)});
  }
  return {MsgpackValue::Map{
      {std::string(kChunkedKey), {true}}, {"shape", {std::move(extents)}}, {"chunks", {std::move(chunks)}}}};
}

void ReplaceFlaxArray(MsgpackValue& value, std::span<const std::byte> bytes) {
  if (IsChunkedFlaxArray(value)) {
    const std::string none;  // nothing can go wrong: it was read before
    for (MsgpackValue* chunk : Items(*value.Find("chunks"), {none, none})) {
      const size_t size = ReadFlaxArray(*chunk, none, none).data.bytes.size();
      ReplaceFlaxArray(*chunk, bytes.first(size));
      bytes = bytes.subspan(size);
    }
    return;
  }
  // Shape and dtype keep their bytes; the elements are what the payload ends with.
  auto& payload = std::get<MsgpackValue::Extension>(value.data).data;
  const auto head = payload.bytes.first(payload.bytes.size() - bytes.size());
  std::vector<std::byte> replaced;
  replaced.reserve(payload.bytes.size());
  replaced.insert(replaced.end(), head.begin(), head.end());
  replaced.insert(replaced.end(), bytes.begin(), bytes.end());
  payload = SharedBytes::Own(std::move(replaced));
}

template <class T>
void CollectFlaxLeaves(T& node, const std::string& prefix, const std::string& path, FlaxLeaves<T>& leaves) {
  if (auto* map = std::get_if<MsgpackValue::Map>(&node.data); map != nullptr && !IsChunkedFlaxArray(node)) {
    for (auto& [key, value] : *map) {
      CollectFlaxLeaves<T>(value, prefix.empty() ? key.text() : StrCat(prefix, kPathSeparator, key.text()), path,
                           leaves);
    }
    return;
  }
  CheckData(leaves.emplace(prefix, &node).second, path, ": byte ", node.offset, ": two leaves have the path \"", prefix,
            "\"");
}

template void CollectFlaxLeaves(MsgpackValue&, const std::string&, const std::string&, FlaxLeaves<MsgpackValue>&);
template void CollectFlaxLeaves(const MsgpackValue&, const std::string&, const std::string&,
                                FlaxLeaves<const MsgpackValue>&);

bool AppendFlaxLeaf(MsgpackValue& root, std::span<const std::string> names, MsgpackValue leaf) {
  MsgpackValue* node = &root;
  for (const std::string& name : names) {
    auto* map = std::get_if<MsgpackValue::Map>(&node->data);
    if (map == nullptr) return false;
    if (map->empty() || map->back().first.text() != name) map->push_back({name, {MsgpackValue::Map()}});
    node = &map->back().second;
  }
  auto* map = std::get_if<MsgpackValue::Map>(&node->data);
  if (map == nullptr || !map->empty()) return false;
  *node = std::move(leaf);
  return true;
}

}  // namespace hwynn
