#ifndef HWYNN_MODULE_RNGS_H_
#define HWYNN_MODULE_RNGS_H_

// flax.nnx's streams of random keys: what a key is depends on the order of the draws alone.

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"

namespace HWYNN_EXPORT hwynn {
namespace nnx {

/// A key and how many draws it has made: draw k is fold_in(key, k).
struct RngStream {
  Key key;
  uint32_t count = 0;

  Key Draw() { return FoldIn(key, count++); }
};

/// Streams by name, or by the path of the module that owns them.
using RngStreams = std::map<std::string, RngStream, std::less<>>;

/// nnx.Rngs: streams by name; those without one of their own share "default".
class Rngs {
 public:
  /// nnx.Rngs(seed): "default" alone.
  explicit Rngs(int64_t seed) : Rngs({{"default", seed}}) {}
  /// nnx.Rngs(params=1, dropout=2) is Rngs({{"params", 1}, {"dropout", 2}}).
  Rngs(std::initializer_list<std::pair<std::string, int64_t>> seeds);

  /// rngs.<stream>(). Throws std::invalid_argument when there is neither that stream nor "default".
  Key Draw(std::string_view stream = "default");

 private:
  RngStreams streams_;
};

}  // namespace nnx
}  // namespace hwynn

#endif  // HWYNN_MODULE_RNGS_H_
