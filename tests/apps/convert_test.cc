// hwynn convert and init as a user meets them: files of Flax's and PyTorch's, forth and back.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "hwynn/formats/safetensors.h"
#include "hwynn/tests/apps/hwynn_program.h"

namespace hwynn {
namespace {

using testing::ReadText;
using testing::Result;
using ConvertTest = testing::HwynnTest;

TEST_F(ConvertTest, ConvertsInitialisesAndGivesLogits) {
  const auto at = [&](const std::string& name) { return (folder_ / name).string(); };
  const auto run = [&](const std::vector<std::string>& arguments) {
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
  };
  // A checkpoint of hwynn's → Flax's TrainState → flat arrays → TrainState → checkpoint.
  run(Train("run", {"--model=resnet18", "--width=0.05", "--batch-size=32", "--max-steps=2"}));
  const std::string native = CheckpointOf("run");
  run({"convert", native, at("a.msgpack")});
  run({"convert", at("a.msgpack"), at("b.safetensors")});
  run({"convert", at("b.safetensors"), at("checkpoint_2")});
  EXPECT_TRUE(ReadText(at("a.msgpack")) == ReadText(at("checkpoint_2")));
  run({"convert", at("checkpoint_2"), at("c.msgpack")});
  EXPECT_TRUE(ReadText(at("a.msgpack")) == ReadText(at("c.msgpack")));
  run({"convert", at("b.safetensors"), at("d.safetensors"), "--like", native});
  const SafetensorsFile before(native), after(at("d.safetensors")), flat(at("b.safetensors"));
  for (const auto& [name, entry] : before.entries()) {
    EXPECT_TRUE(std::ranges::equal(entry.bytes, after.Entry(name).bytes)) << name;
  }
  EXPECT_TRUE(flat.entries().contains("opt_state.0.trace.ResNetBlock_7.Conv_1.kernel"));
  EXPECT_EQ(Run({"inspect", at("b.safetensors")}).code, 0);

  // Initial values alone; as a checkpoint they predict.
  run({"init", "--model=resnet18", "--width=0.05", "--num-classes=10", "--channels=1", "--seed=7", "--output",
       at("init.safetensors")});
  const SafetensorsFile initial(at("init.safetensors"));
  EXPECT_EQ(initial.entries().size(), 62u + 40u);
  EXPECT_EQ(initial.Entry("params.Dense_0.kernel").shape, flat.Entry("params.Dense_0.kernel").shape);
  run({"convert", at("init.safetensors"), at("e.safetensors"), "--like", native});
  std::vector<float> images(3 * 40 * 33, 0.5f);
  WriteSafetensors(at("x.safetensors"), {{"x", {"F32", {3, 40, 33, 1}, std::as_bytes(std::span(images))}}}, {});
  run({"predict", "--checkpoint", at("e.safetensors"), "--arrays", at("x.safetensors"), "--output",
       at("y.safetensors")});
  EXPECT_EQ(SafetensorsFile(at("y.safetensors")).Entry("logits").shape, (Shape{3, 10}));
}

TEST_F(ConvertTest, ConvertKeepsNumberedKeysAndSaysWhatItChanges) {
  const auto at = [&](const std::string& name) { return (folder_ / name).string(); };
  const std::string nnx = HWYNN_GOLDEN_DIR "/flax_nnx.msgpack";
  ASSERT_EQ(Run({"convert", nnx, at("nnx.safetensors")}).code, 0);
  EXPECT_TRUE(SafetensorsFile(at("nnx.safetensors")).entries().contains("params.layers.0.kernel"));
  ASSERT_EQ(Run({"convert", at("nnx.safetensors"), at("nnx.msgpack")}).code, 0);
  EXPECT_TRUE(ReadText(at("nnx.msgpack")) == ReadText(nnx));

  // Weights of half precision in a checkpoint like another one.
  ASSERT_EQ(Run(Train("run", {"--max-steps=2"})).code, 0);
  const SafetensorsFile native(CheckpointOf("run"));
  SafetensorsEntries entries;
  std::vector<std::vector<std::byte>> halves;
  for (const auto& [name, entry] : native.entries()) {
    if (!name.starts_with("params.") && !name.starts_with("batch_stats.")) continue;
    std::vector<std::byte>& half = halves.emplace_back();
    for (size_t i = 0; i < entry.bytes.size(); i += 4)
      half.insert(half.end(), &entry.bytes[i + 2], &entry.bytes[i + 2] + 2);
  }
  auto next = halves.begin();
  for (const auto& [name, entry] : native.entries()) {
    if (name.starts_with("params.") || name.starts_with("batch_stats.")) entries[name] = {"BF16", entry.shape, *next++};
  }
  WriteSafetensors(at("half.safetensors"), entries, {});
  const Result result = Run({"convert", at("half.safetensors"), at("like.safetensors"), "--like", CheckpointOf("run")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("note: " + std::to_string(entries.size()) + " arrays became float32"), std::string::npos)
      << result.out;
  const SafetensorsFile like(at("like.safetensors"));
  for (const auto& [name, entry] : entries) {
    const SafetensorsEntry& converted = like.Entry(name);
    ASSERT_EQ(converted.dtype, "F32");
    for (size_t i = 0; i < entry.bytes.size(); ++i) {
      ASSERT_EQ(converted.bytes[i / 2 * 4 + 2 + i % 2], entry.bytes[i]) << name;
    }
  }

  // What makes no model is refused, and nothing is written.
  const float one = 1;
  const auto refused = [&](const std::string& name, const std::string& text) {
    WriteSafetensors(at("names.safetensors"), {{name, {"F32", {1}, std::as_bytes(std::span(&one, 1))}}}, {});
    const Result refusal = Run({"convert", at("names.safetensors"), at("out.safetensors")});
    EXPECT_EQ(refusal.code, 1) << name;
    EXPECT_NE(refusal.err.find(text), std::string::npos) << refusal.err;
    EXPECT_FALSE(std::filesystem::exists(at("out.safetensors")));
  };
  refused("params.Dense_0.kernel", "--like");
  refused("encoder.kernel", "--like");
  refused("module.encoder.weight", "module.encoder.weight");
}

}  // namespace
}  // namespace hwynn
