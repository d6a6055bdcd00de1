#include "hwynn/inference/program/model_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hwynn/formats/checksum.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/inference/inference_model.h"
#include "hwynn/kernels/target.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/flatten.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/relu.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/models/resnet.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::Normals;
using testing::ReadBytes;
using testing::TempFolder;
using Json = nlohmann::ordered_json;

bool SameOutput(const InferenceModel& a, const InferenceModel& b, ConstTensorView input) {
  InferenceContext context_a(a);
  InferenceContext context_b(b);
  const ConstTensorView x = context_a.Run(input);
  const ConstTensorView y = context_b.Run(input);
  return x.shape() == y.shape() && std::memcmp(x.data(), y.data(), x.span().size_bytes()) == 0;
}

// Every kind of step, and what each can hold.
Sequential EveryKind() {
  Sequential network;
  network.Add(BatchNorm({.relu = true}))
      .Add(MaxPool({.window = {2, 2}, .padding = Padding::Same(), .ceil_mode = true}));
  network.Add(Conv({.features = 6,
                    .kernel_size = {3, 2},
                    .stride = {2, 1},
                    .padding = Padding::Explicit(1, 0, 2, 1),
                    .dilation = {1, 2},
                    .groups = 3,
                    .precision = Precision::kHighest}));
  network.Add(BatchNorm()).Add(Relu({.upper = 0.75f})).Add(Relu({.upper = 0.5f}));
  network.Add(ResNetBlock({.filters = 8})).Add(BottleneckResNetBlock({.filters = 2}));
  network.Add(AveragePool({.window = {2, 3}, .padding = Padding::Symmetric(1), .count_include_pad = false}));
  network.Add(Flatten()).Add(Dense({.features = 5}));
  return network;
}

InferenceModel Small() {
  const Sequential network = EveryKind();
  return InferenceModel(network, Init(network, KeyFromSeed(3), {1, 9, 8, 3}),
                        {.image_shape = {9, 8, 3},
                         .class_names = {"a", "b", "naïve", "d", "e"},
                         .standardization = {{0.1f, 0.2f, 0.3f}, {1.0f, 2.0f, 0.1f}}});
}

TEST(ModelFileTest, GivesBackWhatWasSaved) {
  const TempFolder folder;
  const InferenceModel model = Small();
  EXPECT_FALSE(InferenceModel::IsModelFile(folder / "model"));
  model.Save(folder / "model");
  EXPECT_TRUE(InferenceModel::IsModelFile(folder / "model"));
  const InferenceModel loaded = InferenceModel::Load(folder / "model");
  EXPECT_EQ(loaded.Describe(), model.Describe());
  EXPECT_EQ(loaded.info().image_shape, model.info().image_shape);
  EXPECT_EQ(loaded.info().class_names, model.info().class_names);
  EXPECT_EQ(loaded.info().standardization, model.info().standardization);
  EXPECT_EQ(loaded.weight_bytes(), model.weight_bytes());
  EXPECT_TRUE(SameOutput(loaded, model, Normals({2, 9, 8, 3}, 1)));
  EXPECT_TRUE(SameOutput(loaded, model, Normals({1, 9, 8, 3}, 2)));
  // The same bytes again.
  loaded.Save(folder / "again");
  EXPECT_EQ(ReadBytes(folder / "again"), ReadBytes(folder / "model"));
}

TEST(ModelFileTest, HoldsTheEvaluationTransform) {
  const TempFolder folder;
  const ResNet network({.stage_sizes = {1}, .num_filters = 8, .num_classes = 3});
  const auto variables = Init(network, KeyFromSeed(3), {1, 32, 32, 3});
  const EvaluationTransform transform = {.image_size = 32, .resize = 36, .interpolation = Interpolation::kBicubic};
  InferenceModel(network, variables, {.image_shape = {32, 32, 3}, .transform = transform}).Save(folder / "model");
  EXPECT_EQ(InferenceModel::Load(folder / "model").info().transform, transform);
  // Without one nothing is written: such files have the bytes that they had before there were transforms.
  InferenceModel(network, variables, {.image_shape = {32, 32, 3}}).Save(folder / "none");
  EXPECT_EQ(InferenceModel::Load(folder / "none").info().transform, EvaluationTransform());
  const std::vector<uint8_t> bytes = ReadBytes(folder / "none");
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()).find("transform"), std::string::npos);
  EXPECT_THROW(InferenceModel(network, variables, {.image_shape = {33, 32, 3}, .transform = transform}),
               std::invalid_argument);
}

TEST(ModelFileTest, PackedFiltersAreTakenOverWhereTheyFit) {
  const TempFolder folder;
  const ResNet network({.stage_sizes = {1, 1}, .num_filters = 64, .num_classes = 3});
  const InferenceModel model(network, Init(network, KeyFromSeed(3), {1, 64, 64, 3}));
  const Shape shape{1, 64, 64, 3};
  model.Save(folder / "plain");
  model.Save(folder / "packed", shape);
  const InferenceModel plain = InferenceModel::Load(folder / "plain");
  const InferenceModel packed = InferenceModel::Load(folder / "packed");
  EXPECT_EQ(plain.packed_bytes(), 0);
  EXPECT_EQ(packed.packed_bytes(), model.packed_bytes());
  EXPECT_TRUE(SameOutput(packed, plain, Normals(shape, 1)));
  EXPECT_EQ(packed.packed_bytes(), plain.packed_bytes());
  // Other shapes and targets work too.
  EXPECT_TRUE(SameOutput(packed, plain, Normals({3, 40, 50, 3}, 1)));
  if (SupportedTargets().size() > 1) {
    SetTarget(SupportedTargets()[1]);
    EXPECT_EQ(InferenceModel::Load(folder / "packed").packed_bytes(), 0);
    EXPECT_TRUE(SameOutput(packed, plain, Normals(shape, 1)));
    SetTarget("");
  }
  // Packed in another way than the library does: not used.
  const SafetensorsFile file(folder / "packed");
  SafetensorsMetadata metadata = file.metadata();
  const Json program = Json::parse(metadata["program"]);
  const auto bytes = file.Entry("weights").bytes;
  std::vector<float> weights(bytes.size() / sizeof(float));
  std::memcpy(weights.data(), bytes.data(), bytes.size());
  for (const Json& step : program["steps"]) {
    if (step.contains("packed")) weights[step["packed"]["floats"]["offset"].get<size_t>() + 3] += 1.0f;
  }
  metadata["checksum"] = ProgramChecksum(std::as_bytes(std::span(weights)), metadata["program"]);
  WriteSafetensors(folder / "other",
                   {{"weights", {"F32", file.Entry("weights").shape, std::as_bytes(std::span(weights))}}}, metadata,
                   64);
  const InferenceModel other = InferenceModel::Load(folder / "other");
  EXPECT_EQ(other.packed_bytes(), 0);
  EXPECT_TRUE(SameOutput(other, plain, Normals(shape, 1)));
}

TEST(ModelFileTest, AnEmptyInfoStaysEmpty) {
  const TempFolder folder;
  const ResNet network({.stage_sizes = {1}, .num_filters = 4, .num_classes = 3});
  const InferenceModel model(network, Init(network, KeyFromSeed(3), {1, 16, 16, 1}));
  model.Save(folder / "model");
  const InferenceModel loaded = InferenceModel::Load(folder / "model");
  EXPECT_TRUE(loaded.info().class_names.empty());
  EXPECT_EQ(loaded.info().image_shape, Shape({0, 0, 0}));
  EXPECT_TRUE(SameOutput(loaded, model, Normals({1, 20, 20, 1}, 1)));
}

TEST(ModelFileTest, AChangedByteIsFound) {
  const TempFolder folder;
  Small().Save(folder / "model");
  const Bytes bytes = ReadBytes(folder / "model");
  for (size_t i = 0; i < bytes.size(); i += 97) {
    Bytes changed = bytes;
    changed[i] ^= 0x10;
    const std::string path = folder.Write("changed", changed);
    EXPECT_THROW(InferenceModel::Load(path), std::runtime_error) << "byte " << i;
  }
  for (const size_t size : {size_t{0}, size_t{7}, bytes.size() / 2, bytes.size() - 1}) {
    const std::string path = folder.Write("short", Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)));
    EXPECT_THROW(InferenceModel::Load(path), std::runtime_error) << size << " bytes";
  }
}

TEST(ModelFileTest, OtherFilesAreRefusedByName) {
  const TempFolder folder;
  ExpectError([&] { InferenceModel::Load(folder / "nothing"); }, {"nothing", "No such file"});
  ExpectError([&] { InferenceModel::Load(folder.path()); }, {"not a regular file"});
  const Tensor array = Normals({3}, 1);
  WriteSafetensors(folder / "checkpoint", {{"x", {"F32", array.shape(), std::as_bytes(array.span())}}}, {});
  EXPECT_FALSE(InferenceModel::IsModelFile(folder / "checkpoint"));
  ExpectError([&] { InferenceModel::Load(folder / "checkpoint"); }, {"isn't a compiled model", "hwynn compile"});
}

// A file with a changed program, and the checksum that belongs to it.
class HostileFile {
 public:
  HostileFile() {
    Small().Save(folder_ / "model");
    const SafetensorsFile file(folder_ / "model");
    metadata_ = file.metadata();
    const auto bytes = file.Entry("weights").bytes;
    weights_.resize(bytes.size() / sizeof(float));
    std::memcpy(weights_.data(), bytes.data(), bytes.size());
  }

  std::string Write(const std::function<void(Json&)>& change) {
    Json program = Json::parse(metadata_.at("program"));
    change(program);
    SafetensorsMetadata metadata = metadata_;
    metadata["program"] = program.dump();
    const auto bytes = std::as_bytes(std::span(weights_));
    metadata["checksum"] = ProgramChecksum(bytes, metadata["program"]);
    WriteSafetensors(folder_ / "hostile", {{"weights", {"F32", Shape{static_cast<int64_t>(weights_.size())}, bytes}}},
                     metadata, 64);
    return folder_ / "hostile";
  }
  std::vector<float>& weights() { return weights_; }

 private:
  TempFolder folder_;
  SafetensorsMetadata metadata_;
  std::vector<float> weights_;
};

// The index of the first step of a kind.
size_t StepOf(const Json& program, const std::string& kind) {
  size_t i = 0;
  while (program["steps"][i]["kind"] != kind) ++i;
  return i;
}

TEST(ModelFileTest, ProgramsThatMakeNoSenseAreRefused) {
  HostileFile file;
  EXPECT_NO_THROW(InferenceModel::Load(file.Write([](Json&) {})));
  const auto change_conv = [&](const std::string& field, const Json& value) {
    return file.Write([&](Json& program) { program["steps"][StepOf(program, "conv2d")][field] = value; });
  };
  const auto expect_error = [](const std::string& path, const std::string& text) {
    ExpectError([&] { InferenceModel::Load(path); }, {text});
  };
  expect_error(change_conv("kind", "execute"), "unknown kind \"execute\"");
  expect_error(change_conv("kind", 3), "unknown kind 3");
  expect_error(change_conv("input", 99), "\"input\" is 99");
  expect_error(change_conv("input", -1), "\"input\" is -1");
  expect_error(change_conv("input", 0.5), "not a whole number");
  expect_error(change_conv("addend", 77), "\"addend\" is 77");
  expect_error(change_conv("stride", Json::array({0, 1})), "\"stride\" is 0");
  expect_error(change_conv("stride", Json::array({1})), "not a pair");
  expect_error(change_conv("dilation", Json::array({1, 1 << 20})), "\"dilation\" is 1048576");
  expect_error(change_conv("groups", 0), "\"groups\" is 0");
  expect_error(change_conv("padding", "full"), "\"padding\" is neither");
  expect_error(change_conv("padding", Json::array({1, 2, 3})), "3 numbers");
  expect_error(change_conv("relu", "yes"), "neither true nor false");
  expect_error(change_conv("upper", -1), "\"upper\"");
  const auto filter = [](int64_t offset, const Json& shape) { return Json{{"offset", offset}, {"shape", shape}}; };
  expect_error(change_conv("filter", filter(0, Json::array({3, 2, 1}))), "not of rank 4");
  expect_error(change_conv("filter", filter(0, Json::array({3, 2, 1, 1 << 20}))), "\"filter\" is 1048576");
  expect_error(change_conv("filter", filter(0, Json::array({300, 300, 300, 300}))), "larger than the file");
  expect_error(change_conv("filter", filter(1, Json::array({3, 2, 1, 6}))), "not aligned");
  expect_error(change_conv("filter", filter(1 << 30, Json::array({3, 2, 1, 6}))), "\"filter\" is 1073741824");
  expect_error(change_conv("bias", filter(0, Json::array({5}))), "5 elements instead of 6");
  expect_error(file.Write([](Json& program) { program["output"] = 1000; }), "\"output\" is 1000");
  expect_error(file.Write([](Json& program) { program["steps"] = 3; }), "no list of steps");
  expect_error(file.Write([](Json& program) { program.erase("mean"); }), "mean");
  expect_error(file.Write([](Json& program) { program["stddev"][1] = 0; }), "standard deviation");
  expect_error(file.Write([](Json& program) { program["image_shape"] = Json::array({-1, 2, 3}); }), "-1");
  expect_error(file.Write([](Json& program) { program["transform"] = 7; }), "\"transform\" is not a string");
  expect_error(file.Write([](Json& program) { program["transform"] = "{}"; }), "EvaluationTransform");
  expect_error(file.Write([](Json& program) { program["transform"] = ToText(PhotographTransform(224)); }),
               "those of the transform 224 pixels wide");
  // One array for many steps: what is packed of it would fill the memory.
  expect_error(file.Write([](Json& program) {
    const Json step = program["steps"][StepOf(program, "conv2d")];
    for (int i = 0; i < 10'000; ++i) program["steps"].push_back(step);
  }),
               "larger than \"weights\"");
  file.weights()[5] = std::numeric_limits<float>::quiet_NaN();
  expect_error(file.Write([](Json&) {}), "holds nan at element 5");
}

// What only an input's shape shows.
TEST(ModelFileTest, ShapesThatDoNotFitAreRefusedInTheCall) {
  HostileFile file;
  const auto run = [&](const std::function<void(Json&)>& change) {
    InferenceContext context(InferenceModel::Load(file.Write(change)));
    context.Run(Normals({1, 9, 8, 3}, 1));
  };
  EXPECT_NO_THROW(run([](Json&) {}));
  const auto padded = [](Json& program) {
    program["steps"][StepOf(program, "conv2d")]["padding"] = Json::array({65536, 65536, 65536, 65536});
  };
  ExpectError<std::invalid_argument>([&] { run(padded); }, {"more than such a network can need"});
  const auto other_groups = [](Json& program) { program["steps"][StepOf(program, "conv2d")]["groups"] = 2; };
  EXPECT_THROW(run(other_groups), std::invalid_argument);
  const auto adds_another_shape = [](Json& program) { program["steps"].back()["addend"] = 0; };
  EXPECT_THROW(run(adds_another_shape), std::invalid_argument);
}

class Own final : public Module {
 public:
  std::string_view TypeName() const override { return "Own"; }
  Shape Init(InitScope, const Shape& input) const override { return input; }
  Activation Forward(const Scope&, Activation input) const override { return input; }
  Tensor Backward(const Scope&, Tensor grad) const override { return grad; }
};

TEST(ModelFileTest, AModuleOfAUsersOwnIsInNoFile) {
  const TempFolder folder;
  Sequential network;
  network.Add(Conv({.features = 2})).Add("mine", Own());
  const Variables variables = Init(network, KeyFromSeed(1), {1, 4, 4, 1});
  const InferenceModel model(network, variables);
  ExpectError<std::invalid_argument>([&] { model.Save(folder / "model"); }, {"\"/mine\""});
  EXPECT_EQ(folder.CountFiles(), 0);
}

}  // namespace
}  // namespace hwynn
