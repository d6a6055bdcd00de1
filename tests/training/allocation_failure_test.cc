// Without memory, at every place where some is asked for: reading data sets and checkpoints, loading and serving a
// model and a training step throw std::bad_alloc, lose nothing, and work when there is memory again.

#include <gtest/gtest.h>

#include <cstring>
#include <iostream>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/data/cifar.h"
#include "hwynn/data/idx.h"
#include "hwynn/data/npz.h"
#include "hwynn/inference/inference_model.h"
#include "hwynn/models/resnet.h"
#include "hwynn/tests/data/idx_files.h"
#include "hwynn/tests/support/failing_new.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/training/checkpoint.h"
#include "hwynn/training/train_state.h"

namespace hwynn {
namespace {

using testing::FailEachAllocation;
using testing::Gzip;
using testing::Idx;
using testing::TempFolder;

const Shape kImage{8, 8, 3};
constexpr int64_t kClasses = 3;

ResNet Model() {
  return ResNet({.stage_sizes = {1}, .stem = ResNetStem::kCifar, .num_filters = 8, .num_classes = kClasses});
}

using Floats = std::vector<float>;

void Append(ConstTensorView array, Floats& floats) {
  floats.insert(floats.end(), array.data(), array.data() + array.size());
}

Floats ToFloats(const TrainState& state) {
  Floats floats{static_cast<float>(state.step)};
  for (const auto& [collection, arrays] : state.variables) {
    for (const auto& [path, array] : arrays) Append(array, floats);
  }
  for (const auto& [path, array] : state.opt_state) Append(array, floats);
  return floats;
}

Floats ToFloats(const DatasetSplits& splits) {
  Floats floats;
  for (const Dataset* dataset : {splits.train.get(), splits.test.get()}) {
    for (int64_t i = 0; i < dataset->size(); ++i) {
      Tensor image(dataset->image_shape());
      dataset->Image(i, image.span());
      Append(image, floats);
      floats.push_back(static_cast<float>(dataset->Label(i)));
    }
  }
  return floats;
}

// The operation with its first result as the one that is expected, each allocation failing alone and with those that
// follow.
template <class Operation>
void Check(const char* what, const Operation& operation) {
  SCOPED_TRACE(what);
  operation();  // what is made once and kept
  const auto expected = operation();
  for (const bool and_later_ones : {false, true}) {
    const int64_t count = FailEachAllocation(expected, operation, operation, and_later_ones);
    EXPECT_GT(count, 10);
    std::cout << what << ": " << count << " allocations\n";
    if (::testing::Test::HasFailure()) return;
  }
}

class AllocationFailureTest : public ::testing::Test {
 protected:
  std::string SaveState() {
    CheckpointInfo info;
    info.image_shape = kImage;
    info.class_names = {"a", "b", "c"};
    const ResNet model = Model();
    const std::string path = folder_ / "checkpoint.safetensors";
    SaveCheckpoint(path, info, CreateTrainState(model, {}, KeyFromSeed(1), kImage));
    return path;
  }

  const TempFolder folder_;
};

TEST_F(AllocationFailureTest, ReadingDataSets) {
  const std::string golden = std::string(HWYNN_GOLDEN_DIR) + "/data/";
  Check("npz", [&] { return ToFloats(LoadNpz(golden + "keras.npz")); });

  const TempFolder cifar;
  const testing::Bytes batch = testing::ReadBytes(golden + "batch_protocol2");
  for (const char* name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
    cifar.Write(name, batch);
  }
  Check("CIFAR's Python version", [&] { return ToFloats(LoadCifar10(cifar.path())); });

  const std::string images = folder_.Write("images", Gzip(Idx(0x803, {2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8})));
  const std::string labels = folder_.Write("labels", Idx(0x801, {2}, {0, 1}));
  Check("IDX", [&] {
    const auto dataset = LoadIdx(images, labels, {"a", "b"});
    Floats floats(4);
    dataset->Image(1, floats);
    return floats;
  });
}

// Saving is left out: nlohmann's JSON, with which headers are written, ends the program where its destructors get no
// memory. The file that was there stays.
TEST_F(AllocationFailureTest, ReadingCheckpoints) {
  const std::string path = SaveState();
  const ResNet model = Model();
  TrainState state = CreateTrainState(model, {}, KeyFromSeed(2), kImage);
  Check("loading a checkpoint", [&] {
    Checkpoint(path).Restore(state);
    return ToFloats(state);
  });
}

TEST_F(AllocationFailureTest, ServingAModel) {
  const std::string path = folder_ / "model.hwynn";
  const ResNet network = Model();
  const Variables variables = Init(network, KeyFromSeed(1), {1, kImage[0], kImage[1], kImage[2]});
  const Tensor input = testing::Normals({2, kImage[0], kImage[1], kImage[2]}, 1);
  const auto run = [&](InferenceContext& context) {
    Floats logits;
    Append(context.Run(input), logits);
    return logits;
  };
  InferenceModel(network, variables, {.image_shape = kImage, .class_names = {"a", "b", "c"}}).Save(path);
  RunWithThreads(1, [&] {
    Check("loading and running a model", [&] {
      InferenceContext context(InferenceModel::Load(path), {.threads = 1});
      return run(context);
    });
    // A context that goes on: its first call of each shape fails here and there.
    const InferenceModel model = InferenceModel::Load(path);
    InferenceContext fresh(model, {.threads = 1});
    const Floats expected = run(fresh);
    for (const bool and_later_ones : {false, true}) {
      InferenceContext context(model, {.threads = 1});
      const Tensor small = testing::Normals({1, 4, 4, kImage[2]}, 2);
      const auto both = [&] {
        context.Run(small);  // so that the input's own shape has to be planned again
        return run(context);
      };
      const int64_t count = FailEachAllocation(expected, both, both, and_later_ones, /*keeps_memory=*/true);
      EXPECT_GT(count, 10);
      std::cout << "running again: " << count << " allocations\n";
    }
  });
}

TEST_F(AllocationFailureTest, ATrainingStep) {
  const ResNet model = Model();
  const OptimizerOptions optimizer{.kind = OptimizerKind::kAdam};
  const Tensor images = testing::Normals({4, kImage[0], kImage[1], kImage[2]}, 1);
  const std::vector<int32_t> labels{0, 1, 2, 0};
  RunWithThreads(1, [&] {
    const auto fresh = [&] { return CreateTrainState(model, optimizer, KeyFromSeed(1), kImage); };
    const auto step = [&](TrainState& state) {
      Stepper stepper(model, optimizer);
      stepper.Train(images, labels, 0.01f, Key{}, state);
    };
    TrainState state = fresh();
    const Floats before = ToFloats(state);
    step(state);
    const Floats expected = ToFloats(state);
    ASSERT_NE(before, expected);
    for (const bool and_later_ones : {false, true}) {
      state = fresh();
      const int64_t count = FailEachAllocation(
          expected,
          [&] {
            step(state);
            return ToFloats(state);
          },
          [&] {
            // A step that failed has changed nothing.
            const Floats now = ToFloats(state);
            EXPECT_TRUE(now == before || now == expected);
            state = fresh();
            step(state);
            const Floats result = ToFloats(state);
            state = fresh();
            return result;
          },
          and_later_ones, /*keeps_memory=*/true);
      EXPECT_GT(count, 100);
      std::cout << "a training step: " << count << " allocations\n";
    }
  });
}

}  // namespace
}  // namespace hwynn
