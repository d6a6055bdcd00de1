#include "hwynn/module/activation.h"

#include <gtest/gtest.h>

#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::Normals;

TEST(ActivationTest, CopiesShareTheValues) {
  Activation none;
  EXPECT_TRUE(none == nullptr);
  Activation first = MakeActivation(Tensor({2, 3}, 1.5f));
  Activation second = first;
  EXPECT_EQ(second->data(), first.Value().data());
  EXPECT_EQ(first.shape(), Shape({2, 3}));
  first.reset();
  EXPECT_TRUE(first == nullptr);
  EXPECT_EQ((*second)[5], 1.5f);
}

TEST(ActivationTest, ReshapedKeepsTheMemoryAlive) {
  Activation values = MakeActivation(Normals({2, 3}, 1));
  const float* data = values->data();
  const float last = (*values)[5];
  const Activation flat = values.Reshaped({6});
  ExpectError<std::invalid_argument>([&] { values.Reshaped({5}); }, {"[2,3]", "[5]"});
  values.reset();
  EXPECT_EQ(flat.shape(), Shape({6}));
  EXPECT_EQ(flat->data(), data);
  EXPECT_EQ((*flat)[5], last);
}

TEST(BorrowActivationTest, SharesMemoryAndKeepsItAlive) {
  auto owner = std::make_shared<const Tensor>(Normals({2, 3}, 1));
  const float* data = owner->data();
  Activation borrowed = BorrowActivation(owner->view().Reshaped({6}), owner);
  EXPECT_EQ(borrowed->data(), data);
  EXPECT_EQ(borrowed->shape(), Shape({6}));
  const std::weak_ptr<const Tensor> watch = owner;
  owner.reset();
  EXPECT_FALSE(watch.expired());
  borrowed.reset();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace hwynn
