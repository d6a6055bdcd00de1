#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "hwynn/apps/experiment/batch_size.h"
#include "hwynn/apps/svg.h"

namespace hwynn::apps {
namespace {

constexpr double kLeft = 70, kTop = 60, kPlotWidth = 560, kPlotHeight = 340, kWidth = 900, kHeight = 460;
constexpr const char* kColors[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#ff7f0e"};

}  // namespace

std::string BatchSizeSvg(const std::string& title, const std::vector<BatchSizeRow>& rows) {
  std::set<int64_t> sizes;
  std::map<std::string, std::map<int64_t, double>> series;
  double lowest = 1, highest = 0;
  for (const BatchSizeRow& row : rows) {
    sizes.insert(row.batch_size);
    series[row.series][row.batch_size] = row.accuracy;
    lowest = std::min(lowest, row.accuracy);
    highest = std::max(highest, row.accuracy);
  }
  std::ostringstream svg;
  BeginSvg(svg, kWidth, kHeight);
  Text(svg, kWidth / 2, 28, "middle", title, "font-size=\"17\"");
  if (!rows.empty()) {
    const Axis y_axis(lowest, highest);
    const double right = kLeft + kPlotWidth, bottom = kTop + kPlotHeight;
    // Sizes at even distances: they double.
    std::map<int64_t, double> x_of;
    for (const int64_t size : sizes) {
      const double place = (static_cast<double>(x_of.size()) + 0.5) / static_cast<double>(sizes.size());
      x_of.emplace(size, kLeft + kPlotWidth * place);
    }
    const auto y_of = [&](double value) { return kTop + kPlotHeight * (1 - y_axis.Fraction(value)); };
    for (int i = 0; i <= y_axis.Ticks(); ++i) {
      const double value = y_axis.low + i * y_axis.tick;
      Line(svg, kLeft, y_of(value), right, y_of(value), "#e0e0e0");
      Text(svg, kLeft - 8, y_of(value) + 4, "end", Number(value));
    }
    for (const auto& [size, x] : x_of) {
      Line(svg, x, bottom, x, bottom + 5, "#404040");
      Text(svg, x, bottom + 20, "middle", Number(static_cast<double>(size)));
    }
    Line(svg, kLeft, kTop, kLeft, bottom, "#404040");
    Line(svg, kLeft, bottom, right, bottom, "#404040");
    Text(svg, (kLeft + right) / 2, bottom + 42, "middle", "batch size");
    double legend_y = kTop + 10;
    size_t number = 0;
    for (const auto& [name, curve] : series) {
      // Looked at again after the recalibration: dashed, in the color of the series before it, which sorts that way.
      const bool again = name.ends_with("-recalibrated");
      number += again ? 0 : 1;
      const char* const color = kColors[number % std::size(kColors)];
      const char* const dashes = again ? "\" stroke-dasharray=\"6 4" : "";
      svg << "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" << color << dashes << "\" points=\"";
      for (const auto& [size, accuracy] : curve) svg << x_of.at(size) << ',' << y_of(accuracy) << ' ';
      svg << "\"/>\n";
      for (const auto& [size, accuracy] : curve) {
        svg << "<circle r=\"3\" fill=\"" << color << "\" cx=\"" << x_of.at(size) << "\" cy=\"" << y_of(accuracy)
            << "\"/>\n";
      }
      svg << "<line x1=\"" << right + 20 << "\" y1=\"" << legend_y << "\" x2=\"" << right + 46 << "\" y2=\"" << legend_y
          << "\" stroke-width=\"2\" stroke=\"" << color << dashes << "\"/>\n";
      Text(svg, right + 54, legend_y + 4, "start", name);
      legend_y += 22;
    }
  }
  svg << "</svg>\n";
  return svg.str();
}

}  // namespace hwynn::apps
