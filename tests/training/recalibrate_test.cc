#include "hwynn/training/recalibrate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/training/trainer.h"

namespace hwynn {
namespace {

using testing::ExpectError;

std::unique_ptr<Dataset> Images(int64_t size) {
  std::vector<float> images(static_cast<size_t>(size * 4 * 4));
  std::vector<int32_t> labels(static_cast<size_t>(size));
  for (size_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>((i * 37 + i / 16 * 11) % 101) / 101.0f;
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i % 2);
  static std::vector<std::vector<float>> memory;  // what MemoryDataset borrows
  static std::vector<std::vector<int32_t>> label_memory;
  memory.push_back(std::move(images));
  label_memory.push_back(std::move(labels));
  return MemoryDataset({4, 4, 1}, memory.back(), label_memory.back(), {"a", "b"});
}

Sequential Net() {
  Sequential net;
  net.Add(Conv({.features = 3, .use_bias = false})).Add(BatchNorm({.relu = true}));
  net.Add(Conv({.features = 2, .use_bias = false})).Add(BatchNorm({.momentum = std::nullopt}));
  return net.Add(GlobalAveragePool());
}

const Tensor& Stat(const Variables& variables, const std::string& path) {
  return GetCollection(variables, kBatchStats).at(path);
}

// The first BatchNorm of Net sees the images through one convolution: its means over all images are those of the
// batches, weighted by their images.
TEST(RecalibrateTest, AveragesOverTheDataSet) {
  const Sequential net = Net();
  const auto images = Images(22);
  Loader loader(*images, {.batch_size = 8, .shuffle = false, .drop_last = false});  // 8, 8 and 6
  Variables variables = Init(net, KeyFromSeed(1), {1, 4, 4, 1});
  for (float& value : GetCollection(variables, kBatchStats).at("BatchNorm_0/mean").span()) value = 77;
  GetCollection(variables, kBatchStats).at("BatchNorm_1/count")[0] = 5;
  const Variables before = Clone(variables);
  EXPECT_EQ(Recalibrate(net, loader, {}, variables), 22);
  for (const auto& [path, values] : GetCollection(before, kParams)) {
    EXPECT_EQ(std::memcmp(values.data(), GetCollection(variables, kParams).at(path).data(), values.span().size_bytes()),
              0)
        << path;
  }
  EXPECT_EQ(Stat(variables, "BatchNorm_1/count")[0], 5.0f);
  const Conv conv({.features = 3, .use_bias = false});
  Variables conv_variables;
  conv_variables[std::string(kParams)].emplace("kernel", GetCollection(variables, kParams).at("Conv_0/kernel").Clone());
  const Workspace workspace;
  std::vector<double> mean(3), var(3);
  loader.StartEpoch(0);
  while (const Batch* batch = loader.Next()) {
    Tensor batch_mean({3}), batch_var({3});
    BatchNormStatistics(*Predict(conv, conv_variables, batch->images, workspace), Variance::kStable, batch_mean,
                        batch_var, workspace);
    for (size_t c = 0; c < 3; ++c) {
      const double weight = static_cast<double>(batch->images.shape()[0]) / 22;
      mean[c] += weight * double{batch_mean.span()[c]};
      var[c] += weight * double{batch_var.span()[c]};
    }
  }
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(Stat(variables, "BatchNorm_0/mean").span()[c], mean[c], 1e-6);
    EXPECT_NEAR(Stat(variables, "BatchNorm_0/var").span()[c], var[c], 1e-6);
  }
  // The same again, whatever they were; another number of images gives others, other ghost batches too.
  Variables again = Clone(before);
  Recalibrate(net, loader, {.fusion = false}, again);
  EXPECT_NEAR(Stat(again, "BatchNorm_1/var")[0], Stat(variables, "BatchNorm_1/var")[0], 1e-6);
  EXPECT_EQ(Recalibrate(net, loader, {.images = 9}, again), 16);
  EXPECT_NE(Stat(again, "BatchNorm_1/var")[0], Stat(variables, "BatchNorm_1/var")[0]);
  // A ghost batch of one image has less variance: what differs between images isn't in it.
  EXPECT_EQ(Recalibrate(net, loader, {.ghost_batch_size = 1}, again), 22);
  EXPECT_NEAR(Stat(again, "BatchNorm_0/mean")[0], mean[0], 1e-6);
  EXPECT_LT(Stat(again, "BatchNorm_0/var")[0], Stat(variables, "BatchNorm_0/var")[0]);
}

TEST(RecalibrateTest, HappensAfterTheLastStepOfATraining) {
  const Sequential net = Net();
  const auto images = Images(22);
  TrainOptions options{.epochs = 2, .batch_size = 8, .seed = 3, .schedule = {.learning_rate = 0.1}};
  const Standardization standardization{{0.5f}, {0.3f}};
  const auto train = [&](bool recalibrate, int64_t stop) {
    options.recalibrate = recalibrate;
    Trainer trainer(net, *images, nullptr, standardization, options);
    TrainState saved;
    trainer.Run({.on_step = [&](const StepReport& report) { return report.step != stop; },
                 .on_save =
                     [&](const TrainState& state) {
                       saved = {{Clone(state.variables), {}, state.step}, {}};
                     }});
    return std::move(saved.variables);
  };
  const Variables plain = train(false, 0);
  const Variables recalibrated = train(true, 0);
  Variables expected = Clone(plain);
  Loader loader(
      *images,
      {.batch_size = 8, .seed = 3, .drop_last = false, .augmentation = {}, .standardization = standardization});
  Recalibrate(net, loader, {.epoch = 2}, expected);
  const auto expect_same = [](const Variables& a, const Variables& b) {
    for (const auto& [name, collection] : a) {
      for (const auto& [path, values] : collection) {
        const Tensor& other = GetCollection(b, name).at(path);
        EXPECT_EQ(std::memcmp(values.data(), other.data(), values.span().size_bytes()), 0) << path;
      }
    }
  };
  expect_same(recalibrated, expected);
  EXPECT_NE(Stat(recalibrated, "BatchNorm_0/mean")[0], Stat(plain, "BatchNorm_0/mean")[0]);
  expect_same(train(true, 4), recalibrated);  // stopped by a callback after its last step
  expect_same(train(true, 3), train(false, 3));
  options.freeze_batch_norm = options.recalibrate = true;
  ExpectError<std::invalid_argument>([&] { Trainer(net, *images, nullptr, standardization, options); },
                                     {"frozen", "recalibrated"});
  options.freeze_batch_norm = false;
  options.ghost_batch_size = -1;
  ExpectError<std::invalid_argument>([&] { Trainer(net, *images, nullptr, standardization, options); },
                                     {"ghost batch size (-1)"});
}

}  // namespace
}  // namespace hwynn
