// What a file is by its first bytes: a file of another program is refused in one sentence of what it is.

#include "hwynn/formats/container.h"

#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {

std::string ReadInput(Bytes input) {
  const std::string error = ErrorOf([&] {
    CheckContainer("input", input, {Container::kSafetensors, Container::kMsgpack});
  });
  const Container container = RecogniseFile(input);
  const bool known = container != Container::kUnknown;
  const bool read = container == Container::kSafetensors || container == Container::kMsgpack;
  Require(error.empty() == (!known || read), "what is recognised and not read is refused");
  Require(error.empty() || error.starts_with("input: is "), "an error says what the file is");
  Require(ErrorOf([&] { CheckContainer("input", input, {container}); }).empty(), "what is wanted passes");
  return error;
}

}  // namespace hwynn::fuzz
