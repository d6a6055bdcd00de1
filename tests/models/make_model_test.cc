#include "hwynn/models/make_model.h"

#include <gtest/gtest.h>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

TEST(MakeModelTest, MakesEveryNamedModel) {
  EXPECT_EQ(ModelNames().size(), 23U);
  for (const std::string_view name : ModelNames()) {
    const auto model = MakeModel(name, {.num_classes = 7, .width = 0.125});
    const Variables variables = InitZeros(*model, {1, 8, 8, 1});
    const Collection& params = GetCollection(variables, kParams);
    const bool deep = name.starts_with("resnet") && name.ends_with("d") && !name.starts_with("resnext");
    EXPECT_EQ(params.contains("conv_init/kernel"), name != "mlp" && !deep) << name;
    EXPECT_EQ(params.contains("conv_init_0/kernel"), deep) << name;
    const std::string_view head = name == "mlp" ? "Dense_2/bias" : "Dense_0/bias";
    ASSERT_TRUE(params.contains(head)) << name;
    EXPECT_EQ(params.find(head)->second.shape(), Shape({7})) << name;
  }
}

TEST(MakeModelTest, FamiliesHaveTheirStems) {
  const Variables image_net = Init(*MakeModel("resnet18", {}), KeyFromSeed(0), {1, 32, 32, 3});
  const Variables cifar = Init(*MakeModel("resnet20", {}), KeyFromSeed(0), {1, 32, 32, 3});
  const auto stem = [](const Variables& variables) {
    return GetCollection(variables, kParams).find("conv_init/kernel")->second.shape();
  };
  EXPECT_EQ(stem(image_net), Shape({7, 7, 3, 64}));
  const auto small_images = MakeModel("resnet18", {.width = 0.125, .stem = ResNetStem::kCifar});
  EXPECT_EQ(stem(Init(*small_images, KeyFromSeed(0), {1, 32, 32, 3})), Shape({3, 3, 3, 8}));
  EXPECT_EQ(stem(cifar), Shape({3, 3, 3, 16}));
}

TEST(MakeModelTest, RefusesAStemThatAModelDoesNotHave) {
  ExpectError<std::invalid_argument>([] { MakeModel("mobilenet_v2", {.stem = ResNetStem::kDeep}); }, {"deep stem"});
}

TEST(MakeModelTest, ListsTheNamesForAnUnknownOne) {
  ExpectError<std::invalid_argument>([] { MakeModel("resnet19", {}); },
                                     {"\"resnet19\"", "resnet18, resnet26", "resnet110, mobilenet_v2, mlp"});
}

}  // namespace
}  // namespace hwynn
