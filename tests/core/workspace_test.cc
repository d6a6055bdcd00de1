#include "hwynn/core/workspace.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "hwynn/tests/support/operator_new.h"

namespace {
thread_local bool no_memory_left = false;
}

void* hwynn::testing::AllocateOrNull(size_t size, size_t alignment) noexcept {
  return no_memory_left ? nullptr : AlignedAlloc(size, alignment);
}

void hwynn::testing::Free(void* memory) noexcept { std::free(memory); }

namespace hwynn {
namespace {

TEST(WorkspaceTest, SameRequestsGetSameMemoryAgain) {
  const Workspace workspace;
  const auto step = [&] {
    std::vector<const float*> addresses;
    std::vector<Tensor> live;
    for (const int64_t size : {1000, 7, 30000000, 64, 5000}) {
      live.push_back(workspace.NewTensor({size}));
      addresses.push_back(live.back().data());
      if (size == 7) live.pop_back();
    }
    return addresses;
  };
  const auto first = step();
  const int64_t reserved = workspace.bytes_reserved();
  EXPECT_EQ(step(), first);
  EXPECT_EQ(workspace.bytes_reserved(), reserved);
  EXPECT_EQ(workspace.bytes_in_use(), 0);
  EXPECT_GE(workspace.peak_bytes(), 30000000 * 4);
}

// The keeper goes with the last of those who borrowed, and the memory with it.
TEST(WorkspaceTest, BorrowedTensorsKeepTheirMemoryAlive) {
  const Workspace workspace;
  auto owner = std::make_shared<Tensor>(workspace.NewTensor({2, 3}));
  const TensorView values = *owner;
  const float* data = values.data();
  Tensor a = BorrowTensor(values, owner);
  Tensor b = BorrowTensor(values.Reshaped({6}), std::move(owner));
  EXPECT_EQ(a.data(), data);
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(a.shape(), (Shape{2, 3}));
  EXPECT_EQ(b.shape(), Shape{6});
  a = Tensor();
  EXPECT_GT(workspace.bytes_in_use(), 0);
  b = Tensor();
  EXPECT_EQ(workspace.bytes_in_use(), 0);
}

TEST(WorkspaceTest, BorrowsWithoutAKeeper) {
  float values[] = {1, 2, 3};
  Tensor borrowed = BorrowTensor({values, {3}});
  EXPECT_EQ(borrowed.data(), values);
  borrowed = Tensor();
  EXPECT_EQ(values[2], 3);
}

TEST(WorkspaceTest, LiveTensorsDoNotOverlapAndFreedNeighboursMerge) {
  const Workspace workspace;
  std::vector<Tensor> tensors;
  for (int i = 0; i < 64; ++i) {
    tensors.push_back(workspace.NewTensor({1000 + 37 * i}));
    for (float& value : tensors.back().span()) value = static_cast<float>(i);
  }
  for (int i = 0; i < 64; ++i) {
    for (const float value : tensors[static_cast<size_t>(i)].span()) ASSERT_EQ(value, static_cast<float>(i));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensors[static_cast<size_t>(i)].data()) % 128, 0u);
  }
  const int64_t reserved = workspace.bytes_reserved();
  tensors.clear();
  // All regions have merged again when one request takes a whole chunk.
  const Tensor whole = workspace.NewTensor({reserved / 4});
  EXPECT_EQ(workspace.bytes_reserved(), reserved);
}

// What was handed out once isn't counted again after another chunk has come. Nothing is written: addresses alone.
TEST(WorkspaceTest, ReservedBytesCountOnceWithSeveralChunks) {
  const Workspace workspace;
  const Tensor first = workspace.NewTensor({100});
  try {
    const Tensor beyond_a_chunk = workspace.NewTensor({int64_t{5} << 30});
    const int64_t reserved = workspace.bytes_reserved();
    const Tensor second = workspace.NewTensor({100});
    EXPECT_EQ(workspace.bytes_reserved(), reserved);
  } catch (const std::bad_alloc&) {
    GTEST_SKIP() << "the system grants no more addresses than memory";
  }
}

TEST(WorkspaceTest, GivingBackNeedsNoMemory) {
  const Workspace workspace;
  std::vector<Tensor> tensors;
  for (int i = 0; i < 9; ++i) tensors.push_back(workspace.NewTensor({100}));
  no_memory_left = true;
  for (const size_t i : {4, 2, 3, 8, 0, 1}) tensors[i] = Tensor();  // alone, and beside free ones on either side
  tensors.clear();
  no_memory_left = false;
  EXPECT_EQ(workspace.bytes_in_use(), 0);
}

TEST(WorkspaceTest, BuffersCountBytes) {
  const Workspace workspace;
  Buffer first = workspace.NewBuffer(3);
  EXPECT_EQ(first.bytes(), 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first.data()) % 128, 0u);
  const std::byte* address = first.data();
  Buffer second = std::move(first);
  EXPECT_EQ(second.data(), address);
  EXPECT_EQ(first.bytes(), 0);  // NOLINT: moved from
  EXPECT_EQ(workspace.bytes_in_use(), 128);
  second = workspace.NewBuffer(1000);
  EXPECT_EQ(workspace.bytes_in_use(), 1024);
  second = Buffer();
  EXPECT_EQ(workspace.bytes_in_use(), 0);
}

TEST(WorkspaceTest, TensorOutlivesWorkspace) {
  Tensor tensor;
  Buffer buffer;
  {
    const Workspace workspace;
    tensor = workspace.NewTensor({10});
    buffer = workspace.NewBuffer(10);
  }
  buffer.data()[9] = std::byte{1};
  tensor[9] = 1.0f;
  EXPECT_EQ(tensor[9], 1.0f);
}

}  // namespace
}  // namespace hwynn
