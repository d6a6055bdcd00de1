#ifndef HWYNN_FORMATS_CSV_H_
#define HWYNN_FORMATS_CSV_H_

// Tables as comma-separated values (RFC 4180).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

struct CsvRow {
  int64_t line = 0;  // of the file, from 1, where it begins
  std::vector<std::string> fields;
};

/// The rows of a table. Fields stand between commas; one in double quotes may hold commas, line ends and, doubled,
/// quotes. Lines end with LF or CRLF, the last one also with the file; empty ones are left out, as is a byte order
/// mark.
///
/// `path` stands in error texts alone. Throws std::runtime_error with path and line for text that isn't UTF-8, holds a
/// NUL, a quote within a field without quotes, something between a closing quote and the next comma, or no closing
/// quote.
std::vector<CsvRow> ParseCsv(std::span<const std::byte> file, const std::string& path);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_CSV_H_
