// A model in a process and its children. The parents are children of the test's own process, which runs nothing itself.

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "hwynn/core/parallel.h"
#include "hwynn/inference/inference_model.h"
#include "hwynn/models/resnet.h"
#include "hwynn/tests/support/child.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn {
namespace {

using testing::RunInChild;

bool SameBits(ConstTensorView a, ConstTensorView b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.span().size_bytes()) == 0;
}

class ForkTest : public ::testing::Test {
 protected:
  ForkTest() {
    RunInChild([&] {
      const ResNet network({.stage_sizes = {1, 1}, .num_filters = 16, .num_classes = 7});
      InferenceModel(network, Init(network, KeyFromSeed(3), {1, 64, 64, 3})).Save(path_);
    });
  }

  testing::TempFolder folder_;
  const std::string path_ = folder_ / "model";
  const Tensor input_ = testing::Normals({2, 64, 64, 3}, 1);
};

// As a server that loads before it forks: its children have all the threads that they ask for.
TEST_F(ForkTest, AParentThatLoadedLeavesThreadsToItsChildren) {
  RunInChild([&] {
    const InferenceModel model = InferenceModel::Load(path_);
    InferenceContext one(model, {.threads = 1});
    InferenceContext two(model, {.threads = 2});
    const Tensor expected = Clone(one.Run(input_));
    for (int child = 0; child < 2; ++child) {
      RunInChild([&] {
        EXPECT_TRUE(SameBits(one.Run(input_), expected));
        EXPECT_TRUE(SameBits(two.Run(input_), expected));
        InferenceContext own(model, {.threads = 3});
        EXPECT_TRUE(SameBits(own.Run(input_), expected));
        Threads(3).Run([] { EXPECT_EQ(CurrentThreadLimit(), 3); });
      });
    }
    EXPECT_TRUE(SameBits(two.Run(input_), expected));
  });
}

TEST_F(ForkTest, AfterSeveralThreadsAChildComputesAlone) {
  RunInChild([&] {
    const InferenceModel model = InferenceModel::Load(path_);
    InferenceContext one(model, {.threads = 1});
    InferenceContext three(model, {.threads = 3});
    InferenceContext by_default(model);
    const Tensor expected = Clone(three.Run(input_));
    for (int child = 0; child < 3; ++child) {
      RunInChild([&] {
        for (InferenceContext* context : {&one, &three, &by_default}) {
          for (int call = 0; call < 3; ++call) EXPECT_TRUE(SameBits(context->Run(input_), expected));
        }
        for (const int threads : {0, 1, 2, 3}) {
          InferenceContext own(model, {.threads = threads});
          EXPECT_TRUE(SameBits(own.Run(input_), expected)) << threads << " threads";
        }
        InferenceContext own(InferenceModel::Load(path_), {.threads = 2});
        EXPECT_TRUE(SameBits(own.Run(input_), expected));
      });
      EXPECT_TRUE(SameBits(three.Run(input_), expected));
    }
  });
}

}  // namespace
}  // namespace hwynn
