#include <filesystem>
#include <fstream>
#include <system_error>

#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {

namespace fs = std::filesystem;

Scratch::Scratch() {
  const fs::path memory = "/dev/shm";
  std::error_code ignored;
  path_ = ((fs::is_directory(memory, ignored) ? memory : fs::temp_directory_path()) / "hwynn_fuzz_XXXXXX").string();
  Require(mkdtemp(path_.data()) != nullptr, "a scratch folder can be made");
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Scratch::Write(const std::string& name, Bytes bytes) const {
  const std::string path = *this / name;
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  Require(file.good(), "a scratch file can be written");
  return path;
}

}  // namespace hwynn::fuzz
