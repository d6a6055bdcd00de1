#include "hwynn/formats/array_name.h"

#include <algorithm>

#include "hwynn/core/check.h"

namespace hwynn {

std::vector<std::string> SplitPath(std::string_view path, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(separator, begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string ArrayName(std::string_view collection, std::string_view path) {
  std::string name(collection);  // not StrCat's stream, which without memory gives a part of the name
  name += kNameSeparator;
  name += path;
  std::ranges::replace(name, kPathSeparator, kNameSeparator);
  return name;
}

ArrayPlace ParseArrayName(std::string_view name) {
  const size_t dot = std::min(name.find(kNameSeparator), name.size());
  ArrayPlace place{std::string(name.substr(0, dot)), std::string(name.substr(std::min(dot + 1, name.size())))};
  std::ranges::replace(place.path, kNameSeparator, kPathSeparator);
  return place;
}

}  // namespace hwynn
