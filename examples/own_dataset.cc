// A data set of one's own, whose training images are drawn anew each epoch: disks and squares, somewhere in the image.
// It trains with the library's loop, on several threads, to the same bits each time.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "hwynn/data/random_crop.h"
#include "hwynn/models/presets.h"
#include "hwynn/training/trainer.h"

namespace {

class Shapes : public hwynn::Dataset {
 public:
  explicit Shapes(int64_t size) : size_(size) {}

  int64_t size() const override { return size_; }
  hwynn::Shape image_shape() const override { return {kSide, kSide, 1}; }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  int32_t Label(int64_t index) const override { return static_cast<int32_t>(index % 2); }

  // As it is evaluated: in the middle.
  void Image(int64_t index, std::span<float> hwc) const override { Draw(index, kSide / 2, kSide / 2, hwc); }

  // As it is trained on: at a place that depends on seed, epoch and index alone.
  void TrainingImage(const hwynn::ImageDraw& draw, std::span<float> hwc) const override {
    std::array<float, 2> place;
    hwynn::Uniform(hwynn::ImageKey(draw), place, kRadius, kSide - kRadius);
    Draw(draw.index, static_cast<int>(place[0]), static_cast<int>(place[1]), hwc);
  }

 private:
  static constexpr int kSide = 16, kRadius = 5;

  static void Draw(int64_t index, int center_y, int center_x, std::span<float> hwc) {
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const int dy = y - center_y, dx = x - center_x;
        const bool in_disk = dy * dy + dx * dx <= kRadius * kRadius;
        const bool in_square = std::max(std::abs(dy), std::abs(dx)) < kRadius;
        hwc[static_cast<size_t>(y * kSide + x)] = (index % 2 == 0 ? in_disk : in_square) ? 1.0f : 0.0f;
      }
    }
  }

  int64_t size_;
  std::vector<std::string> class_names_{"disk", "square"};
};

}  // namespace

int main() {
  const Shapes train(256), test(2);
  hwynn::ResNetOptions resnet = hwynn::ResNetPreset("resnet20", /*width=*/0.5);
  resnet.num_classes = train.num_classes();
  const hwynn::ResNet model(resnet);
  hwynn::Trainer trainer(model, train, &test, /*standardization=*/{},
                         {.epochs = 5, .batch_size = 32, .schedule = {.learning_rate = 0.05, .warmup_epochs = 0.5}});
  trainer.Run({.on_epoch = [](const hwynn::EpochReport& report) {
    std::printf("epoch %.0f: training accuracy %.3f, test accuracy %.3f\n", report.epochs, report.train.Accuracy(),
                report.test->Accuracy());
    return true;
  }});
}
