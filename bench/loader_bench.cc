// Preparing batches: what the loader's thread takes from the cores that train.

#include <benchmark/benchmark.h>

#include <string>

#include "hwynn/core/check.h"
#include "hwynn/data/loader.h"
#include "hwynn/data/standardization.h"
#include "hwynn/data/synthetic.h"

namespace hwynn {
namespace {

// Batches one after another, so that the time is that of the loader's thread.
void RunLoader(benchmark::State& state, const Shape& image_shape, const AugmentationOptions& augmentation) {
  constexpr int64_t kBatch = 128;
  const DatasetSplits splits =
      MakeSynthetic({.train_size = 50 * kBatch, .test_size = 1, .image_shape = image_shape}, 1);
  Loader loader(
      *splits.train,
      {.batch_size = kBatch, .augmentation = augmentation, .standardization = ComputeStandardization(*splits.train)});
  int64_t epoch = 0;
  loader.StartEpoch(epoch);
  for (auto _ : state) {
    const Batch* batch = loader.Next();
    if (batch == nullptr) {
      loader.StartEpoch(++epoch);
      batch = loader.Next();
    }
    benchmark::DoNotOptimize(batch->images.data());
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}

void RegisterAll() {
  const AugmentationOptions flip_crop{.pad_crop = 4, .horizontal_flip = true};
  AugmentationOptions all = flip_crop;
  all.random_erasing = 1.0;
  const auto add = [](const std::string& variant, const Shape& shape, const AugmentationOptions& augmentation) {
    const std::string name = StrCat("Loader/", variant, "/", shape[0], "x", shape[1], "x", shape[2], "/batch:128");
    benchmark::RegisterBenchmark(name.c_str(), RunLoader, shape, augmentation)
        ->UseRealTime()
        ->MeasureProcessCPUTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (const Shape& shape : {Shape{28, 28, 1}, Shape{32, 32, 3}}) {
    add("plain", shape, {});
    add("crop_flip", shape, flip_crop);
    add("crop_flip_erase", shape, all);
  }
}

}  // namespace
}  // namespace hwynn

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  hwynn::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
