#include "hwynn/formats/container.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hwynn/formats/flax_checkpoint.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using namespace std::literals;
using testing::Bytes;
using testing::ExpectError;
using testing::TempFolder;

Bytes BytesOf(std::string_view text) { return {text.begin(), text.end()}; }

Container Recognise(std::string_view text) { return RecogniseFile(std::as_bytes(std::span(text))); }

// The first local header of a zip archive.
std::string Zip(const std::string& name) {
  std::string head = "PK\3\4"s + std::string(22, '\0');
  head += static_cast<char>(name.size());
  return head + std::string(3, '\0') + name + "content";
}

std::string Tar() {
  std::string head(512, '\0');
  return head.replace(0, 5, "a.txt").replace(257, 5, "ustar");
}

struct Example {
  Container container;
  std::string bytes;
  std::string text;  // of the sentence
};

const std::vector<Example>& Foreign() {
  static const std::vector<Example> examples = {
      {Container::kEmpty, "", "is an empty file; copy or download"},
      {Container::kGitLfsPointer, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"},
      {Container::kWebPage, "<!DOCTYPE html>", "is a web page"},
      {Container::kWebPage, "\xef\xbb\xbf \n<HTML lang=\"en\"><head>", "is a web page"},
      {Container::kXml, "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "is XML"},
      {Container::kXml, "<Error>", "is XML"},
      {Container::kJson, "{\"metadata\": {\"total_size\": 9}, \"weight_map\": {}}", "is JSON text"},
      {Container::kJson, " [1, 2]", "is JSON text"},
      {Container::kText, "Entry not found", "is text"},
      {Container::kPyTorch, Zip("archive/data.pkl"), "safetensors.torch.save_file"},
      {Container::kPyTorch, Zip("resnet18/version"), "safetensors.torch.save_file"},
      {Container::kPyTorch, Zip("scripted/code/__torch__.py"), "safetensors.torch.save_file"},
      {Container::kPickle,
       "\x80\x02\x8a\x0al\xfc\x9c"
       "F\xf9 j\xa8P\x19.",
       "is a Python pickle"},
      {Container::kPickle, "\x80\x04\x95\x0f\0\0\0\0\0\0\0}"s, "is a Python pickle"},
      {Container::kNpz, Zip("arr_0.npy"), "numpy.load"},
      {Container::kZip, "PK\3\4zip", "is a zip archive"},
      {Container::kZip, Zip("readme"), "is a zip archive"},
      {Container::kZip, "PK\5\6"s + std::string(18, '\0'), "is a zip archive"},
      {Container::kNpy, "\x93NUMPY\1\0v\0{'descr': '<f4'"s, "NumPy's .npy"},
      {Container::kGzip, "\x1f\x8b\x08\0\0\0\0\0\0\3"s, "gunzip"},
      {Container::kXz,
       "\xfd"
       "7zXZ\0"s,
       "unxz"},
      {Container::kZstd, "\x28\xb5\x2f\xfd\x04"s, "unzstd"},
      {Container::kBzip2, "BZh91AY&SY", "bunzip2"},
      {Container::kTar, Tar(), "tar -xf"},
      {Container::kOnnx,
       "\x08\x07\x12\x07pytorch\x1a\x05"
       "2.0.1",
       "is an ONNX model"},
      {Container::kOnnx, "\x08\x03:\x8a\x01\n", "is an ONNX model"},
      {Container::kGguf, "GGUF\3\0\0\0"s, "is a GGUF model"},
      {Container::kHdf5, "\x89HDF\r\n\x1a\n\0"s, "is HDF5"},
      {Container::kTfLite, "\x1c\0\0\0TFL3"s, "TensorFlow Lite"},
      {Container::kPng, "\x89PNG\r\n\x1a\n", "is a PNG picture"},
      {Container::kJpeg, "\xff\xd8\xff\xe0\0\x10JFIF"s, "is a JPEG picture"},
  };
  return examples;
}

TEST(ContainerTest, FilesAreRecognisedByTheirBytes) {
  for (const auto& [container, bytes, text] : Foreign()) {
    EXPECT_EQ(Recognise(bytes), container) << text << ": " << bytes.substr(0, 20);
  }
}

TEST(ContainerTest, AFileMayEndAtAnyByte) {
  for (const Example& example : Foreign()) {
    for (size_t size = 0; size < example.bytes.size(); ++size) {
      EXPECT_NO_THROW(Recognise(std::string_view(example.bytes).substr(0, size))) << example.text << ", byte " << size;
    }
  }
}

TEST(ContainerTest, EveryReaderSaysWhatAFileIs) {
  const TempFolder folder;
  for (const auto& [container, bytes, text] : Foreign()) {
    const std::string path = folder.Write("file", BytesOf(bytes));
    ExpectError([&] { SafetensorsFile file(path); }, {path + ": is ", text});
    ExpectError([&] { FlaxCheckpoint::Read(path); }, {path + ": is ", text});
  }
  const std::string msgpack = folder.Write("file", BytesOf("\x81\xa1"
                                                           "a\x01"));
  ExpectError([&] { SafetensorsFile file(msgpack); }, {msgpack + ": is MessagePack", "hwynn convert"});
  const std::string safetensors = folder.Write("file", BytesOf("\2\0\0\0\0\0\0\0{}"s));
  ExpectError([&] { FlaxCheckpoint::Read(safetensors); }, {safetensors + ": is a safetensors file", "hwynn convert"});
}

TEST(ContainerTest, WhatHwynnReadsIsWhatItIs) {
  // The length of a header may be what another format begins with: gzip, a pickle, ONNX, MessagePack.
  for (const auto& length : {"\2\0\0\0"s, "\x1f\x8b\x08\0"s, "\x80\x02\x95\0"s, "\x08\x07\x12\0"s,
                             "\x81\xa1"
                             "a\0"s}) {
    EXPECT_EQ(Recognise(length + "\0\0\0\0{\"a\":"s), Container::kSafetensors);
    EXPECT_EQ(Recognise(length + "\0\0\0\0 \n{\"a\":"s), Container::kSafetensors);
  }
  for (const auto& document : {"\x80"s, "\x81\xa6params\x80"s, "\xde\0\x10\xa1x\x01"s, "\xdf\0\0\0\1\xa1x\x01"s,
                               "\x81\xd9\2abc"s, "\x82\0\x81\xa1x\x01"s, "\x81\0\xc7\x15\x01"s}) {
    EXPECT_EQ(Recognise(document), Container::kMsgpack);
  }
  // Damaged, and for their readers to say where; or nothing that anyone knows.
  for (const auto& other : {"\0"s, "\1\2\3\4\5\6\7"s, "\2\0\0\0\0\0\0\0[]"s, "\x81\xa1"s, "\x81\xa1\x01\x01"s,
                            "\x81\1\1"s, "\x80\x80"s, "\x93\1\2\3"s, "\xff\xff\xff\xff"s, "text"s, "\xc1"s}) {
    EXPECT_EQ(Recognise(other), Container::kUnknown) << BytesOf(other).size();
  }
}

TEST(ContainerTest, FoldersSayWhatTheyAre) {
  const TempFolder folder;
  const auto expect = [&](const std::string& name, const std::string& text) {
    const std::string path = folder / name;
    ExpectError([&] { SafetensorsFile file(path); }, {path + ": is a folder", text});
    ExpectError([&] { FlaxCheckpoint::Read(path); }, {path + ": is a folder", text});
  };
  for (const char* file : {"_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "_sharding", "array_metadatas/x",
                           "ocdbt.process_0/manifest.ocdbt"}) {
    const TempFolder step;
    step.Write(file, BytesOf("{}"));
    step.Write("d/0", BytesOf("x"));
    ExpectError([&] { SafetensorsFile opened(step.path()); }, {step.path(), "Orbax, one checkpoint", "to_bytes"});
    ExpectError([&] { FlaxCheckpoint::Read(step.path()); }, {step.path(), "Orbax, one checkpoint", "to_bytes"});
  }
  folder.Write("steps/100/_CHECKPOINT_METADATA", BytesOf("{}"));
  expect("steps", "Orbax's checkpoints (100)");
  folder.Write("hub/model.safetensors", BytesOf("x"));
  expect("hub", "name a file in it, as model.safetensors");
  folder.Write("other/file", BytesOf("x"));
  expect("other", "not a file");
  folder.Write("saved/saved_model.pb", BytesOf("x"));
  ExpectError([&] { SafetensorsFile file(folder / "saved"); }, {"TensorFlow SavedModel"});
}

}  // namespace
}  // namespace hwynn
