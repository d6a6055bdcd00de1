// A recipe's options as text, "name=value" lines over the defaults: as a checkpoint's metadata hold them, and as they
// come from a command line. What is taken writes to text that reads back to the same, and makes an optimizer and a
// schedule, or is an error.

#include "hwynn/training/recipe.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

void Read(Bytes input) {
  auto fields = ToFields(Recipe());
  std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t equals = line.find('=');
    if (equals == 0) continue;
    if (equals == std::string_view::npos) {
      fields.erase(std::string(line));
    } else {
      fields[std::string(line.substr(0, equals))] = line.substr(equals + 1);
    }
  }
  const Recipe recipe = RecipeFromFields(fields);
  const auto written = ToFields(recipe);
  Require(ToFields(RecipeFromFields(written)) == written, "a recipe that is written reads back to the same");

  const TrainOptions& training = recipe.training;
  const Optimizer optimizer(training.optimizer);
  CheckAugmentation(training.augmentation);
  constexpr int64_t kStepsPerEpoch = 7;
  const Schedule schedule(training.schedule, training.epochs, kStepsPerEpoch);
  for (const int64_t step : {int64_t{0}, int64_t{1}, training.epochs * kStepsPerEpoch - 1}) {
    Require(schedule(step) >= 0.0f, "a learning rate is no negative number, nor NaN");
  }
}

}  // namespace

std::string ReadInput(Bytes input) {
  return ErrorOf([&] { Read(input); });
}

}  // namespace hwynn::fuzz
