// Reads every file of a corpus and holds what is said of it against <corpus>.txt: a line "file: text" each, where text
// is a part of the error, or "taken". Without that list (a folder of other files, a single file) it shows the errors.
// No file of so few bytes may make a reader ask for much memory at once: every form of operator new is counted, the
// nothrow one too, which std::stable_sort uses.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include "hwynn/formats/file_io.h"
#include "hwynn/fuzz/target.h"
#include "hwynn/tests/support/operator_new.h"

namespace {

size_t largest_allocation = 0;

}  // namespace

void* hwynn::testing::AllocateOrNull(size_t size, size_t alignment) noexcept {
  largest_allocation = std::max(largest_allocation, size);
  return AlignedAlloc(size, alignment);
}

void hwynn::testing::Free(void* memory) noexcept { std::free(memory); }

namespace hwynn::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxAllocationBytes = size_t{16} << 20;
constexpr char kTaken[] = "taken";

std::map<std::string, std::string> ReadExpectations(const fs::path& path) {
  std::map<std::string, std::string> expectations;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    Require(colon != std::string::npos, "a line of expectations is \"file: text\"");
    expectations[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return expectations;
}

int Replay(const fs::path& corpus) {
  const fs::path list = corpus.string() + ".txt";
  const bool has_list = fs::exists(list);
  auto expectations = ReadExpectations(list);
  std::vector<fs::path> files;
  if (fs::is_directory(corpus)) {
    files.assign(fs::directory_iterator(corpus), fs::directory_iterator());
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(corpus);
  }
  int failures = 0;
  for (const fs::path& file : files) {
    const std::string name = file.filename().string();
    const std::vector<std::byte> bytes = ReadFile(file.string());
    largest_allocation = 0;
    const std::string error = ReadInput(bytes);
    const std::string answer = error.empty() ? kTaken : error;
    const auto expected = expectations.extract(name);
    const bool as_expected =
        !expected.empty() &&
        (expected.mapped() == kTaken ? error.empty() : error.find(expected.mapped()) != std::string::npos);
    const bool small = largest_allocation <= kMaxAllocationBytes + bytes.size();
    if ((has_list && !as_expected) || !small) {
      ++failures;
      std::cout << "FAILED ";
    }
    std::cout << name << ": " << answer;
    if (!small) std::cout << " (asked for " << largest_allocation << " bytes at once)";
    std::cout << '\n';
  }
  for (const auto& [name, text] : expectations) {
    ++failures;
    std::cout << "FAILED " << name << ": the file is missing\n";
  }
  return failures + (files.empty() ? 1 : 0);
}

}  // namespace
}  // namespace hwynn::fuzz

int main(int argc, char** argv) {
  int failures = 0;
  for (int i = 1; i < argc; ++i) failures += hwynn::fuzz::Replay(argv[i]);
  return failures == 0 && argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
