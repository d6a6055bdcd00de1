#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "hwynn/inference/hwynn.h"
#include "hwynn/inference/inference_model.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/flatten.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/models/resnet.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/operator_new.h"

namespace {

// After so many allocations of at least `failing_bytes` one fails; below 0 none does.
std::atomic<int64_t> allocations_left = -1;
std::atomic<size_t> failing_bytes = 0;

}  // namespace

void* hwynn::testing::AllocateOrNull(size_t size, size_t alignment) noexcept {
  if (allocations_left >= 0 && size >= failing_bytes && allocations_left-- == 0) return nullptr;
  return AlignedAlloc(size, alignment);
}

void hwynn::testing::Free(void* memory) noexcept { std::free(memory); }

namespace hwynn {
namespace {

using testing::Normals;

constexpr int64_t kShape[4] = {2, 20, 24, 3};

class CApiTest : public ::testing::Test {
 protected:
  CApiTest() {
    const ResNet network({.stage_sizes = {1, 1}, .num_filters = 8, .num_classes = 5});
    InferenceModel(network, Init(network, KeyFromSeed(3), {1, 20, 24, 3}),
                   {.image_shape = {20, 24, 3},
                    .class_names = {"cat", "naïve", "c", "d", "e"},
                    .standardization = {{0.1f, 0.2f, 0.3f}, {1.0f, 2.0f, 0.5f}}})
        .Save(path_);
    EXPECT_EQ(hwynn_model_load(path_.c_str(), 0, &model_, &error_), HWYNN_OK) << error_.message;
    EXPECT_EQ(hwynn_context_create(model_, 1, &context_, &error_), HWYNN_OK) << error_.message;
  }
  ~CApiTest() override {
    hwynn_context_free(context_);
    hwynn_model_free(model_);
  }

  // `status` is `expected`, and the message holds `text`.
  void Expect(hwynn_status status, hwynn_status expected, const std::string& text) {
    EXPECT_EQ(status, expected);
    EXPECT_NE(std::string(error_.message).find(text), std::string::npos) << error_.message << " lacks " << text;
  }

  testing::TempFolder folder_;
  const std::string path_ = folder_ / "model";
  hwynn_error error_{};
  hwynn_model* model_ = nullptr;
  hwynn_context* context_ = nullptr;
};

TEST_F(CApiTest, SaysItsVersion) {
  int major = -1;
  int minor = -1;
  int patch = -1;
  hwynn_version_numbers(&major, &minor, &patch);
  EXPECT_EQ(major, HWYNN_VERSION_MAJOR);
  EXPECT_EQ(minor, HWYNN_VERSION_MINOR);
  EXPECT_EQ(patch, HWYNN_VERSION_PATCH);
  EXPECT_EQ(hwynn_version(), std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch));
  hwynn_version_numbers(nullptr, nullptr, nullptr);
}

TEST_F(CApiTest, DescribesTheModel) {
  int64_t shape[3] = {};
  EXPECT_EQ(hwynn_model_image_shape(model_, shape, nullptr), HWYNN_OK);
  EXPECT_EQ(std::vector<int64_t>(shape, shape + 3), (std::vector<int64_t>{20, 24, 3}));
  EXPECT_EQ(hwynn_model_num_classes(model_), 5);
  EXPECT_STREQ(hwynn_model_class_name(model_, 0), "cat");
  EXPECT_STREQ(hwynn_model_class_name(model_, 1), "naïve");
  EXPECT_EQ(hwynn_model_class_name(model_, 5), nullptr);
  EXPECT_EQ(hwynn_model_class_name(model_, -1), nullptr);
  EXPECT_EQ(hwynn_model_mean(model_)[1], 0.2f);
  EXPECT_EQ(hwynn_model_stddev(model_)[2], 0.5f);
  EXPECT_EQ(hwynn_model_steps(model_), InferenceModel::Load(path_).Describe());
}

TEST_F(CApiTest, DescribesTheTransform) {
  Sequential network;
  network.Add(Conv({.features = 2})).Add(Flatten());
  const EvaluationTransform transform = {.image_size = 8, .resize = 10, .interpolation = Interpolation::kBicubic};
  InferenceModel(network, Init(network, KeyFromSeed(3), {1, 8, 8, 1}),
                 {.image_shape = {8, 8, 1}, .transform = transform})
      .Save(folder_ / "squares");
  hwynn_model* squares = nullptr;
  ASSERT_EQ(hwynn_model_load((folder_ / "squares").c_str(), 0, &squares, &error_), HWYNN_OK) << error_.message;
  EXPECT_EQ(hwynn_model_transform(squares).image_size, 8);
  EXPECT_EQ(hwynn_model_transform(squares).resize, 10);
  EXPECT_EQ(hwynn_model_transform(squares).interpolation, HWYNN_BICUBIC);
  hwynn_model_free(squares);
}

TEST_F(CApiTest, WhatIsNotKnownIsEmpty) {
  Sequential network;
  network.Add(Conv({.features = 2})).Add(Flatten());
  InferenceModel(network, Init(network, KeyFromSeed(3), {1, 4, 4, 1})).Save(folder_ / "bare");
  hwynn_model* bare = nullptr;
  ASSERT_EQ(hwynn_model_load((folder_ / "bare").c_str(), 0, &bare, &error_), HWYNN_OK) << error_.message;
  int64_t shape[3] = {1, 1, 1};
  EXPECT_EQ(hwynn_model_image_shape(bare, shape, nullptr), HWYNN_OK);
  EXPECT_EQ(std::vector<int64_t>(shape, shape + 3), (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(hwynn_model_num_classes(bare), 0);  // as many as pixels
  EXPECT_EQ(hwynn_model_class_name(bare, 0), nullptr);
  EXPECT_EQ(hwynn_model_mean(bare), nullptr);
  EXPECT_EQ(hwynn_model_stddev(bare), nullptr);
  EXPECT_EQ(hwynn_model_transform(bare).image_size, 0);
  EXPECT_EQ(hwynn_model_transform(bare).resize, 0);
  hwynn_model_free(bare);
}

TEST_F(CApiTest, RunsWithTheBitsOfTheCppApi) {
  const Tensor images = Normals(Shape({2, 20, 24, 3}), 1);
  std::vector<uint8_t> bytes(static_cast<size_t>(images.size()));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37 + i / 256);
  InferenceContext expected(InferenceModel::Load(path_));
  for (const int threads : {0, 1, 3}) {
    hwynn_context* context = nullptr;
    ASSERT_EQ(hwynn_context_create(model_, threads, &context, &error_), HWYNN_OK) << error_.message;
    size_t size = 0;
    EXPECT_EQ(hwynn_output_size(context, kShape, &size, &error_), HWYNN_OK) << error_.message;
    EXPECT_EQ(size, 10u);
    std::vector<float> output(11, 7.0f);
    EXPECT_EQ(hwynn_run(context, images.data(), kShape, output.data(), 10, &error_), HWYNN_OK) << error_.message;
    EXPECT_STREQ(error_.message, "");
    EXPECT_EQ(std::memcmp(output.data(), expected.Run(images).data(), 10 * sizeof(float)), 0);
    EXPECT_EQ(hwynn_run_bytes(context, bytes.data(), kShape, output.data(), 10, nullptr), HWYNN_OK);
    EXPECT_EQ(std::memcmp(output.data(), expected.RunBytes(bytes.data(), images.shape()).data(), 10 * sizeof(float)),
              0);
    EXPECT_EQ(output[10], 7.0f);
    hwynn_context_free(context);
  }
}

TEST_F(CApiTest, AContextOutlivesTheModelsHandle) {
  hwynn_model* other = nullptr;
  hwynn_context* context = nullptr;
  ASSERT_EQ(hwynn_model_load(path_.c_str(), HWYNN_BATCH_INVARIANT, &other, &error_), HWYNN_OK) << error_.message;
  ASSERT_EQ(hwynn_context_create(other, 1, &context, &error_), HWYNN_OK) << error_.message;
  hwynn_model_free(other);
  const Tensor images = Normals(Shape({2, 20, 24, 3}), 1);
  std::vector<float> both(10);
  std::vector<float> second(5);
  EXPECT_EQ(hwynn_run(context, images.data(), kShape, both.data(), 10, &error_), HWYNN_OK) << error_.message;
  const int64_t one[4] = {1, 20, 24, 3};
  EXPECT_EQ(hwynn_run(context, images.data() + 20 * 24 * 3, one, second.data(), 5, &error_), HWYNN_OK);
  EXPECT_TRUE(std::equal(second.begin(), second.end(), both.begin() + 5));
  hwynn_context_free(context);
}

TEST_F(CApiTest, TakesTheHighestPrecision) {
  Sequential network;
  network.Add(Conv({.features = 32, .kernel_size = {3, 3}})).Add(GlobalAveragePool());
  InferenceModel(network, Init(network, KeyFromSeed(3), {1, 32, 32, 32})).Save(folder_ / "wide");
  const Tensor image = Normals(Shape({1, 32, 32, 32}), 1);
  std::vector<float> outputs[2];
  for (const unsigned options : {0u, HWYNN_HIGHEST_PRECISION}) {
    hwynn_model* model = nullptr;
    hwynn_context* context = nullptr;
    ASSERT_EQ(hwynn_model_load((folder_ / "wide").c_str(), options, &model, &error_), HWYNN_OK) << error_.message;
    ASSERT_EQ(hwynn_context_create(model, 1, &context, &error_), HWYNN_OK) << error_.message;
    std::vector<float>& output = outputs[options == 0 ? 0 : 1];
    output.resize(32);
    EXPECT_EQ(hwynn_run(context, image.data(), image.shape().extents().data(), output.data(), 32, &error_), HWYNN_OK);
    hwynn_context_free(context);
    hwynn_model_free(model);
  }
  EXPECT_NE(outputs[0], outputs[1]);  // by default by Winograd
  InferenceContext exact(InferenceModel::Load(folder_ / "wide", {.precision = Precision::kHighest}), {.threads = 1});
  EXPECT_EQ(std::memcmp(outputs[1].data(), exact.Run(image).data(), 32 * sizeof(float)), 0);
}

TEST_F(CApiTest, ManyThreadsShareAModel) {
  const Tensor images = Normals(Shape({2, 20, 24, 3}), 1);
  std::vector<float> expected(10);
  ASSERT_EQ(hwynn_run(context_, images.data(), kShape, expected.data(), 10, &error_), HWYNN_OK);
  std::vector<std::jthread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      hwynn_context* context = nullptr;
      ASSERT_EQ(hwynn_context_create(model_, 1, &context, nullptr), HWYNN_OK);
      std::vector<float> output(10);
      EXPECT_EQ(hwynn_run(context, images.data(), kShape, output.data(), 10, nullptr), HWYNN_OK);
      EXPECT_EQ(output, expected);
      hwynn_context_free(context);
    });
  }
}

TEST_F(CApiTest, ErrorsOfFiles) {
  hwynn_model* model = model_;
  Expect(hwynn_model_load((folder_ / "none").c_str(), 0, &model, &error_), HWYNN_BAD_FILE, "No such file");
  const std::string text = folder_.Write("text", {'h', 'e', 'l', 'l', 'o'});
  Expect(hwynn_model_load(text.c_str(), 0, &model, &error_), HWYNN_BAD_FILE, text);
  testing::Bytes changed = testing::ReadBytes(path_);
  changed.back() ^= 1;
  Expect(hwynn_model_load(folder_.Write("changed", changed).c_str(), 0, &model, &error_), HWYNN_BAD_FILE, "checksum");
  EXPECT_EQ(model, model_);  // untouched
  // Texts that are too long end between two characters. These have two bytes each, and begin at an odd offset or an
  // even one.
  for (const std::string start : {"", "a"}) {
    std::string path = start;
    while (path.size() < 3000) path += "é";
    EXPECT_EQ(hwynn_model_load(path.c_str(), 0, &model, &error_), HWYNN_BAD_FILE);
    const std::string message = error_.message;
    EXPECT_GE(message.size(), sizeof(error_.message) - 2);
    EXPECT_EQ(message.substr(message.size() - 2), "é");
  }
}

TEST_F(CApiTest, ErrorsOfArguments) {
  std::vector<float> floats(2 * 20 * 24 * 3, 0.5f);
  std::vector<uint8_t> bytes(floats.size(), 3);
  std::vector<float> output(10, 7.0f);
  hwynn_model* model = nullptr;
  hwynn_context* context = nullptr;
  int64_t shape[3] = {};
  size_t size = 77;
  const auto bad = HWYNN_INVALID_ARGUMENT;
  Expect(hwynn_model_load(nullptr, 0, &model, &error_), bad, "hwynn_model_load: path is NULL");
  Expect(hwynn_model_load(path_.c_str(), 0, nullptr, &error_), bad, "hwynn_model_load: model is NULL");
  Expect(hwynn_model_load(path_.c_str(), 6, &model, &error_), bad, "unknown options 4");
  Expect(hwynn_model_image_shape(nullptr, shape, &error_), bad, "model is NULL");
  Expect(hwynn_model_image_shape(model_, nullptr, &error_), bad, "shape is NULL");
  Expect(hwynn_context_create(nullptr, 1, &context, &error_), bad, "hwynn_context_create: model is NULL");
  Expect(hwynn_context_create(model_, 1, nullptr, &error_), bad, "context is NULL");
  Expect(hwynn_context_create(model_, -1, &context, &error_), bad, "threads (-1)");
  Expect(hwynn_output_size(nullptr, kShape, &size, &error_), bad, "hwynn_output_size: context is NULL");
  Expect(hwynn_output_size(context_, nullptr, &size, &error_), bad, "shape is NULL");
  Expect(hwynn_output_size(context_, kShape, nullptr, &error_), bad, "size is NULL");
  Expect(hwynn_run(nullptr, floats.data(), kShape, output.data(), 10, &error_), bad, "hwynn_run: context is NULL");
  Expect(hwynn_run(context_, nullptr, kShape, output.data(), 10, &error_), bad, "images is NULL");
  Expect(hwynn_run(context_, floats.data(), nullptr, output.data(), 10, &error_), bad, "shape is NULL");
  Expect(hwynn_run(context_, floats.data(), kShape, nullptr, 10, &error_), bad, "output is NULL");
  Expect(hwynn_run_bytes(context_, nullptr, kShape, output.data(), 10, &error_), bad,
         "hwynn_run_bytes: images is NULL");
  EXPECT_EQ(hwynn_run(context_, floats.data(), kShape, nullptr, 10, nullptr), bad);  // and none to tell it to

  const auto expect_shape = [&](std::vector<int64_t> extents, const std::string& text) {
    Expect(hwynn_output_size(context_, extents.data(), &size, &error_), bad, text);
    Expect(hwynn_run(context_, floats.data(), extents.data(), output.data(), 10, &error_), bad, text);
    Expect(hwynn_run_bytes(context_, bytes.data(), extents.data(), output.data(), 10, &error_), bad, text);
  };
  expect_shape({2, 20, 24, 4}, "[2,20,24,4]");
  expect_shape({0, 20, 24, 3}, "no elements");
  expect_shape({2, -20, 24, 3}, "negative extent -20");
  expect_shape({int64_t{1} << 40, int64_t{1} << 40, 24, 3}, "overflows");

  const auto small = HWYNN_BUFFER_TOO_SMALL;
  Expect(hwynn_run(context_, floats.data(), kShape, output.data(), 9, &error_), small,
         "hwynn_run: output has room for 9 floats, but [2,5] are made, which is 10");
  Expect(hwynn_run_bytes(context_, bytes.data(), kShape, output.data(), 0, &error_), small, "room for 0 floats");
  EXPECT_EQ(size, 77u);
  EXPECT_EQ(output, std::vector<float>(10, 7.0f));

  // Of NULL there is nothing to say or to free.
  EXPECT_EQ(hwynn_model_num_classes(nullptr), 0);
  EXPECT_EQ(hwynn_model_class_name(nullptr, 0), nullptr);
  EXPECT_EQ(hwynn_model_mean(nullptr), nullptr);
  EXPECT_EQ(hwynn_model_stddev(nullptr), nullptr);
  EXPECT_EQ(hwynn_model_transform(nullptr).image_size, 0);
  EXPECT_EQ(hwynn_model_steps(nullptr), nullptr);
  hwynn_model_free(nullptr);
  hwynn_context_free(nullptr);
}

// Whichever allocation fails, the code says so, nothing is left half made, and the next call works.
TEST_F(CApiTest, OutOfMemory) {
  const Tensor images = Normals(Shape({2, 20, 24, 3}), 1);
  std::vector<uint8_t> bytes(static_cast<size_t>(images.size()), 200);
  std::vector<float> output(20);
  const auto use = [&](hwynn_model* model, hwynn_context*& context) {
    hwynn_status status = HWYNN_OK;
    if (context == nullptr) status = hwynn_context_create(model, 1, &context, &error_);
    if (status == HWYNN_OK) status = hwynn_run(context, images.data(), kShape, output.data(), 10, &error_);
    if (status == HWYNN_OK) status = hwynn_run_bytes(context, bytes.data(), kShape, output.data() + 10, 10, &error_);
    return status;
  };
  ASSERT_EQ(use(model_, context_), HWYNN_OK) << error_.message;
  const std::vector<float> expected = output;

  int64_t failures = -1;  // before it all went well
  for (hwynn_model* model = nullptr; model == nullptr && !HasFailure(); ++failures) {
    // Small ones can't fail here: nlohmann-json's destructor allocates.
    failing_bytes = 1024;
    allocations_left = failures + 1;
    const hwynn_status status = hwynn_model_load(path_.c_str(), 0, &model, &error_);
    allocations_left = -1;
    if (model == nullptr) Expect(status, HWYNN_OUT_OF_MEMORY, "out of memory");
    hwynn_model_free(model);
  }
  EXPECT_GT(failures, 0);
  failing_bytes = 0;
  failures = -1;
  for (bool enough = false; !enough && !HasFailure(); ++failures) {
    hwynn_model* model = nullptr;  // whose filters aren't packed yet
    hwynn_context* context = nullptr;
    ASSERT_EQ(hwynn_model_load(path_.c_str(), 0, &model, &error_), HWYNN_OK) << error_.message;
    allocations_left = failures + 1;
    const hwynn_status status = use(model, context);
    enough = allocations_left >= 0;
    allocations_left = -1;
    // std::stable_sort makes do with none.
    if (!enough && status != HWYNN_OK) Expect(status, HWYNN_OUT_OF_MEMORY, "out of memory");
    EXPECT_EQ(use(model, context), HWYNN_OK) << failures << ": " << error_.message;
    EXPECT_EQ(output, expected) << failures;
    hwynn_context_free(context);
    hwynn_model_free(model);
  }
  EXPECT_GT(failures, 100);
}

}  // namespace
}  // namespace hwynn
