// Predict: a const model for many threads.

#include "hwynn/module/module.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/module/packed_filters.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::ModuleBed;

Sequential SmallNet() {
  Sequential net;
  net.Add(Dense({.features = 4})).Add(BatchNorm({.relu = true})).Add(Dense({.features = 2}));
  return net;
}

TEST(PredictTest, RefusesAnEmptyBatch) {
  const Sequential net = SmallNet();
  const ModuleBed bed(net, {3, 5});
  ExpectError<std::invalid_argument>([&] { Predict(net, bed.variables, Tensor({0, 5}), bed.workspace); }, {"[0,5]"});
}

// One const model and one set of variables serve many threads; each has a workspace.
TEST(PredictTest, RunsOnManyThreadsAtOnce) {
  const Sequential net = SmallNet();
  const ModuleBed bed(net, {16, 5});
  const Variables& variables = bed.variables;
  const Activation expected = Predict(net, variables, bed.input, Workspace());
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      const Workspace workspace;
      for (int call = 0; call < 50; ++call) {
        const Activation output = Predict(net, variables, bed.input, workspace);
        if (std::memcmp(output->data(), expected->data(), output->span().size_bytes()) != 0) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

// Threads that share the packed filters: each filter is packed by one or several of them at once, and the results have
// the bits that filters packed in every call give.
TEST(PredictTest, ThreadsSharePackedFilters) {
  Sequential net;
  net.Add(Conv({.features = 8})).Add(Conv({.features = 24, .stride = {2, 2}})).Add(Conv({.features = 16}));
  net.Add(GlobalAveragePool()).Add(Dense({.features = 3}));
  const ModuleBed bed(net, {2, 14, 14, 3});
  const Variables& variables = bed.variables;
  const Activation expected = Predict(net, variables, bed.input, Workspace());
  PackedFilters filters;
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      const Workspace workspace;
      for (int call = 0; call < 50; ++call) {
        if (t == 0 && call % 5 == 4) filters.Clear();
        const Activation output = Predict(net, variables, bed.input, workspace, &filters);
        if (std::memcmp(output->data(), expected->data(), output->span().size_bytes()) != 0) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
  EXPECT_GT(filters.bytes(), 0);
}

}  // namespace
}  // namespace hwynn
