#ifndef HWYNN_APPS_SVG_H_
#define HWYNN_APPS_SVG_H_

// What pictures of curves are drawn with: SVG that needs no other file.

#include <ostream>
#include <string>

namespace hwynn::apps {

/// An axis whose ticks are round numbers.
struct Axis {
  double low, high, tick;

  Axis(double lowest, double highest);
  double Fraction(double value) const { return (value - low) / (high - low); }
  int Ticks() const;
};

/// Four digits.
std::string Number(double value);

/// The head of a picture, on white; "</svg>" ends it. Numbers are then written as SVG has them, whatever the locale.
void BeginSvg(std::ostream& svg, double width, double height);
void Text(std::ostream& svg, double x, double y, const char* anchor, const std::string& text,
          const char* attributes = "");
void Line(std::ostream& svg, double x1, double y1, double x2, double y2, const char* color);

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_SVG_H_
