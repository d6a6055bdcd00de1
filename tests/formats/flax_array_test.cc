// Arrays as Flax packs them into MessagePack, whole and in chunks.

#include "hwynn/formats/flax_array.h"

#include <gtest/gtest.h>

#include <functional>

#include "hwynn/formats/flax_checkpoint.h"
#include "hwynn/formats/msgpack.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

TEST(FlaxArrayTest, DamagedChunksAreErrors) {
  const auto expect = [](const std::function<void(MsgpackValue&)>& change, const std::string& text) {
    FlaxCheckpoint file = FlaxCheckpoint::Read(HWYNN_GOLDEN_DIR "/flax_momentum_chunked.msgpack");
    MsgpackValue root = file.root();
    MsgpackValue& kernel = *root.Find("params")->Find("Dense_0")->Find("kernel");
    ASSERT_TRUE(IsChunkedFlaxArray(kernel));
    change(kernel);
    ExpectError([&] { ReadFlaxArray(kernel, "some.file", "a/kernel"); }, {"some.file: byte", "\"a/kernel\"", text});
  };
  const auto chunks = [](MsgpackValue& kernel) -> MsgpackValue::Map& {
    return std::get<MsgpackValue::Map>(kernel.Find("chunks")->data);
  };
  const float one = 1;
  const auto bytes = std::as_bytes(std::span(&one, 1));
  expect([&](MsgpackValue& kernel) { chunks(kernel).pop_back(); }, "bytes, which are not a float32 array of [4,5]");
  expect([&](MsgpackValue& kernel) { chunks(kernel)[1].first = "2"; }, "item \"2\" in a list of 2");
  expect([&](MsgpackValue& kernel) { chunks(kernel)[1].first = "01"; }, "item \"01\"");
  expect([&](MsgpackValue& kernel) { chunks(kernel)[1].second = {true}; }, "isn't an array");
  expect([&](MsgpackValue& kernel) { chunks(kernel)[1].second = MakeFlaxArray("int32", {1}, bytes); },
         "a chunk of int32");
  expect([&](MsgpackValue& kernel) { chunks(kernel)[1].second = MakeFlaxArray("float32", {1, 1}, bytes); }, "[1,1]");
  expect([&](MsgpackValue& kernel) { *kernel.Find("shape") = {false}; }, "where a list should be");
  expect([&](MsgpackValue& kernel) { *kernel.Find("shape")->Find("0") = {int64_t{1} << 62}; }, "shape out of range");
  expect([&](MsgpackValue& kernel) { *kernel.Find("shape")->Find("0") = {int64_t{-4}}; }, "isn't a size");
  expect(
      [&](MsgpackValue& kernel) {
        std::get<MsgpackValue::Map>(kernel.data).erase(std::get<MsgpackValue::Map>(kernel.data).begin() + 1);
      },
      "without shape or chunks");
}

TEST(FlaxArrayTest, APayloadIsShapeDtypeAndBytes) {
  const float one = 1;
  const SharedBytes bytes{std::as_bytes(std::span(&one, 1))};
  const MsgpackValue shape{MsgpackValue::Array{{int64_t{1}}}};
  const MsgpackValue data{MsgpackValue::Binary{bytes}};
  const auto read = [](MsgpackValue::Array payload) {
    const MsgpackValue value{MsgpackValue::Extension{1, SharedBytes::Own(EncodeMsgpack({std::move(payload)}))}};
    return ReadFlaxArray(value, "some.file", "a/kernel");
  };
  EXPECT_EQ(read({shape, {std::string("float32")}, data}).shape, Shape{1});
  const SharedBytes name{std::as_bytes(std::span("float32", 7))};
  EXPECT_EQ(read({shape, {MsgpackValue::Binary{name}}, data}).dtype, "float32");  // as Flax may read it
  const auto expect = [&](MsgpackValue::Array payload, const std::string& text) {
    ExpectError([&] { read(payload); }, {"some.file: byte", "\"a/kernel\"", text});
  };
  expect({shape, {std::string("float32")}}, "isn't an array of shape, dtype and bytes");
  expect({shape, {std::string("float32")}, data, data}, "isn't an array of shape, dtype and bytes");
  expect({shape, {int64_t{7}}, data}, "has a dtype that isn't a name");
  expect({shape, {std::string("float32")}, {std::string("text")}}, "has no bytes");
  expect({{std::string("1")}, {std::string("float32")}, data}, "where a list should be");
  const MsgpackValue no_array{MsgpackValue::Extension{1, SharedBytes::Own(EncodeMsgpack(data))}};
  ExpectError([&] { ReadFlaxArray(no_array, "some.file", "a"); }, {"isn't an array of shape, dtype and bytes"});
}

}  // namespace
}  // namespace hwynn
