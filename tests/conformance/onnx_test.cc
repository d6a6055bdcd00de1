// ONNX's own test cases, made by its authors with NumPy and PyTorch, run by hwynn's kernels on every instruction set of
// the machine. They come in Debian's package libonnx-testdata; 1.12 (Debian 12) and 1.17 (Debian 13) are known.

#include "hwynn/tests/support/onnx.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>

#include "hwynn/kernels/conv2d.h"
#include "hwynn/tests/conformance/onnx_ops.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using testing::ForEachTarget;
using namespace testing::onnx;

constexpr char kDebianFolder[] = "/usr/share/libonnx-testdata/data";

// HWYNN_ONNX_TESTDATA names another version's folder.
fs::path Folder() {
  const char* folder = std::getenv("HWYNN_ONNX_TESTDATA");
  return folder == nullptr ? kDebianFolder : folder;
}

// Operators whose cases must all be run, or stand in kLeftOut.
const std::set<std::string> kKinds = {"Conv",
                                      "BatchNormalization",
                                      "MaxPool",
                                      "AveragePool",
                                      "GlobalMaxPool",
                                      "GlobalAveragePool",
                                      "Gemm",
                                      "MatMul",
                                      "Relu",
                                      "Adam",
                                      "Momentum",
                                      "SoftmaxCrossEntropyLoss",
                                      "NegativeLogLikelihoodLoss"};

// Cases of those kinds that hwynn can't run. A '*' stands for anything, at the beginning or the end.
struct LeftOut {
  std::string_view name;
  std::string_view reason;
};
constexpr LeftOut kLeftOut[] = {
    {"test_nllloss_*", "log-probabilities as input, which don't add up to 1: hwynn's loss takes logits"},
    {"*_expanded", "the operator written out as others, which hwynn has no kernels for"},
    {"*_expanded_ver18", "the same"},
    {"test_Conv3d*", "three spatial axes: hwynn's images have two"},
    {"test_MaxPool3d*", "the same"},
    {"test_AvgPool3d*", "the same"},
    {"test_maxpool_3d_*", "the same"},
    {"test_averagepool_3d_*", "the same"},
    {"test_matmul_3d", "batched products: hwynn's are of two matrices"},
    {"test_matmul_4d", "the same"},
    {"test_maxpool_2d_uint8", "bytes: hwynn's pools are of float32"},
    {"test_maxpool_with_argmax_2d_*", "indices of the maxima, which hwynn doesn't give"},
};

// What the authors' program used and the model doesn't say.
struct MissingAttribute {
  std::string_view name, attribute;
  float value;
};
constexpr MissingAttribute kMissing[] = {{"test_adam_multiple", "epsilon", 1e-2f}};

bool Matches(std::string_view pattern, std::string_view name) {
  if (pattern.starts_with('*')) return name.ends_with(pattern.substr(1));
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

const LeftOut* FindLeftOut(std::string_view name) {
  const auto* found = std::ranges::find_if(kLeftOut, [&](const LeftOut& row) { return Matches(row.name, name); });
  return found == std::end(kLeftOut) ? nullptr : found;
}

// A case: a model, and values that go in and must come out.
struct Case {
  fs::path folder;
  Model model;

  std::string name() const { return folder.filename().string(); }
  // The operators of the kinds, joined: what is counted.
  std::string Kind() const {
    std::string kind;
    for (const Node& node : model.nodes) {
      if (kKinds.contains(node.op) && kind.find(node.op) == std::string::npos)
        kind += (kind.empty() ? "" : "+") + node.op;
    }
    return kind;
  }
};

std::vector<Case> FindCases() {
  std::vector<Case> cases;
  for (const char* group : {"node", "pytorch-converted", "pytorch-operator", "simple"}) {
    std::set<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(Folder() / group)) folders.insert(entry.path());
    for (const fs::path& folder : folders) {
      Case found{folder, ReadModel((folder / "model.onnx").string())};
      for (const MissingAttribute& missing : kMissing) {
        if (missing.name == found.name())
          found.model.nodes.front().attributes[std::string(missing.attribute)].number = missing.value;
      }
      if (!found.Kind().empty()) cases.push_back(std::move(found));
    }
  }
  return cases;
}

// What the model's outputs are, its nodes run in their order.
std::vector<Output> RunModel(const Model& model, const std::vector<Value>& inputs, std::string_view conv_algorithm) {
  std::map<std::string, Output> values;
  for (const auto& [name, value] : model.initialisers) values[name] = {value, {}};
  for (size_t i = 0; i < inputs.size(); ++i) values[model.inputs.at(i)] = {inputs[i], {}};
  for (const Node& node : model.nodes) {
    std::vector<const Value*> arguments;
    for (const std::string& name : node.inputs) arguments.push_back(name.empty() ? nullptr : &values.at(name).value);
    std::vector<Output> outputs = Run(node, arguments, conv_algorithm);
    for (size_t i = 0; i < node.outputs.size(); ++i) values[node.outputs[i]] = std::move(outputs.at(i));
  }
  std::vector<Output> outputs;
  for (const std::string& name : model.outputs) outputs.push_back(values.at(name));
  return outputs;
}

// The largest error, in parts of what is allowed.
double Compare(const Output& output, const Value& expected) {
  EXPECT_EQ(output.value.dims, expected.dims);
  EXPECT_EQ(output.value.floats.size(), expected.floats.size());
  if (output.value.floats.size() != expected.floats.size()) return 0;
  double worst = 0;
  for (size_t i = 0; i < expected.floats.size(); ++i) {
    const double error = std::abs(double{output.value.floats[i]} - double{expected.floats[i]});
    if (output.value.floats[i] == expected.floats[i]) continue;
    EXPECT_LE(error, output.bounds[i]) << "element " << i << ": " << output.value.floats[i] << ", expected "
                                       << expected.floats[i];
    worst = std::max(worst, error / std::max(output.bounds[i], 1e-300));
  }
  return worst;
}

// Runs a case by every algorithm of its convolutions that supports it.
double RunCase(const Case& c) {
  std::vector<std::string_view> algorithms{""};
  if (c.Kind() == "Conv") algorithms = Conv2dAlgorithms(Conv2dPass::kForward);
  double worst = 0;
  int64_t runs = 0;
  for (int set = 0;; ++set) {
    const std::string folder = (c.folder / ("test_data_set_" + std::to_string(set))).string();
    if (!fs::exists(folder)) break;
    const std::vector<Value> inputs = ReadValues(folder, "input"), expected = ReadValues(folder, "output");
    for (const std::string_view algorithm : algorithms) {
      try {
        const std::vector<Output> outputs = RunModel(c.model, inputs, algorithm);
        EXPECT_EQ(outputs.size(), expected.size());
        for (size_t i = 0; i < std::min(outputs.size(), expected.size()); ++i) {
          SCOPED_TRACE("output " + std::to_string(i) + " " + std::string(algorithm));
          worst = std::max(worst, Compare(outputs[i], expected[i]));
        }
        ++runs;
      } catch (const Unsupported& unsupported) {
        if (unsupported.what != "another algorithm") throw;
      }
    }
  }
  EXPECT_GT(runs, 0);
  return worst;
}

TEST(OnnxTest, EveryCaseOfTheKindsRunsOrIsNamed) {
  if (!fs::exists(Folder())) GTEST_SKIP() << "libonnx-testdata isn't installed";
  struct Count {
    int run = 0, left_out = 0;
    double worst = 0;
  };
  std::map<std::string, Count> counts;
  for (const Case& c : FindCases()) {
    SCOPED_TRACE(c.folder.string());
    Count& count = counts[c.Kind()];
    const LeftOut* left_out = FindLeftOut(c.name());
    ++(left_out == nullptr ? count.run : count.left_out);
    ForEachTarget([&](const std::string&) {
      try {
        const double worst = RunCase(c);
        EXPECT_EQ(left_out, nullptr) << "is named as left out, and runs";
        count.worst = std::max(count.worst, worst);
      } catch (const Unsupported& unsupported) {
        EXPECT_NE(left_out, nullptr) << "can't be run (" << unsupported.what << ") and isn't named";
      }
    });
  }
  int run = 0, left_out = 0;
  for (const auto& [kind, count] : counts) {
    std::cout << kind << ": " << count.run << " run, " << count.left_out << " left out, largest error " << count.worst
              << " of the bound\n";
    run += count.run;
    left_out += count.left_out;
  }
  std::cout << "all: " << run << " run, " << left_out << " left out\n";
  EXPECT_GE(run, 100);
  for (const char* kind : {"Conv", "BatchNormalization", "MaxPool", "AveragePool", "Gemm", "SoftmaxCrossEntropyLoss",
                           "Adam", "Momentum"}) {
    EXPECT_GT(counts[kind].run, 0) << kind;
  }
}

}  // namespace
}  // namespace hwynn
