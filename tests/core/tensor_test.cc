#include "hwynn/core/tensor.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "hwynn/core/workspace.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn {
namespace {

static_assert(!std::is_copy_constructible_v<Tensor> && std::is_nothrow_move_constructible_v<Tensor>);
static_assert(std::is_trivially_copyable_v<TensorView> && std::is_trivially_copyable_v<ConstTensorView>);
static_assert(std::is_convertible_v<TensorView, ConstTensorView> &&
              !std::is_convertible_v<ConstTensorView, TensorView>);
static_assert(std::is_convertible_v<Tensor&, TensorView> && !std::is_convertible_v<const Tensor&, TensorView>);
static_assert(std::is_convertible_v<const Tensor&, ConstTensorView> && std::is_convertible_v<Tensor&, ConstTensorView>);

TEST(TensorTest, MemoryIsAligned) {
  for (const int64_t size : {1, 3, 16, 17, 1000}) {
    const Tensor tensor{Shape{size}};
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % kTensorAlignmentBytes, 0u) << size;
    EXPECT_EQ(tensor.size(), size);
  }
}

TEST(TensorTest, EmptyIsNotTheSameAsNoElements) {
  const Tensor none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.size(), 0);
  EXPECT_EQ(none.shape(), Shape{0});
  EXPECT_TRUE(none.Clone().empty());
  EXPECT_EQ(none.view().size(), 0);

  const Tensor no_elements(Shape{0, 5});
  EXPECT_FALSE(no_elements.empty());
  EXPECT_EQ(no_elements.size(), 0);
  EXPECT_EQ(no_elements.Clone().shape(), (Shape{0, 5}));
}

TEST(TensorTest, FillsWithAValue) {
  const Tensor tensor(Shape{3, 5}, 2.5f);
  for (const float value : tensor.span()) EXPECT_EQ(value, 2.5f);
}

TEST(TensorTest, MoveLeavesAnEmptyTensor) {
  Tensor from = testing::Integers({2, 3}, 1, 100);
  const float* data = from.data();
  const float last = from[5];
  Tensor to = std::move(from);
  EXPECT_EQ(to.data(), data);
  EXPECT_TRUE(from.empty());  // NOLINT: a moved-from tensor is specified to be empty
  EXPECT_EQ(from.shape(), Shape{0});

  Tensor assigned(Shape{7}, 1.0f);
  assigned = std::move(to);
  EXPECT_EQ(assigned.data(), data);
  EXPECT_EQ(assigned[5], last);
  EXPECT_EQ(assigned.shape(), (Shape{2, 3}));
  EXPECT_TRUE(to.empty());  // NOLINT
}

TEST(TensorTest, AssignmentGivesOldMemoryBack) {
  const Workspace workspace;
  Tensor tensor = workspace.NewTensor({1000});
  EXPECT_GE(workspace.bytes_in_use(), 4000);
  tensor = Tensor(Shape{1});
  EXPECT_EQ(workspace.bytes_in_use(), 0);
}

TEST(TensorTest, CloneIsDeep) {
  const Workspace workspace;
  Tensor tensor = workspace.NewTensor({3, 4});
  testing::FillIntegers(tensor, 2, 100);
  Tensor copy = tensor.Clone();
  EXPECT_EQ(copy.shape(), tensor.shape());
  for (int64_t i = 0; i < tensor.size(); ++i) EXPECT_EQ(copy[i], tensor[i]);
  copy[7] += 1.0f;
  EXPECT_NE(copy[7], tensor[7]);
}

TEST(TensorTest, ReshapeKeepsTheElements) {
  Tensor tensor = testing::Integers({2, 6}, 3, 100);
  const float* data = tensor.data();
  tensor.Reshape({3, 2, 2});
  EXPECT_EQ(tensor.data(), data);
  EXPECT_EQ(tensor.shape(), (Shape{3, 2, 2}));
  EXPECT_THROW(tensor.Reshape({3, 5}), std::invalid_argument);
  EXPECT_EQ(tensor.shape(), (Shape{3, 2, 2}));
}

TEST(TensorViewTest, SeesTheTensorsElements) {
  Tensor tensor = testing::Integers({4, 3}, 4, 100);
  const TensorView view = tensor;
  view[5] = 1234.0f;
  EXPECT_EQ(tensor[5], 1234.0f);
  EXPECT_EQ(view.span().size(), 12u);

  const ConstTensorView read_only = view;
  EXPECT_EQ(read_only.data(), tensor.data());
  EXPECT_EQ(read_only.shape(), tensor.shape());

  const ConstTensorView reshaped = read_only.Reshaped({2, 6});
  EXPECT_EQ(reshaped.data(), tensor.data());
  EXPECT_EQ(reshaped.shape(), (Shape{2, 6}));
  EXPECT_THROW(read_only.Reshaped({5}), std::invalid_argument);
}

TEST(TensorViewTest, DefaultIsEmpty) {
  const ConstTensorView view;
  EXPECT_EQ(view.data(), nullptr);
  EXPECT_EQ(view.size(), 0);
  EXPECT_TRUE(view.span().empty());
}

}  // namespace
}  // namespace hwynn
