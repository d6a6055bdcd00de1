// Any safetensors file: what is read is written again and reads back to the same.

#include "hwynn/formats/safetensors.h"

#include <algorithm>
#include <vector>

#include "hwynn/formats/file_io.h"
#include "hwynn/formats/flax_safetensors.h"
#include "hwynn/fuzz/repair.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

bool SameEntries(const SafetensorsEntries& a, const SafetensorsEntries& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.dtype == y.second.dtype && x.second.shape == y.second.shape &&
           std::ranges::equal(x.second.bytes, y.second.bytes);
  });
}

// As the tree of a train state, by names or by the tree in the metadata.
void ConvertToFlax(const SafetensorsFile& file) {
  const MsgpackValue tree = FlaxFromSafetensors(file);
  const FlaxSafetensors arrays = FlaxToSafetensors(tree, file.path());
  const MsgpackValue again = FlaxFromSafetensors(arrays.entries, arrays.metadata, file.path());
  Require(EncodeMsgpack(again) == EncodeMsgpack(tree), "a tree survives safetensors");
}

void Read(const std::vector<std::byte>& bytes) {
  static const Scratch scratch;
  const SafetensorsFile file("input", bytes);
  const std::string copy = scratch / "copy";
  WriteSafetensors(copy, file.entries(), file.metadata());
  const SafetensorsFile again(copy);
  Require(SameEntries(file.entries(), again.entries()) && file.metadata() == again.metadata(),
          "a file that is written again reads back to the same");
  ErrorOf([&] { ConvertToFlax(file); });
  const std::string second = scratch / "second";
  WriteSafetensors(second, again.entries(), again.metadata());
  Require(ReadFile(copy) == ReadFile(second), "a file that was written is written again to the same bytes");
}

}  // namespace

std::string ReadInput(Bytes input) {
  std::vector<std::byte> bytes(input.begin(), input.end());
  const std::string error = ErrorOf([&] { Read(bytes); });
  if (RepairSafetensors(bytes)) ErrorOf([&] { Read(bytes); });
  return error;
}

}  // namespace hwynn::fuzz
