// A warm training step takes no memory from the system: no page faults, no array from the heap, and nothing that it
// keeps.

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/models/mobilenet.h"
#include "hwynn/models/resnet.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/operator_new.h"
#include "hwynn/training/train_state.h"

namespace {

std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> largest_bytes{0};

}  // namespace

void* hwynn::testing::AllocateOrNull(size_t size, size_t alignment) noexcept {
  void* memory = AlignedAlloc(size, alignment);
  live_bytes += static_cast<int64_t>(malloc_usable_size(memory));
  int64_t largest = largest_bytes;
  while (largest < static_cast<int64_t>(size) && !largest_bytes.compare_exchange_weak(largest, size)) {
  }
  return memory;
}

void hwynn::testing::Free(void* memory) noexcept {
  live_bytes -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

namespace hwynn {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // whose runtimes map memory as they please
#else
constexpr bool kSanitized = false;
#endif

// Paths, control blocks, lists of a few hundred entries and tables by channel come from the heap; no array of an
// image's numbers does.
constexpr int64_t kArrayBytes = 16 << 10;

int64_t PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// What ten steps took.
struct Taken {
  int64_t fewest_faults = std::numeric_limits<int64_t>::max();  // of one step: others may take pages away now and then
  int64_t largest = 0;
  int64_t kept = 0;

  bool nothing(int64_t most) const { return (kSanitized || fewest_faults == 0) && largest < most && kept == 0; }
};

template <class Step>
Taken Measure(const Step& step) {
  Taken taken;
  const int64_t live_before = live_bytes;
  largest_bytes = 0;
  for (int i = 0; i < 10; ++i) {
    const int64_t before = PageFaults();
    step();
    taken.fewest_faults = std::min(taken.fewest_faults, PageFaults() - before);
  }
  taken.largest = largest_bytes;
  taken.kept = live_bytes - live_before;
  return taken;
}

// `most`: bytes of an array of numbers.
void CheckWarmSteps(const Module& model, int threads, const OptimizerOptions& options, int64_t most = kArrayBytes) {
  SCOPED_TRACE(threads);
  TrainState state = CreateTrainState(model, options, KeyFromSeed(1), {24, 24, 3});
  Stepper stepper(model, options);
  const Tensor images = testing::Normals({16, 24, 24, 3}, 1);
  std::vector<int32_t> labels;
  for (int32_t i = 0; i < 16; ++i) labels.push_back(i % 10);
  RunWithThreads(threads, [&] {
    const auto step = [&] { stepper.Train(images, labels, 0.01f, Key{}, state); };
    // A thread takes its scratch memory with its first task, which on a busy machine comes late.
    Taken taken = Measure(step);
    for (int again = 0; again < 20 && !taken.nothing(most); ++again) taken = Measure(step);
    EXPECT_LT(taken.largest, most);
    EXPECT_EQ(taken.kept, 0);
    if (!kSanitized) {
      EXPECT_EQ(taken.fewest_faults, 0);
    }
  });
}

TEST(WarmStepTest, TakesNothingFromTheSystem) {
  const ResNet model({.stage_sizes = {1, 1, 1}, .stem = ResNetStem::kCifar, .num_filters = 16, .num_classes = 10});
  for (const int threads : {1, 2}) {
    CheckWarmSteps(model, threads, {.momentum = 0.9f, .clip_norm = 1.0f});
    CheckWarmSteps(model, threads, {.kind = OptimizerKind::kAdamW, .weight_decay = 0.01f});
  }
}

TEST(WarmStepTest, OfAMobileNetV2TakesNothingFromTheSystem) {
  const MobileNetV2 model({.width = 0.25, .num_classes = 10});
  // Its head has 1280 channels whatever its width.
  for (const int threads : {1, 2}) CheckWarmSteps(model, threads, {.momentum = 0.9f}, 8 * kArrayBytes);
}

}  // namespace
}  // namespace hwynn
