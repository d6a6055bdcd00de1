#include "hwynn/module/rngs.h"

#include "hwynn/core/check.h"

namespace hwynn::nnx {

Rngs::Rngs(std::initializer_list<std::pair<std::string, int64_t>> seeds) {
  for (const auto& [name, seed] : seeds) {
    Check(streams_.try_emplace(name, RngStream{.key = KeyFromSeed(seed)}).second, "Rngs: two streams \"", name, "\"");
  }
}

Key Rngs::Draw(std::string_view stream) {
  auto found = streams_.find(stream);
  if (found == streams_.end()) found = streams_.find("default");
  Check(found != streams_.end(), "No RngStream named '", stream, "' found in Rngs.");
  return found->second.Draw();
}

}  // namespace hwynn::nnx
