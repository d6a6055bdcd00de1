#ifndef HWYNN_FORMATS_FLAX_ARRAY_H_
#define HWYNN_FORMATS_FLAX_ARRAY_H_

// Arrays as flax.serialization puts them into MessagePack: extension type 1 (an array) or 3 (a numpy scalar), whose
// payload is a MessagePack array of shape, dtype name and little-endian row-major bytes; and above 2³⁰ bytes a map
// {"__msgpack_chunked_array__": true, "shape": {"0": …}, "chunks": {"0": array, …}} of flat arrays.

#include <map>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/shape.h"
#include "hwynn/formats/msgpack.h"

namespace HWYNN_EXPORT hwynn {

/// Flax's MAX_CHUNK_SIZE.
inline constexpr size_t kFlaxChunkBytes = size_t{1} << 30;

/// The extension type of numpy's scalars, which are otherwise as arrays.
inline constexpr int8_t kFlaxScalarType = 3;

struct FlaxArray {
  std::string dtype;  // numpy's name: "float32"
  Shape shape;
  SharedBytes data;
};

/// Whether the value is an array or a numpy scalar, in whatever form.
bool IsFlaxArray(const MsgpackValue& value);
bool IsChunkedFlaxArray(const MsgpackValue& value);

/// The array in `value`, of which IsFlaxArray is true; chunks are joined. `path` and `name` are for error messages.
/// Throws std::runtime_error for anything that isn't as above: an unknown dtype, more than Shape::kMaxRank extents, a
/// shape whose bytes aren't the payload's, chunks that are missing, differ in dtype or don't fill the shape.
FlaxArray ReadFlaxArray(const MsgpackValue& value, const std::string& path, const std::string& name);

/// An array as Flax writes it, in chunks when it has more than `chunk_bytes`. Copies `bytes`.
MsgpackValue MakeFlaxArray(std::string_view dtype, const Shape& shape, std::span<const std::byte> bytes,
                           size_t chunk_bytes = kFlaxChunkBytes);

/// Puts other elements into an array that ReadFlaxArray takes, in the form it has. Copies `bytes`, which are as many.
void ReplaceFlaxArray(MsgpackValue& value, std::span<const std::byte> bytes);

/// The leaves below `node` by path, names joined with "/"; T is MsgpackValue or const MsgpackValue. A leaf is whatever
/// isn't a map, or is a chunked array. Throws std::runtime_error with `path` when two would have the same name.
template <class T>
using FlaxLeaves = std::map<std::string, T*, std::less<>>;
template <class T>
void CollectFlaxLeaves(T& node, const std::string& prefix, const std::string& path, FlaxLeaves<T>& leaves);

/// Puts `leaf` at the end of the tree of maps, at the path `names`; maps that aren't there are made. Called in the
/// order of the paths, it makes a tree of sorted maps. False when the path of another leaf is the beginning of this
/// one's.
bool AppendFlaxLeaf(MsgpackValue& root, std::span<const std::string> names, MsgpackValue leaf);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_FLAX_ARRAY_H_
