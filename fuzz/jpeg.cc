// A JPEG image as DecodeImage reads it: grey and in colour, upright, then made a model's input.

#include "hwynn/fuzz/images.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {

std::string ReadInput(Bytes input) {
  return ErrorOf([&] { DecodeAndTransform(input); });
}

}  // namespace hwynn::fuzz
