// Flax's TrainState files: any MessagePack is parsed and written again; a document's own arrays make the state that it
// is restored into, which is put back and must change no byte. A tree that goes to safetensors comes back the same.

#include "hwynn/formats/flax_checkpoint.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/formats/flax_safetensors.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

using Leaves = FlaxLeaves<const MsgpackValue>;

// A tensor of the shape of every array below `name`.
Collection ArraysOf(const FlaxCheckpoint& file, const std::string& name) {
  Collection collection;
  Leaves leaves;
  if (const MsgpackValue* tree = file.root().Find(name)) CollectFlaxLeaves(*tree, "", file.path(), leaves);
  for (const auto& [path, leaf] : leaves) {
    if (IsFlaxArray(*leaf)) collection.emplace(path, Tensor(ReadFlaxArray(*leaf, file.path(), path).shape, 0.0f));
  }
  return collection;
}

// Whether a dictionary below `node` has the key.
bool HasKey(const MsgpackValue& node, std::string_view key) {
  const auto* map = std::get_if<MsgpackValue::Map>(&node.data);
  return map != nullptr && (node.Find(key) != nullptr ||
                            std::ranges::any_of(*map, [&](const auto& member) { return HasKey(member.second, key); }));
}

void Restore(FlaxCheckpoint file) {
  FlaxState state;
  for (const std::string name : {"params", "batch_stats"}) state.variables.emplace(name, ArraysOf(file, name));
  const MsgpackValue* opt_state = file.root().Find("opt_state");
  for (const std::string moment : {"trace", "mu", "nu"}) {
    if (opt_state == nullptr || !HasKey(*opt_state, moment)) continue;
    for (const auto& [path, tensor] : state.variables["params"]) {
      state.opt_state.emplace(StrCat(moment, "/", path), Tensor(tensor.shape(), 0.0f));
    }
  }
  ErrorOf([&] { file.RestoreVariables(state.variables); });
  const FlaxChanges changes = file.Restore(state);
  Require(state.step == file.step(), "the step of a restored state is the file's");
  const std::vector<std::byte> before = EncodeMsgpack(file.root());
  if (!changes.converted.empty()) {
    Require(!ErrorOf([&] { file.Update(state); }).empty() && EncodeMsgpack(file.root()) == before,
            "a document of half precision isn't updated");
    return;
  }
  file.Update(state);
  Require(EncodeMsgpack(file.root()) == before, "a state that is put back where it came from changes nothing");
}

// Converted to safetensors and back, twice.
void Convert(const MsgpackValue& root) {
  const auto there_and_back = [](const MsgpackValue& value) {
    const FlaxSafetensors arrays = FlaxToSafetensors(value, "input");
    return FlaxFromSafetensors(arrays.entries, arrays.metadata, "input");
  };
  const MsgpackValue once = there_and_back(root);
  Require(EncodeMsgpack(there_and_back(once)) == EncodeMsgpack(once), "a tree survives safetensors");
}

void Read(Bytes input) {
  static const Scratch scratch;
  const std::string path = scratch.Write("input", input);
  const FlaxCheckpoint file = FlaxCheckpoint::Read(path);
  const std::string copy = scratch / "copy";
  file.Write(copy);
  const FlaxCheckpoint again = FlaxCheckpoint::Read(copy);
  Require(EncodeMsgpack(again.root()) == EncodeMsgpack(file.root()), "a file that is written again has the same bytes");
  ErrorOf([&] { Convert(file.root()); });

  Restore(file);
}

}  // namespace

std::string ReadInput(Bytes input) {
  return ErrorOf([&] { Read(input); });
}

}  // namespace hwynn::fuzz
