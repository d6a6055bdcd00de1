#ifndef HWYNN_FORMATS_FLAX_CHECKPOINT_H_
#define HWYNN_FORMATS_FLAX_CHECKPOINT_H_

// Flax's TrainState files: what flax.serialization.to_bytes and flax.training.checkpoints (one file `checkpoint_<n>`)
// write and from_bytes takes.
//
//   FlaxCheckpoint file = FlaxCheckpoint::Read("state.msgpack");
//   file.Restore(state);                // params, batch_stats, opt_state, step
//   …                                   // train
//   file.Update(state);                 // new numbers in the old places
//   file.Write("state.msgpack");

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/formats/flax_array.h"
#include "hwynn/formats/msgpack.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

/// What a TrainState has in a file.
struct FlaxState {
  Variables variables;   // params, batch_stats
  Collection opt_state;  // trace/<path> of sgd with momentum; mu/<path> and nu/<path> of adam and adamw
  int64_t step = 0;      // optimizer steps made
};

enum class FlaxOptimizer { kSgd, kAdam, kAdamW };

/// How Create lays out opt_state: as the optax optimizer of that name does.
struct FlaxLayout {
  FlaxOptimizer optimizer = FlaxOptimizer::kSgd;
  bool schedule = false;  // the learning rate is an optax schedule, which keeps a count of its own
  size_t chunk_bytes = kFlaxChunkBytes;
};

/// What was not restored as it stood in the file, by name, "params/Dense_0/kernel".
struct FlaxChanges {
  std::vector<std::string> converted;  // float16, bfloat16 or float64 before
  std::vector<std::string> zeroed;     // of opt_state: left out by the masks of optax.masked or multi_transform
};

/// A TrainState document: a map with `step`, `params`, `opt_state`, `batch_stats`. It keeps all that it has read: the
/// order of keys and which of them are numbers (NNX's lists: the path of an item is layers/0/kernel), whether `step` is
/// a plain integer or an int32 array, chunks, and fields that hwynn doesn't know. Read and written again it has the
/// same bytes.
class FlaxCheckpoint {
 public:
  /// Reads a file, or of a folder the newest `checkpoint_<n>` (LatestFlaxCheckpoint). Throws std::runtime_error with
  /// path and offset for whatever is something else (CheckContainer) or isn't MessagePack (ParseMsgpack) with a map.
  static FlaxCheckpoint Read(const std::string& path);
  /// The same of bytes that are in memory; errors call them `path`.
  static FlaxCheckpoint Parse(const std::string& path, const SharedBytes& bytes);

  /// A new document, with the bytes that Flax writes for a state that came from a jitted step: fields in TrainState's
  /// order, dictionaries sorted, `step` and counts int32 arrays.
  static FlaxCheckpoint Create(const FlaxState& state, const FlaxLayout& layout);

  /// A document that is there already. `path` is for error messages.
  FlaxCheckpoint(std::string path, MsgpackValue root) : path_(std::move(path)), root_(std::move(root)) {}

  const std::string& path() const { return path_; }
  const MsgpackValue& root() const { return root_; }
  /// Throws std::runtime_error when there is no step or it isn't a whole number ≥ 0.
  int64_t step() const;

  /// All of it, into a state that was made for the same model and optimizer. opt_state may be nested as optax.chain,
  /// masked and multi_transform nest it: each of `trace`, `mu` and `nu` is found by its name, in one piece or in
  /// several with masks between them. Throws std::runtime_error that names path, offset and array, before anything
  /// changes, for arrays that are missing, too many, twice, not of floats, of another shape or not finite, and for
  /// counts in opt_state that aren't the step.
  FlaxChanges Restore(FlaxState& state) const;

  /// The collections alone, for inference: `step` and `opt_state` need not be there.
  FlaxChanges RestoreVariables(Variables& variables) const;

  /// The reverse of Restore: numbers change, nothing else. Throws as Restore does when `state` doesn't fit, also for
  /// arrays that Restore would convert and for numbers other than 0 where a mask leaves no place.
  void Update(const FlaxState& state);

  /// Replaces the file at `path` as a whole, or leaves it as it was.
  void Write(const std::string& path) const { WriteMsgpack(path, root_); }

 private:
  std::string path_;
  MsgpackValue root_;
};

/// The file `checkpoint_<n>` with the highest n in `folder`. Throws std::runtime_error when there is none, or when it
/// is a folder, which is Orbax's format.
std::string LatestFlaxCheckpoint(const std::string& folder);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_FLAX_CHECKPOINT_H_
