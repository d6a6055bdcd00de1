#include "hwynn/apps/history.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <locale>
#include <sstream>

#include "hwynn/core/check.h"
#include "hwynn/formats/file_io.h"

namespace hwynn::apps {
namespace {

constexpr const char* kColumns =
    "epoch,step,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds";

}  // namespace

HistoryRow MakeHistoryRow(const EpochReport& report) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  return {.epoch = report.epochs,
          .step = report.step,
          .learning_rate = report.learning_rate,
          .train_loss = report.train.MeanLoss(),
          .train_accuracy = report.train.Accuracy(),
          .test_loss = report.test ? report.test->MeanLoss() : kNone,
          .test_accuracy = report.test ? report.test->Accuracy() : kNone,
          .images_per_second =
              report.train_seconds > 0 ? static_cast<double>(report.trained_images) / report.train_seconds : 0,
          .seconds = report.train_seconds + report.evaluation_seconds};
}

std::vector<HistoryRow> ReadHistory(const std::string& path) {
  std::vector<HistoryRow> rows;
  if (!std::filesystem::exists(path)) return rows;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  CheckData(line == kColumns, path, ": line 1 isn't the header of a history");
  while (std::getline(file, line)) {
    line += ',';  // so that one stands behind every value
    const char* from = line.data();
    const char* const end = from + line.size();
    bool ok = true;
    const auto read = [&](auto&... values) {
      const auto read_one = [&](auto& value) {
        const auto [rest, error] = std::from_chars(from, end, value);  // takes "nan" and "inf" too
        ok = ok && error == std::errc() && rest != end && *rest == ',';
        if (ok) from = rest + 1;
      };
      (read_one(values), ...);
    };
    HistoryRow row;
    read(row.epoch, row.step, row.learning_rate, row.train_loss, row.train_accuracy, row.test_loss, row.test_accuracy,
         row.images_per_second, row.seconds);
    CheckData(ok && from == end, path, ": line ", rows.size() + 2, " isn't a row of a history");
    rows.push_back(row);
  }
  return rows;
}

void WriteHistory(const std::string& path, const std::vector<HistoryRow>& rows) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text.precision(std::numeric_limits<double>::max_digits10);
  text << kColumns << '\n';
  for (const HistoryRow& row : rows) {
    text << row.epoch << ',' << row.step << ',' << row.learning_rate << ',' << row.train_loss << ','
         << row.train_accuracy << ',' << row.test_loss << ',' << row.test_accuracy << ',' << row.images_per_second
         << ',' << row.seconds << '\n';
  }
  WriteFileAtomically(path, text.str());
}

}  // namespace hwynn::apps
