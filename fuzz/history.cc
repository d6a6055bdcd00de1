// A history.csv, as `hwynn train --resume` reads it and draws it.

#include "hwynn/apps/history.h"

#include <vector>

#include "hwynn/formats/file_io.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

void Read(Bytes input) {
  static const Scratch scratch;
  const auto rows = apps::ReadHistory(scratch.Write("input", input));
  const std::string copy = scratch / "copy", second = scratch / "second";
  apps::WriteHistory(copy, rows);
  apps::WriteHistory(second, apps::ReadHistory(copy));
  Require(ReadFile(copy) == ReadFile(second), "a history that is written reads back to the same");
  const std::string svg = apps::HistorySvg("input", rows);
  Require(svg.find("nan") == std::string::npos && svg.find("inf") == std::string::npos, "a picture holds numbers");
}

}  // namespace

std::string ReadInput(Bytes input) {
  return ErrorOf([&] { Read(input); });
}

}  // namespace hwynn::fuzz
