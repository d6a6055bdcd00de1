#include "hwynn/module/scope.h"

#include <gtest/gtest.h>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::ModuleBed;
using testing::Normals;

Sequential SmallNet() {
  Sequential net;
  net.Add(Dense({.features = 4})).Add(BatchNorm({.relu = true})).Add(Dense({.features = 2}));
  return net;
}

TEST(ScopeTest, NamesWhatIsMissing) {
  const Sequential net = SmallNet();
  ModuleBed bed(net, {3, 5});
  const Activation input = BorrowActivation(bed.input);
  const auto forward = [&](const CallContext& context) { net.Forward(Scope(context), input); };

  CallContext context = bed.Context(Mode::kTrain);
  context.updates = nullptr;
  ExpectError<std::invalid_argument>(
      [&] { forward(context); },
      {"Cannot update variable \"mean\" in \"/BatchNorm_0\" because collection \"batch_stats\" is immutable."});
  Variables without_stats;
  context.updates = &without_stats;
  ExpectError<std::invalid_argument>([&] { forward(context); }, {"\"/BatchNorm_0\"", "immutable"});

  const Variables none;
  context = bed.Context(Mode::kEval);
  context.variables = &none;
  context.updates = nullptr;
  ExpectError<std::invalid_argument>([&] { forward(context); },
                                     {"Could not find parameter named \"kernel\" in scope \"/Dense_0\"."});
  Variables params_only;
  params_only[std::string(kParams)] = Clone(GetCollection(bed.variables, kParams));
  context.variables = &params_only;
  ExpectError<std::invalid_argument>(
      [&] { forward(context); },
      {"Tried to access \"mean\" from collection \"batch_stats\" in \"/BatchNorm_0\" but the collection is empty."});
  params_only[std::string(kBatchStats)].emplace("BatchNorm_1/mean", Tensor({2}));
  ExpectError<std::invalid_argument>(
      [&] { forward(context); },
      {"No Variable named \"mean\" for collection \"batch_stats\" exists in \"/BatchNorm_0\"."});
  context.variables = nullptr;
  ExpectError<std::invalid_argument>([&] { forward(context); }, {"needs workspace and variables"});

  context = bed.Context(Mode::kTrain);
  context.tape = nullptr;
  forward(context);
  ExpectError<std::invalid_argument>([&] { net.Backward(Scope(context), Normals({3, 2}, 5)); }, {"Dense", "tape"});
  context = bed.Context(Mode::kTrain);
  context.gradients = nullptr;
  forward(context);
  ExpectError<std::invalid_argument>([&] { net.Backward(Scope(context), Normals({3, 2}, 5)); }, {"gradients"});
  bed.tape.Clear();
  context = bed.Context(Mode::kTrain);
  forward(context);
  ExpectError<std::invalid_argument>([&] { net.Backward(Scope(context), Normals({3, 2}, 5)); }, {"Differentiate"});
}

TEST(ScopeTest, WithoutATapeNothingIsKept) {
  const Sequential net = SmallNet();
  ModuleBed bed(net, {64, 500});
  { const Activation output = Predict(net, bed.variables, bed.input, bed.workspace); }
  EXPECT_EQ(bed.workspace.bytes_in_use(), 0);
  { const Activation output = bed.Forward(Mode::kTrain); }
  EXPECT_GT(bed.workspace.bytes_in_use(), 0);
  bed.tape.Clear();
  EXPECT_EQ(bed.workspace.bytes_in_use(), 0);
}

}  // namespace
}  // namespace hwynn
