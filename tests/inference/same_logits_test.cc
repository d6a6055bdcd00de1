// The file of a compiled model and its logits are the same bytes on every machine: whatever instruction set, compiler
// and number of threads. A change of hwynn's arithmetic, or of what such a file holds, changes them; then, after a look
// at what else it moved, the values below are those that the test prints.

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>

#include "hwynn/inference/inference_model.h"
#include "hwynn/models/make_model.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/sha256.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

std::string HashOf(ConstTensorView values) {
  return testing::Sha256Hex({reinterpret_cast<const uint8_t*>(values.data()), values.span().size_bytes()});
}

struct Golden {
  const char* model;
  const char* file;
  const char* logits;
};

constexpr Golden kGolden[] = {
    {"resnet50", "c8bf2ad53bb09b3c40b1eb306162b9300616c904b4b1d163466abf642254bdb7",
     "71b568ba49c0e8df2d17033b974f00f93afff46862fe1776953042b70d3b967b"},
    {"mobilenet_v2", "be1fc65207fe3eb6ce264b18db8aa04c2d0258bc73efcf67bed92f06ce413512",
     "1bf56c448d827a568bb5c32f11a9647b2c902bf10991fd9d9abc7d12856e53b2"},
};

TEST(SameLogitsTest, FilesAndLogitsAreTheSameEverywhere) {
  for (const Golden& golden : kGolden) {
    SCOPED_TRACE(golden.model);
    const auto network = MakeModel(golden.model, {.num_classes = 10, .width = 0.25});
    Variables variables = Init(*network, KeyFromSeed(1), {1, 64, 64, 3});
    uint32_t seed = 0;
    for (auto& [collection, arrays] : variables) {
      for (auto& [path, array] : arrays) {
        if (array.shape().rank() > 1) continue;
        ++seed;
        for (int64_t i = 0; i < array.size(); ++i) {  // no normals: what draws them isn't what is tested
          const float value = static_cast<float>((i * 37 + seed * 11) % 64) / 64.0f;
          array[i] = path.ends_with("var") || path.ends_with("scale") ? 0.5f + value : 0.5f - value;
        }
      }
    }
    const InferenceModel model(*network, variables, {.image_shape = {64, 64, 3}});
    const testing::TempFolder folder;
    model.Save(folder / "model");
    EXPECT_EQ(testing::Sha256Hex(testing::ReadBytes(folder / "model")), golden.file);
    testing::ForEachTarget([&](const std::string& target) {
      if (!testing::HasFusedMultiplyAdd(target)) return;
      for (const int threads : {1, 2}) {
        InferenceContext context(model, {.threads = threads});
        const Tensor images = testing::Integers({3, 64, 64, 3}, 1);
        EXPECT_EQ(HashOf(context.Run(images)), golden.logits);
      }
    });
  }
}

}  // namespace
}  // namespace hwynn
