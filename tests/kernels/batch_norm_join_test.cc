// A residual block's end with a projection: two norms, one sum, one ReLU.

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::BatchNormCase;
using testing::ExpectBounded;
using testing::ExpectRounded;
using testing::ExpectSameBitsOnTargets;
using testing::ForEachTarget;
using testing::Integers;
using testing::kChannels;
using testing::kNan;
using testing::Normals;
using testing::SameBits;

// A BatchNormCase whose residual has a norm of its own.
struct JoinCase : BatchNormCase {
  JoinCase(int64_t rows, int64_t C, bool integers = false)
      : BatchNormCase(rows, C, integers),
        residual_mean(integers ? Integers({C}, 11) : Normals({C}, 11)),
        residual_var({C}, integers ? 0.25f : 0.7f),
        residual_scale(integers ? Integers({C}, 12) : Normals({C}, 12, 1.0f)),
        residual_bias(integers ? Integers({C}, 13) : Normals({C}, 13)) {}

  BatchNormAffine residual_affine() const {
    return {.mean = residual_mean,
            .var = residual_var,
            .scale = residual_scale,
            .bias = residual_bias,
            .epsilon = affine().epsilon};
  }
  BatchNormNormalizeOptions Options(bool relu) const {
    return {.residual = residual, .residual_affine = residual_affine(), .relu = relu};
  }
  void Join(bool relu) { BatchNormNormalize(input, affine(), output, Options(relu)); }
  BatchNormJoinSums JoinSums(const BatchNormBackwardArgs& args) const {
    return BatchNormBackwardJoinSums(args, residual, residual_mean, workspace);
  }
  // args of the other norm.
  BatchNormBackwardArgs OfResidual(BatchNormBackwardArgs args) const {
    args.input = residual;
    args.affine = residual_affine();
    return args;
  }

  Tensor residual_mean, residual_var, residual_scale, residual_bias;
};

TEST(BatchNormJoinTest, HasTheBitsOfTwoCalls) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      for (const bool relu : {false, true}) {
        for (const bool learned : {false, true}) {
          JoinCase x(37, C);
          BatchNormNormalizeOptions options = x.Options(relu);
          if (!learned) options.residual_affine.scale = options.residual_affine.bias = {};
          Tensor normal(x.shape), expected(x.shape);
          BatchNormNormalize(x.residual, options.residual_affine, normal);
          BatchNormNormalize(x.input, x.affine(), expected, {.residual = normal, .relu = relu});
          BatchNormNormalize(x.input, x.affine(), x.output, options);
          ASSERT_TRUE(SameBits(expected, x.output)) << C << " channels, relu " << relu << " learned " << learned;
          // In place of the residual.
          BatchNormNormalize(x.input, x.affine(), x.residual, options);
          ASSERT_TRUE(SameBits(expected, x.residual)) << C << " channels in place";
        }
      }
    }
  });
}

TEST(BatchNormJoinTest, IsWhatTheReferenceSays) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 17, 64, 130}) {
      for (const bool relu : {false, true}) {
        JoinCase integers(64, C, /*integers=*/true);
        integers.Join(relu);
        ExpectRounded(reference::BatchNormNormalize(integers.input, integers.affine(), integers.Options(relu)).values,
                      integers.output, "output of integers");
        JoinCase x(1000, C);
        x.Join(relu);
        // Three roundings in each norm, one of the sum.
        const double worst =
            ExpectBounded(reference::BatchNormNormalize(x.input, x.affine(), x.Options(relu)), x.output, 5, "output");
        EXPECT_GT(worst, 0.1);
      }
    }
  });
}

void ExpectSameSums(const BatchNormSums& expected, const BatchNormSums& actual, const std::string& what) {
  EXPECT_EQ(expected.count, actual.count) << what;
  EXPECT_EQ(expected.grad, actual.grad) << what;
  EXPECT_EQ(expected.grad_centered, actual.grad_centered) << what;
}

TEST(BatchNormJoinTest, SumsHaveTheBitsOfTwoCalls) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      // With 2,400 rows several chunks, of the channels that have them.
      for (const int64_t rows : {1, 63, 131, C == 17 || C == 64 || C == 512 ? 2400 : 65}) {
        JoinCase x(rows, C);
        const Tensor grad_output = x.grad_output.Clone();
        for (int flags = 0; flags < 8; ++flags) {
          const bool relu = (flags & 1) != 0, in_place = (flags & 2) != 0, wanted = (flags & 4) != 0;
          SCOPED_TRACE(StrCat(rows, " rows, ", C, " channels, flags ", flags));
          std::copy_n(grad_output.data(), grad_output.size(), x.grad_output.data());
          x.Join(relu);
          BatchNormBackwardArgs args = x.Args(relu);
          args.grad_residual = {};
          const BatchNormSums of_input = BatchNormBackwardSums(args, x.workspace);
          const BatchNormSums of_residual = BatchNormBackwardSums(x.OfResidual(args), x.workspace);
          Tensor masked({rows, C}, kNan);
          args.grad_residual = masked;
          BatchNormBackwardSums(args, x.workspace);

          if (wanted) args.grad_residual = in_place ? x.grad_output : x.grad_residual;
          if (!wanted) args.grad_residual = {};
          const BatchNormJoinSums sums = x.JoinSums(args);
          ExpectSameSums(of_input, sums.input, "input");
          ExpectSameSums(of_residual, sums.residual, "residual");
          if (wanted) {
            EXPECT_TRUE(SameBits(masked, in_place ? x.grad_output : x.grad_residual));
          }
        }
      }
    }
  });
}

// Where one array's sum overflows in float32, so that it is made in double, the other keeps its own bits.
TEST(BatchNormJoinTest, SumsThatOverflowHaveTheBitsOfTwoCallsToo) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 5, 64}) {
      for (const bool of_input : {false, true}) {
        JoinCase x(300, C);
        Tensor& large = of_input ? x.input : x.residual;
        for (int64_t i = C / 2; i < large.size(); i += C) large[i] *= 1e30f;
        for (int64_t i = C / 2; i < large.size(); i += C) x.grad_output[i] *= 1e12f;
        x.output = Normals(x.shape, 21);
        const BatchNormBackwardArgs args = x.Args(true);
        const BatchNormSums expected_input = BatchNormBackwardSums(args, x.workspace);
        const BatchNormSums expected_residual = BatchNormBackwardSums(x.OfResidual(args), x.workspace);
        const BatchNormJoinSums sums = x.JoinSums(args);
        ExpectSameSums(expected_input, sums.input, "input");
        ExpectSameSums(expected_residual, sums.residual, "residual");
        const reference::BackwardSums defined = reference::BatchNormBackwardSums(of_input ? args : x.OfResidual(args));
        const auto c = static_cast<size_t>(C / 2);
        const BatchNormSums& lost = of_input ? sums.input : sums.residual;
        EXPECT_NEAR(lost.grad_centered[c], defined.grad_centered.values[c],
                    1e-12 * defined.grad_centered.magnitudes[c]);
      }
    }
  });
}

// Both norms' gradients from the one pass, against the definition.
TEST(BatchNormJoinTest, GradientsOfBothNorms) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 17, 64}) {
      for (const bool relu : {false, true}) {
        JoinCase x(500, C);
        x.Join(relu);
        BatchNormBackwardArgs args = x.Args(relu);
        const reference::BatchNormGradients of_input = reference::BatchNormBackward(args);
        const reference::BatchNormGradients of_residual = reference::BatchNormBackward(x.OfResidual(args));
        const BatchNormJoinSums sums = x.JoinSums(args);
        BatchNormBackwardParams(args, sums.input);
        BatchNormBackwardInput(args, sums.input);
        ExpectBounded(of_input.input, x.grad_input, 10, "grad_input");
        ExpectBounded(of_input.scale, x.grad_scale, 10, "grad_scale");
        ExpectBounded(of_input.bias, x.grad_bias, 10, "grad_bias");
        args = x.OfResidual(args);
        args.grad_output = x.grad_residual;
        args.grad_residual = {};
        args.relu = false;
        BatchNormBackwardParams(args, sums.residual);
        BatchNormBackwardInput(args, sums.residual);
        ExpectBounded(of_residual.input, x.grad_input, 10, "the residual's grad_input");
        ExpectBounded(of_residual.scale, x.grad_scale, 10, "the residual's grad_scale");
        ExpectBounded(of_residual.bias, x.grad_bias, 10, "the residual's grad_bias");
      }
    }
  });
}

TEST(BatchNormJoinTest, SameBitsOnTargetsAndForAnyNumberOfThreads) {
  for (const int64_t C : {1, 3, 17, 64, 200}) {
    std::vector<Tensor> expected;
    for (const int threads : {1, 2, 3}) {
      std::vector<Tensor> results;
      ExpectSameBitsOnTargets([&] {
        JoinCase x(200000 / C + 77, C);
        RunWithThreads(threads, [&] {
          x.Join(true);
          const BatchNormJoinSums sums = x.JoinSums(x.Args(true));
          BatchNormBackwardParams(x.Args(true), sums.residual);
        });
        results.clear();
        for (const Tensor* t : {&x.output, &x.grad_residual, &x.grad_scale, &x.grad_bias}) {
          results.push_back(t->Clone());
        }
        std::vector<Tensor> copies;
        for (const Tensor& t : results) copies.push_back(t.Clone());
        return copies;
      });
      for (size_t i = 0; i < results.size(); ++i) {
        if (threads == 1) expected.push_back(results[i].Clone());
        EXPECT_TRUE(SameBits(expected[i], results[i])) << "result " << i << ", threads " << threads;
      }
    }
  }
}

TEST(BatchNormJoinTest, RefusesWhatDoesNotFit) {
  JoinCase x(4, 6);
  const Tensor five({5}), three_rows({3, 6});
  BatchNormNormalizeOptions options = x.Options(true);
  options.residual = {};
  EXPECT_THROW(BatchNormNormalize(x.input, x.affine(), x.output, options), std::invalid_argument);
  options = x.Options(true);
  options.residual_affine.var = five;
  EXPECT_THROW(BatchNormNormalize(x.input, x.affine(), x.output, options), std::invalid_argument);
  BatchNormBackwardArgs args = x.Args(true);
  EXPECT_THROW(BatchNormBackwardJoinSums(args, three_rows, x.residual_mean, x.workspace), std::invalid_argument);
  EXPECT_THROW(BatchNormBackwardJoinSums(args, x.residual, five, x.workspace), std::invalid_argument);
  args.output = {};
  args.grad_residual = {};
  EXPECT_THROW(x.JoinSums(args), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
