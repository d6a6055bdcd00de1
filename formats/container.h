#ifndef HWYNN_FORMATS_CONTAINER_H_
#define HWYNN_FORMATS_CONTAINER_H_

// What a file or a folder is by what is in it, whatever its name says: checkpoints come with wrong names, as pages that
// a server sent instead, and in formats of other programs. Readers ask here before they call a file damaged.

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

enum class Container {
  kUnknown,
  // What hwynn reads.
  kSafetensors,
  kMsgpack,
  // What it doesn't.
  kEmpty,
  kGitLfsPointer,
  kWebPage,
  kXml,
  kJson,
  kText,
  kPyTorch,
  kPickle,
  kNpz,
  kNpy,
  kZip,
  kGzip,
  kXz,
  kZstd,
  kBzip2,
  kTar,
  kOnnx,
  kGguf,
  kHdf5,
  kTfLite,
  kPng,
  kJpeg,
};

/// What the first bytes show a file to be.
Container RecogniseFile(std::span<const std::byte> file);

/// Throws std::runtime_error "<path>: is …; …", one sentence of what the file is and what to do, when it is recognised
/// as none of `wanted`. What isn't recognised passes: then its reader knows better what is wrong.
void CheckContainer(const std::string& path, std::span<const std::byte> file, std::initializer_list<Container> wanted);

/// ReadFile, but of a folder the error says what it is: a step of Orbax, a folder of its steps, TensorFlow's, one with
/// safetensors files in it.
std::vector<std::byte> ReadContainer(const std::string& path);

/// What ReadContainer says of a folder, behind its path.
std::string DescribeFolder(const std::string& folder);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_CONTAINER_H_
