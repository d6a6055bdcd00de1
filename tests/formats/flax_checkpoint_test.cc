// Flax's checkpoints: files that Flax wrote (tests/golden/formats_golden.py) and files that nobody should.

#include "hwynn/formats/flax_checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "hwynn/core/check.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/formats/flax_safetensors.h"
#include "hwynn/models/mlp.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/training/train_state.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::ReadBytes;

const OptimizerOptions kMomentum{.kind = OptimizerKind::kSgd, .momentum = 0.9f};
const OptimizerOptions kAdam{.kind = OptimizerKind::kAdam};
const OptimizerOptions kAdamW{.kind = OptimizerKind::kAdamW};

std::string GoldenPath(const std::string& name) { return HWYNN_GOLDEN_DIR "/flax_" + name + ".msgpack"; }

/// The model of formats_golden.py.
TrainState MakeState(const OptimizerOptions& optimizer, int64_t seed = 5) {
  const Mlp model({.features = {5, 3}});
  return CreateTrainState(model, optimizer, KeyFromSeed(seed), {1, 1, 4});
}

/// Every array has the values that Python saved beside the checkpoint.
void ExpectGolden(const std::string& name, const TrainState& state) {
  const SafetensorsFile golden(HWYNN_GOLDEN_DIR "/flax_formats.safetensors");
  size_t arrays = 0;
  const auto expect = [&](const std::string& prefix, const Collection& collection) {
    for (const auto& [path, tensor] : collection) {
      const SafetensorsEntry& entry = golden.Entry(name + "/" + prefix + "/" + path);
      ASSERT_EQ(entry.shape, tensor.shape()) << path;
      EXPECT_EQ(std::memcmp(entry.bytes.data(), tensor.data(), entry.bytes.size()), 0) << path;
      ++arrays;
    }
  };
  for (const auto& [collection, tensors] : state.variables) expect(collection, tensors);
  expect("opt_state", state.opt_state);
  for (const auto& [entry_name, entry] : golden.entries()) arrays -= entry_name.starts_with(name + "/") ? 1 : 0;
  EXPECT_EQ(arrays, 0u);
}

struct Case {
  std::string name;
  OptimizerOptions optimizer;
};
const std::vector<Case> kCases = {{"adam", kAdam}, {"adamw", kAdamW}, {"momentum_chunked", kMomentum}};

TEST(FlaxCheckpointTest, WhatFlaxWroteIsRestoredAndWrittenBackByteForByte) {
  const testing::TempFolder folder;
  for (const auto& [name, optimizer] : kCases) {
    FlaxCheckpoint file = FlaxCheckpoint::Read(GoldenPath(name));
    EXPECT_EQ(file.step(), 2);
    TrainState state = MakeState(optimizer);
    file.Restore(state);
    EXPECT_EQ(state.step, 2);
    ExpectGolden(name, state);

    file.Update(state);
    file.Write(folder / name);
    EXPECT_EQ(ReadBytes(folder / name), ReadBytes(GoldenPath(name))) << name;

    // Other numbers go to the same places.
    TrainState other = MakeState(optimizer, 6);
    for (auto& [path, tensor] : other.opt_state) testing::FillNormal(tensor, 7);
    other.step = 300;
    file.Update(other);
    file.Write(folder / name);
    TrainState again = MakeState(optimizer, 8);
    FlaxCheckpoint changed = FlaxCheckpoint::Read(folder / name);
    changed.Restore(again);
    EXPECT_EQ(again.step, 300);
    changed.Update(state);
    changed.Write(folder / name);
    EXPECT_EQ(ReadBytes(folder / name), ReadBytes(GoldenPath(name))) << name;
  }
}

/// The state of the model with lists in formats_golden.py.
FlaxState MakeLists() {
  FlaxState state;
  Collection& params = state.variables["params"];
  const auto add = [&](const std::string& path, const Shape& shape) { params.emplace(path, Tensor(shape, 5.0f)); };
  add("layers/0/kernel", {2, 3});
  add("layers/0/bias", {3});
  add("layers/1/scale", {3});
  add("layers/1/bias", {3});
  add("head/layers/0/kernel", {3, 2});
  add("head/layers/0/bias", {2});
  add("head/layers/2/kernel", {2, 1});
  add("head/layers/2/bias", {1});
  for (const auto& [path, tensor] : params) {
    for (const char* moment : {"mu/", "nu/"}) state.opt_state.emplace(moment + path, Tensor(tensor.shape(), 5.0f));
  }
  for (const char* path : {"layers/1/mean", "layers/1/var"}) {
    state.variables["batch_stats"].emplace(path, Tensor({3}, 5.0f));
  }
  return state;
}

TEST(FlaxCheckpointTest, ItemsOfNnxListsAreFoundAndStayNumbers) {
  const testing::TempFolder folder;
  const auto write = [&](const FlaxCheckpoint& file) {
    file.Write(folder / "back");
    return ReadBytes(folder / "back");
  };
  const Bytes original = ReadBytes(GoldenPath("nnx"));
  FlaxCheckpoint file = FlaxCheckpoint::Read(GoldenPath("nnx"));
  EXPECT_EQ(write(file), original);
  EXPECT_EQ(std::get<MsgpackValue::Map>(file.root().Find("params")->Find("layers")->data)[1].first.number(), 1);

  FlaxState state = MakeLists();
  const FlaxChanges changes = file.Restore(state);
  EXPECT_TRUE(changes.converted.empty() && changes.zeroed.empty());
  EXPECT_EQ(state.variables["batch_stats"].at("layers/1/var")[2], 1.0f);
  EXPECT_EQ(state.opt_state.at("mu/head/layers/2/kernel")[0], 0.0f);
  EXPECT_NE(state.variables["params"].at("layers/0/kernel")[0], 5.0f);
  file.Update(state);
  EXPECT_EQ(write(file), original);
  state.step = 9;
  state.opt_state.at("nu/layers/0/bias")[1] = 0.5f;
  file.Update(state);
  FlaxState again = MakeLists();
  FlaxCheckpoint::Parse("memory", SharedBytes::Own(EncodeMsgpack(file.root()))).Restore(again);
  EXPECT_EQ(again.step, 9);
  EXPECT_EQ(again.opt_state.at("nu/layers/0/bias")[1], 0.5f);
}

TEST(FlaxCheckpointTest, MomentsOfMultiTransformAreFoundInItsParts) {
  TrainState state = MakeState(kAdam);
  for (auto& [path, tensor] : state.opt_state) testing::FillNormal(tensor, 7);
  FlaxCheckpoint file = FlaxCheckpoint::Read(GoldenPath("multi_transform"));
  const FlaxChanges changes = file.Restore(state);
  EXPECT_TRUE(changes.converted.empty());
  ASSERT_EQ(changes.zeroed.size(), 4u);  // the frozen layer's
  EXPECT_TRUE(changes.zeroed[0].ends_with("mu/Dense_1/bias")) << changes.zeroed[0];
  Collection frozen;
  for (const char* path : {"mu/Dense_1/bias", "mu/Dense_1/kernel", "nu/Dense_1/bias", "nu/Dense_1/kernel"}) {
    frozen.insert(state.opt_state.extract(path));
    for (const float value : frozen.at(path).span()) EXPECT_EQ(value, 0.0f);
  }
  ExpectGolden("multi_transform", state);
  state.opt_state.merge(frozen);

  const std::vector<std::byte> before = EncodeMsgpack(file.root());
  EXPECT_EQ(before, ReadFile(GoldenPath("multi_transform")));
  file.Update(state);
  EXPECT_EQ(EncodeMsgpack(file.root()), before);
  state.opt_state.at("nu/Dense_1/kernel")[3] = 1.0f;
  ExpectError([&] { file.Update(state); }, {"no place for", "nu/Dense_1/kernel", "masked"});
  EXPECT_EQ(EncodeMsgpack(file.root()), before);

  TrainState other = MakeState(kMomentum);
  ExpectError([&] { file.Restore(other); }, {"opt_state/inner_states", "the optimizer keeps no mu"});

  const auto expect = [&](const std::function<void(MsgpackValue&, MsgpackValue&)>& change, const std::string& text) {
    MsgpackValue root = FlaxCheckpoint::Read(GoldenPath("multi_transform")).root();
    MsgpackValue& parts = *root.Find("opt_state")->Find("inner_states");
    const auto mu = [&](const char* part) -> MsgpackValue& {
      return *parts.Find(part)->Find("inner_state")->Find("0")->Find("mu");
    };
    change(mu("kernels"), mu("rest"));
    ExpectError([&] { FlaxCheckpoint("some.file", root).Restore(state); }, {"some.file", text});
  };
  // What one part has in another one too; gone without a mask; a mask where both have one.
  expect([](MsgpackValue& kernels, MsgpackValue& rest) { *rest.Find("Dense_0") = *kernels.Find("Dense_0"); },
         "mu/Dense_0/kernel\" is there once more");
  expect([](MsgpackValue& kernels, MsgpackValue&) { std::get<MsgpackValue::Map>(kernels.data).pop_back(); },
         "has no array");
  expect([](MsgpackValue& kernels,
            MsgpackValue&) { std::get<MsgpackValue::Map>(kernels.Find("Dense_0")->data).pop_back(); },
         "has no array \"opt_state/inner_states/kernels/inner_state/0/mu/Dense_0/kernel\"");
  expect([](MsgpackValue&, MsgpackValue& rest) { *rest.Find("Dense_0") = {true}; }, "isn't one of the model's");
}

TEST(FlaxCheckpointTest, HalfPrecisionBecomesFloat32AndIsSaid) {
  TrainState state = MakeState(kMomentum);
  FlaxCheckpoint file = FlaxCheckpoint::Read(GoldenPath("half"));
  const std::vector<std::string> half = {"batch_stats/BatchNorm_0/mean", "batch_stats/BatchNorm_0/var",
                                         "params/BatchNorm_0/bias",      "params/BatchNorm_0/scale",
                                         "params/Dense_0/bias",          "params/Dense_0/kernel",
                                         "params/Dense_1/bias",          "params/Dense_1/kernel"};
  EXPECT_EQ(file.Restore(state).converted, half);
  ExpectGolden("half", state);
  Variables variables = MakeState(kMomentum, 6).variables;
  EXPECT_EQ(file.RestoreVariables(variables).converted, half);
  EXPECT_EQ(variables.at("params").at("Dense_0/kernel")[7], state.variables.at("params").at("Dense_0/kernel")[7]);
  const std::vector<std::byte> before = EncodeMsgpack(file.root());
  ExpectError([&] { file.Update(state); }, {"is float16: only float32 is updated"});
  EXPECT_EQ(EncodeMsgpack(file.root()), before);

  // An element that isn't finite by the time that it is float32.
  MsgpackValue root = file.root();
  const std::vector<double> huge = {1, 2, 1e39, 4, 5};
  *root.Find("params")->Find("Dense_0")->Find("bias") = MakeFlaxArray("float64", {5}, std::as_bytes(std::span(huge)));
  ExpectError([&] { FlaxCheckpoint("some.file", root).Restore(state); }, {"Dense_0/bias", "inf at element 2"});
}

TEST(FlaxCheckpointTest, NewDocumentsHaveTheBytesThatFlaxWritesAfterAJittedStep) {
  const testing::TempFolder folder;
  for (const auto& [name, optimizer] : {kCases[0], kCases[1]}) {
    TrainState state = MakeState(optimizer);
    FlaxCheckpoint::Read(GoldenPath(name)).Restore(state);
    MsgpackValue root = FlaxCheckpoint::Create(state, OptaxLayout(optimizer)).root();
    // The state of the golden script has one more field.
    std::get<MsgpackValue::Map>(root.data).push_back({"dynamic_scale", {nullptr}});
    WriteMsgpack(folder / name, root);
    EXPECT_EQ(ReadBytes(folder / name), ReadBytes(GoldenPath(name))) << name;
  }
}

TEST(FlaxCheckpointTest, NewDocumentsAreRead) {
  const testing::TempFolder folder;
  for (const OptimizerOptions& optimizer : {OptimizerOptions{.momentum = 0.0f}, kMomentum, kAdam, kAdamW}) {
    for (const bool schedule : {false, true}) {
      TrainState state = MakeState(optimizer);
      for (auto& [path, tensor] : state.opt_state) testing::FillNormal(tensor, 7);
      state.step = 41;
      FlaxLayout layout = OptaxLayout(optimizer);
      layout.schedule = schedule;
      layout.chunk_bytes = 50;
      FlaxCheckpoint::Create(state, layout).Write(folder / "checkpoint_41");
      TrainState restored = MakeState(optimizer, 9);
      const FlaxCheckpoint file = FlaxCheckpoint::Read(folder / "checkpoint_41");
      file.Restore(restored);
      EXPECT_EQ(restored.step, 41);
      for (const auto& [path, tensor] : state.opt_state) {
        EXPECT_EQ(std::memcmp(tensor.data(), restored.opt_state.at(path).data(), tensor.span().size_bytes()), 0);
      }
      const auto& kernel = restored.variables.at("params").at("Dense_0/kernel");
      EXPECT_EQ(std::memcmp(state.variables.at("params").at("Dense_0/kernel").data(), kernel.data(), 80), 0);
      EXPECT_TRUE(IsChunkedFlaxArray(*file.root().Find("params")->Find("Dense_0")->Find("kernel")));
    }
  }
}

TEST(FlaxCheckpointTest, ModulesAreSortedAsPythonSortsThem) {
  TrainState state;
  for (const char* path : {"a/kernel", "a-b/kernel", "B/kernel", "a/Kernel", "Block_10/x", "Block_2/x"}) {
    state.variables["params"].emplace(path, Tensor({1}, 1.0f));
  }
  const MsgpackValue root = FlaxCheckpoint::Create(state, {}).root();
  std::string names;
  for (const auto& [name, value] : std::get<MsgpackValue::Map>(root.Find("params")->data)) names += name.text() + " ";
  EXPECT_EQ(names, "B Block_10 Block_2 a a-b ");
}

TEST(FlaxCheckpointTest, VariablesAloneNeedNoOptimizer) {
  TrainState state = MakeState(kMomentum);
  Variables variables = MakeState(kMomentum, 6).variables;
  const FlaxSafetensors flat =
      FlaxToSafetensors(FlaxCheckpoint::Create(state, OptaxLayout(kMomentum)).root(), "memory");
  MsgpackValue root = FlaxFromSafetensors(flat.entries, flat.metadata, "memory");
  std::erase_if(std::get<MsgpackValue::Map>(root.data),
                [](const auto& member) { return member.first.text() == "opt_state"; });
  const FlaxCheckpoint file("memory", root);
  ExpectError([&] { file.Restore(state); }, {"memory", "opt_state"});
  file.RestoreVariables(variables);
  EXPECT_EQ(variables.at("params").at("Dense_1/kernel")[3], state.variables.at("params").at("Dense_1/kernel")[3]);
}

TEST(FlaxCheckpointTest, WhatDoesNotFitIsNamedAndNothingChanges) {
  const auto expect = [](const std::function<void(MsgpackValue&)>& change, TrainState& state,
                         std::initializer_list<std::string> texts) {
    MsgpackValue root = FlaxCheckpoint::Read(GoldenPath("adam")).root();
    change(root);
    const FlaxCheckpoint file("some.file", root);
    const Variables before = Clone(state.variables);
    ExpectError([&] { file.Restore(state); }, texts);
    EXPECT_EQ(state.step, 0);
    for (const auto& [path, tensor] : before.at("params")) {
      EXPECT_EQ(std::memcmp(tensor.data(), state.variables.at("params").at(path).data(), tensor.span().size_bytes()),
                0);
    }
  };
  const auto nothing = [](MsgpackValue&) {};
  TrainState good = MakeState(kAdam);
  TrainState other_optimizer = MakeState(kMomentum);
  expect(nothing, other_optimizer, {"some.file: byte", "opt_state/0/mu", "the optimizer keeps no mu"});
  TrainState other_shape = CreateTrainState(Mlp({.features = {6, 3}}), kAdam, KeyFromSeed(1), {1, 1, 4});
  expect(nothing, other_shape, {"some.file: byte", "has shape [5]"});
  TrainState missing = MakeState(kAdam);
  missing.variables.at("params").emplace("more/kernel", Tensor({2}, 0.0f));
  expect(nothing, missing, {"has no array \"params/more/kernel\""});
  TrainState extra = MakeState(kAdam);
  extra.variables.at("params").erase("Dense_0/bias");
  expect(nothing, extra, {"some.file: byte", "\"params/Dense_0/bias\" isn't one of the model's"});

  const auto leaf = [](MsgpackValue& root) -> MsgpackValue& {
    return *root.Find("params")->Find("BatchNorm_0")->Find("scale");
  };
  const auto array = [&](const std::string& dtype, const Shape& shape, const std::vector<float>& values) {
    return MakeFlaxArray(dtype, shape, std::as_bytes(std::span(values)));
  };
  const std::vector<float> five = {1, 2, 3, 4, 5};
  const std::vector<float> holed = {1, 2, NAN, 4, 5};
  expect([&](MsgpackValue& root) { leaf(root) = array("int32", {5}, five); }, good, {"scale", "is int32, not float32"});
  expect([&](MsgpackValue& root) { leaf(root) = array("float33", {5}, five); }, good, {"scale", "unknown dtype"});
  expect([&](MsgpackValue& root) { leaf(root) = array("float32", {6}, five); }, good, {"scale", "20 bytes"});
  expect([&](MsgpackValue& root) { leaf(root) = array("float32", {5}, holed); }, good, {"scale", "nan at element 2"});
  expect([&](MsgpackValue& root) { leaf(root) = {3.0}; }, good, {"scale", "isn't an array"});
  expect([&](MsgpackValue& root) { *root.Find("params") = {true}; }, good, {"params", "isn't a dictionary"});
  expect([&](MsgpackValue& root) { *root.Find("step") = {int64_t{-1}}; }, good, {"step", "whole number"});
  expect([&](MsgpackValue& root) { *root.Find("step") = {1.5}; }, good, {"step", "whole number"});
  expect([&](MsgpackValue& root) { *root.Find("step") = {int64_t{3}}; }, good,
         {"opt_state/0/count", "is 2, the step is 3"});
  expect([&](MsgpackValue& root) { *root.Find("opt_state") = {MsgpackValue::Map()}; }, good, {"opt_state", "mu"});
  expect([&](MsgpackValue& root) { *root.Find("opt_state")->Find("0")->Find("mu") = {true}; }, good,
         {"opt_state/0/mu", "isn't a dictionary"});
  expect([&](MsgpackValue& root) { *root.Find("step") = array("int32", {2}, five); }, good, {"step", "20 bytes"});
  expect([&](MsgpackValue& root) { *root.Find("step") = array("int32", {5}, five); }, good, {"step", "whole number"});
  expect([&](MsgpackValue& root) { *root.Find("step") = array("float32", {}, {1}); }, good, {"step", "whole number"});
  const auto remove = [](MsgpackValue& map, const std::string& key) {
    std::erase_if(std::get<MsgpackValue::Map>(map.data), [&](const auto& member) { return member.first == key; });
  };
  for (const char* key : {"step", "params", "opt_state"}) {
    expect([&](MsgpackValue& root) { remove(root, key); }, good, {StrCat("has no \"", key, '"')});
  }
  expect([&](MsgpackValue& root) { remove(*root.Find("opt_state")->Find("0")->Find("nu"), "Dense_0"); }, good,
         {"has no array \"opt_state/0/nu/Dense_0/bias\""});
  FlaxCheckpoint::Read(GoldenPath("adam")).Restore(good);

  // A step that the document's int32 can't hold.
  FlaxCheckpoint file = FlaxCheckpoint::Read(GoldenPath("adam"));
  good.step = int64_t{1} << 31;
  EXPECT_THROW(file.Update(good), std::invalid_argument);
  EXPECT_EQ(file.step(), 2);
}

TEST(FlaxCheckpointTest, WhatHasNoDocumentIsRefused) {
  FlaxState state;
  state.variables["params"].emplace("a", Tensor({1}, 1.0f));
  state.step = int64_t{1} << 31;
  ExpectError<std::invalid_argument>([&] { FlaxCheckpoint::Create(state, {}); }, {"step 2147483648 is above"});
  state.step = 0;
  state.variables["params"].emplace("a/kernel", Tensor({1}, 1.0f));
  ExpectError<std::invalid_argument>([&] { FlaxCheckpoint::Create(state, {}); }, {"is both an array and a module"});
  ExpectError([&] { FlaxCheckpoint::Parse("some.file", SharedBytes::Own(EncodeMsgpack({MsgpackValue::Array()}))); },
              {"some.file: byte 0: isn't a dictionary"});
}

TEST(FlaxCheckpointTest, EveryTruncationAndEveryChangedByteIsAnErrorOrAState) {
  const testing::TempFolder folder;
  const Bytes whole = ReadBytes(GoldenPath("momentum_chunked"));
  const auto read = [&](const Bytes& bytes) {
    TrainState state = MakeState(kMomentum);
    FlaxCheckpoint::Read(folder.Write("changed", bytes)).Restore(state);
  };
  for (size_t size = 0; size < whole.size(); size += 7) {
    EXPECT_THROW(read(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))), std::runtime_error)
        << size;
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    Bytes changed = whole;
    changed[i] ^= 0xff;
    try {
      read(changed);
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find("changed"), std::string::npos) << error.what();
    }
  }
}

TEST(FlaxCheckpointTest, AFolderGivesItsNewestCheckpoint) {
  const testing::TempFolder folder;
  ExpectError([&] { FlaxCheckpoint::Read(folder.path()); }, {folder.path(), "is a folder", "checkpoint_<n>"});
  for (const char* name :
       {"checkpoint_9", "checkpoint_10", "checkpoint_2", "checkpoint_tmp", "checkpoint_11x", "other_99"}) {
    folder.Write(name, ReadBytes(GoldenPath("adam")));
  }
  EXPECT_EQ(FlaxCheckpoint::Read(folder.path()).path(), folder / "checkpoint_10");
  folder.Write("checkpoint_12/_METADATA", {});
  ExpectError([&] { FlaxCheckpoint::Read(folder.path()); }, {"checkpoint_12", "Orbax"});
}

}  // namespace
}  // namespace hwynn
