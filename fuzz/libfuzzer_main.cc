#include <cstdint>

#include "hwynn/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hwynn::fuzz::ReadInput({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
