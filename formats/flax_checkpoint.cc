#include "hwynn/formats/flax_checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <type_traits>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/formats/array_name.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/dtype.h"
#include "hwynn/formats/sound_values.h"

namespace hwynn {
namespace {

constexpr std::string_view kStep = "step";
constexpr std::string_view kOptState = "opt_state";
constexpr std::string_view kCount = "count";
// The parts of optax's states that have the tree of params; FlaxState's opt_state has the same names.
constexpr std::array<std::string_view, 3> kMoments = {"trace", "mu", "nu"};
constexpr std::string_view kFloat = "float32";
constexpr std::string_view kFilePrefix = "checkpoint_";

template <class T>
std::span<const std::byte> BytesOf(const T& object) {
  return std::as_bytes(std::span(&object, 1));
}

/// A plain integer, or an integer array of one element.
std::optional<int64_t> ToInteger(const MsgpackValue& value, const std::string& path, const std::string& name) {
  if (const auto* number = std::get_if<int64_t>(&value.data)) return *number;
  if (!IsFlaxArray(value)) return std::nullopt;
  const FlaxArray array = ReadFlaxArray(value, path, name);
  const bool is_signed = array.dtype.starts_with("int");
  if (array.shape.num_elements() != 1 || !(is_signed || array.dtype.starts_with("uint"))) return std::nullopt;
  const size_t size = array.data.bytes.size();
  uint64_t bits = 0;
  std::memcpy(&bits, array.data.bytes.data(), size);
  const int unused = 64 - 8 * static_cast<int>(size);
  // An arithmetic shift copies the sign.
  const int64_t number = is_signed ? static_cast<int64_t>(bits << unused) >> unused : static_cast<int64_t>(bits);
  if (!is_signed && number < 0) return std::nullopt;
  return number;
}

/// A number in the form the old one has.
MsgpackValue WithInteger(MsgpackValue value, int64_t number, const std::string& path, const std::string& name) {
  if (auto* plain = std::get_if<int64_t>(&value.data)) {
    *plain = number;
    return value;
  }
  ReplaceFlaxArray(value, BytesOf(number).first(ReadFlaxArray(value, path, name).data.bytes.size()));
  Check(ToInteger(value, path, name) == number, "FlaxCheckpoint::Update: \"", name, "\" of ", path, " can't hold ",
        number);
  return value;
}

/// The elements as float32.
Tensor Floats(const FlaxArray& array) {
  Tensor floats(array.shape);
  ToFloats(*FindNumpyDtype(array.dtype), array.data.bytes, floats.span());
  return floats;
}

/// Whether `tree` has an empty dictionary at the path or before its end, as optax leaves it where a mask is.
bool IsMasked(const MsgpackValue& tree, const std::string& path) {
  const MsgpackValue* node = &tree;
  for (const std::string& key : SplitPath(path, kPathSeparator)) {
    const auto* map = std::get_if<MsgpackValue::Map>(&node->data);
    if (map != nullptr && map->empty()) return true;
    node = node->Find(key);
    if (node == nullptr) return false;
  }
  const auto* map = std::get_if<MsgpackValue::Map>(&node->data);
  return map != nullptr && map->empty();
}

/// Where the parts of a state are in a document, all of it checked. Value and Array are const or not, as what they are
/// found in: a document that is to be restored, or one that is to be updated.
template <class Value, class Array>
class Binder {
 public:
  struct Pair {
    std::string name;
    Value* value;
    Array* tensor;
  };
  struct Count {
    std::string name;
    Value* value;
  };
  struct Absent {
    std::string name;
    Array* tensor;
  };

  Binder(Value& root, const std::string& path) : root_(root), path_(path) {}

  const std::vector<Pair>& pairs() const { return pairs_; }
  const std::vector<Count>& counts() const { return counts_; }
  /// Arrays of opt_state that masks leave out.
  const std::vector<Absent>& masked() const { return masked_; }

  template <class AnyVariables>
  void AddVariables(AnyVariables& variables) {
    for (auto& [name, collection] : variables) {
      Value* tree = root_.Find(name);
      CheckData(tree != nullptr || collection.empty(), path_, ": has no \"", name, "\"");
      Arrays arrays;
      for (auto& [path, tensor] : collection) arrays.emplace(path, &tensor);
      if (tree == nullptr) continue;
      for (const auto& [path, tensor] : BindTree(name, *tree, arrays)) {
        CheckData(false, path_, ": has no array \"", name, kPathSeparator, path, "\"");
      }
    }
  }

  template <class AnyCollection>
  void AddOptState(AnyCollection& state) {
    std::map<std::string, Arrays, std::less<>> moments;
    for (auto& [path, tensor] : state) {
      const size_t slash = path.find(kPathSeparator);
      moments[path.substr(0, slash)].emplace(path.substr(slash + 1), &tensor);
    }
    Value* root = root_.Find(kOptState);
    CheckData(root != nullptr, path_, ": has no \"", kOptState, "\"");
    Trees trees;
    FindTrees(std::string(kOptState), *root, trees);
    for (const auto& [kind, parts] : trees) {
      const auto arrays = moments.find(kind);
      if (arrays != moments.end()) {
        BindMoment(parts, arrays->second);
      } else {
        CheckEmpty(kind, parts);
      }
    }
    for (const auto& [kind, arrays] : moments) {
      CheckData(trees.contains(kind), path_, ": byte ", root->offset, ": \"", kOptState, "\" has no \"", kind,
                "\", which the optimizer keeps");
    }
  }

  Value& AddStep() {
    Value* step = root_.Find(kStep);
    CheckData(step != nullptr, path_, ": has no \"", kStep, "\"");
    counts_.push_back({std::string(kStep), step});
    return *step;
  }

  int64_t CheckedCount(const Count& count) const {
    const auto number = ToInteger(*count.value, path_, count.name);
    CheckData(number.has_value() && *number >= 0, path_, ": byte ", count.value->offset, ": \"", count.name,
              "\" isn't a whole number of at least 0");
    return *number;
  }

 private:
  using Arrays = std::map<std::string, Array*>;  // by path
  struct Tree {
    std::string name;
    Value* value;
  };
  using Trees = std::map<std::string, std::vector<Tree>>;  // by kind of moment

  /// Depth is the parser's, which is bounded.
  void FindTrees(const std::string& name, Value& node, Trees& trees) {
    auto* map = std::get_if<MsgpackValue::Map>(&node.data);
    if (map == nullptr) return;
    for (auto& [map_key, value] : *map) {
      const std::string& key = map_key.text();
      const std::string path = StrCat(name, kPathSeparator, key);
      if (key == kCount) {
        counts_.push_back({path, &value});
      } else if (std::ranges::find(kMoments, key) != kMoments.end()) {
        trees[key].push_back({path, &value});
      } else {
        FindTrees(path, value, trees);
      }
    }
  }

  void CheckEmpty(const std::string& kind, const std::vector<Tree>& trees) const {
    for (const Tree& tree : trees) {
      FlaxLeaves<Value> leaves;
      CollectFlaxLeaves(*tree.value, "", path_, leaves);
      CheckData(leaves.empty(), path_, ": byte ", tree.value->offset, ": \"", tree.name,
                "\" has arrays, but the optimizer keeps no ", kind);
    }
  }

  /// The trees have `arrays` together, each once, and no others; what one of them lacks is masked there.
  void BindMoment(const std::vector<Tree>& trees, const Arrays& arrays) {
    Arrays left = arrays;
    for (const Tree& tree : trees) {
      const Arrays lacking = BindTree(tree.name, *tree.value, arrays);
      for (const auto& [path, tensor] : arrays) {
        const std::string name = StrCat(tree.name, kPathSeparator, path);
        if (lacking.contains(path)) {
          CheckData(IsMasked(*tree.value, path), path_, ": has no array \"", name, "\"");
        } else {
          CheckData(left.erase(path) == 1, path_, ": byte ", tree.value->offset, ": \"", name,
                    "\" is there once more than the optimizer keeps it");
        }
      }
    }
    for (const auto& [path, tensor] : left) masked_.push_back({StrCat(trees[0].name, kPathSeparator, path), tensor});
  }

  /// Finds in the tree those of `arrays` that it has, and returns the others. It has no more than these.
  Arrays BindTree(const std::string& tree_name, Value& tree, const Arrays& arrays) {
    FlaxLeaves<Value> leaves;
    CheckData(std::holds_alternative<MsgpackValue::Map>(tree.data), path_, ": byte ", tree.offset, ": \"", tree_name,
              "\" isn't a dictionary");
    CollectFlaxLeaves(tree, "", path_, leaves);
    Arrays lacking;
    for (const auto& [path, tensor] : arrays) {
      const auto leaf = leaves.find(path);
      if (leaf == leaves.end()) {
        lacking.emplace(path, tensor);
        continue;
      }
      Bind(StrCat(tree_name, kPathSeparator, path), *leaf->second, *tensor);
      leaves.erase(leaf);
    }
    for (const auto& [path, value] : leaves) {
      CheckData(false, path_, ": byte ", value->offset, ": \"", tree_name, kPathSeparator, path,
                "\" isn't one of the model's");
    }
    return lacking;
  }

  void Bind(const std::string& name, Value& value, Array& tensor) {
    const auto check = [&](bool ok, const auto&... parts) {
      CheckData(ok, path_, ": byte ", value.offset, ": \"", name, "\" ", parts...);
    };
    check(IsFlaxArray(value), "isn't an array");
    const FlaxArray array = ReadFlaxArray(value, path_, name);
    constexpr bool kUpdates = !std::is_const_v<Value>;
    if (kUpdates) check(array.dtype == kFloat, "is ", array.dtype, ": only float32 is updated");
    check(ConvertsToFloat(*FindNumpyDtype(array.dtype)), "is ", array.dtype,
          ", not float32, float16, bfloat16 or float64");
    check(array.shape == tensor.shape(), "has shape ", array.shape, ", the model's is ", tensor.shape());
    const auto unsound = FindUnsoundValue(name, std::as_bytes(Floats(array).span()));
    check(!unsound, unsound.value_or(""));
    pairs_.push_back({name, &value, &tensor});
  }

  Value& root_;
  const std::string& path_;
  std::vector<Pair> pairs_;
  std::vector<Count> counts_;
  std::vector<Absent> masked_;
};

using RestoreBinder = Binder<const MsgpackValue, Tensor>;

FlaxChanges CopyOut(const RestoreBinder& binder, const std::string& path) {
  FlaxChanges changes;
  for (const auto& pair : binder.pairs()) {
    const FlaxArray array = ReadFlaxArray(*pair.value, path, pair.name);
    ToFloats(*FindNumpyDtype(array.dtype), array.data.bytes, pair.tensor->span());
    if (array.dtype != kFloat) changes.converted.push_back(pair.name);
  }
  for (const auto& absent : binder.masked()) {
    std::ranges::fill(absent.tensor->span(), 0.0f);
    changes.zeroed.push_back(absent.name);
  }
  return changes;
}

/// A dictionary with its keys sorted at every level.
MsgpackValue SortedTree(const std::map<std::string, const Tensor*>& arrays, size_t chunk_bytes) {
  std::map<std::vector<std::string>, const Tensor*> by_names;
  for (const auto& [path, tensor] : arrays) {
    by_names.emplace(SplitPath(path, kPathSeparator), tensor);
  }
  MsgpackValue root{MsgpackValue::Map()};
  for (const auto& [names, tensor] : by_names) {
    const std::span<const float> values = tensor->span();
    const bool placed =
        AppendFlaxLeaf(root, names, MakeFlaxArray(kFloat, tensor->shape(), std::as_bytes(values), chunk_bytes));
    Check(placed, "FlaxCheckpoint::Create: \"", names.back(), "\" is both an array and a module");
  }
  return root;
}

MsgpackValue MakeCount(int64_t number) {
  Check(number <= std::numeric_limits<int32_t>::max(), "FlaxCheckpoint::Create: step ", number, " is above 2^31 - 1");
  return MakeFlaxArray("int32", {}, BytesOf(static_cast<int32_t>(number)));
}

MsgpackValue MakeOptState(const FlaxState& state, const FlaxLayout& layout) {
  MsgpackValue::Map moments;
  if (layout.optimizer != FlaxOptimizer::kSgd) moments.push_back({std::string(kCount), MakeCount(state.step)});
  for (const std::string_view kind : kMoments) {
    std::map<std::string, const Tensor*> arrays;
    const std::string prefix = StrCat(kind, "/");
    for (const auto& [path, tensor] : state.opt_state) {
      if (path.starts_with(prefix)) arrays.emplace(path.substr(prefix.size()), &tensor);
    }
    if (!arrays.empty()) moments.push_back({std::string(kind), SortedTree(arrays, layout.chunk_bytes)});
  }
  MsgpackValue::Map learning_rate;
  if (layout.schedule) learning_rate.push_back({std::string(kCount), MakeCount(state.step)});

  MsgpackValue::Map chain;
  const auto add = [&](MsgpackValue::Map part) { chain.push_back({std::to_string(chain.size()), {std::move(part)}}); };
  add(std::move(moments));
  if (layout.optimizer == FlaxOptimizer::kAdamW) add({});  // of add_decayed_weights
  add(std::move(learning_rate));
  return {std::move(chain)};
}

}  // namespace

FlaxCheckpoint FlaxCheckpoint::Read(const std::string& path) {
  std::error_code no_matter;  // reading the file says what is wrong
  const std::string file = std::filesystem::is_directory(path, no_matter) ? LatestFlaxCheckpoint(path) : path;
  return Parse(file, SharedBytes::Own(ReadContainer(file)));
}

FlaxCheckpoint FlaxCheckpoint::Parse(const std::string& path, const SharedBytes& bytes) {
  CheckContainer(path, bytes.bytes, {Container::kMsgpack});
  MsgpackValue root = ParseMsgpack(bytes, path);
  CheckData(std::holds_alternative<MsgpackValue::Map>(root.data), path, ": byte 0: isn't a dictionary");
  return {path, std::move(root)};
}

FlaxCheckpoint FlaxCheckpoint::Create(const FlaxState& state, const FlaxLayout& layout) {
  MsgpackValue::Map root;
  const auto add = [&](std::string_view name, MsgpackValue value) {
    root.push_back({std::string(name), std::move(value)});
  };
  const auto add_collection = [&](std::string_view name, const Collection& collection) {
    std::map<std::string, const Tensor*> arrays;
    for (const auto& [path, tensor] : collection) arrays.emplace(path, &tensor);
    add(name, SortedTree(arrays, layout.chunk_bytes));
  };
  add(kStep, MakeCount(state.step));
  add_collection(kParams, GetCollection(state.variables, kParams));
  add(kOptState, MakeOptState(state, layout));
  for (const auto& [name, collection] : state.variables) {
    if (name != kParams) add_collection(name, collection);
  }
  return {"new state", {std::move(root)}};
}

int64_t FlaxCheckpoint::step() const {
  Binder<const MsgpackValue, const Tensor> binder(root_, path_);
  binder.AddStep();
  return binder.CheckedCount(binder.counts()[0]);
}

FlaxChanges FlaxCheckpoint::Restore(FlaxState& state) const {
  RestoreBinder binder(root_, path_);
  binder.AddStep();
  binder.AddVariables(state.variables);
  binder.AddOptState(state.opt_state);
  const int64_t steps = step();
  for (const auto& count : binder.counts()) {
    const int64_t number = binder.CheckedCount(count);
    CheckData(number == steps, path_, ": byte ", count.value->offset, ": \"", count.name, "\" is ", number,
              ", the step is ", steps);
  }
  state.step = steps;
  return CopyOut(binder, path_);
}

FlaxChanges FlaxCheckpoint::RestoreVariables(Variables& variables) const {
  RestoreBinder binder(root_, path_);
  binder.AddVariables(variables);
  return CopyOut(binder, path_);
}

void FlaxCheckpoint::Update(const FlaxState& state) {
  Binder<MsgpackValue, const Tensor> binder(root_, path_);
  binder.AddStep();
  binder.AddVariables(state.variables);
  binder.AddOptState(state.opt_state);
  for (const auto& absent : binder.masked()) {
    const bool empty = std::ranges::all_of(absent.tensor->span(), [](float value) { return value == 0; });
    CheckData(empty, path_, ": has no place for \"", absent.name, "\", which is masked there");
  }
  std::vector<MsgpackValue> counts;
  for (const auto& count : binder.counts()) {
    binder.CheckedCount(count);
    counts.push_back(WithInteger(*count.value, state.step, path_, count.name));
  }
  for (size_t i = 0; i < counts.size(); ++i) *binder.counts()[i].value = std::move(counts[i]);
  for (const auto& pair : binder.pairs()) ReplaceFlaxArray(*pair.value, std::as_bytes(pair.tensor->span()));
}

std::string LatestFlaxCheckpoint(const std::string& folder) {
  std::string latest;
  double highest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kFilePrefix)) continue;
    double number = 0;
    const char* const end = name.data() + name.size();
    const auto result = std::from_chars(name.data() + kFilePrefix.size(), end, number);
    if (result.ec != std::errc() || result.ptr != end || (!latest.empty() && number <= highest)) continue;
    highest = number;
    latest = entry.path().string();
  }
  CheckData(!latest.empty(), folder, ": ", DescribeFolder(folder));
  CheckData(!std::filesystem::is_directory(latest), latest, ": ", DescribeFolder(latest));
  return latest;
}

}  // namespace hwynn
