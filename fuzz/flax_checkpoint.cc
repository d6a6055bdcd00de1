// Flax's TrainState files: any MessagePack is parsed and written again; a document's own arrays make the state that it
// is restored into, which is put back and must change no byte. A tree that goes to safetensors comes back the same.

#include "hwynn/training/flax_checkpoint.h"

#include <utility>
#include <vector>

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

void Restore(FlaxCheckpoint file, const std::vector<std::string>& moments) {
  TrainState state;
  for (const std::string name : {"params", "batch_stats"}) state.variables.emplace(name, ArraysOf(file, name));
  for (const std::string& moment : moments) {
    for (const auto& [path, tensor] : state.variables["params"]) {
      state.opt_state.emplace(StrCat(moment, "/", path), Tensor(tensor.shape(), 0.0f));
    }
  }
  ErrorOf([&] { file.RestoreVariables(state.variables); });
  file.Restore(state);
  Require(state.step == file.step(), "the step of a restored state is the file's");
  const std::vector<std::byte> before = EncodeMsgpack(file.root());
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

  const std::string error = ErrorOf([&] { Restore(file, {}); });
  if (error.empty()) return;
  if (ErrorOf([&] { Restore(file, {"trace"}); }).empty()) return;
  if (ErrorOf([&] { Restore(file, {"mu", "nu"}); }).empty()) return;
  throw std::runtime_error(error);
}

}  // namespace

std::string ReadInput(Bytes input) {
  return ErrorOf([&] { Read(input); });
}

}  // namespace hwynn::fuzz
