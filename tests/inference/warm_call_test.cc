// From the second call of a shape on, a call takes nothing from the heap or the system: no allocation, no page fault.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <vector>

#include "hwynn/inference/inference_model.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/flatten.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/relu.h"
#include "hwynn/models/resnet.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/operator_new.h"

namespace {

std::atomic<int64_t> allocations{0};

}  // namespace

void* hwynn::testing::AllocateOrNull(size_t size, size_t alignment) noexcept {
  ++allocations;
  return AlignedAlloc(size, alignment);
}

void hwynn::testing::Free(void* memory) noexcept { std::free(memory); }

namespace hwynn {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // whose runtimes map memory as they please
#else
constexpr bool kSanitized = false;
#endif

int64_t PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

struct Taken {
  int64_t allocations = 0;
  int64_t fewest_faults = std::numeric_limits<int64_t>::max();  // of one call: others may take pages away now and then

  bool nothing() const { return allocations == 0 && (kSanitized || fewest_faults == 0); }
};

// Of calls 2 … 100.
Taken Measure(InferenceContext& context, ConstTensorView images) {
  context.Run(images);
  Taken taken;
  const int64_t before = allocations;
  for (int call = 2; call <= 100; ++call) {
    const int64_t faults = PageFaults();
    context.Run(images);
    taken.fewest_faults = std::min(taken.fewest_faults, PageFaults() - faults);
  }
  taken.allocations = allocations - before;
  return taken;
}

void ExpectNothingTaken(const Module& network, const Shape& image, const std::vector<int64_t>& batches = {1, 4}) {
  const InferenceModel model(network, Init(network, KeyFromSeed(1), image));
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    InferenceContext context(model, {.threads = threads});
    for (const int64_t batch : batches) {
      const Tensor images = testing::Normals({batch, image[1], image[2], image[3]}, 1);
      Taken taken = Measure(context, images);
      // A second thread takes its scratch memory, and oneTBB what it needs for it, with the thread's first task, which
      // on a busy machine comes late.
      for (int again = 0; threads > 1 && again < 20 && !taken.nothing(); ++again) taken = Measure(context, images);
      EXPECT_EQ(taken.allocations, 0);
      if (!kSanitized) {
        EXPECT_EQ(taken.fewest_faults, 0);
      }
    }
  }
}

TEST(WarmCallTest, ResNetsTakeNoMemory) {
  for (const bool bottleneck : {false, true}) {
    ExpectNothingTaken(
        ResNet({.stage_sizes = {1, 1, 1}, .bottleneck = bottleneck, .num_filters = 16, .num_classes = 10}),
        {1, 40, 40, 3});
    ExpectNothingTaken(
        ResNet({.stage_sizes = {1, 1}, .bottleneck = bottleneck, .num_filters = 128, .num_classes = 1000}),
        {1, 32, 32, 3});
  }
}

// Whose products of few tiles fetch only the first lines of each page of the filter.
TEST(WarmCallTest, LargeFiltersTakeNoMemory) {
  Sequential network;
  network.Add(Conv({.features = 512})).Add(BatchNorm({.relu = true})).Add(GlobalAveragePool());
  ExpectNothingTaken(network, {1, 7, 7, 512}, {2, 16});
  Sequential larger;
  larger.Add(Conv({.features = 256})).Add(BatchNorm({.relu = true})).Add(GlobalAveragePool());
  ExpectNothingTaken(larger, {1, 14, 14, 256}, {2, 16});
}

TEST(WarmCallTest, OtherLayersTakeNoMemory) {
  Sequential network;
  network.Add(BatchNorm({.relu = true})).Add(Conv({.features = 64, .groups = 64})).Add(BatchNorm());
  network.Add(Relu({.upper = 6.0f})).Add(Conv({.features = 96, .kernel_size = {5, 5}, .stride = {2, 2}, .groups = 4}));
  network.Add(AveragePool({.window = {3, 3}, .padding = Padding::Same()})).Add(MaxPool({.window = {3, 3}}));
  network.Add(Flatten()).Add(Dense({.features = 30}));
  ExpectNothingTaken(network, {1, 30, 30, 64});
}

}  // namespace
}  // namespace hwynn
