#include "hwynn/formats/dtype.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

template <class T>
std::vector<float> Converted(std::string_view numpy, const std::vector<T>& values) {
  std::vector<float> floats(values.size(), -1.0f);
  // One byte off, as arrays in files may be.
  std::vector<std::byte> bytes(values.size() * sizeof(T) + 1);
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(T));
  ToFloats(*FindNumpyDtype(numpy), std::span(bytes).subspan(1), floats);
  return floats;
}

TEST(DtypeTest, NamesFindTheirRow) {
  EXPECT_EQ(FindSafetensorsDtype("BF16")->numpy, "bfloat16");
  EXPECT_EQ(FindNumpyDtype("float8_e4m3fn")->safetensors, "F8_E4M3");
  EXPECT_EQ(FindNumpyDtype("complex128")->bits, 128u);
  EXPECT_EQ(FindSafetensorsDtype("F4")->bits, 4u);
  for (const char* name : {"", "f32", "float32", "F32 "}) EXPECT_EQ(FindSafetensorsDtype(name), nullptr) << name;
  for (const char* name : {"", "F32", "float31"}) EXPECT_EQ(FindNumpyDtype(name), nullptr) << name;
}

TEST(DtypeTest, BytesAreThoseOfTheShape) {
  const Dtype& f64 = *FindNumpyDtype("float64");
  EXPECT_TRUE(HasBytes(f64, {2, 3}, 48));
  EXPECT_FALSE(HasBytes(f64, {2, 3}, 47));
  EXPECT_FALSE(HasBytes(f64, {2, 3}, 56));
  EXPECT_TRUE(HasBytes(f64, {0, 3}, 0));
  EXPECT_TRUE(HasBytes(*FindSafetensorsDtype("F4"), {3, 2}, 3));
  EXPECT_FALSE(HasBytes(*FindSafetensorsDtype("F4"), {3}, 1));
  EXPECT_FALSE(HasBytes(*FindSafetensorsDtype("F4"), {3}, 2));
  // Products that are 0 modulo 2⁶⁴.
  EXPECT_FALSE(HasBytes(f64, {int64_t{1} << 58}, 0));
  EXPECT_FALSE(HasBytes(*FindNumpyDtype("uint8"), {1}, (uint64_t{1} << 61) + 1));
}

TEST(DtypeTest, ShapesOfAnyNumbers) {
  const auto error = [](const std::vector<uint64_t>& extents) { return std::get<std::string>(ParseShape(extents)); };
  EXPECT_EQ(std::get<Shape>(ParseShape(std::array<uint64_t, 3>{2, 0, 5})), (Shape{2, 0, 5}));
  EXPECT_EQ(std::get<Shape>(ParseShape({})), Shape());
  EXPECT_EQ(std::get<Shape>(ParseShape(std::vector<uint64_t>(Shape::kMaxRank, 1))).rank(), Shape::kMaxRank);
  EXPECT_EQ(error(std::vector<uint64_t>(9, 1)),
            StrCat("a shape out of range: Shape: rank 9 exceeds ", Shape::kMaxRank));
  EXPECT_EQ(error({uint64_t{1} << 63}), "the extent 9223372036854775808");
  EXPECT_NE(error({uint64_t{1} << 32, uint64_t{1} << 32}).find("overflows"), std::string::npos);
}

TEST(DtypeTest, HalvesDoublesAndFloatsBecomeFloats) {
  EXPECT_EQ(Converted<float>("float32", {1.5f, -0.0f}), (std::vector{1.5f, -0.0f}));
  EXPECT_EQ(Converted<double>("float64", {0.1, 1e300}), (std::vector{0.1f, std::numeric_limits<float>::infinity()}));
  EXPECT_EQ(Converted<uint16_t>("bfloat16", {0x3f80, 0xc040, 0x0001}),
            (std::vector{1.0f, -3.0f, std::bit_cast<float>(0x10000u)}));
  EXPECT_EQ(Converted<uint16_t>("float16", {0x3c00, 0xc200, 0x7bff, 0x0400, 0x0001, 0x83ff, 0x7c00, 0x8000}),
            (std::vector{1.0f, -3.0f, 65504.0f, std::ldexp(1.0f, -14), std::ldexp(1.0f, -24), -std::ldexp(1023.0f, -24),
                         std::numeric_limits<float>::infinity(), -0.0f}));
  EXPECT_TRUE(std::signbit(Converted<uint16_t>("float16", {0x8000})[0]));
  EXPECT_TRUE(std::isnan(Converted<uint16_t>("float16", {0x7e00})[0]));
  for (const char* name : {"float32", "float64", "float16", "bfloat16"}) {
    EXPECT_TRUE(ConvertsToFloat(*FindNumpyDtype(name))) << name;
  }
  for (const char* name : {"int32", "float8_e5m2", "complex64", "bool"}) {
    EXPECT_FALSE(ConvertsToFloat(*FindNumpyDtype(name))) << name;
  }
}

}  // namespace
}  // namespace hwynn
