#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include "hwynn/apps/history.h"
#include "hwynn/apps/svg.h"

namespace hwynn::apps {
namespace {

constexpr double kPanelWidth = 360, kPanelHeight = 250, kTop = 70, kWidth = 940, kHeight = 385;
constexpr const char* kTrainColor = "#1f77b4";
constexpr const char* kTestColor = "#d62728";

using Field = double HistoryRow::*;

/// Whether a row can be drawn: not what is NaN, infinite, or so large that differences are.
bool HasPlace(const HistoryRow& row) {
  constexpr double kLargest = 1e100;
  const auto values = {row.epoch, row.train_loss, row.test_loss, row.train_accuracy, row.test_accuracy};
  return std::ranges::all_of(values, [](double value) { return std::abs(value) <= kLargest; });
}

/// One panel: a quantity by epoch, for training and test images.
void Panel(std::ostream& svg, double left, const char* name, const std::vector<HistoryRow>& rows, Field train,
           Field test) {
  double lowest = rows[0].*test, highest = lowest;
  for (const HistoryRow& row : rows) {
    lowest = std::min({lowest, row.*train, row.*test});
    highest = std::max({highest, row.*train, row.*test});
  }
  const Axis x_axis(0, rows.back().epoch), y_axis(lowest, highest);
  const auto x_of = [&](double epoch) { return left + kPanelWidth * x_axis.Fraction(epoch); };
  const auto y_of = [&](double value) { return kTop + kPanelHeight * (1 - y_axis.Fraction(value)); };
  const double right = left + kPanelWidth, bottom = kTop + kPanelHeight;

  for (int i = 0; i <= y_axis.Ticks(); ++i) {
    const double value = y_axis.low + i * y_axis.tick;
    Line(svg, left, y_of(value), right, y_of(value), "#e0e0e0");
    Text(svg, left - 8, y_of(value) + 4, "end", Number(value));
  }
  for (int i = 0; i <= x_axis.Ticks(); ++i) {
    const double epoch = x_axis.low + i * x_axis.tick;
    Line(svg, x_of(epoch), bottom, x_of(epoch), bottom + 5, "#404040");
    Text(svg, x_of(epoch), bottom + 20, "middle", Number(epoch));
  }
  Line(svg, left, kTop, left, bottom, "#404040");
  Line(svg, left, bottom, right, bottom, "#404040");
  Text(svg, (left + right) / 2, bottom + 42, "middle", "epoch");
  Text(svg, left, kTop - 12, "start", name, "font-weight=\"bold\"");

  const auto curve = [&](Field field, const char* color, const char* label, double legend_x) {
    svg << "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" << color << "\" points=\"";
    for (const HistoryRow& row : rows) svg << x_of(row.epoch) << ',' << y_of(row.*field) << ' ';
    svg << "\"/>\n";
    if (rows.size() <= 60) {
      for (const HistoryRow& row : rows) {
        svg << "<circle r=\"3\" fill=\"" << color << "\" cx=\"" << x_of(row.epoch) << "\" cy=\"" << y_of(row.*field)
            << "\"/>\n";
      }
    }
    svg << "<line x1=\"" << legend_x << "\" y1=\"" << kTop - 16 << "\" x2=\"" << legend_x + 22 << "\" y2=\""
        << kTop - 16 << "\" stroke-width=\"2\" stroke=\"" << color << "\"/>\n";
    Text(svg, legend_x + 28, kTop - 12, "start", StrCat(label, " ", Number(rows.back().*field)));
  };
  curve(train, kTrainColor, "train", right - 210);
  curve(test, kTestColor, "test", right - 95);
}

}  // namespace

std::string HistorySvg(const std::string& title, const std::vector<HistoryRow>& rows) {
  std::ostringstream svg;
  BeginSvg(svg, kWidth, kHeight);
  Text(svg, kWidth / 2, 28, "middle", title, "font-size=\"17\"");
  std::vector<HistoryRow> drawn;
  std::ranges::copy_if(rows, std::back_inserter(drawn), HasPlace);
  if (!drawn.empty()) {
    Panel(svg, 70, "loss", drawn, &HistoryRow::train_loss, &HistoryRow::test_loss);
    Panel(svg, 540, "accuracy", drawn, &HistoryRow::train_accuracy, &HistoryRow::test_accuracy);
  }
  svg << "</svg>\n";
  return svg.str();
}

}  // namespace hwynn::apps
