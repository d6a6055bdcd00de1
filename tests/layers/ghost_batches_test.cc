// Ghost batches: a batch in groups is as many batches.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/residual.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckGradients;
using testing::ExpectError;
using testing::MaxDifference;
using testing::ModuleBed;
using testing::Normals;

bool SameBits(ConstTensorView a, ConstTensorView b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.span().size_bytes()) == 0;
}

const Collection& Stats(const ModuleBed& bed) { return GetCollection(bed.variables, kBatchStats); }

// Of a batch of 5 in groups of 2, 2 and 1, and of those groups one after the other.
void ExpectGroupsAreBatches(const BatchNormOptions& options, const Shape& image) {
  const auto batch_of = [&](int64_t images) { return Shape{images, image[0], image[1], image[2]}; };
  BatchNormOptions ghost_options = options;
  ghost_options.ghost_batch_size = 2;
  const BatchNorm plain(options), ghosts(ghost_options);
  ModuleBed whole(ghosts, batch_of(5)), part(plain, batch_of(5));
  const Tensor input = whole.input.Clone();
  const Tensor grad_output = Normals(batch_of(5), 7);
  const Activation output = whole.Forward(Mode::kTrain);
  const Tensor grad_input = whole.Backward(Mode::kTrain, grad_output);  // and updates once more
  Collection sums = ZerosLike(GetCollection(part.variables, kParams));
  Collection stats;
  for (int round = 0; round < 2; ++round) {
    for (int64_t first = 0; first < 5; first += 2) {
      const int64_t images = std::min<int64_t>(2, 5 - first);
      part.input = Clone(input.view().Rows(first, images));
      if (round == 0) {
        EXPECT_TRUE(SameBits(output->view().Rows(first, images), *part.Forward(Mode::kTrain)));
        continue;
      }
      const Tensor part_gradient = part.Backward(Mode::kTrain, Clone(grad_output.view().Rows(first, images)));
      EXPECT_TRUE(SameBits(grad_input.view().Rows(first, images), part_gradient));
      for (auto& [path, sum] : sums) {
        for (int64_t i = 0; i < sum.size(); ++i) sum[i] += part.gradients.at(path)[i];
      }
    }
  }
  for (const auto& [path, sum] : sums) EXPECT_LT(MaxDifference(whole.gradients.at(path), sum), 1e-5) << path;
  for (const auto& [path, values] : Stats(part)) EXPECT_TRUE(SameBits(Stats(whole).at(path), values)) << path;
}

TEST(GhostBatchesTest, AreBatches) {
  ExpectGroupsAreBatches({}, {3, 4, 5});
  ExpectGroupsAreBatches({.relu = true}, {3, 4, 17});
  ExpectGroupsAreBatches({.relu = true, .upper = 0.8f}, {3, 4, 17});
  ExpectGroupsAreBatches({.axis = 1, .variance = Variance::kFast}, {3, 4, 5});
  ExpectGroupsAreBatches({.momentum = std::nullopt, .use_scale = false, .variance = Variance::kTwoPass}, {3, 4, 5});
}

TEST(GhostBatchesTest, Gradients) { CheckGradients(BatchNorm({.ghost_batch_size = 3}), {8, 4, 4, 5}); }

// A mask belongs to its images.
TEST(GhostBatchesTest, TakeTheirPartOfAMask) {
  const BatchNorm plain, ghosts({.ghost_batch_size = 2});
  ModuleBed whole(ghosts, {4, 3, 2}), part(plain, {4, 3, 2});
  const Tensor input = whole.input.Clone();
  const std::vector<uint8_t> mask{1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1};
  const auto forward = [&](ModuleBed& bed, const BatchNorm& norm, std::span<const uint8_t> rows) {
    CallContext context = bed.Context(Mode::kTrain);
    context.tape = nullptr;
    return norm.Forward(Scope(context), BorrowActivation(bed.input), {.mask = rows});
  };
  const Activation output = forward(whole, ghosts, mask);
  for (const int64_t first : {0, 2}) {
    part.input = Clone(input.view().Rows(first, 2));
    const Activation expected = forward(part, plain, std::span(mask).subspan(static_cast<size_t>(3 * first), 6));
    EXPECT_TRUE(SameBits(output->view().Rows(first, 2), *expected));
  }
  ExpectError<std::invalid_argument>([&] { forward(whole, ghosts, std::span(mask).first(9)); }, {"mask of 9 bytes"});
}

Sequential Blocks() {
  Sequential net;
  net.Add(Conv({.features = 8, .use_bias = false})).Add(BatchNorm({.relu = true}));
  net.Add(ResNetBlock({.filters = 8})).Add(ResNetBlock({.filters = 12, .stride = 2})).Add(GlobalAveragePool());
  return net;
}

// A ghost batch as large as the batch is none, in the call as in the options; evaluation knows of none.
TEST(GhostBatchesTest, AsLargeAsTheBatchAreNone) {
  const Sequential net = Blocks();
  const Tensor grad_output = Normals({4, 12}, 5);
  const auto run = [&](int64_t ghost_batch_size, BatchStatistics statistics) {
    ModuleBed bed(net, {4, 8, 8, 3});
    bed.ghost_batch_size = ghost_batch_size;
    bed.statistics = statistics;
    return bed.Backward(Mode::kTrain, grad_output);
  };
  const Tensor none = run(0, BatchStatistics::kUpdate);
  EXPECT_TRUE(SameBits(none, run(4, BatchStatistics::kUpdate)));
  EXPECT_TRUE(SameBits(none, run(7, BatchStatistics::kUpdate)));
  EXPECT_FALSE(SameBits(none, run(2, BatchStatistics::kUpdate)));
  EXPECT_TRUE(SameBits(run(0, BatchStatistics::kFrozen), run(2, BatchStatistics::kFrozen)));
}

// The groups of a network's batch are as many batches for it, but for what convolutions round; fused or not.
TEST(GhostBatchesTest, GoThroughResidualBlocks) {
  const Sequential net = Blocks();
  const Tensor grad_output = Normals({4, 12}, 5);
  ModuleBed fused(net, {4, 8, 8, 3}), unfused(net, {4, 8, 8, 3}), part(net, {4, 8, 8, 3});
  fused.ghost_batch_size = unfused.ghost_batch_size = 2;
  unfused.fusion = part.fusion = false;
  const Tensor input = fused.input.Clone();
  const Tensor gradient = fused.Backward(Mode::kTrain, grad_output);
  EXPECT_LT(MaxDifference(gradient, unfused.Backward(Mode::kTrain, grad_output)), 1e-5);
  Collection sums = ZerosLike(GetCollection(part.variables, kParams));
  for (const int64_t first : {0, 2}) {
    part.input = Clone(input.view().Rows(first, 2));
    const Tensor expected = part.Backward(Mode::kTrain, Clone(grad_output.view().Rows(first, 2)));
    EXPECT_LT(MaxDifference(gradient.view().Rows(first, 2), expected), 1e-5);
    for (auto& [path, sum] : sums) {
      for (int64_t i = 0; i < sum.size(); ++i) sum[i] += part.gradients.at(path)[i];
    }
  }
  for (const auto& [path, values] : unfused.gradients) {
    EXPECT_LT(MaxDifference(fused.gradients.at(path), values), 2e-4) << path;
    EXPECT_LT(MaxDifference(sums.at(path), values), 2e-4) << path;
  }
  for (const auto& [path, values] : Stats(part)) {
    EXPECT_LT(MaxDifference(Stats(fused).at(path), values), 1e-5) << path;
  }
}

TEST(GhostBatchesTest, AreOfImages) {
  const BatchNorm norm({.axis = 0, .ghost_batch_size = 1});
  ModuleBed bed(norm, {4, 3});
  ExpectError<std::invalid_argument>([&] { bed.Forward(Mode::kTrain); }, {"ghost batches", "first axis"});
}

}  // namespace
}  // namespace hwynn
