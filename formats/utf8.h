#ifndef HWYNN_FORMATS_UTF8_H_
#define HWYNN_FORMATS_UTF8_H_

#include <string_view>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// Whether `text` is UTF-8, which JSON, and so the metadata of a checkpoint, must be: no stray or missing continuation
/// bytes, no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_UTF8_H_
