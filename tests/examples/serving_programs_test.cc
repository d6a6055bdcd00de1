// The examples that serve a model: the classifiers, in C++ and in C, and the loop of a server.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "hwynn/inference/inference_model.h"
#include "hwynn/models/resnet.h"
#include "hwynn/tests/support/program.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ProgramPath;
using testing::ProgramResult;

constexpr int64_t kHeight = 18, kWidth = 23;

class ServingProgramsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(ProgramPath("classify"))) GTEST_SKIP() << "the examples aren't built";
    model_ = Write("model", {.image_shape = {kHeight, kWidth, 3},
                             .class_names = {"ant", "bee", "cat", "dog", "elk", "fox", "gnu"},
                             .standardization = {.mean = {0.5f, 0.4f, 0.3f}, .stddev = {0.2f, 0.3f, 0.2f}}});
    for (int64_t i = 0; i < kHeight * kWidth * 3; ++i) pixels_.push_back(static_cast<uint8_t>(i * i / 7 + i * 31));
    image_ = WriteImage("P6\n23 18\n255\n", pixels_);
  }

  std::string Write(const std::string& name, const InferenceInfo& info) {
    const ResNet network({.stage_sizes = {1, 1}, .num_filters = 8, .num_classes = 7});
    InferenceModel(network, Init(network, KeyFromSeed(3), {1, kHeight, kWidth, 3}), info).Save(folder_ / name);
    return folder_ / name;
  }

  std::string WriteImage(const std::string& header, const Bytes& pixels) {
    Bytes bytes(header.begin(), header.end());
    bytes.insert(bytes.end(), pixels.begin(), pixels.end());
    return folder_.Write("image.ppm", bytes);
  }

  ProgramResult Run(const std::string& program, const std::vector<std::string>& arguments) {
    return RunProgram(ProgramPath(program), arguments, folder_);
  }

  testing::TempFolder folder_;
  std::string model_, image_;
  Bytes pixels_;
};

TEST_F(ServingProgramsTest, TheClassifiersNameTheBestFive) {
  InferenceContext context(InferenceModel::Load(model_));
  const auto logits = context.RunBytes(pixels_.data(), {1, kHeight, kWidth, 3}).span();
  const auto best = static_cast<size_t>(std::ranges::max_element(logits) - logits.begin());
  const ProgramResult cpp = Run("classify", {model_, image_});
  ASSERT_EQ(cpp.code, 0) << cpp.err;
  EXPECT_EQ(std::ranges::count(cpp.out, '\n'), 5) << cpp.out;
  const std::string first = cpp.out.substr(0, cpp.out.find('\n'));
  EXPECT_TRUE(first.ends_with(" %  " + context.model().info().class_names[best])) << cpp.out;
  const ProgramResult c = Run("classify_c", {model_, image_});
  EXPECT_EQ(c.code, 0) << c.err;
  EXPECT_EQ(c.out, cpp.out);
  // Without names, the classes' numbers.
  const std::string bare = Write("bare", {});
  const ProgramResult numbers = Run("classify", {bare, image_});
  EXPECT_EQ(std::count(numbers.out.begin(), numbers.out.end(), '\n'), 5) << numbers.err;
  EXPECT_NE(numbers.out.find(" %  class "), std::string::npos) << numbers.out;
  EXPECT_EQ(Run("classify_c", {bare, image_}).out, numbers.out);
}

TEST_F(ServingProgramsTest, TheClassifiersSayWhatIsWrong) {
  for (const std::string program : {"classify", "classify_c"}) {
    const auto expect = [&](const std::vector<std::string>& arguments, const std::string& text) {
      const ProgramResult result = Run(program, arguments);
      EXPECT_EQ(result.code, 1) << program;
      EXPECT_EQ(result.out, "");
      EXPECT_NE(result.err.find(text), std::string::npos) << program << ": " << result.err;
    };
    expect({}, "usage");
    expect({folder_ / "none", image_}, "No such file");
    expect({image_, image_}, image_);
    expect({model_, folder_ / "none"}, "PPM");
    expect({model_, model_}, "PPM");
    expect({model_, WriteImage("P6 23 18 255\n", Bytes(100, 3))}, folder_ / "image.ppm");
    expect({model_, WriteImage("P6 23 18 65535\n", pixels_)}, "8 bits");
    expect({model_, WriteImage("P6 0 18 255\n", pixels_)}, "8 bits");
    expect({model_, WriteImage("P5 23 18 255\n", pixels_)}, "[1,18,23,1]");  // grey, to a model of colours
    image_ = WriteImage("P6\n23 18\n255\n", pixels_);
  }
}

TEST_F(ServingProgramsTest, TheLoopAnswersEveryRequest) {
  for (const std::string workers : {"1", "3"}) {
    const ProgramResult result = Run("serve_loop", {model_, workers, "57"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_TRUE(result.out.starts_with("57 requests, " + workers + " workers: ")) << result.out;
    EXPECT_NE(result.out.find("p50 "), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("p99 "), std::string::npos) << result.out;
  }
  EXPECT_EQ(Run("serve_loop", {model_, "0"}).code, 1);
  EXPECT_NE(Run("serve_loop", {Write("bare", {})}).err.find("size of its images"), std::string::npos);
}

TEST_F(ServingProgramsTest, TheLoopEndsWhenItsWorkersFail) {
  const std::string small = Write("small", {.image_shape = {kHeight, kWidth, 5}});  // the network takes 3 channels
  const ProgramResult result = Run("serve_loop", {small, "2", "40"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("[1,18,23,5]"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace hwynn
