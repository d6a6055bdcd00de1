// Compiled with -mavx2, which no source of hwynn may be: what tests/instruction_sets/check.sh must find.

#include <vector>

namespace hwynn::planted {

float Sum(const std::vector<float>& values) {
  float sum = 0;
  for (const float value : values) sum += value * 3.0f;
  return sum;
}

void Scale(std::vector<float>& values) {
  for (float& value : values) value *= 2.0f;
}

int Count(const std::vector<float>& values) { return static_cast<int>(values.size()); }

}  // namespace hwynn::planted
