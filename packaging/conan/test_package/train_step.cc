// One step of training on two images.

#include <cstdio>
#include <vector>

#include "hwynn/models/presets.h"
#include "hwynn/training/train_state.h"

int main() {
  hwynn::ResNetOptions options = hwynn::ResNetPreset("resnet20");
  options.num_classes = 2;
  const hwynn::ResNet model(options);
  const hwynn::OptimizerOptions optimizer = {.kind = hwynn::OptimizerKind::kAdam};
  hwynn::TrainState state = CreateTrainState(model, optimizer, hwynn::KeyFromSeed(0), {16, 16, 1});
  hwynn::Stepper stepper(model, optimizer);
  const hwynn::Tensor images({2, 16, 16, 1}, 0.5f);
  const std::vector<int32_t> labels = {0, 1};
  std::printf("loss %.4f\n", stepper.Train(images, labels, 0.01f, hwynn::Key(), state).loss);
}
