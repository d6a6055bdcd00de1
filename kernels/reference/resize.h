#ifndef HWYNN_KERNELS_REFERENCE_RESIZE_H_
#define HWYNN_KERNELS_REFERENCE_RESIZE_H_

// The definition of kernels/resize.h. Everything is whole numbers, so results compare with ==.

#include <cstdint>
#include <vector>

#include "hwynn/kernels/resize.h"

namespace hwynn::reference {

/// The whole image is resized, then the window cut out.
std::vector<uint8_t> ResizeImage(const ResizeParams& params, const ByteImageView& input);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_RESIZE_H_
