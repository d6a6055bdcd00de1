// A list of photographs: a table of comma-separated values, and its columns.

#include <algorithm>
#include <string>
#include <vector>

#include "hwynn/formats/csv.h"
#include "hwynn/fuzz/target.h"
#include "hwynn/images/list.h"

namespace hwynn::fuzz {
namespace {

// Every field in quotes.
std::string Written(const std::vector<CsvRow>& rows) {
  std::string text;
  for (const CsvRow& row : rows) {
    for (size_t i = 0; i < row.fields.size(); ++i) {
      text += i == 0 ? "\"" : ",\"";
      for (const char c : row.fields[i]) text += c == '"' ? std::string("\"\"") : std::string(1, c);
      text += '"';
    }
    text += '\n';
  }
  return text;
}

void Read(Bytes input) {
  const std::vector<CsvRow> rows = ParseCsv(input, "list.csv");
  const std::string written = Written(rows);
  const std::vector<CsvRow> again = ParseCsv(std::as_bytes(std::span(written)), "again.csv");
  const auto same = [](const CsvRow& a, const CsvRow& b) { return a.fields == b.fields; };
  Require(std::ranges::equal(rows, again, same), "a table that is written reads back to the same");
  Require(std::ranges::is_sorted(rows, {}, &CsvRow::line), "lines ascend");
  const std::vector<NamedPhoto> photos = ParsePhotoList(input, "list.csv");
  Require(photos.size() <= rows.size(), "a photograph is a row");
  for (const NamedPhoto& photo : photos) Require(!photo.path.empty() && !photo.class_name.empty(), "no field is empty");
}

}  // namespace

std::string ReadInput(Bytes input) {
  return ErrorOf([&] { Read(input); });
}

}  // namespace hwynn::fuzz
