#ifndef HWYNN_INFERENCE_PROGRAM_MODEL_FILE_H_
#define HWYNN_INFERENCE_PROGRAM_MODEL_FILE_H_

// Not for users: what InferenceModel::Save writes. A safetensors file with one array, "weights", in which the program's
// arrays lie one after another, each from a cache line on; the program, as JSON, and the information in the metadata.
// The file is mapped, so weights that are used as they are cost no copy.

#include <cstddef>
#include <span>
#include <string>

#include "hwynn/inference/inference_model.h"
#include "hwynn/inference/program/program.h"

namespace hwynn {

struct ProgramFile {
  Program program;
  InferenceInfo info;
  PackedSteps packed;  // which the program's arrays keep; their floats were not compared with the filters
};

void WriteProgramFile(const std::string& path, const Program& program, const InferenceInfo& info,
                      const PackedSteps& packed);

/// Checks everything: the checksum, that each step reads arrays and values that are there, no array twice, and that
/// weights are finite.
ProgramFile ReadProgramFile(const std::string& path);

/// Whether its header says that it is such a file.
bool IsProgramFile(const std::string& path);

/// What such a file has as its checksum, of its weights' bytes and the program's text.
std::string ProgramChecksum(std::span<const std::byte> weights, const std::string& text);

/// Throws std::invalid_argument for information that contradicts itself: means for another number of channels, a
/// standard deviation that isn't positive, class names that aren't UTF-8.
void CheckInfo(const InferenceInfo& info);

}  // namespace hwynn

#endif  // HWYNN_INFERENCE_PROGRAM_MODEL_FILE_H_
