#include "hwynn/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/reference/elementwise.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ForEachTarget;
using testing::Integers;
using testing::Normals;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Inputs {
  Tensor a, b;
  std::vector<uint8_t> keep;
};

struct Op {
  const char* name;
  void (*run)(const Inputs& in, TensorView output);
  void (*reference)(const Inputs& in, TensorView output);
};

const Op kOps[] = {
    {"ReluForward", [](const Inputs& in, TensorView out) { ReluForward(in.a, out); },
     [](const Inputs& in, TensorView out) { reference::ReluForward(in.a, out); }},
    {"ReluBackward", [](const Inputs& in, TensorView out) { ReluBackward(in.a, in.b, out); },
     [](const Inputs& in, TensorView out) { reference::ReluBackward(in.a, in.b, out); }},
    {"ReluForward upper", [](const Inputs& in, TensorView out) { ReluForward(in.a, out, {.upper = 2}); },
     [](const Inputs& in, TensorView out) { reference::ReluForward(in.a, out, {.upper = 2}); }},
    {"ReluBackward upper", [](const Inputs& in, TensorView out) { ReluBackward(in.a, in.b, out, {.upper = 2}); },
     [](const Inputs& in, TensorView out) { reference::ReluBackward(in.a, in.b, out, {.upper = 2}); }},
    {"AddForward", [](const Inputs& in, TensorView out) { AddForward(in.a, in.b, out); },
     [](const Inputs& in, TensorView out) { reference::AddForward(in.a, in.b, out); }},
    {"AddForward relu", [](const Inputs& in, TensorView out) { AddForward(in.a, in.b, out, {.relu = true}); },
     [](const Inputs& in, TensorView out) { reference::AddForward(in.a, in.b, out, {.relu = true}); }},
    {"AddAccumulate", [](const Inputs& in, TensorView out) { AddAccumulate(in.b, out); },
     [](const Inputs& in, TensorView out) { reference::AddAccumulate(in.b, out); }},
    {"MaskScale", [](const Inputs& in, TensorView out) { MaskScale(in.a, in.keep, 1.25f, out); },
     [](const Inputs& in, TensorView out) { reference::MaskScale(in.a, in.keep, 1.25f, out); }},
};

Inputs MakeInputs(int64_t size) {
  // Integers hold zeros, where ReLU's gradient is decided.
  Inputs in{Integers({size}, 1), Normals({size}, 2), std::vector<uint8_t>(static_cast<size_t>(size))};
  for (size_t i = 0; i < in.keep.size(); ++i) in.keep[i] = static_cast<uint8_t>((i * 37 % 11) % 3 * 127);
  return in;
}

TEST(ElementwiseTest, EqualsReferenceAtEverySize) {
  ForEachTarget([](const std::string&) {
    std::vector<int64_t> sizes = {127, 128, 129, 65535, 65536, 65537, 200003};  // around tasks
    for (int64_t size = 1; size <= 70; ++size) sizes.push_back(size);           // around vectors and groups of four
    for (const int64_t size : sizes) {
      const Inputs in = MakeInputs(size);
      for (const Op& op : kOps) {
        // One float off alignment, between guards.
        Tensor actual({size + 2}, kNan), expected({size + 2}, kNan);
        testing::FillIntegers({actual.data() + 1, {size}}, 3);
        testing::FillIntegers({expected.data() + 1, {size}}, 3);
        op.run(in, {actual.data() + 1, {size}});
        op.reference(in, {expected.data() + 1, {size}});
        for (int64_t i = 1; i <= size; ++i) ASSERT_EQ(expected[i], actual[i]) << op.name << " " << size << " at " << i;
        EXPECT_TRUE(std::isnan(actual[0]) && std::isnan(actual[size + 1])) << op.name;
      }
    }
  });
}

// The sign of a zero too.
TEST(ElementwiseTest, SameBitsOnTargets) {
  for (const int64_t size : {1, 7, 16, 65, 1003}) {
    Inputs in = MakeInputs(size);
    for (int64_t i = 0; i < size; i += 3) in.a[i] = i % 2 == 0 ? -0.0f : -in.b[i];
    testing::ExpectSameBitsOnTargets([&] {
      std::vector<Tensor> results;
      for (const Op& op : kOps) {
        results.push_back(Integers({size}, 3));
        op.run(in, results.back());
      }
      return results;
    });
  }
}

TEST(ElementwiseTest, StreamedResultsAreTheSameForAnyNumberOfThreads) {
  constexpr int64_t kSize = (int64_t{24} << 18) + 5;  // just over the size from which results are streamed
  const Inputs in = MakeInputs(kSize);
  ForEachTarget([&](const std::string&) {
    for (const Op& op : kOps) {
      Tensor expected = in.a.Clone();
      op.reference(in, expected);
      for (const int threads : {1, 3}) {
        Tensor actual = in.a.Clone();
        RunWithThreads(threads, [&] { op.run(in, actual); });
        // Compared as numbers: ReLU may leave −0.
        EXPECT_TRUE(std::equal(expected.span().begin(), expected.span().end(), actual.span().begin())) << op.name;
      }
    }
  });
}

TEST(ElementwiseTest, OutputMayBeAnInput) {
  ForEachTarget([](const std::string&) {
    Inputs in = MakeInputs(1000);
    Tensor expected({1000});
    reference::ReluBackward(in.a, in.b, expected);
    ReluBackward(in.a, in.b, in.b);
    EXPECT_TRUE(std::equal(expected.span().begin(), expected.span().end(), in.b.span().begin()));
    reference::ReluForward(in.a, expected);
    ReluForward(in.a, in.a);
    EXPECT_TRUE(std::equal(expected.span().begin(), expected.span().end(), in.a.span().begin()));
  });
}

TEST(ElementwiseTest, ReluKeepsNanAndDroppedElementsAreZero) {
  ForEachTarget([](const std::string&) {
    for (const int64_t size : {1, 70}) {
      const Tensor nans({size}, kNan);
      Tensor output({size});
      ReluForward(nans, output);
      for (const float value : output.span()) EXPECT_TRUE(std::isnan(value));
      ReluForward(nans, output, {.upper = 6});
      for (const float value : output.span()) EXPECT_TRUE(std::isnan(value));
      MaskScale(nans, std::vector<uint8_t>(static_cast<size_t>(size), 0), 2.0f, output);
      for (const float value : output.span()) EXPECT_EQ(value, 0.0f);
    }
  });
}

TEST(ElementwiseTest, InfinityPassesUnlessThereIsAnUpperEnd) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  ForEachTarget([](const std::string&) {
    const Tensor input({33}, kInfinity), grad_output({33}, 3.0f);
    Tensor output({33}), grad_input({33});
    ReluForward(input, output);
    ReluBackward(output, grad_output, grad_input);
    for (int64_t i = 0; i < 33; ++i) EXPECT_TRUE(output[i] == kInfinity && grad_input[i] == 3.0f);
    ReluForward(input, output, {.upper = 6});
    ReluBackward(output, grad_output, grad_input, {.upper = 6});
    for (int64_t i = 0; i < 33; ++i) EXPECT_TRUE(output[i] == 6.0f && grad_input[i] == 0.0f);
  });
}

TEST(ElementwiseTest, RefusesOtherShapes) {
  Tensor two({2}), three({3}), output({2}, 7.0f);
  const std::vector<uint8_t> keep(3, 1);
  EXPECT_THROW(ReluForward(three, output), std::invalid_argument);
  EXPECT_THROW(ReluBackward(two, three, output), std::invalid_argument);
  EXPECT_THROW(ReluForward(two, output, {.upper = -1}), std::invalid_argument);
  EXPECT_THROW(ReluBackward(two, two, output, {.upper = kNan}), std::invalid_argument);
  EXPECT_THROW(AddForward(two, three, output), std::invalid_argument);
  EXPECT_THROW(AddAccumulate(three, output), std::invalid_argument);
  EXPECT_THROW(MaskScale(two, keep, 1.0f, output), std::invalid_argument);
  EXPECT_EQ(output[0], 7.0f);
}

}  // namespace
}  // namespace hwynn
