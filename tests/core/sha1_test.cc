#include "hwynn/core/sha1.h"

#include <gtest/gtest.h>

#include <string>

#include "hwynn/tests/support/sha1_hex.h"

namespace hwynn {
namespace {

using testing::Sha1Hex;

// The examples of FIPS 180 and RFC 3174.
TEST(Sha1Test, StandardVectors) {
  EXPECT_EQ(Sha1Hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(Sha1Hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(Sha1Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(Sha1Hex(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

// Where the padding starts a block of its own, and bytes with the sign bit set. Values of Python's hashlib.
TEST(Sha1Test, LengthsAroundABlock) {
  const auto ascending = [](int length) {
    std::string message;
    for (int i = 0; i < length; ++i) message.push_back(static_cast<char>(i * 7 + 200));
    return message;
  };
  EXPECT_EQ(Sha1Hex(ascending(55)), "1d38ecb90feaaa618bbbdc1a560031f77c47b328");
  EXPECT_EQ(Sha1Hex(ascending(56)), "47757afa5e16c18fbbedef19e625eaf3593a1386");
  EXPECT_EQ(Sha1Hex(ascending(63)), "7ca3fde85ac01f64b8c3d8f6cb716efa7d9a17e8");
  EXPECT_EQ(Sha1Hex(ascending(64)), "394d2794192653ddb3c29eb5a4363d137a50214c");
  EXPECT_EQ(Sha1Hex(ascending(65)), "8ea3654ee891a4288830ec4b616879cc913d02e8");
  EXPECT_EQ(Sha1Hex(ascending(119)), "208c9fa498ff33a53234444c2d63e7191a95467e");
  EXPECT_EQ(Sha1Hex(ascending(120)), "6c6737347e412da32260c512576422d816640b39");
  EXPECT_EQ(Sha1Hex(ascending(128)), "4cef3423904f3d4c43c7c22fbc1db8d633f86940");
}

}  // namespace
}  // namespace hwynn
