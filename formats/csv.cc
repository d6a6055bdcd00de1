#include "hwynn/formats/csv.h"

#include <string_view>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/utf8.h"

namespace hwynn {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  std::vector<CsvRow> Rows() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row{.line = line_, .fields = {}};
      do {
        row.fields.push_back(AtQuote() ? Quoted() : Plain());
      } while (Skip(","));
      const bool ended = Skip("\r\n") || Skip("\n") || at_ == text_.size();
      CheckData(ended, path_, ": line ", line_, ": there is text behind a closing quote");
      ++line_;
      if (row.fields.size() > 1 || !row.fields[0].empty()) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  bool AtQuote() const { return at_ < text_.size() && text_[at_] == '"'; }

  bool Skip(std::string_view what) {
    const bool found = text_.substr(at_).starts_with(what);
    if (found) at_ += what.size();
    return found;
  }

  std::string Plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && !text_.substr(at_).starts_with("\r\n")) {
      CheckData(text_[at_] != '"', path_, ": line ", line_, ": there is a quote within a field without quotes");
      ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string Quoted() {
    const int64_t first_line = line_;
    ++at_;
    std::string field;
    for (;; ++at_) {
      CheckData(at_ < text_.size(), path_, ": line ", first_line, ": a quote isn't closed");
      if (text_[at_] == '"' && !text_.substr(at_).starts_with("\"\"")) break;
      if (text_[at_] == '"') ++at_;
      if (text_[at_] == '\n') ++line_;
      field += text_[at_];
    }
    ++at_;
    return field;
  }

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

std::vector<CsvRow> ParseCsv(std::span<const std::byte> file, const std::string& path) {
  std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  CheckData(IsUtf8(text), path, ": isn't UTF-8 text");
  CheckData(text.find('\0') == std::string_view::npos, path, ": holds a NUL, so that it is no text");
  return Parser(text, path).Rows();
}

}  // namespace hwynn
