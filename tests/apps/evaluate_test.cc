// hwynn evaluate: what it refuses.

#include <gtest/gtest.h>

#include <algorithm>

#include "hwynn/tests/support/program.h"

namespace hwynn {
namespace {

using testing::Bytes;

TEST(EvaluateTest, DataSetsThatDoNotFitAreNamed) {
  const testing::TempFolder folder;
  const auto run = [&](const std::vector<std::string>& arguments) {
    return testing::RunProgram(testing::ProgramPath("hwynn"), arguments, folder);
  };
  ASSERT_EQ(run({"train", "--dataset=synthetic", "--model=mlp", "--max-steps=1", "--output", folder / "run"}).code, 0);

  const auto idx = [](const std::vector<uint8_t>& extents, size_t count, uint8_t value) {
    Bytes bytes = {0, 0, 8, static_cast<uint8_t>(extents.size())};
    for (const uint8_t extent : extents) bytes.insert(bytes.end(), {0, 0, 0, extent});
    bytes.resize(bytes.size() + count, value);
    return bytes;
  };
  const auto mnist = [&](const std::string& name, uint8_t side, uint8_t label) {
    for (const std::string split : {"train", "t10k"}) {
      folder.Write(name + "/" + split + "-images-idx3-ubyte", idx({4, side, side}, size_t{4} * side * side, 9));
      folder.Write(name + "/" + split + "-labels-idx1-ubyte", idx({4}, 4, label));
    }
    return folder / name;
  };
  const std::string small = mnist("small", 14, 3), mislabelled = mnist("mislabelled", 28, 10);
  for (const std::string file :
       {"test_batch", "data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"}) {
    folder.Write("cifar/" + file + ".bin", Bytes(3073, 1));
  }
  struct Case {
    std::vector<std::string> arguments;
    std::vector<std::string> texts;
  };
  for (const Case& c :
       {Case{{"--dataset=mnist", "--data-dir", small}, {"[28,28,1]", "[14,14,1]"}},
        Case{{"--dataset=mnist", "--data-dir", mislabelled}, {mislabelled, "label 10 at byte 8"}},
        Case{{"--dataset=cifar10", "--data-dir", folder / "cifar"}, {"[28,28,1]", "[32,32,3]"}},
        Case{{"--dataset=mnist"}, {"--data-dir"}}, Case{{"--dataset=imagenet"}, {"imagenet", "mnist"}}}) {
    std::vector<std::string> arguments = {"evaluate", "--checkpoint", folder / "run/checkpoint.safetensors"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const testing::ProgramResult result = run(arguments);
    EXPECT_EQ(result.code, 1) << result.out;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    for (const std::string& text : c.texts) EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace hwynn
