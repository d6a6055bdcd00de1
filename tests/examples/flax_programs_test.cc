// The Flax programs of examples/ against what Flax printed: tests/golden/flax_programs.safetensors, which
// flax_programs.py wrote. tools/compare_flax_programs.py does the same live, on random inputs.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "hwynn/formats/tensor_io.h"
#include "hwynn/tests/support/program.h"

namespace hwynn {
namespace {

using testing::ProgramPath;
using testing::ProgramResult;

bool Built(const std::string& name) { return std::filesystem::exists(ProgramPath(name)); }

std::vector<std::string> Words(const std::string& text, char separator = ' ') {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; std::getline(stream, word, separator);) words.push_back(word);
  return words;
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
    if (!Built(name)) GTEST_SKIP() << "the examples aren't built";
    programs.insert(name);
    const std::string inputs = folder / "inputs.safetensors";
    WriteInputs(at, inputs);
    std::vector<std::string> words = {"--inputs", inputs};
    for (const std::string& word : Words(arguments)) words.push_back(word);
    const ProgramResult result = RunProgram(ProgramPath(name), words, folder);
    ASSERT_EQ(result.code, 0) << at << ": " << result.err;
    const std::vector<std::string> lines = Words(result.out, '\n');
    ASSERT_FALSE(lines.empty()) << at;

    const std::vector<double> actual = Numbers(lines.back());
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
  if (!Built("linen_guide_mlp")) GTEST_SKIP() << "the examples aren't built";
  const testing::TempFolder folder;
  const std::string inputs = folder / "inputs.safetensors";
  WriteInputs("linen_guide_mlp/0", inputs);
  const ProgramResult result =
      RunProgram(ProgramPath("linen_guide_mlp"), {"--inputs", inputs, "--features", "5,4", "--steps", "0"}, folder);
  const std::vector<std::string> lines = Words(result.out, '\n');
  const std::vector<std::string> tree = {"batch_stats/BatchNorm_0/mean (5,)", "batch_stats/BatchNorm_0/var (5,)",
                                         "params/BatchNorm_0/bias (5,)",      "params/BatchNorm_0/scale (5,)",
                                         "params/Dense_0/bias (5,)",          "params/Dense_0/kernel (6, 5)",
                                         "params/Dense_1/bias (4,)",          "params/Dense_1/kernel (5, 4)"};
  ASSERT_EQ(lines.size(), tree.size() + 1);
  EXPECT_EQ(std::vector(lines.begin(), lines.end() - 1), tree);
}

TEST(FlaxProgramsTest, NameWhatIsWrong) {
  if (!Built("linen_guide_mlp")) GTEST_SKIP() << "the examples aren't built";
  const testing::TempFolder folder;
  const std::string inputs = folder / "inputs.safetensors";
  WriteInputs("linen_train_step/0", inputs);
  const ProgramResult missing = RunProgram(ProgramPath("linen_guide_mlp"), {"--inputs", inputs}, folder);
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find("inputs.safetensors"), std::string::npos) << missing.err;
  EXPECT_NE(missing.err.find("\"image\""), std::string::npos) << missing.err;
  EXPECT_EQ(RunProgram(ProgramPath("linen_guide_mlp"), {}, folder).code, 2);
}

}  // namespace
}  // namespace hwynn
