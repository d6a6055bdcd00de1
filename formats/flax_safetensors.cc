#include "hwynn/formats/flax_safetensors.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "hwynn/core/check.h"
#include "hwynn/formats/array_name.h"
#include "hwynn/formats/dtype.h"
#include "hwynn/formats/flax_array.h"
#include "hwynn/formats/json/document.h"

namespace hwynn {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kTreeKey[] = "tree";
// Is there when the tree's keys are escaped, because some are whole numbers: "int:0", and "str:int:0" for a text.
constexpr char kTreeKeysKey[] = "tree_keys";
constexpr char kEscapedKeys[] = "int:<number>, str:<text>";
constexpr std::string_view kNumberKey = "int:";
constexpr std::string_view kTextKey = "str:";
constexpr int kMaxDepth = 100;  // the msgpack reader's

// What a leaf of the tree in the metadata says.
constexpr char kArray[] = "array";
constexpr char kScalar[] = "scalar";  // numpy's
constexpr char kInt[] = "int";
constexpr char kFloat[] = "float";
constexpr char kFloat32[] = "float32";  // MessagePack's, which Python never writes
constexpr char kBool[] = "bool";
constexpr std::string_view kText = "str:";  // the text follows

/// "" and "params" → "params"; "params" and "Dense_0" → "params.Dense_0".
std::string Join(const std::string& name, std::string_view key) {
  return name.empty() ? std::string(key) : StrCat(name, kNameSeparator, key);
}

bool HasNumberKeys(const MsgpackValue& value) {
  if (const auto* list = std::get_if<MsgpackValue::Array>(&value.data))
    return std::ranges::any_of(*list, HasNumberKeys);
  const auto* map = std::get_if<MsgpackValue::Map>(&value.data);
  return map != nullptr && std::ranges::any_of(*map, [](const auto& member) {
           return member.first.number().has_value() || HasNumberKeys(member.second);
         });
}

std::string EscapedKey(const MsgpackKey& key) {
  if (key.number()) return StrCat(kNumberKey, key.text());
  const bool ambiguous = key.text().starts_with(kNumberKey) || key.text().starts_with(kTextKey);
  return ambiguous ? StrCat(kTextKey, key.text()) : key.text();
}

/// The inverse, or nothing for what EscapedKey doesn't write.
std::optional<MsgpackKey> UnescapedKey(const std::string& key) {
  if (key.starts_with(kTextKey)) return MsgpackKey(key.substr(kTextKey.size()));
  if (!key.starts_with(kNumberKey)) return MsgpackKey(key);
  int64_t number = 0;
  const char* const end = key.data() + key.size();
  const auto result = std::from_chars(key.data() + kNumberKey.size(), end, number);
  const MsgpackKey found(number);
  if (result.ec != std::errc() || StrCat(kNumberKey, found.text()) != key) return std::nullopt;
  return found;
}

class Flattener {
 public:
  explicit Flattener(const std::string& path) : path_(path) {}

  FlaxSafetensors Flatten(const MsgpackValue& root) {
    result_.metadata = ArraysMetadata();
    escape_keys_ = HasNumberKeys(root);
    if (escape_keys_) result_.metadata[kTreeKeysKey] = kEscapedKeys;
    const Json tree = Add("", root);
    try {
      result_.metadata[kTreeKey] = tree.dump();
    } catch (const Json::exception&) {
      CheckData(false, path_, ": a key or a text isn't UTF-8");
    }
    return std::move(result_);
  }

 private:
  Json Add(const std::string& name, const MsgpackValue& value) {
    const auto check = [&](bool ok, const auto&... parts) {
      CheckData(ok, path_, ": byte ", value.offset, ": \"", name, "\" ", parts...);
    };
    if (IsFlaxArray(value)) {
      const FlaxArray array = ReadFlaxArray(value, path_, name);
      const std::string dtype(FindNumpyDtype(array.dtype)->safetensors);
      check(!dtype.empty(), "is ", array.dtype, ", which safetensors hasn't");
      AddEntry(name, dtype, array.shape, array.data, value.offset);
      const auto* extension = std::get_if<MsgpackValue::Extension>(&value.data);
      return extension != nullptr && extension->type == kFlaxScalarType ? kScalar : kArray;
    }
    if (const auto* map = std::get_if<MsgpackValue::Map>(&value.data)) {
      Json tree = Json::object();
      for (const auto& [key, item] : *map) {
        tree[escape_keys_ ? EscapedKey(key) : key.text()] = Add(Join(name, key.text()), item);
      }
      return tree;
    }
    if (const auto* list = std::get_if<MsgpackValue::Array>(&value.data)) {
      Json tree = Json::array();
      for (const MsgpackValue& item : *list) tree.push_back(Add(Join(name, std::to_string(tree.size())), item));
      return tree;
    }
    if (const auto* text = std::get_if<std::string>(&value.data)) return StrCat(kText, *text);
    if (std::holds_alternative<std::nullptr_t>(value.data)) return nullptr;
    if (AddNumber<int64_t>(name, "I64", value) || AddNumber<uint64_t>(name, "U64", value)) return kInt;
    if (AddNumber<double>(name, "F64", value)) return kFloat;
    if (AddNumber<float>(name, "F32", value)) return kFloat32;
    if (AddNumber<bool>(name, "BOOL", value)) return kBool;
    check(false, "has a type for which safetensors has no form");
    return nullptr;
  }

  template <class T>
  bool AddNumber(const std::string& name, const char* dtype, const MsgpackValue& value) {
    const T* number = std::get_if<T>(&value.data);
    if (number == nullptr) return false;
    const auto bytes = std::as_bytes(std::span(number, 1));
    AddEntry(name, dtype, {}, SharedBytes::Own({bytes.begin(), bytes.end()}), value.offset);
    return true;
  }

  void AddEntry(const std::string& name, const std::string& dtype, const Shape& shape, SharedBytes data,
                size_t offset) {
    const bool added = result_.entries.emplace(name, SafetensorsEntry{dtype, shape, data.bytes}).second;
    CheckData(added && name != "__metadata__", path_, ": byte ", offset, ": the name \"", name, "\" can't be used");
    result_.storage.push_back(std::move(data));
  }

  const std::string& path_;
  bool escape_keys_ = false;
  FlaxSafetensors result_;
};

class Nester {
 public:
  Nester(const SafetensorsEntries& entries, const std::string& path) : entries_(entries), path_(path) {}

  MsgpackValue NestByTree(const std::string& text, bool escaped_keys) {
    escaped_keys_ = escaped_keys;
    const auto limit = [&](int depth, Json::parse_event_t, const std::string&) {
      CheckData(depth <= kMaxDepth, path_, ": the metadata's tree nests too deeply");
    };
    json::Document<Json> tree;
    try {
      tree = json::Parse<Json>(text, limit);
    } catch (const Json::exception&) {
      CheckData(false, path_, ": the metadata's tree can't be read");
    }
    MsgpackValue root = Make("", *tree);
    for (const auto& [name, entry] : entries_) CheckEntry(name, used_.contains(name), "isn't in the metadata's tree");
    return root;
  }

  MsgpackValue NestByName() {
    std::map<std::vector<std::string>, const std::string*> by_path;
    for (const auto& [name, entry] : entries_) {
      std::vector<std::string> keys = SplitPath(name, kNameSeparator);
      CheckEntry(name, keys.size() <= kMaxDepth, "nests too deeply");
      by_path.emplace(std::move(keys), &name);
    }
    MsgpackValue root{MsgpackValue::Map()};
    for (const auto& [keys, name] : by_path) {
      CheckEntry(*name, AppendFlaxLeaf(root, keys, MakeArray(*name)), "has another array's name as its beginning");
    }
    return root;
  }

 private:
  template <class... Parts>
  void CheckEntry(const std::string& name, bool ok, const Parts&... parts) const {
    CheckData(ok, path_, ": \"", name, "\" ", parts...);
  }

  MsgpackValue Make(const std::string& name, const Json& tree) {
    if (tree.is_object()) {
      MsgpackValue::Map map;
      for (const auto& [text, item] : tree.items()) {
        const std::optional<MsgpackKey> key = escaped_keys_ ? UnescapedKey(text) : MsgpackKey(text);
        CheckEntry(name, key.has_value(), "has the key \"", text, "\" in the metadata's tree, which can't be read");
        map.push_back({*key, Make(Join(name, key->text()), item)});
      }
      return {std::move(map)};
    }
    if (tree.is_array()) {
      MsgpackValue::Array list;
      for (const Json& item : tree) list.push_back(Make(Join(name, std::to_string(list.size())), item));
      return {std::move(list)};
    }
    if (tree.is_null()) return {};
    CheckEntry(name, tree.is_string(), "has a place in the metadata's tree that can't be read");
    const auto& kind = tree.get_ref<const std::string&>();
    if (kind.starts_with(kText)) return {kind.substr(kText.size())};
    if (kind == kArray) return MakeArray(name);
    if (kind == kScalar) {
      MsgpackValue scalar = MakeArray(name);
      std::get<MsgpackValue::Extension>(scalar.data).type = kFlaxScalarType;
      return scalar;
    }
    if (kind == kInt) {
      const auto found = entries_.find(name);
      if (found != entries_.end() && found->second.dtype == "U64") return {Number<uint64_t>(name, "U64")};
      return {Number<int64_t>(name, "I64")};
    }
    if (kind == kFloat) return {Number<double>(name, "F64")};
    if (kind == kFloat32) return {Number<float>(name, "F32")};
    CheckEntry(name, kind == kBool, "is \"", kind, "\" in the metadata's tree, which isn't known");
    return {Number<uint8_t>(name, "BOOL") != 0};
  }

  const SafetensorsEntry& Entry(const std::string& name) {
    const auto found = entries_.find(name);
    CheckEntry(name, found != entries_.end(), "is in the metadata's tree, but not in the file");
    CheckEntry(name, used_.insert(name).second, "is twice in the metadata's tree");
    return found->second;
  }

  template <class T>
  T Number(const std::string& name, std::string_view dtype) {
    const SafetensorsEntry& entry = Entry(name);
    CheckEntry(name, entry.dtype == dtype && entry.shape == Shape(), "is ", entry.dtype, " ", entry.shape,
               ", the metadata's tree has a number there");
    T number;
    std::memcpy(&number, entry.bytes.data(), sizeof(number));
    return number;
  }

  MsgpackValue MakeArray(const std::string& name) {
    const SafetensorsEntry& entry = Entry(name);
    const Dtype* dtype = FindSafetensorsDtype(entry.dtype);
    CheckEntry(name, dtype != nullptr && !dtype->numpy.empty(), "is ", entry.dtype, ", which numpy hasn't");
    return MakeFlaxArray(dtype->numpy, entry.shape, entry.bytes);
  }

  const SafetensorsEntries& entries_;
  const std::string& path_;
  bool escaped_keys_ = false;
  std::set<std::string> used_;
};

}  // namespace

void AddNamedArrays(std::string_view name, const Collection& collection, SafetensorsEntries& entries) {
  for (const auto& [path, tensor] : collection) {
    const std::string array = ArrayName(name, path);
    const SafetensorsEntry entry{"F32", tensor.shape(), std::as_bytes(tensor.span())};
    Check(entries.emplace(array, entry).second, "AddNamedArrays: two arrays would be called \"", array, "\"");
  }
}

SafetensorsEntries NamedArrays(const Variables& variables) {
  SafetensorsEntries entries;
  for (const auto& [name, collection] : variables) AddNamedArrays(name, collection, entries);
  return entries;
}

SafetensorsMetadata ArraysMetadata() { return {{"format", "hwynn arrays 1"}, {"naming", kFlaxNaming}}; }

FlaxSafetensors FlaxToSafetensors(const MsgpackValue& root, const std::string& path) {
  return Flattener(path).Flatten(root);
}

MsgpackValue FlaxFromSafetensors(const SafetensorsEntries& entries, const SafetensorsMetadata& metadata,
                                 const std::string& path) {
  const auto tree = metadata.find(kTreeKey);
  Nester nester(entries, path);
  if (tree == metadata.end()) return nester.NestByName();
  const auto keys = metadata.find(kTreeKeysKey);
  CheckData(keys == metadata.end() || keys->second == kEscapedKeys, path, ": the metadata's ", kTreeKeysKey,
            " aren't known");
  return nester.NestByTree(tree->second, keys != metadata.end());
}

MsgpackValue FlaxFromSafetensors(const SafetensorsFile& file) {
  return FlaxFromSafetensors(file.entries(), file.metadata(), file.path());
}

}  // namespace hwynn
