#ifndef HWYNN_TESTS_SUPPORT_FILES_H_
#define HWYNN_TESTS_SUPPORT_FILES_H_

// Files for tests: a folder that goes away, bytes in and out, and what an error must say.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace hwynn::testing {

using Bytes = std::vector<uint8_t>;

/// A new folder, removed with all in it when the test ends.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "hwynn_test_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string path() const { return path_.string(); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  /// Writes a file and returns its path.
  std::string Write(const std::string& name, const Bytes& bytes) const {
    const std::filesystem::path path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path.string();
  }

  int64_t CountFiles() const {
    return std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator());
  }

 private:
  std::filesystem::path path_;
};

inline Bytes ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// `function` throws an Error whose text holds each of `texts`.
template <class Error = std::runtime_error, class Function>
void ExpectError(const Function& function, std::initializer_list<std::string> texts) {
  try {
    function();
    ADD_FAILURE() << "nothing was thrown; expected: " << *texts.begin();
  } catch (const Error& error) {
    for (const std::string& text : texts) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << '"' << error.what() << "\" lacks " << text;
    }
  }
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_FILES_H_
