#include "hwynn/apps/svg.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <locale>
#include <sstream>

namespace hwynn::apps {
namespace {

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

Axis::Axis(double lowest, double highest) {
  // No narrower than numbers of that size can be told apart.
  const double range = std::max(highest - lowest, 1e-6 * std::max({1.0, std::abs(lowest), std::abs(highest)}));
  double power = 1;  // the largest power of ten up to range / 5
  while (10 * power <= range / 5) power *= 10;
  while (power > range / 5) power /= 10;
  tick = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (range / (factor * power) <= 6) {
      tick = factor * power;
      break;
    }
  }
  low = std::floor(lowest / tick) * tick;
  high = std::max(std::ceil(highest / tick) * tick, low + tick);
}

int Axis::Ticks() const { return static_cast<int>(std::lround((high - low) / tick)); }

void BeginSvg(std::ostream& svg, double width, double height) {
  svg.imbue(std::locale::classic());
  svg << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width << ' ' << height << "\" width=\"" << width
      << "\" height=\"" << height << "\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#202020\">\n"
      << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
}

void Text(std::ostream& svg, double x, double y, const char* anchor, const std::string& text, const char* attributes) {
  svg << "<text x=\"" << x << "\" y=\"" << y << "\" text-anchor=\"" << anchor << "\" " << attributes << ">"
      << Escaped(text) << "</text>\n";
}

std::string Number(double value) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << std::setprecision(4) << (std::abs(value) < 1e-9 ? 0.0 : value);
  return text.str();
}

void Line(std::ostream& svg, double x1, double y1, double x2, double y2, const char* color) {
  svg << "<line x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2 << "\" stroke=\"" << color
      << "\"/>\n";
}

}  // namespace hwynn::apps
