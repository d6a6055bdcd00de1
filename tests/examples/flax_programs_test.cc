// The Flax programs of examples/ against what Flax printed: tests/golden/flax_programs.safetensors, which
// flax_programs.py wrote. tools/compare_flax_programs.py does the same live, on random inputs.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"
#include "hwynn/training/tensor_io.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

fs::path Program(const std::string& name) { return fs::read_symlink("/proc/self/exe").parent_path() / name; }

struct Result {
  int status = 0;
  std::vector<std::string> lines{};
};

Result Run(const std::string& command) {
  Result result;
  FILE* output = popen((command + " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> part{};
  for (size_t size = 0; (size = fread(part.data(), 1, part.size(), output)) > 0;) text.append(part.data(), size);
  result.status = pclose(output);
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) result.lines.push_back(line);
  return result;
}

std::vector<double> Numbers(const std::string& line) {
  std::istringstream stream(line);
  std::vector<double> numbers;
  for (double number = 0; stream >> number;) numbers.push_back(number);
  return numbers;
}

const SafetensorsFile& Golden() {
  static const SafetensorsFile file(HWYNN_GOLDEN_DIR "/flax_programs.safetensors");
  return file;
}

// The arrays of one case as a file of their own, under the names that the program knows.
void WriteInputs(const std::string& at, const std::string& path) {
  SafetensorsEntries arrays;
  for (const auto& [name, entry] : Golden().entries()) {
    if (name.starts_with(at + "/") && !name.ends_with("/expected")) arrays[name.substr(at.size() + 1)] = entry;
  }
  WriteSafetensors(path, arrays, {});
}

TEST(FlaxProgramsTest, PrintFlaxsNumbers) {
  const testing::TempFolder folder;
  std::set<std::string> programs;
  for (const auto& [at, arguments] : Golden().metadata()) {
    const std::string name = at.substr(0, at.find('/'));
    if (!fs::exists(Program(name))) GTEST_SKIP() << "the examples aren't built";
    programs.insert(name);
    const std::string inputs = folder / "inputs.safetensors";
    WriteInputs(at, inputs);
    const Result result = Run(Program(name).string() + " --inputs " + inputs + " " + arguments);
    ASSERT_EQ(result.status, 0) << at << ": " << (result.lines.empty() ? "" : result.lines.back());
    ASSERT_FALSE(result.lines.empty()) << at;

    const std::vector<double> actual = Numbers(result.lines.back());
    const Tensor expected = LoadTensor(Golden(), at + "/expected", 1);
    ASSERT_EQ(static_cast<int64_t>(actual.size()), expected.size()) << at;
    double largest = 0;
    for (const float value : expected.span()) largest = std::max(largest, std::abs(static_cast<double>(value)));
    for (size_t i = 0; i < actual.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[static_cast<int64_t>(i)], 1e-5 * largest) << at << " value " << i;
    }
  }
  EXPECT_EQ(programs.size(), 6u);
}

TEST(FlaxProgramsTest, TheGuidesTreeIsFlaxs) {
  if (!fs::exists(Program("linen_guide_mlp"))) GTEST_SKIP() << "the examples aren't built";
  const testing::TempFolder folder;
  const std::string inputs = folder / "inputs.safetensors";
  WriteInputs("linen_guide_mlp/0", inputs);
  const Result result = Run(Program("linen_guide_mlp").string() + " --inputs " + inputs + " --features 4,1 --steps 0");
  const std::vector<std::string> tree = {"batch_stats/BatchNorm_0/mean (4,)", "batch_stats/BatchNorm_0/var (4,)",
                                         "params/BatchNorm_0/bias (4,)",      "params/BatchNorm_0/scale (4,)",
                                         "params/Dense_0/bias (4,)",          "params/Dense_0/kernel (6, 4)",
                                         "params/Dense_1/bias (1,)",          "params/Dense_1/kernel (4, 1)"};
  ASSERT_EQ(result.lines.size(), tree.size() + 1);
  EXPECT_EQ(std::vector(result.lines.begin(), result.lines.end() - 1), tree);
}

TEST(FlaxProgramsTest, NameWhatIsWrong) {
  if (!fs::exists(Program("linen_guide_mlp"))) GTEST_SKIP() << "the examples aren't built";
  const testing::TempFolder folder;
  const std::string inputs = folder / "inputs.safetensors";
  WriteInputs("linen_train_step/0", inputs);
  const Result missing = Run(Program("linen_guide_mlp").string() + " --inputs " + inputs);
  EXPECT_NE(missing.status, 0);
  EXPECT_NE(missing.lines.back().find("inputs.safetensors"), std::string::npos) << missing.lines.back();
  EXPECT_NE(missing.lines.back().find("\"image\""), std::string::npos) << missing.lines.back();
}

}  // namespace
}  // namespace hwynn
