// op_driver against what JAX makes of the same cases (tests/golden/ops.safetensors, written by ops_golden.py), on every
// target and with every algorithm; and how it refuses what it can't run.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "hwynn/formats/safetensors.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/program.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ProgramResult;

std::vector<float> Floats(const SafetensorsEntry& entry) {
  std::vector<float> values(entry.bytes.size() / sizeof(float));
  std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
  return values;
}

/// The entries of `file` below `prefix`, without it.
SafetensorsEntries Below(const SafetensorsFile& file, const std::string& prefix) {
  SafetensorsEntries below;
  for (const auto& [name, entry] : file.entries()) {
    if (name.starts_with(prefix)) below.emplace(name.substr(prefix.size()), entry);
  }
  return below;
}

/// The algorithms of an op; one without a name where there is nothing to choose.
std::vector<std::string_view> AlgorithmsOf(const std::string& op) {
  if (op == "conv2d_forward") return Conv2dAlgorithms(Conv2dPass::kForward);
  if (op == "conv2d_backward_input") return Conv2dAlgorithms(Conv2dPass::kBackwardInput);
  if (op == "conv2d_backward_filter") return Conv2dAlgorithms(Conv2dPass::kBackwardFilter);
  return {""};
}

class OpDriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(program_)) GTEST_SKIP() << "the program isn't built";
  }

  ProgramResult Run(const std::vector<std::string>& arguments) {
    return testing::RunProgram(program_, arguments, folder_);
  }

  /// A file of float arrays 0, 1, 2 … of the given shapes.
  std::string WriteInputs(const std::string& name, const std::map<std::string, Shape>& shapes) {
    std::map<std::string, std::vector<float>> values;
    SafetensorsEntries entries;
    for (const auto& [tensor, shape] : shapes) {
      std::vector<float>& array = values[tensor];
      for (int64_t i = 0; i < shape.num_elements(); ++i) array.push_back(static_cast<float>(i));
      entries.emplace(tensor, SafetensorsEntry{"F32", shape, std::as_bytes(std::span(array))});
    }
    WriteSafetensors(folder_ / name, entries, {});
    return folder_ / name;
  }

  const std::filesystem::path program_ = testing::ProgramPath("op_driver");
  const testing::TempFolder folder_;
  const std::string inputs_ = folder_ / "inputs.safetensors";
  const std::string outputs_ = folder_ / "outputs.safetensors";
};

void ExpectNear(const SafetensorsFile& actual, const SafetensorsFile& golden, const std::string& name) {
  const SafetensorsEntries expected = Below(golden, name + "/outputs/");
  ASSERT_EQ(actual.entries().size(), expected.size());
  const auto algorithm = actual.metadata().find("algorithm");
  const bool winograd = algorithm != actual.metadata().end() && algorithm->second.starts_with("winograd");
  for (const auto& [tensor, entry] : expected) {
    const SafetensorsEntry& output = actual.Entry(tensor);
    ASSERT_EQ(output.shape, entry.shape) << tensor;
    const std::vector<float> values = Floats(output), wanted = Floats(entry);
    std::vector<float> bounds = Floats(golden.Entry(name + "/bounds/" + tensor));
    // Winograd's sums run over whole tiles, with the transforms' coefficients as amplification.
    if (winograd) std::fill(bounds.begin(), bounds.end(), 3 * *std::max_element(bounds.begin(), bounds.end()));
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] == wanted[i]) continue;  // infinities too
      ASSERT_LE(std::abs(static_cast<double>(values[i]) - wanted[i]), bounds[i]) << tensor << " element " << i;
    }
  }
}

TEST_F(OpDriverTest, RecordedCases) {
  const SafetensorsFile golden(HWYNN_GOLDEN_DIR "/ops.safetensors");
  const auto cases = nlohmann::json::parse(golden.metadata().at("cases"));
  std::set<std::string> ran;
  for (const auto& [name, one] : cases.items()) {
    SCOPED_TRACE(name);
    WriteSafetensors(inputs_, Below(golden, name + "/inputs/"), {});
    const std::string op = one["op"];
    for (const std::string& target : SupportedTargets()) {
      for (const std::string_view algorithm : AlgorithmsOf(op)) {
        SCOPED_TRACE(StrCat(target, " ", algorithm));
        std::filesystem::remove(outputs_);
        std::vector<std::string> arguments = {
            "--op",     op,     "--inputs", inputs_, "--attributes", one["attributes"].dump(),
            "--target", target, "--output", outputs_};
        if (!algorithm.empty()) arguments.insert(arguments.end(), {"--algorithm", std::string(algorithm)});
        const ProgramResult result = Run(arguments);
        if (result.err.find(" declines: ") != std::string::npos) {
          EXPECT_EQ(result.code, 2);
          continue;
        }
        ASSERT_EQ(result.code, 0) << result.err;
        EXPECT_EQ(result.out + result.err, "");
        const SafetensorsFile actual(outputs_);
        EXPECT_EQ(actual.metadata().at("target"), target);
        ExpectNear(actual, golden, name);
        ran.insert(StrCat(op, " ", algorithm));
      }
    }
  }
  // Every op, and every algorithm of the convolutions, had a case that it takes.
  const ProgramResult list = Run({"--list"});
  size_t listed = 0;
  std::istringstream lines(list.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  ") || line.starts_with("targets:")) continue;
    for (const std::string_view algorithm : AlgorithmsOf(line)) {
      EXPECT_TRUE(ran.contains(StrCat(line, " ", algorithm))) << line << " " << algorithm;
      ++listed;
    }
  }
  EXPECT_EQ(listed, ran.size());
}

TEST_F(OpDriverTest, SaysWhatRan) {
  const std::string file = WriteInputs("conv", {{"input", {1, 5, 5, 4}}, {"filter", {3, 3, 1, 4}}});
  ASSERT_EQ(
      Run({"--op=conv2d_forward", "--inputs", file, "--attributes", R"({"groups": 4})", "--output", outputs_}).code, 0);
  const SafetensorsMetadata metadata = SafetensorsFile(outputs_).metadata();
  EXPECT_EQ(metadata.at("op"), "conv2d_forward");
  EXPECT_EQ(metadata.at("algorithm"), "direct_depthwise");
  EXPECT_EQ(metadata.at("target"), CurrentTarget());

  const ProgramResult list = Run({"--list"});
  EXPECT_EQ(list.code, 0);
  for (const std::string& target : SupportedTargets()) EXPECT_NE(list.out.find(target), std::string::npos);
  EXPECT_NE(list.out.find("batch_norm_forward\n  inputs: input scale bias [residual] [mask]\n"), std::string::npos);
}

TEST_F(OpDriverTest, RefusesWithOneSentence) {
  const std::string conv = WriteInputs("conv", {{"input", {1, 5, 5, 4}}, {"filter", {3, 3, 4, 2}}});
  const std::string extra = WriteInputs("extra", {{"input", {1, 5, 5, 4}}, {"filter", {3, 3, 4, 2}}, {"weights", {1}}});
  const std::string image = WriteInputs("image", {{"input", {1, 5, 5, 4}}});
  const std::string scalar = WriteInputs("scalar", {{"input", {}}});
  const std::string empty = WriteInputs("empty", {{"input", {1, 0, 5, 4}}});
  const std::string grads = WriteInputs("grads", {{"grad_output", {1, 1, 1, 1}}, {"filter", {1, 1, 1, 1}}});
  const std::string convolution = WriteInputs("convolution", {{"input", {1, 5, 5, 4}}, {"filter", {1, 1, 4, 1}}});
  const std::string half_prologue =
      WriteInputs("half_prologue", {{"input", {1, 5, 5, 4}}, {"filter", {1, 1, 4, 1}}, {"prologue_mean", {4}}});
  const std::string filter = WriteInputs("filter", {{"grad_output", {1, 1, 1, 1}}, {"input", {1, 1, 1, 1}}});
  const std::string long_product = WriteInputs("product", {{"a", {20000, 1}}, {"b", {1, 20000}}});
  const std::string vectors = WriteInputs("vectors", {{"a", {4}}, {"b", {4}}});
  const std::string logits = WriteInputs("logits", {{"logits", {2, 3}}, {"labels", {2}}});
  const std::string no_rows = WriteInputs("no_rows", {{"input", {}}, {"scale", {1}}, {"bias", {1}}});
  const std::string mask = WriteInputs("mask", {{"input", {2, 3}}, {"scale", {3}}, {"bias", {3}}, {"mask", {2}}});
  const testing::Bytes bytes = testing::ReadBytes(conv);
  const std::string broken = folder_.Write("broken", {bytes.begin(), bytes.end() - 1});
  const std::string deep(100000, '['), deep_object = "{\"stride\":" + deep;
  const std::string long_word = "{\"padding\":\"" + std::string(100000, 'x') + "\"}";

  struct Refusal {
    std::string op, inputs, attributes, expected;
    std::vector<std::string> more = {};
  };
  const std::vector<Refusal> cases = {
      {"conv3d_forward", conv, "{}", "\"conv3d_forward\"; there are conv2d_forward, conv2d_backward_input"},
      {"conv2d_forward", folder_ / "missing", "{}", folder_ / "missing"},
      {"conv2d_forward", broken, "{}", broken},
      {"conv2d_forward", image, "{}", "tensor \"filter\" is missing"},
      {"conv2d_forward", extra, "{}", "tensor \"weights\""},
      {"conv2d_forward", conv, "{}", "\"Z80\" on this machine; it has", {"--target", "Z80"}},
      {"conv2d_forward", conv, "{}", "\"fft\"; this pass has direct_depthwise, winograd", {"--algorithm", "fft"}},
      {"conv2d_forward", conv, "{}", "\"direct_depthwise\" declines: not one", {"--algorithm", "direct_depthwise"}},
      {"max_pool_forward", image, R"({"window": [2,2]})", "algorithm \"direct\"", {"--algorithm", "direct"}},
      {"conv2d_forward", conv, "{}", "threads", {"--threads", "0"}},
      {"conv2d_forward", conv, "{}", "--no-such-option", {"--no-such-option"}},
      {"conv2d_forward", conv, "", "not JSON"},
      {"conv2d_forward", conv, "{\"stride\": [1,1]} 2", "not JSON"},
      {"conv2d_forward", conv, "[]", "must be a JSON object"},
      {"conv2d_forward", conv, "3", "must be a JSON object"},
      {"conv2d_forward", conv, deep, "nest too deeply"},
      {"conv2d_forward", conv, deep_object, "nest too deeply"},
      {"conv2d_forward", conv, long_word, "attribute padding must be \"SAME\", \"VALID\" or"},
      {"conv2d_forward", conv, R"({"stride": {"h": 1}})", "is an object"},
      {"conv2d_forward", conv, "{\"\xff\": 1}", "not JSON"},
      {"conv2d_forward", conv, R"({"a\nb": 1})", "\"a\\nb\"; this op takes stride, dilation, padding, groups"},
      {"conv2d_forward", conv, R"({"stride": [2,2], "stride": [1,1]})", "\"stride\" is there twice"},
      {"conv2d_forward", conv, R"({"strides": [2,2]})", "no attribute \"strides\""},
      {"conv2d_forward", conv, R"({"stride": 2})", "attribute stride must be two positive integers [h,w], is 2"},
      {"conv2d_forward", conv, R"({"stride": [2,2,2]})", "attribute stride"},
      {"conv2d_forward", conv, R"({"stride": [2,-2]})", "attribute stride must be two positive integers"},
      {"conv2d_forward", conv, R"({"stride": [1.5,1]})", "attribute stride"},
      {"conv2d_forward", conv, R"({"stride": [1,18446744073709551615]})", "attribute stride"},
      {"conv2d_forward", conv, R"({"stride": [1,9223372036854775807]})", "9223372036854775807"},
      {"conv2d_forward", conv, R"({"stride": [1e999,1]})", "out of range"},
      {"conv2d_forward", conv, R"({"dilation": [2147483647,2147483647]})", "with the padding of"},
      {"conv2d_forward", conv, R"({"padding": "same"})", "attribute padding must be \"SAME\", \"VALID\" or"},
      {"conv2d_forward", conv, R"({"padding": [1,1]})", "attribute padding"},
      {"conv2d_forward", conv, R"({"padding": [[0,0],[0,-9]]})", "no pixels"},
      {"conv2d_forward", conv, R"({"padding": [[0,0],[0,0.5]]})", "attribute padding"},
      {"conv2d_forward", conv, R"({"padding": [[20000,0],[20000,0]]})", "more than"},
      {"conv2d_forward", conv, R"({"padding": "VALID", "dilation": [3,1]})", "no pixels"},
      {"conv2d_forward", conv, R"({"groups": 3})", "groups (3)"},
      {"conv2d_forward", conv, R"({"groups": 0})", "attribute groups must be a positive integer"},
      {"conv2d_backward_input", grads, "{}", "attribute input_shape is missing"},
      {"conv2d_backward_input", grads, R"({"input_shape": [1,2,1]})", "attribute input_shape must be four"},
      {"conv2d_backward_input", grads, R"({"input_shape": [1,2,1,1]})", "grad_output must be [1,2,1,1]"},
      {"conv2d_backward_input", grads, R"({"input_shape": [1,9223372036854775807,2,1]})", "below 2^60"},
      {"conv2d_backward_input", grads, R"({"input_shape": [1,40000,40000,1], "stride": [40000,40000]})", "more than"},
      {"conv2d_backward_filter", filter, R"({"filter_shape": [40001,40001,1,1]})", "more than"},
      {"conv2d_backward_filter", filter, R"({"filter_shape": [1,1,2,1]})", "filter IC (2) != input C (1)"},
      {"conv2d_forward", half_prologue, "{}", "needs \"prologue_mean\" and \"prologue_var\""},
      {"conv2d_forward", convolution, R"({"statistics": 1})", "attribute statistics must be true or false, is 1"},
      {"max_pool_forward", image, "{}", "attribute window is missing"},
      {"max_pool_forward", image, R"({"window": [6,1]})", "larger than the padded input"},
      {"max_pool_forward", image, R"({"window": [9223372036854775807,1], "padding": "SAME"})", "exceeds"},
      {"max_pool_forward", image, R"({"window": [2,2], "padding": [[-2,-2],[0,0]]})", "larger than the padded input"},
      {"max_pool_forward", image, R"({"window": [2,2], "count_include_pad": false})",
       "no attribute \"count_include_pad\""},
      {"average_pool_forward", image, R"({"window": [2,2], "ceil_mode": 1})", "attribute ceil_mode"},
      {"average_pool_forward", scalar, R"({"window": [1,1]})", "must be [N,H,W,C]"},
      {"average_pool_forward", empty, R"({"window": [1,1]})", "\"input\" [1,0,5,4] has an extent of 0"},
      {"max_pool_backward", filter, R"({"window": [1,1], "padding": [[1,0],[0,0]]})", "grad_output [1,1,1,1]"},
      {"matmul_forward", long_product, "{}", "more than"},
      {"matmul_forward", vectors, "{}", "[4] and [4]"},
      {"softmax_cross_entropy", logits, "{}", "\"labels\" must be I32, is F32"},
      {"batch_norm_forward", no_rows, "{}", "input [] must be [...,C]"},
      {"batch_norm_forward", mask, "{}", "\"mask\" must be BOOL or U8, is F32"},
      {"batch_norm_backward", image, R"({"variance": "welford"})", "tensor \"scale\" is missing"},
  };
  for (const Refusal& refusal : cases) {
    std::vector<std::string> arguments = {"--op",         refusal.op,         "--inputs", refusal.inputs,
                                          "--attributes", refusal.attributes, "--output", outputs_};
    arguments.insert(arguments.end(), refusal.more.begin(), refusal.more.end());
    const ProgramResult result = Run(arguments);
    EXPECT_EQ(result.code, 2) << refusal.expected;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_TRUE(result.err.starts_with("op_driver: ")) << result.err;
    EXPECT_LT(result.err.size(), 1000u) << result.err;
    EXPECT_NE(result.err.find(refusal.expected), std::string::npos) << result.err << "lacks " << refusal.expected;
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(std::filesystem::exists(outputs_)) << refusal.expected;
  }
  for (const std::string option : {"--op=conv2d_forward", "--output=x", "--inputs=x"}) {
    EXPECT_EQ(Run({option}).code, 2) << option;
  }
}

// The gradient of the filter, of an input that went through a BatchNorm and a ReLU.
TEST_F(OpDriverTest, FilterGradientWithPrologue) {
  const Conv2dGeometry g = ResolveConv2d("test", {}, {2, 9, 10, 16}, {3, 3, 16, 20});
  std::map<std::string, Tensor> inputs;
  uint32_t seed = 0;
  const auto add = [&](const std::string& name, const Shape& shape, float mean) {
    inputs.emplace(name, testing::Normals(shape, ++seed, mean));
  };
  add("input", g.input_shape(), 3), add("grad_output", g.output_shape(), 0);
  add("prologue_mean", {g.IC}, 1), add("prologue_bias", {g.IC}, 1), add("prologue_var", {g.IC}, 20);
  SafetensorsEntries entries;
  for (const auto& [name, tensor] : inputs) {
    entries.emplace(name, SafetensorsEntry{"F32", tensor.shape(), std::as_bytes(tensor.span())});
  }
  WriteSafetensors(inputs_, entries, {});
  Tensor mul({g.IC});
  for (int64_t c = 0; c < g.IC; ++c) {
    mul[c] = static_cast<float>(1 / std::sqrt(inputs.at("prologue_var")[c] + 1e-5));
  }
  const reference::Sums expected = reference::Conv2dBackwardFilter(
      g, inputs.at("input"), inputs.at("grad_output"),
      {.mean = inputs.at("prologue_mean"), .mul = mul, .bias = inputs.at("prologue_bias"), .relu = true});
  const ProgramResult result = Run({"--op=conv2d_backward_filter", "--inputs", inputs_, "--output", outputs_,
                                    "--attributes", R"({"filter_shape": [3, 3, 16, 20], "prologue_relu": true})"});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::vector<float> values = Floats(SafetensorsFile(outputs_).Entry("grad_filter"));
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected.values[i], 2e-6 * expected.magnitudes[i]) << "element " << i;
  }
}

// A BatchNorm and a ReLU before it, a scale, a bias, a residual, a ReLU and statistics behind it.
TEST_F(OpDriverTest, ConvolutionWithPrologueEpilogueAndStatistics) {
  const Conv2dGeometry g = ResolveConv2d("test", {}, {2, 23, 22, 16}, {3, 3, 16, 20});
  std::map<std::string, Tensor> inputs;
  uint32_t seed = 0;
  const auto add = [&](const std::string& name, const Shape& shape, float mean) {
    inputs.emplace(name, testing::Normals(shape, ++seed, mean));
  };
  add("input", g.input_shape(), 3), add("filter", g.filter_shape(), 0);
  for (const char* name : {"prologue_mean", "prologue_scale", "prologue_bias"}) add(name, {g.IC}, 1);
  add("prologue_var", {g.IC}, 20);
  add("epilogue_scale", {g.OC}, 1), add("bias", {g.OC}, 10000), add("residual", g.output_shape(), 0);
  SafetensorsEntries entries;
  for (const auto& [name, tensor] : inputs) {
    entries.emplace(name, SafetensorsEntry{"F32", tensor.shape(), std::as_bytes(tensor.span())});
  }
  WriteSafetensors(inputs_, entries, {});

  Tensor mul({g.IC});
  for (int64_t c = 0; c < g.IC; ++c) {
    mul[c] = static_cast<float>(inputs.at("prologue_scale")[c] / std::sqrt(inputs.at("prologue_var")[c] + 0.5));
  }
  const reference::Sums expected = reference::Conv2dForward(
      g, inputs.at("input"), inputs.at("filter"),
      {.mean = inputs.at("prologue_mean"), .mul = mul, .bias = inputs.at("prologue_bias"), .relu = true},
      {.scale = inputs.at("epilogue_scale"),
       .bias = inputs.at("bias"),
       .residual = inputs.at("residual"),
       .relu = true});
  for (const std::string& target : SupportedTargets()) {
    for (const std::string_view algorithm : Conv2dAlgorithms(Conv2dPass::kForward)) {
      if (!Conv2dSupports(Conv2dPass::kForward, algorithm, g)) continue;
      SCOPED_TRACE(StrCat(target, " ", algorithm));
      const ProgramResult result =
          Run({"--op=conv2d_forward", "--inputs", inputs_, "--output", outputs_, "--target", target, "--algorithm",
               std::string(algorithm), "--attributes",
               R"({"prologue_epsilon": 0.5, "prologue_relu": true, "relu": true, "statistics": true})"});
      ASSERT_EQ(result.code, 0) << result.err;
      const SafetensorsFile file(outputs_);
      ASSERT_EQ(file.entries().size(), 3u);
      const std::vector<float> values = Floats(file.Entry("output"));
      Tensor output(g.output_shape());
      std::copy(values.begin(), values.end(), output.data());
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_NEAR(values[i], expected.values[i], 2e-6 * expected.magnitudes[i]) << "element " << i;
      }
      const reference::Moments moments = reference::Conv2dStatistics(output);
      const std::vector<float> mean = Floats(file.Entry("mean")), var = Floats(file.Entry("var"));
      for (size_t o = 0; o < mean.size(); ++o) {
        ASSERT_NEAR(mean[o], moments.mean[o], 1e-7 * moments.mean[o]) << "channel " << o;
        ASSERT_NEAR(var[o], moments.var[o], 1e-6 * moments.var[o]) << "channel " << o;
      }
    }
  }
}

// Probabilities of 1/2 and 1/4 for the labels of the rows that count, the second three times as much.
TEST_F(OpDriverTest, CrossEntropyWithWeightsAndAnIgnoredRow) {
  const std::vector<float> logits = {0, 0, 0, std::log(3.0f), 5, 6}, weights = {3, 1};
  const std::vector<int32_t> labels = {1, 0, -7};
  WriteSafetensors(inputs_,
                   {{"logits", {"F32", {3, 2}, std::as_bytes(std::span(logits))}},
                    {"class_weights", {"F32", {2}, std::as_bytes(std::span(weights))}},
                    {"labels", {"I32", {3}, std::as_bytes(std::span(labels))}}},
                   {});
  const auto loss_with = [&](const std::string& attributes) {
    const ProgramResult result =
        Run({"--op=softmax_cross_entropy", "--inputs", inputs_, "--attributes", attributes, "--output", outputs_});
    EXPECT_EQ(result.code, 0) << result.err;
    return Floats(SafetensorsFile(outputs_).Entry("loss"))[0];
  };
  const float log2 = std::log(2.0f), log3 = std::log(3.0f);
  EXPECT_NEAR(loss_with(R"({"ignore_index": -7})"), (log2 + 3 * 2 * log2) / 4, 1e-6f);
  // Half of each target spread: −½·(w₀·log p₀ + w₁·log p₁)/2 more, and half of the above.
  const float spread = (4 * log2 + 3 * 2 * log2 + 2 * log2 - log3) / 4;
  EXPECT_NEAR(loss_with(R"({"ignore_index": -7, "label_smoothing": 0.5})"),
              0.5f * (log2 + 3 * 2 * log2) / 4 + 0.25f * spread, 1e-6f);
  const ProgramResult refused = Run({"--op=softmax_cross_entropy", "--inputs", inputs_, "--attributes",
                                     R"({"ignore_index": 4294967296})", "--output", outputs_});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("attribute ignore_index must be an integer"), std::string::npos) << refused.err;
}

TEST_F(OpDriverTest, ChecksAttributesOfBatchNorm) {
  const std::string file = WriteInputs("batch_norm", {{"input", {2, 3}}, {"scale", {3}}, {"bias", {3}}});
  const std::map<std::string, std::string> cases = {
      {R"({"variance": "welford"})", R"(must be one of "stable", "fast", "two_pass", is "welford")"},
      {R"({"variance": 1})", "attribute variance"},
      {R"({"epsilon": -1e-5})", "attribute epsilon must be a number from 0 on, is -1e-05"},
      {R"({"epsilon": 1e39})", "attribute epsilon"},
      {R"({"epsilon": "small"})", "attribute epsilon"},
      {R"({"relu": 1})", "attribute relu must be true or false, is 1"},
  };
  for (const auto& [attributes, expected] : cases) {
    const ProgramResult result =
        Run({"--op=batch_norm_forward", "--inputs", file, "--attributes", attributes, "--output", outputs_});
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace hwynn
