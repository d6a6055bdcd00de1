// The recipe of `./dev train` on a small budget: a change that costs accuracy shows here before anyone trains for
// minutes.

#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "hwynn/data/dataset.h"
#include "hwynn/data/mnist.h"
#include "hwynn/models/make_model.h"
#include "hwynn/training/recipe.h"
#include "hwynn/training/trainer.h"

namespace hwynn {
namespace {

/// The first images of a data set.
class Part : public Dataset {
 public:
  Part(const Dataset& whole, int64_t size) : whole_(whole), size_(size) {}
  int64_t size() const override { return size_; }
  Shape image_shape() const override { return whole_.image_shape(); }
  const std::vector<std::string>& class_names() const override { return whole_.class_names(); }
  int32_t Label(int64_t index) const override { return whole_.Label(index); }
  void Image(int64_t index, std::span<float> hwc) const override { whole_.Image(index, hwc); }
  void TrainingImage(const ImageDraw& draw, std::span<float> hwc) const override { whole_.TrainingImage(draw, hwc); }

 private:
  const Dataset& whole_;
  int64_t size_;
};

TEST(DefaultRecipeTest, LearnsOnASmallBudget) {
  if (!std::filesystem::exists(kDebianFashionMnistDirectory)) GTEST_SKIP() << "dataset-fashion-mnist isn't installed";
  const DatasetSplits splits = LoadFashionMnist();
  const Part train(*splits.train, 10000), test(*splits.test, 2000);
  Recipe recipe;
  recipe.training.epochs = 2;
  const auto model = MakeModel(recipe.model, {.num_classes = train.num_classes()});
  Trainer trainer(*model, train, &test, ComputeStandardization(train), recipe.training);
  double accuracy = 0.0, loss = 0.0;
  trainer.Run({.on_epoch = [&](const EpochReport& report) {
    accuracy = report.test->Accuracy();
    loss = report.test->MeanLoss();
    std::cout << "accuracy " << accuracy << ", loss " << loss << " after " << report.epochs << " epochs\n";
    return true;
  }});
  // 0.80 and 0.51; the last digits change with the order of sums.
  EXPECT_GE(accuracy, 0.77);
  EXPECT_LE(accuracy, 0.88);  // more in two epochs would be test images that were trained on
  EXPECT_LE(loss, 0.6);
}

}  // namespace
}  // namespace hwynn
