#include "hwynn/formats/tensor_io.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

template <class T>
SafetensorsEntry EntryOf(const char* dtype, const Shape& shape, const std::vector<T>& values) {
  return {dtype, shape, std::as_bytes(std::span(values))};
}

class TensorIoTest : public ::testing::Test {
 protected:
  SafetensorsFile Write(const SafetensorsEntries& entries) {
    WriteSafetensors(folder_ / "file", entries, {});
    return SafetensorsFile(folder_ / "file");
  }

  const testing::TempFolder folder_;
};

TEST_F(TensorIoTest, ArraysAreCopiedOut) {
  const std::vector<float> values = {1.5f, -2.0f, 3.0f, 4.0f, 5.0f, 6.0f};
  const std::vector<uint8_t> odd = {1};
  const std::vector<int32_t> labels = {3, -1, std::numeric_limits<int32_t>::max()};
  const std::vector<int64_t> wide = {std::numeric_limits<int32_t>::min(), 7};
  const SafetensorsFile file = Write({{"x", EntryOf("F32", {2, 3}, values)},
                                      {"none", EntryOf("F32", {0, 3}, std::vector<float>())},
                                      {"labels", EntryOf("I32", {3}, labels)},
                                      {"wide", EntryOf("I64", {2}, wide)},
                                      {"odd", EntryOf("U8", {1}, odd)}});
  const Tensor x = LoadTensor(file, "x", 2);
  EXPECT_EQ(x.shape(), (Shape{2, 3}));
  EXPECT_EQ(std::memcmp(x.data(), values.data(), sizeof(float) * values.size()), 0);
  EXPECT_EQ(LoadTensor(file, "x").shape(), (Shape{2, 3}));
  EXPECT_EQ(LoadTensor(file, "none", 2).size(), 0);
  EXPECT_EQ(LoadLabels(file, "labels"), labels);
  EXPECT_EQ(LoadLabels(file, "wide"), (std::vector<int32_t>{std::numeric_limits<int32_t>::min(), 7}));
}

TEST_F(TensorIoTest, WhatDoesNotFitIsNamed) {
  const std::vector<float> floats = {1, 2};
  const std::vector<int32_t> matrix = {1, 2};
  const std::vector<int64_t> high = {int64_t{1} << 31}, low = {-(int64_t{1} << 31) - 1};
  const SafetensorsFile file = Write({{"x", EntryOf("F32", {2}, floats)},
                                      {"matrix", EntryOf("I32", {1, 2}, matrix)},
                                      {"high", EntryOf("I64", {1}, high)},
                                      {"low", EntryOf("I64", {1}, low)}});
  ExpectError([&] { LoadTensor(file, "missing"); }, {file.path(), "\"missing\""});
  ExpectError([&] { LoadTensor(file, "matrix"); }, {file.path(), "\"matrix\" has dtype I32, not F32"});
  ExpectError([&] { LoadTensor(file, "x", 2); }, {file.path(), "\"x\" has shape [2], not 2 axes"});
  ExpectError([&] { LoadLabels(file, "missing"); }, {file.path(), "\"missing\""});
  ExpectError([&] { LoadLabels(file, "x"); }, {file.path(), "\"x\" has dtype F32, not I32 or I64"});
  ExpectError([&] { LoadLabels(file, "matrix"); }, {file.path(), "\"matrix\" has shape [1,2], not [N]"});
  ExpectError([&] { LoadLabels(file, "high"); }, {file.path(), "\"high\" holds 2147483648"});
  ExpectError([&] { LoadLabels(file, "low"); }, {file.path(), "\"low\" holds -2147483649"});
}

}  // namespace
}  // namespace hwynn
