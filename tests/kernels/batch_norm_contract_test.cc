#include "hwynn/kernels/batch_norm.h"

// What callers may rely on besides the numbers: threads, aliasing, memory, NaN, errors.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::BatchNormCase;
using testing::ExpectBounded;
using testing::ExpectRounded;
using testing::ForEachTarget;
using testing::Integers;
using testing::kChannels;
using testing::kNan;
using testing::kUnit;
using testing::kVariances;
using testing::Normals;
using testing::SameBits;

TEST(BatchNormContractTest, SameBitsForAnyNumberOfThreads) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {3, 64, 1100}) {
      BatchNormCase x(600000 / C, C);
      for (const Variance variance : kVariances) {
        std::vector<Tensor> expected;
        for (const int threads : {1, 2, 3}) {
          RunWithThreads(threads, [&] {
            x.Statistics(variance);
            x.Forward(true);
            BatchNormBackward(x.Args(true), x.workspace);
          });
          Tensor alone[] = {Tensor(x.grad_input.shape()), Tensor({C}), Tensor({C})};
          RunWithThreads(threads, [&] {
            BatchNormBackwardArgs args = x.ArgsAlone(true);
            args.grad_input = alone[0], args.grad_scale = alone[1], args.grad_bias = alone[2];
            BatchNormBackward(args, x.workspace);
          });
          const Tensor* results[] = {&x.mean,          &x.var,       &x.output, &x.grad_input, &x.grad_scale,
                                     &x.grad_residual, &x.grad_bias, &alone[0], &alone[1],     &alone[2]};
          for (size_t i = 0; i < std::size(results); ++i) {
            if (threads == 1) expected.push_back(results[i]->Clone());
            EXPECT_TRUE(SameBits(expected[i], *results[i])) << "result " << i << ", threads " << threads;
          }
        }
      }
    }
  });
}

TEST(BatchNormContractTest, StreamedResultsAreTheSameAndInPlaceToo) {
  ForEachTarget([](const std::string&) {
    constexpr int64_t kC = 11;
    const Tensor input = Integers({1000003, kC}, 1);  // 44 MB: streamed, unless the output is an input
    Tensor streamed({1000003, kC}), in_place = input.Clone();
    const Tensor mean = Normals({kC}, 2), var({kC}, 2.0f);
    const BatchNormAffine affine{.mean = mean, .var = var};
    BatchNormNormalize(input, affine, streamed);
    BatchNormNormalize(in_place, affine, in_place);
    EXPECT_TRUE(SameBits(streamed, in_place));
    Tensor sum = input.Clone();
    BatchNormNormalize(input, affine, sum, {.residual = sum});
    for (const int64_t i : {int64_t{0}, sum.size() / 2, sum.size() - 1}) EXPECT_EQ(sum[i], streamed[i] + input[i]);

    // Backward too: its gradient is streamed, or takes the place of the output's.
    const Tensor grad_output = Integers({1000003, kC}, 3);
    Tensor grad_input = grad_output.Clone();
    const Workspace workspace;
    BatchNormBackwardArgs args{
        .input = input, .grad_output = grad_output, .affine = affine, .relu = true, .grad_input = streamed};
    BatchNormBackward(args, workspace);
    args.grad_output = args.grad_input = grad_input;
    BatchNormBackward(args, workspace);
    EXPECT_TRUE(SameBits(streamed, grad_input));
  });
}

TEST(BatchNormContractTest, BackwardMayOverwriteGradOutput) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {3, 17, 64, 600}) {
      for (const bool relu : {false, true}) {
        BatchNormCase x(333, C);
        x.Forward(relu);
        BatchNormBackward(x.Args(relu), x.workspace);
        const Tensor expected_input = x.grad_input.Clone();
        const Tensor expected_residual = x.grad_residual.Clone();
        Tensor in_place = x.grad_output.Clone();
        BatchNormBackwardArgs args = x.Args(relu);
        args.grad_output = args.grad_input = in_place;
        BatchNormBackward(args, x.workspace);
        EXPECT_TRUE(SameBits(expected_input, in_place));
        EXPECT_TRUE(SameBits(expected_residual, x.grad_residual));

        in_place = x.grad_output.Clone();
        args = x.Args(relu);
        args.grad_output = args.grad_residual = in_place;
        BatchNormBackward(args, x.workspace);
        EXPECT_TRUE(SameBits(expected_input, x.grad_input));
        EXPECT_TRUE(SameBits(expected_residual, in_place));
      }
    }
  });
}

TEST(BatchNormContractTest, MaskedRowsAreNotRead) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 5, 64}) {
      BatchNormCase x(300, C);
      std::vector<uint8_t> mask(300);
      for (size_t row = 0; row < mask.size(); ++row) mask[row] = row % 7 < 4 ? 2 : 0;
      const reference::Moments moments = reference::BatchNormStatistics(x.input, mask);
      BatchNormBackwardArgs args = x.Args(false);
      args.mask = mask;
      BatchNormBackward(args, x.workspace);
      ExpectBounded(reference::BatchNormBackward(args).input, x.grad_input, 10, "grad_input");
      x.ForwardAlone(true);
      args = x.ArgsAlone(true);
      args.mask = mask;
      BatchNormBackward(args, x.workspace);
      args.output = x.output;
      ExpectBounded(reference::BatchNormBackward(args).input, x.grad_input, 10, "grad_input after ReLU");
      for (int64_t i = 0; i < x.input.size(); ++i) {
        if (mask[static_cast<size_t>(i / C)] == 0) x.input[i] = kNan;
      }
      for (const Variance variance : kVariances) {
        BatchNormStatistics(x.input, variance, x.mean, x.var, x.workspace, mask);
        for (int64_t c = 0; c < C; ++c) {
          const auto at = static_cast<size_t>(c);
          EXPECT_NEAR(x.mean[c], moments.mean[at], 4 * kUnit * (1 + std::abs(moments.mean[at])));
          EXPECT_NEAR(x.var[c], moments.var[at], (variance == Variance::kFast ? 1e-5 : 1e-7) * moments.var[at]);
        }
      }
      const std::vector<uint8_t> none(300, 0);
      EXPECT_THROW(BatchNormStatistics(x.input, Variance::kStable, x.mean, x.var, x.workspace, none),
                   std::invalid_argument);
    }
  });
}

TEST(BatchNormContractTest, MisalignedViewsBetweenGuards) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      const int64_t size = 9 * C;
      const Shape shape{9, C};
      for (const int64_t offset : {1, 3}) {
        // NaN before and behind what may be read or written.
        std::vector<Tensor> buffers;
        for (uint32_t i = 0; i < 4; ++i) {
          buffers.emplace_back(Shape{size + 2 * offset}, kNan);
          testing::FillIntegers({buffers.back().data() + offset, shape}, i + 1);
        }
        const auto view = [&](size_t i) { return TensorView(buffers[i].data() + offset, shape); };
        BatchNormCase x(9, C, /*integers=*/true);
        BatchNormNormalize(view(0), x.affine(), view(2), {.residual = view(1), .relu = true});
        ExpectRounded(
            reference::BatchNormNormalize(view(0), x.affine(), {.residual = view(1), .relu = true}).values,
            [&] {
              Tensor copy(shape);
              std::copy_n(view(2).data(), size, copy.data());
              return copy;
            }(),
            "output");
        BatchNormBackwardArgs args = x.Args(true);
        args.input = view(0);
        args.output = view(2);
        args.grad_output = view(1);
        args.grad_input = view(3);
        BatchNormBackward(args, x.workspace);
        ExpectRounded(reference::BatchNormBackward(args).bias.values, x.grad_bias, "grad_bias");
        x.mean.Reshape({C});
        BatchNormStatistics(view(0), Variance::kStable, x.mean, x.var, x.workspace);
        for (const Tensor& buffer : buffers) {
          EXPECT_EQ(std::count_if(buffer.span().begin(), buffer.span().end(), [](float v) { return std::isnan(v); }),
                    2 * offset);
        }
        for (int64_t c = 0; c < C; ++c) ASSERT_FALSE(std::isnan(x.mean[c]) || std::isnan(x.var[c]));
      }
    }
  });
}

TEST(BatchNormContractTest, NanIsNotHiddenByRelu) {
  ForEachTarget([](const std::string&) {
    BatchNormCase x(33, 3);
    x.input[98] = kNan;
    x.input[10] = kNan;
    x.Forward(true);
    EXPECT_TRUE(std::isnan(x.output[10]) && std::isnan(x.output[98]));
    x.Statistics();
    EXPECT_TRUE(std::isnan(x.mean[1]) && std::isnan(x.var[1]) && std::isnan(x.var[2]));
    EXPECT_FALSE(std::isnan(x.mean[0]));
    // Nor does a NaN let a gradient pass.
    x.mean = Tensor({3}, 0.0f);
    x.var = Tensor({3}, 1.0f);
    for (const bool residual : {false, true}) {
      BatchNormBackwardArgs args = residual ? x.Args(true) : x.ArgsAlone(true);
      args.frozen_statistics = true;
      BatchNormBackward(args, x.workspace);
      EXPECT_TRUE(x.grad_input[10] == 0 && x.grad_input[98] == 0);
    }
  });
}

TEST(BatchNormContractTest, RefusesWhatDoesNotFit) {
  BatchNormCase x(4, 6);
  const Tensor before = x.output.Clone();
  EXPECT_THROW(BatchNormStatistics(Tensor({0, 6}), Variance::kStable, x.mean, x.var, x.workspace),
               std::invalid_argument);
  Tensor five({5});
  EXPECT_THROW(BatchNormStatistics(x.input, Variance::kStable, five, x.var, x.workspace), std::invalid_argument);
  BatchNormAffine affine = x.affine();
  affine.bias = five;
  EXPECT_THROW(BatchNormNormalize(x.input, affine, x.output), std::invalid_argument);
  EXPECT_THROW(BatchNormNormalize(x.input, x.affine(), x.output, {.residual = Tensor({6, 4})}), std::invalid_argument);
  EXPECT_TRUE(SameBits(before, x.output));
  BatchNormBackwardArgs args = x.Args(true);
  args.output = {};
  EXPECT_THROW(BatchNormBackward(args, x.workspace), std::invalid_argument);
  args = x.Args(true);
  args.grad_input = x.grad_residual;
  EXPECT_THROW(BatchNormBackward(args, x.workspace), std::invalid_argument);
  EXPECT_THROW(BatchNormUpdateRunning(0.9, x.mean, x.var, five, x.var), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
