// The steps that BatchNorm is made of: alone, merged from parts, and against the whole.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::BatchNormCase;
using testing::ExpectBounded;
using testing::ExpectSameBitsOnTargets;
using testing::ForEachTarget;
using testing::kNan;
using testing::kVariances;
using testing::Normals;
using testing::SameBits;

std::vector<uint8_t> Mask(int64_t rows) {
  std::vector<uint8_t> mask(static_cast<size_t>(rows));
  for (size_t row = 0; row < mask.size(); ++row) mask[row] = row % 7 < 4 ? 1 : 0;
  return mask;
}

TEST(BatchNormStepsTest, ForwardStepsHaveTheBitsOfTheWhole) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 3, 17, 64, 520}) {
      BatchNormCase x(333, C);
      const std::vector<uint8_t> mask = Mask(333);
      for (const Variance variance : kVariances) {
        for (const bool masked : {false, true}) {
          const std::span<const uint8_t> kept = masked ? std::span<const uint8_t>(mask) : std::span<const uint8_t>();
          BatchNormStatistics(x.input, variance, x.mean, x.var, x.workspace, kept);
          Tensor mean({C}), var({C});
          BatchNormFinalize(BatchNormGatherMoments(x.input, variance, x.workspace, kept), variance, mean, var);
          EXPECT_TRUE(SameBits(mean, x.mean));
          EXPECT_TRUE(SameBits(var, x.var));
        }
      }
    }
  });
}

TEST(BatchNormStepsTest, BackwardStepsHaveTheBitsOfTheWhole) {
  ForEachTarget([](const std::string&) {
    const std::vector<uint8_t> mask = Mask(333);
    for (const int64_t C : {1, 3, 17, 64, 520}) {
      for (int flags = 0; flags < 16; ++flags) {
        const bool relu = (flags & 1) != 0, residual = (flags & 2) != 0;
        BatchNormCase x(333, C);
        residual ? x.Forward(relu) : x.ForwardAlone(relu);
        const auto args = [&] {
          BatchNormBackwardArgs result = residual ? x.Args(relu) : x.ArgsAlone(relu);
          result.frozen_statistics = (flags & 4) != 0;
          if ((flags & 8) != 0) result.mask = mask;
          if (residual) result.grad_residual = x.grad_output;  // where the mask of ReLU is applied in place
          return result;
        };
        const Tensor grad_output = x.grad_output.Clone();
        BatchNormBackward(args(), x.workspace);
        const Tensor whole[] = {x.grad_input.Clone(), x.grad_scale.Clone(), x.grad_bias.Clone(), x.grad_output.Clone()};
        for (Tensor* result : {&x.grad_input, &x.grad_scale, &x.grad_bias}) {
          std::fill_n(result->data(), result->size(), kNan);
        }
        std::copy_n(grad_output.data(), grad_output.size(), x.grad_output.data());
        const BatchNormSums sums = BatchNormBackwardSums(args(), x.workspace);
        BatchNormBackwardParams(args(), sums);
        BatchNormBackwardInput(args(), sums);
        const Tensor* steps[] = {&x.grad_input, &x.grad_scale, &x.grad_bias, &x.grad_output};
        for (size_t i = 0; i < 4; ++i)
          EXPECT_TRUE(SameBits(whole[i], *steps[i])) << C << " flags " << flags << ' ' << i;
      }
    }
  });
}

// Rows of several processes: none, one, fewer than a block, and the rest.
constexpr int64_t kParts[] = {0, 1, 0, 63, 200, 0, 736};
constexpr int64_t kRows = 1000;

TEST(BatchNormStepsTest, MomentsOfPartsMerge) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 5, 64}) {
      for (const float mean_over_std : {0.0f, 1000.0f}) {
        const Tensor input = Normals({kRows, C}, 1, mean_over_std);
        const BatchNormMoments expected = reference::BatchNormGatherMoments(input);
        const Workspace workspace;
        for (const Variance variance : kVariances) {
          BatchNormMoments merged;
          int64_t row = 0;
          for (const int64_t part : kParts) {
            const ConstTensorView rows = input.view().Rows(row, part);
            BatchNormMerge(part == 0 ? BatchNormMoments() : BatchNormGatherMoments(rows, variance, workspace), merged);
            row += part;
          }
          ASSERT_EQ(merged.count, kRows);
          // The fast form's squares are rounded at the size of the mean's square.
          const double kappa = variance == Variance::kFast ? 1.0 + mean_over_std * mean_over_std : 1.0;
          for (size_t c = 0; c < expected.mean.size(); ++c) {
            EXPECT_NEAR(merged.mean[c], expected.mean[c], 2e-7 * (1 + mean_over_std));
            EXPECT_NEAR(merged.m2[c] / expected.m2[c], 1.0, 5e-7 * kappa) << c;
          }
        }
      }
    }
  });
}

// What one part takes into the merge, another has nothing of: a mask that keeps no row of a part.
TEST(BatchNormStepsTest, APartWithoutKeptRowsCountsNothing) {
  const Workspace workspace;
  const Tensor input = Normals({40, 3}, 2);
  const std::vector<uint8_t> none(40, 0);
  for (const Variance variance : kVariances) {
    const BatchNormMoments all = BatchNormGatherMoments(input, variance, workspace);
    const BatchNormMoments empty = BatchNormGatherMoments(input, variance, workspace, none);
    EXPECT_EQ(empty.count, 0);
    BatchNormMoments merged = empty;
    BatchNormMerge(all, merged);
    BatchNormMerge(empty, merged);
    EXPECT_EQ(merged.count, 40);
    EXPECT_EQ(merged.mean, all.mean);
    EXPECT_EQ(merged.m2, all.m2);
  }
}

// A merge by the definition, and the sums of four numbers by hand.
TEST(BatchNormStepsTest, MergesByHand) {
  const BatchNormMoments a{.count = 3, .mean = {2.0}, .m2 = {2.0}};  // 1, 2, 3
  const BatchNormMoments b{.count = 1, .mean = {6.0}, .m2 = {0.0}};  // 6
  BatchNormMoments merged = a;
  BatchNormMerge(b, merged);
  const BatchNormMoments defined = reference::BatchNormMerge(a, b);
  for (const BatchNormMoments& both : {merged, defined}) {
    EXPECT_EQ(both.count, 4);
    EXPECT_EQ(both.mean[0], 3.0);
    EXPECT_EQ(both.m2[0], 14.0);  // 4 + 1 + 0 + 9
  }
  BatchNormSums sums{.count = 3, .grad = {1.0}, .grad_centered = {-2.0}};
  BatchNormMerge(BatchNormSums{.count = 2, .grad = {0.5}, .grad_centered = {4.0}}, sums);
  BatchNormMerge(BatchNormSums(), sums);
  EXPECT_EQ(sums.count, 5);
  EXPECT_EQ(sums.grad[0], 1.5);
  EXPECT_EQ(sums.grad_centered[0], 2.0);
  BatchNormSums none;
  BatchNormMerge(sums, none);
  EXPECT_EQ(none.grad, sums.grad);
}

TEST(BatchNormStepsTest, GradientsOfPartsAreThoseOfTheWhole) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 5, 64}) {
      for (const bool relu : {false, true}) {
        BatchNormCase x(kRows, C);
        x.Statistics();
        x.ForwardAlone(relu);
        BatchNormBackwardArgs whole = x.ArgsAlone(relu);
        whole.output = x.output;
        const reference::BatchNormGradients expected = reference::BatchNormBackward(whole);
        const auto part_of = [&](int64_t row, int64_t rows) {
          BatchNormBackwardArgs args = x.ArgsAlone(relu);
          args.input = args.input.Rows(row, rows);
          args.grad_output = args.grad_output.Rows(row, rows);
          args.grad_input = args.grad_input.Rows(row, rows);
          return args;
        };
        BatchNormSums sums;
        int64_t row = 0;
        for (const int64_t part : kParts) {
          BatchNormMerge(part == 0 ? BatchNormSums() : BatchNormBackwardSums(part_of(row, part), x.workspace), sums);
          row += part;
        }
        EXPECT_EQ(sums.count, kRows);
        row = 0;
        for (const int64_t part : kParts) {
          if (part != 0) BatchNormBackwardInput(part_of(row, part), sums);
          row += part;
        }
        BatchNormBackwardParams(whole, sums);
        ExpectBounded(expected.input, x.grad_input, 10, "grad_input");
        ExpectBounded(expected.scale, x.grad_scale, 10, "grad_scale");
        ExpectBounded(expected.bias, x.grad_bias, 10, "grad_bias");
      }
    }
  });
}

TEST(BatchNormStepsTest, SameBitsOnTargets) {
  const std::vector<uint8_t> mask = Mask(2077);
  for (const int64_t C : {1, 3, 8, 16, 17, 31, 64, 65, 200}) {
    ExpectSameBitsOnTargets([&] {
      BatchNormCase x(2077, C);
      std::vector<Tensor> results;
      const auto keep = [&](const Tensor& result) { results.push_back(result.Clone()); };
      for (const Variance variance : kVariances) {
        for (const bool masked : {true, false}) {
          BatchNormStatistics(x.input, variance, x.mean, x.var, x.workspace,
                              masked ? std::span<const uint8_t>(mask) : std::span<const uint8_t>());
          keep(x.mean), keep(x.var);
        }
      }
      for (int flags = 0; flags < 16; ++flags) {
        const bool relu = (flags & 1) != 0, residual = (flags & 2) != 0;
        residual ? x.Forward(relu) : x.ForwardAlone(relu);
        BatchNormBackwardArgs args = residual ? x.Args(relu) : x.ArgsAlone(relu);
        args.frozen_statistics = (flags & 4) != 0;
        if ((flags & 8) != 0) args.mask = mask;
        BatchNormBackward(args, x.workspace);
        keep(x.output), keep(x.grad_input), keep(x.grad_scale), keep(x.grad_bias);
        if (residual) keep(x.grad_residual);
      }
      return results;
    });
  }
}

TEST(BatchNormStepsTest, RefuseWhatDoesNotFit) {
  BatchNormCase x(4, 6);
  Tensor five({5});
  BatchNormMoments moments = BatchNormGatherMoments(x.input, Variance::kStable, x.workspace);
  EXPECT_THROW(BatchNormGatherMoments(Tensor({0, 6}), Variance::kStable, x.workspace), std::invalid_argument);
  EXPECT_THROW(BatchNormFinalize(moments, Variance::kStable, five, x.var), std::invalid_argument);
  EXPECT_THROW(BatchNormFinalize(moments, Variance::kStable, x.mean, five), std::invalid_argument);
  EXPECT_THROW(BatchNormFinalize({.mean = moments.mean, .m2 = moments.m2}, Variance::kStable, x.mean, x.var),
               std::invalid_argument);
  EXPECT_THROW(BatchNormMerge(BatchNormMoments{.count = 1, .mean = {1}, .m2 = {1}}, moments), std::invalid_argument);
  BatchNormSums sums = BatchNormBackwardSums(x.ArgsAlone(false), x.workspace);
  EXPECT_THROW(BatchNormMerge(BatchNormSums{.count = 1, .grad = {1}, .grad_centered = {1}}, sums),
               std::invalid_argument);
  EXPECT_THROW(BatchNormBackwardParams(x.ArgsAlone(false), BatchNormSums()), std::invalid_argument);
  EXPECT_THROW(BatchNormBackwardInput(x.ArgsAlone(false), BatchNormSums()), std::invalid_argument);
  const BatchNormSums of_no_rows{.grad = sums.grad, .grad_centered = sums.grad_centered};
  EXPECT_THROW(BatchNormBackwardInput(x.ArgsAlone(false), of_no_rows), std::invalid_argument);
  BatchNormBackwardArgs args = x.ArgsAlone(false);
  args.grad_input = {};
  EXPECT_THROW(BatchNormBackwardInput(args, sums), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
