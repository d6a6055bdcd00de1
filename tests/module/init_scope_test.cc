// Where variables go and which keys they are drawn from.

#include "hwynn/module/init_scope.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/tests/support/sha1_hex.h"

namespace hwynn {
namespace {

// An initializer that stores the key it is given.
Initializer Record(Key& key) {
  return [&key](Key given, TensorView) { key = given; };
}

// Key of the first param of the module at `names` under root `seed`.
Key FirstKey(int64_t seed, const std::vector<std::string>& names) {
  Variables variables;
  InitScope scope(variables, KeyFromSeed(seed));
  for (const std::string& name : names) scope = scope.Child(name);
  Key key;
  scope.Param("kernel", {1}, Record(key));
  return key;
}

// Keys of Flax 0.12.8's model.init(jax.random.key(0), …).
TEST(InitScopeTest, KeysAreLinens) {
  EXPECT_EQ(FirstKey(0, {}), (Key{1428664606, 3351135085}));
  EXPECT_EQ(FirstKey(0, {"Dense_0"}), (Key{3043437727, 3662875008}));
  EXPECT_EQ(FirstKey(0, {"Dense_1"}), (Key{3520776978, 4166105696}));
  EXPECT_EQ(FirstKey(0, {"conv_init"}), (Key{760826794, 2462079629}));
  EXPECT_EQ(FirstKey(0, {"ResNetBlock_0", "Conv_0"}), (Key{549366612, 443575849}));
  EXPECT_EQ(FirstKey(0, {"ResNetBlock_2", "conv_proj"}), (Key{2036373094, 929992153}));
  EXPECT_EQ(FirstKey(0, {"BottleneckResNetBlock_15", "Conv_2"}), (Key{443003113, 4288766069}));
  EXPECT_EQ(FirstKey(0, {"RNGSubModule_0", "RNGSubSubModule_0"}), (Key{234240654, 1028548813}));
}

TEST(InitScopeTest, ZerosDrawNothing) {
  Variables variables;
  InitScope scope = InitScope::Zeros(variables, 5).Child("norm");
  Key key;
  scope.Param("scale", {3}, Record(key));
  scope.Variable(kBatchStats, "var", {2}, 1.0f);
  EXPECT_EQ(key, Key());
  for (const float value : GetCollection(variables, kParams).at("norm/scale").span()) EXPECT_EQ(value, 0.0f);
  for (const float value : GetCollection(variables, kBatchStats).at("norm/var").span()) EXPECT_EQ(value, 1.0f);
  EXPECT_THROW(scope.Param("bias", {1}, Record(key)), std::invalid_argument);
}

TEST(InitScopeTest, EveryParamDrawsOneKeyOfItsScope) {
  Variables variables;
  InitScope scope(variables, KeyFromSeed(0));
  InitScope dense = scope.Child("Dense_0");
  Key kernel, bias, root;
  dense.Param("kernel", {3, 4}, Record(kernel));
  dense.Variable(kBatchStats, "mean", {4}, 0.0f);  // draws none
  dense.Param("bias", {4}, Record(bias));
  scope.Param("first", {1}, Record(root));
  EXPECT_EQ(kernel, (Key{3043437727, 3662875008}));
  EXPECT_EQ(bias, (Key{2912151818, 3648475384}));
  EXPECT_EQ(root, (Key{1428664606, 3351135085}));
}

// Values of a Flax 0.12.8 module with 300 params in one scope, so that the count takes a second byte, and a block
// with layers in it; printed by tests/golden/random_golden.py.
TEST(InitScopeTest, ValuesAreFlaxs) {
  Variables variables;
  InitScope net(variables, KeyFromSeed(3));
  for (int i = 0; i < 300; ++i) net.Param(StrCat("p", i), {2}, initializers::NormalInitializer(1.0f));
  const InitScope block = net.Child("Block_0");
  InitScope conv = block.Child("Conv_0");
  conv.Param("kernel", {3, 5, 7, 13}, initializers::LecunNormal());
  conv.Param("bias", {13}, initializers::NormalInitializer(0.02f));
  InitScope norm = block.Child("BatchNorm_0");
  norm.Param("scale", {13}, initializers::Ones());
  norm.Param("bias", {13}, initializers::NormalInitializer(0.02f));
  block.Child("Dense_0").Param("kernel", {13, 11}, initializers::LecunNormal());

  const auto sha1 = [&](std::string_view path) {
    return testing::Sha1HexOfBytes(std::as_const(variables.at("params").find(path)->second).span());
  };
  EXPECT_EQ(sha1("p0"), "e8808d6c4860579d0346910af5bcceed8816add9");
  EXPECT_EQ(sha1("p254"), "1eeb4d07146a608ade6008bb71f9963dcbeb356f");
  EXPECT_EQ(sha1("p255"), "af0e170a5dacdfce53a8ad0b1aab7fc5c70dd655");
  EXPECT_EQ(sha1("p299"), "6e77135ef4530b07b3cebb60fa756b76b0381208");
  EXPECT_EQ(sha1("Block_0/Conv_0/kernel"), "59cde76399d4fdd0ec732d0f8695327745027cb7");
  EXPECT_EQ(sha1("Block_0/Conv_0/bias"), "ed7fb184da2639081dac1c25de2527b44c1a8907");
  EXPECT_EQ(sha1("Block_0/BatchNorm_0/bias"), "39051f89d9f70f0fa7696b5240917428e3a62c33");
  EXPECT_EQ(sha1("Block_0/Dense_0/kernel"), "0e6bef99cb2e165ed7292e448f151382ac57de25");
}

TEST(InitScopeTest, VariablesLandAtTheirPaths) {
  Variables variables;
  InitScope scope(variables, KeyFromSeed(0));
  InitScope norm = scope.Child("Block_0").Child("BatchNorm_0");
  EXPECT_EQ(norm.path(), "Block_0/BatchNorm_0");
  norm.Param("scale", {5}, initializers::Ones());
  norm.Variable(kBatchStats, "var", {5}, 1.5f);
  scope.Param("top", {2, 3}, initializers::Zeros());
  ASSERT_EQ(variables.size(), 2u);
  EXPECT_EQ(variables.at("params").size(), 2u);
  EXPECT_EQ(variables.at("params").at("top").shape(), (Shape{2, 3}));
  EXPECT_EQ(variables.at("params").at("Block_0/BatchNorm_0/scale")[4], 1.0f);
  const Tensor& var = variables.at("batch_stats").at("Block_0/BatchNorm_0/var");
  EXPECT_EQ(var.shape(), Shape{5});
  for (const float value : var.span()) EXPECT_EQ(value, 1.5f);
}

TEST(InitScopeTest, RejectsNamesTakenOrMalformed) {
  Variables variables;
  InitScope scope(variables, KeyFromSeed(0));
  scope.Param("kernel", {2}, initializers::Ones());
  EXPECT_THROW(scope.Param("kernel", {3}, initializers::Zeros()), std::invalid_argument);
  EXPECT_EQ(variables.at("params").at("kernel")[1], 1.0f);
  EXPECT_NO_THROW(scope.Variable(kBatchStats, "kernel", {2}, 0.0f));  // another collection
  EXPECT_THROW(scope.Variable(kBatchStats, "kernel", {2}, 0.0f), std::invalid_argument);
  EXPECT_THROW(scope.Child("a/b"), std::invalid_argument);
  EXPECT_THROW(scope.Child(""), std::invalid_argument);
  EXPECT_THROW(scope.Param("a/b", {1}, initializers::Zeros()), std::invalid_argument);
  EXPECT_THROW(scope.Variable(kBatchStats, "", {1}, 0.0f), std::invalid_argument);
  EXPECT_EQ(variables.at("params").size(), 1u);
}

// A param whose name was refused draws no key: the next one gets what it would have got.
TEST(InitScopeTest, ARefusedParamDrawsNoKey) {
  Variables variables;
  InitScope scope(variables, KeyFromSeed(0));
  Key first, second;
  scope.Param("a", {1}, Record(first));
  EXPECT_THROW(scope.Param("a", {1}, Record(second)), std::invalid_argument);
  scope.Param("b", {1}, Record(second));
  EXPECT_EQ(second, (Key{3456700291, 3873160899}));
}

// A description from outside can't make it take more memory than allowed.
TEST(InitScopeTest, RefusesMoreElementsThanAllowed) {
  Variables variables;
  InitScope scope(variables, KeyFromSeed(0), 100);
  scope.Param("a", {10, 9}, initializers::Zeros());
  scope.Child("x").Variable(kBatchStats, "b", {10}, 0.0f);
  EXPECT_THROW(scope.Child("x").Param("c", {1}, initializers::Zeros()), std::invalid_argument);
  EXPECT_EQ(variables.at("params").size(), 1u);
}

}  // namespace
}  // namespace hwynn
