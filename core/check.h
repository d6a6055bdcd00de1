#ifndef HWYNN_CORE_CHECK_H_
#define HWYNN_CORE_CHECK_H_

// Errors. A caller's mistake is std::invalid_argument, a bad file is std::runtime_error; nothing in the
// library prints, aborts or exits.

#include <sstream>
#include <stdexcept>
#include <string>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// Concatenates `parts` with operator<<. Throws std::bad_alloc where there is no memory for all of it.
template <class... Parts>
std::string StrCat(const Parts&... parts) {
  std::ostringstream text;
  text.exceptions(std::ios_base::badbit);  // a stream keeps std::bad_alloc to itself otherwise
  (text << ... << parts);
  return std::move(text).str();
}

/// Throws std::invalid_argument with the concatenated `parts` unless `ok`. The parts are formatted only on
/// failure. Text: function, rule, then the values that break it, as in
/// `Conv2dForward: filter IC (64) != input C (32); input [8,56,56,32], filter [3,3,64,64]`.
template <class... Parts>
void Check(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    throw std::invalid_argument(StrCat(parts...));
}

/// The same for files and data that come from outside: std::runtime_error with path and offset in the text.
template <class... Parts>
void CheckData(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    throw std::runtime_error(StrCat(parts...));
}

/// Not for users: what HWYNN_DCHECK does.
[[noreturn]] inline void ThrowBroken(const char* file, int line, const char* condition) {
  throw std::logic_error(StrCat(file, ":", line, ": broken: ", condition));
}

}  // namespace hwynn

/// A broken internal invariant: checked in debug builds only, never for what a caller passes in. Throws
/// std::logic_error with the condition and its place.
#ifdef NDEBUG
#define HWYNN_DCHECK(condition) static_cast<void>(0)
#else
#define HWYNN_DCHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::hwynn::ThrowBroken(__FILE__, __LINE__, #condition))
#endif

#endif  // HWYNN_CORE_CHECK_H_
