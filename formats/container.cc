#include "hwynn/formats/container.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>

#include "hwynn/core/check.h"
#include "hwynn/formats/file_io.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using namespace std::literals;

// The first bytes, as characters.
using Head = std::string_view;

uint8_t Byte(Head head, size_t i) { return i < head.size() ? static_cast<uint8_t>(head[i]) : 0; }

// Whether `text` stands at byte `at`; not where the file ends before it.
bool HasAt(Head head, size_t at, std::string_view text) {
  return head.size() >= at && head.substr(at).starts_with(text);
}

Head WithoutSpace(Head head) {
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);  // a byte-order mark
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  return head;
}

bool StartsWithText(Head head, std::string_view lower_case) {
  return head.size() >= lower_case.size() && std::ranges::equal(head.substr(0, lower_case.size()), lower_case, {},
                                                                [](unsigned char c) { return std::tolower(c); });
}

bool IsPrintable(Head head) {
  return std::ranges::all_of(
      head, [](unsigned char c) { return c >= 0x80 || (c >= ' ' && c < 0x7f) || c == '\n' || c == '\r' || c == '\t'; });
}

// A header's length below 2²⁴, then an object.
bool IsSafetensors(Head head) {
  return head.size() > 8 && head.substr(4, 4) == "\0\0\0\0"sv && WithoutSpace(head.substr(8)).starts_with('{');
}

// A map that isn't empty, with a text as its first key or, in NNX's lists, a small number with a map or an array.
bool IsMsgpack(Head head) {
  const uint8_t first = Byte(head, 0);
  size_t key = 0;
  if (first > 0x80 && first <= 0x8f) key = 1;
  if (first == 0xde) key = 3;
  if (first == 0xdf) key = 5;
  if (key == 0) return head == "\x80"sv;
  const uint8_t kind = Byte(head, key);
  if (kind <= 0x7f) {
    const uint8_t value = Byte(head, key + 1);
    return head.size() > key + 1 && ((value >= 0x80 && value <= 0x8f) || (value >= 0xc7 && value <= 0xc9));
  }
  const bool is_short = kind > 0xa0 && kind <= 0xbf;
  if (!is_short && kind != 0xd9) return false;
  const size_t begin = key + (is_short ? 1 : 2);
  const size_t length = is_short ? kind & 0x1f : Byte(head, key + 1);
  return begin + length <= head.size() && IsPrintable(head.substr(begin, length));
}

// Of the archive's first file.
Head NameInZip(Head head) {
  constexpr size_t kLength = 26, kName = 30;
  if (head.size() < kName) return {};
  const size_t length = Byte(head, kLength) + 256 * size_t{Byte(head, kLength + 1)};
  return head.substr(kName, length);
}

bool IsZip(Head head) { return head.starts_with("PK\3\4"sv) || head.starts_with("PK\5\6"sv); }

bool IsPyTorch(Head head) {
  const Head name = NameInZip(head);
  const Head file = name.substr(name.find('/') + 1);
  constexpr std::array kFiles = {"data.pkl"sv, "version"sv, "byteorder"sv, ".format_version"sv, "constants.pkl"sv};
  return IsZip(head) && (std::ranges::find(kFiles, file) != kFiles.end() || file.starts_with("code/"));
}

// A protocol of 2 to 5, then an opcode that a pickle begins with: a frame, a dictionary or tuple, torch.save's number,
// a class by name.
bool IsPickle(Head head) {
  constexpr auto kOpcodes =
      "\x95}](\x8a"
      "c"sv;
  return Byte(head, 0) == 0x80 && Byte(head, 1) >= 2 && Byte(head, 1) <= 5 && head.size() > 2 &&
         kOpcodes.find(head[2]) != kOpcodes.npos;
}

// protobuf: field 1, the IR version, then a text that says who wrote it, or the graph.
bool IsOnnx(Head head) {
  constexpr auto kFields = "\x12\x1a\x22\x28\x32\x3a\x42"sv;
  return Byte(head, 0) == 0x08 && Byte(head, 1) >= 1 && Byte(head, 1) <= 32 && head.size() > 4 &&
         kFields.find(head[2]) != kFields.npos;
}

bool IsGguf(Head head) {
  constexpr std::array kMagics = {"GGUF"sv, "ggjt"sv, "tjgg"sv, "ggmf"sv, "fmgg"sv, "lmgg"sv};
  return std::ranges::any_of(kMagics, [&](auto magic) { return head.starts_with(magic); });
}

bool IsWebPage(Head head) {
  const Head text = WithoutSpace(head);
  return StartsWithText(text, "<!doctype html") || StartsWithText(text, "<html") || StartsWithText(text, "<head");
}

bool IsXml(Head head) {
  const Head text = WithoutSpace(head);
  return text.size() > 1 && text[0] == '<' && (text[1] == '?' || std::isalpha(Byte(text, 1)) != 0) && IsPrintable(text);
}

bool IsJson(Head head) {
  const Head text = WithoutSpace(head);
  return text.size() > 1 && (text[0] == '{' || text[0] == '[') && IsPrintable(text);
}

bool IsText(Head head) {
  constexpr size_t kEnough = 8;
  return head.size() >= kEnough && static_cast<uint8_t>(head[0]) < 0x80 && IsPrintable(head);
}

struct Row {
  Container container;
  bool (*is)(Head head);
  std::string_view text;
};

// The first row that is so wins. safetensors comes first: its length may be the magic number of something else.
constexpr std::array kRows = std::to_array<Row>({
    {Container::kSafetensors, IsSafetensors, "is a safetensors file; hwynn convert makes msgpack of it"},
    {Container::kEmpty, [](Head head) { return head.empty(); }, "is an empty file; copy or download it again"},
    {Container::kGitLfsPointer, [](Head head) { return head.starts_with("version https://git-lfs"); },
     "is a git-lfs pointer, not the file that it stands for; git lfs pull fetches that"},
    {Container::kPyTorch, IsPyTorch,
     "is a file of PyTorch's, a zip archive with a pickle; in Python, safetensors.torch.save_file(torch.load(FILE, "
     "weights_only=True), \"….safetensors\") makes one that hwynn reads"},
    {Container::kPickle, IsPickle,
     "is a Python pickle, which hwynn doesn't run, as torch.save wrote before PyTorch 1.6; in Python, "
     "safetensors.torch.save_file(torch.load(FILE, weights_only=True), \"….safetensors\") makes one that hwynn reads"},
    {Container::kNpz, [](Head head) { return IsZip(head) && NameInZip(head).ends_with(".npy"); },
     "is NumPy's .npz, which is read as images (--dataset npz); in Python, "
     "safetensors.numpy.save_file(dict(numpy.load(FILE)), \"….safetensors\") makes arrays of it that hwynn reads"},
    {Container::kZip, IsZip,
     "is a zip archive, as PyTorch's .pth files are; unpack it or, if torch.load reads it, save its arrays in Python "
     "with "
     "safetensors.torch.save_file"},
    {Container::kNpy, [](Head head) { return head.starts_with("\x93NUMPY"); },
     "is NumPy's .npy, one array without a name; save it in Python with safetensors.numpy.save_file or, of images, "
     "numpy.savez"},
    {Container::kGzip, [](Head head) { return head.starts_with("\x1f\x8b\x08"); },
     "is compressed with gzip; unpack it with gunzip"},
    {Container::kXz,
     [](Head head) {
       return head.starts_with(
           "\xfd"
           "7zXZ");
     },
     "is compressed with xz; unpack it with unxz"},
    {Container::kZstd, [](Head head) { return head.starts_with("\x28\xb5\x2f\xfd"); },
     "is compressed with zstd; unpack it with unzstd"},
    {Container::kBzip2, [](Head head) { return head.starts_with("BZh") && HasAt(head, 4, "1AY"); },
     "is compressed with bzip2; unpack it with bunzip2"},
    {Container::kTar, [](Head head) { return HasAt(head, 257, "ustar"); }, "is a tar archive; unpack it with tar -xf"},
    {Container::kGguf, IsGguf, "is a GGUF model; take the safetensors file that it was made of"},
    {Container::kHdf5, [](Head head) { return head.starts_with("\x89HDF\r\n\x1a\n"); },
     "is HDF5, as Keras's .h5; save its arrays in Python with safetensors.numpy.save_file"},
    {Container::kTfLite, [](Head head) { return HasAt(head, 4, "TFL3"); },
     "is a TensorFlow Lite model; save the arrays of the model that it was made of as safetensors"},
    {Container::kPng, [](Head head) { return head.starts_with("\x89PNG\r\n\x1a\n"); }, "is a PNG picture, no arrays"},
    {Container::kJpeg, [](Head head) { return head.starts_with("\xff\xd8\xff"); }, "is a JPEG picture, no arrays"},
    {Container::kWebPage, IsWebPage, "is a web page, as a download without a login gives; download the file itself"},
    {Container::kXml, IsXml, "is XML, as a server's answer to a wrong address; download the file itself"},
    {Container::kJson, IsJson, "is JSON text, not arrays; an index or a configuration names the files that hold them"},
    {Container::kText, IsText, "is text, as a server's answer to a wrong address; download the file itself"},
    {Container::kMsgpack, IsMsgpack, "is MessagePack, as Flax writes it; hwynn convert makes safetensors of it"},
    {Container::kOnnx, IsOnnx,
     "is an ONNX model; save the arrays of the model that it was exported from as safetensors"},
});

const Row* FindRow(std::span<const std::byte> file) {
  constexpr size_t kHeadBytes = 512;
  const Head head(reinterpret_cast<const char*>(file.data()), std::min(file.size(), kHeadBytes));
  const auto* row = std::ranges::find_if(kRows, [&](const Row& candidate) { return candidate.is(head); });
  return row == kRows.end() ? nullptr : row;
}

// Names in a folder; none when it can't be read.
std::set<std::string> NamesIn(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) names.insert(entry.path().filename().string());
  return names;
}

bool IsOrbaxStep(const std::set<std::string>& names) {
  constexpr std::array kFiles = {"_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "_sharding", "array_metadatas"};
  return std::ranges::any_of(kFiles, [&](const char* file) { return names.contains(file); }) ||
         std::ranges::any_of(names, [](const std::string& name) { return name.starts_with("ocdbt.process_"); });
}

}  // namespace

Container RecogniseFile(std::span<const std::byte> file) {
  const Row* row = FindRow(file);
  return row == nullptr ? Container::kUnknown : row->container;
}

void CheckContainer(const std::string& path, std::span<const std::byte> file, std::initializer_list<Container> wanted) {
  const Row* row = FindRow(file);
  const bool passes = row == nullptr || std::ranges::find(wanted, row->container) != wanted.end();
  CheckData(passes, path, ": ", row == nullptr ? "" : row->text);
}

std::string DescribeFolder(const std::string& folder) {
  constexpr std::string_view kOrbaxRemedy =
      ", which hwynn doesn't read; restore it in Python with Orbax and write it with flax.serialization.to_bytes (with "
      "FLAX_USE_ORBAX_CHECKPOINTING=false, Flax itself writes files that hwynn reads)";
  const std::set<std::string> names = NamesIn(folder);
  if (IsOrbaxStep(names)) return StrCat("is a folder of Orbax, one checkpoint", kOrbaxRemedy);
  for (const std::string& name : names) {
    if (IsOrbaxStep(NamesIn(fs::path(folder) / name))) {
      return StrCat("is a folder of Orbax's checkpoints (", name, ")", kOrbaxRemedy);
    }
  }
  if (names.contains("saved_model.pb")) {
    return "is a TensorFlow SavedModel; save its arrays in Python with safetensors.numpy.save_file";
  }
  for (const std::string& name : names) {
    if (fs::path(name).extension() == ".safetensors" || name.starts_with("checkpoint_")) {
      return StrCat("is a folder; name a file in it, as ", name);
    }
  }
  return "is a folder, not a file, and without a checkpoint_<n> of Flax's";
}

std::vector<std::byte> ReadContainer(const std::string& path) {
  std::error_code no_matter;  // reading the file says what is wrong
  CheckData(!fs::is_directory(path, no_matter), path, ": ", DescribeFolder(path));
  return ReadFile(path);
}

}  // namespace hwynn
