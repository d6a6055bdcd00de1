// A PNG image as `hwynn predict` reads it: grey and in colour, then resized to a model's input.

#include <algorithm>
#include <vector>

#include "hwynn/apps/image.h"
#include "hwynn/fuzz/repair.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

void Read(Bytes input) {
  static const Scratch scratch;
  const std::string path = scratch.Write("input", input);
  for (const int64_t channels : {1, 3}) {
    const Tensor image = apps::ReadPng(path, channels);
    const Tensor resized = apps::Resize(image, 3, 5);
    // What is more than a rounding above 1 was read from somewhere else.
    Require(std::ranges::all_of(resized.span(), [](float x) { return x >= 0.0f && x <= 1.001f; }),
            "pixels are in 0 … 1");
  }
}

}  // namespace

std::string ReadInput(Bytes input) {
  const std::string error = ErrorOf([&] { Read(input); });
  std::vector<std::byte> bytes(input.begin(), input.end());
  if (RepairPng(bytes)) ErrorOf([&] { Read(bytes); });
  return error;
}

}  // namespace hwynn::fuzz
