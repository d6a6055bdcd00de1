// Trains a ResNet-20 for a few steps on images in memory, then asks it about one. README.md shows this file.

#include <algorithm>
#include <cstdio>
#include <vector>

#include "hwynn/models/presets.h"
#include "hwynn/training/train_state.h"

int main() {
  // 32 images of 16×16 pixels: of class 0 the upper half is bright, of class 1 the lower.
  hwynn::Tensor images({32, 16, 16, 1}, 0.0f);
  std::vector<int32_t> labels(32);
  for (int n = 0; n < 32; ++n) {
    labels[n] = n % 2;
    std::fill_n(images.data() + n * 256 + labels[n] * 128, 128, 0.5f + 0.03f * n);
  }

  hwynn::ResNetOptions resnet = hwynn::ResNetPreset("resnet20");
  resnet.num_classes = 2;
  const hwynn::ResNet model(resnet);
  const hwynn::OptimizerOptions optimizer = {.kind = hwynn::OptimizerKind::kAdam};
  hwynn::TrainState state = CreateTrainState(model, optimizer, hwynn::KeyFromSeed(0), {16, 16, 1});
  hwynn::Stepper stepper(model, optimizer);
  for (int step = 0; step < 10; ++step) {
    const hwynn::LossResult result = stepper.Train(images, labels, /*learning_rate=*/0.01f, hwynn::Key(), state);
    std::printf("step %d: loss %.4f\n", step, result.loss);
  }

  // Inference: const and thread-safe, with a workspace per thread.
  const hwynn::Activation logits = Predict(model, state.variables, images, hwynn::Workspace());
  std::printf("image 0: logits %.2f %.2f\n", (*logits)[0], (*logits)[1]);
}
