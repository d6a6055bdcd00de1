// The program experiment, on a small scale.

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/program.h"

namespace hwynn {
namespace {

using testing::ProgramPath;
using testing::ProgramResult;
using testing::ReadBytes;
using testing::RunProgram;
using testing::TempFolder;

TEST(ExperimentTest, BatchSizeWritesItsFiles) {
  const std::filesystem::path program = ProgramPath("experiment");
  if (!std::filesystem::exists(program)) GTEST_SKIP() << "the program isn't built";
  const TempFolder folder;
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {"batch-size", "--dataset", "synthetic", "--width", "0.2", "--test-images", "40"});
    arguments.insert(arguments.end(), {"--epochs", "1", "--output", folder / "results"});
    return RunProgram(program, arguments, folder);
  };
  const ProgramResult result = run({"--images", "48", "--batch-sizes", "4,24", "--ghost-batch", "6"});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto text = [&](const std::string& name) {
    const auto bytes = ReadBytes(folder / ("results/" + name));
    return std::string(bytes.begin(), bytes.end());
  };
  std::istringstream csv(text("batch-size.csv"));
  std::vector<std::string> series;
  for (std::string line; std::getline(csv, line);) series.push_back(line.substr(0, line.find(',', line.find(',') + 1)));
  EXPECT_EQ(series, (std::vector<std::string>{"batch_size,series", "24,batch-norm", "24,batch-norm-recalibrated",
                                              "24,ghost-6", "24,ghost-6-recalibrated", "24,none", "4,batch-norm",
                                              "4,batch-norm-recalibrated", "4,none"}));
  const std::string svg = text("batch-size.svg");
  EXPECT_NE(svg.find("48 images seen"), std::string::npos);
  EXPECT_NE(svg.find(">ghost-6-recalibrated</text>"), std::string::npos);
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");

  const ProgramResult too_large = run({"--images", "8", "--batch-sizes", "16"});
  EXPECT_NE(too_large.code, 0);
  EXPECT_NE(too_large.err.find("batch size 16"), std::string::npos) << too_large.err;
}

}  // namespace
}  // namespace hwynn
