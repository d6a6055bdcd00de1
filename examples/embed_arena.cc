// An application that owns its threads: training runs inside the caller's tbb::task_arena, on its two threads at
// most, while another thread of the application keeps using the model of the last epoch for inference.

#include <tbb/task_arena.h>

#include <cstdio>
#include <thread>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/models/mlp.h"
#include "hwynn/training/train_state.h"

namespace {

// Points on the plane; the class is the sign of their product.
void FillPoints(hwynn::Tensor& points, std::vector<int32_t>& labels) {
  hwynn::Uniform(hwynn::KeyFromSeed(1), points.span(), -1.0f, 1.0f);
  for (size_t n = 0; n < labels.size(); ++n) {
    const auto i = static_cast<int64_t>(2 * n);
    labels[n] = points[i] * points[i + 1] > 0.0f ? 1 : 0;
  }
}

}  // namespace

int main() {
  constexpr int64_t kPoints = 256;
  hwynn::Tensor points({kPoints, 1, 1, 2});
  std::vector<int32_t> labels(kPoints);
  FillPoints(points, labels);

  const hwynn::Mlp model({.features = {64, 64, 2}});
  const hwynn::OptimizerOptions optimizer = {.kind = hwynn::OptimizerKind::kAdam};
  hwynn::TrainState state = CreateTrainState(model, optimizer, hwynn::KeyFromSeed(0), {1, 1, 2});
  hwynn::Stepper stepper(model, optimizer);

  tbb::task_arena arena(2);
  for (int epoch = 0; epoch < 5; ++epoch) {
    const hwynn::Variables snapshot = hwynn::Clone(state.variables);
    std::thread inference([&] {
      const hwynn::Activation logits = Predict(model, snapshot, points, hwynn::Workspace());
      std::printf("epoch %d: first logit before it %.3f\n", epoch, (*logits)[0]);
    });
    arena.execute([&] {
      hwynn::LossResult result;
      for (int step = 0; step < 20; ++step) {
        result = stepper.Train(points, labels, /*learning_rate=*/0.01f, hwynn::Key(), state);
      }
      std::printf("epoch %d: loss %.4f on at most %d threads\n", epoch, result.loss, hwynn::CurrentThreadLimit());
    });
    inference.join();
  }
}
