#include "hwynn/module/initializers.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/tests/support/sha1_hex.h"

// Golden values: the SHA-1 of what jax.nn.initializers gives in JAX 0.10.2, printed by tests/golden/random_golden.py.

namespace hwynn::initializers {
namespace {

std::string Sha1Of(const Initializer& initializer, int64_t seed, const Shape& shape) {
  Tensor values(shape, -7.0f);
  initializer(KeyFromSeed(seed), values);
  return testing::Sha1HexOfBytes(std::as_const(values).span());
}

TEST(InitializersTest, MatchJax) {
  struct Case {
    std::string name;
    Initializer initializer;
    std::string dense;  // key(7), (37, 53)
    std::string conv;   // key(-3), (3, 5, 7, 11)
  };
  const std::vector<Case> cases = {
      {"lecun_normal", LecunNormal(), "0eaf42a53f75876dc166807609582325829d9f35",
       "5746f4257ca569a8cff8679f44099cfd46818ba1"},
      {"lecun_uniform", LecunUniform(), "f8ddb6ead086b852a980fc36174b10a78d100aaa",
       "8f81a8bacf2cc8f92a5c49bf1d9d117cbb86a3fe"},
      {"he_normal", HeNormal(), "246af95c9c10fdecd489ec2a81ed18ca6da2e158", "698af57aa9eda7b94beb066c345704476d5ea7ef"},
      {"he_uniform", HeUniform(), "896f0e13ca9219caf578ec5e5fb1b0d23302ce3a",
       "4310d6a95f5830764be3632fc7dacd8b006288e7"},
      {"glorot_normal", GlorotNormal(), "0cbd88c85c967a584a54a9468f21eb9e8f0167fe",
       "555dfbdab1fbc5b462d81a9122020f6c3428b1f8"},
      {"glorot_uniform", GlorotUniform(), "797d6e41b57ede31c5ac6dcaa92aa68fd0cf1604",
       "8a4f35177b1709f5b9b9c0793aadde61449193c2"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Sha1Of(c.initializer, 7, {37, 53}), c.dense) << c.name;
    EXPECT_EQ(Sha1Of(c.initializer, -3, {3, 5, 7, 11}), c.conv) << c.name;
  }
}

// variance_scaling(0.7, "fan_out", …)(key(7), (3, 5, 7, 11))
TEST(InitializersTest, VarianceScalingMatchesJax) {
  const auto sha1 = [](Distribution distribution) {
    return Sha1Of(VarianceScaling(0.7, FanMode::kFanOut, distribution), 7, {3, 5, 7, 11});
  };
  EXPECT_EQ(sha1(Distribution::kTruncatedNormal), "634d53776bc573baec5635c5aaea8c22fcd0526d");
  EXPECT_EQ(sha1(Distribution::kNormal), "86f27172b4b60d58c2513a0f5c99f55dbed48818");
  EXPECT_EQ(sha1(Distribution::kUniform), "8e581c180ce6c0b61935fa236698cbff994aae12");
}

// normal(0.02)(key(7), (37, 53))
TEST(InitializersTest, NormalMatchesJax) {
  EXPECT_EQ(Sha1Of(NormalInitializer(0.02f), 7, {37, 53}), "46e99f9755b54f7f060c832f496e2220254fa02c");
}

// The kernel printed in Flax's documentation: nnx.Linear(4, 2, rngs=nnx.Rngs(42)), whose key is fold_in(key(42), 0).
TEST(InitializersTest, MatchesTheFlaxDocumentation) {
  Tensor kernel(Shape{4, 2});
  LecunNormal()(FoldIn(KeyFromSeed(42), 0), kernel);
  const std::vector<float> printed = {0.04119061f, -0.2629074f, 0.6772455f, 0.2807398f,
                                      0.16276604f, 0.16813846f, 0.310975f,  -0.43336964f};
  for (int64_t i = 0; i < kernel.size(); ++i) EXPECT_NEAR(kernel[i], printed[static_cast<size_t>(i)], 5e-9f) << i;
}

TEST(InitializersTest, Constants) {
  for (const auto& [initializer, value] :
       {std::pair(Zeros(), 0.0f), std::pair(Ones(), 1.0f), std::pair(Constant(2.5f), 2.5f)}) {
    Tensor values(Shape{3, 5}, -7.0f);
    initializer(KeyFromSeed(1), values);
    for (const float x : values.span()) EXPECT_EQ(x, value);
  }
}

TEST(InitializersTest, RejectWhatHasNoFans) {
  Tensor vector(Shape{5}, -7.0f);
  EXPECT_THROW(LecunNormal()(KeyFromSeed(1), vector), std::invalid_argument);
  EXPECT_EQ(vector[0], -7.0f);
  EXPECT_THROW(VarianceScaling(0.0, FanMode::kFanIn, Distribution::kNormal), std::invalid_argument);
  EXPECT_THROW(VarianceScaling(-1.0, FanMode::kFanIn, Distribution::kNormal), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn::initializers
