// A PNG image as DecodeImage reads it: grey and in colour, then made a model's input.

#include <vector>

#include "hwynn/fuzz/images.h"
#include "hwynn/fuzz/repair.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {

std::string ReadInput(Bytes input) {
  const std::string error = ErrorOf([&] { DecodeAndTransform(input); });
  std::vector<std::byte> bytes(input.begin(), input.end());
  if (RepairPng(bytes)) ErrorOf([&] { DecodeAndTransform(bytes); });
  return error;
}

}  // namespace hwynn::fuzz
