#ifndef HWYNN_FORMATS_FLAX_SAFETENSORS_H_
#define HWYNN_FORMATS_FLAX_SAFETENSORS_H_

// Flax's nested dictionaries as flat safetensors files and back. An array at params → Dense_0 → kernel is called
// "params.Dense_0.kernel". Numbers that aren't arrays become arrays without dimensions. The metadata records the
// format's version, the naming, and the tree: the order of keys, which of them are whole numbers (NNX's lists), what
// was an array and what a number, empty dictionaries. So nothing is lost on the way and back.

#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/formats/msgpack.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

/// What the metadata calls such names.
inline constexpr char kFlaxNaming[] = "Flax's paths, joined with \".\"";

/// Adds the arrays of a collection by name, "params.Dense_0.kernel" (ArrayName). They point into `collection`. Throws
/// std::invalid_argument when two would have the same name.
void AddNamedArrays(std::string_view name, const Collection& collection, SafetensorsEntries& entries);

/// The arrays of all collections.
SafetensorsEntries NamedArrays(const Variables& variables);

/// The metadata of a file with such names: format and naming.
SafetensorsMetadata ArraysMetadata();

/// What WriteSafetensors takes.
struct FlaxSafetensors {
  SafetensorsEntries entries;
  SafetensorsMetadata metadata;
  std::vector<SharedBytes> storage;  // what `entries` point into
};

/// The arrays of `root`, with their dtypes. Throws std::runtime_error with `path` and the offset for what safetensors
/// has no form for: complex128, bytes, extension types that aren't Flax's, two paths that are one when joined.
FlaxSafetensors FlaxToSafetensors(const MsgpackValue& root, const std::string& path);

/// The reverse. Without a tree in the metadata names are cut at every ".", dictionaries are sorted, and all keys are
/// texts (nnx.restore_int_paths makes numbers of them). Throws
/// std::runtime_error when the tree can't be read or isn't that of the arrays, for dtypes that numpy hasn't, and for a
/// name that is another one's beginning.
MsgpackValue FlaxFromSafetensors(const SafetensorsFile& file);
MsgpackValue FlaxFromSafetensors(const SafetensorsEntries& entries, const SafetensorsMetadata& metadata,
                                 const std::string& path);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_FLAX_SAFETENSORS_H_
