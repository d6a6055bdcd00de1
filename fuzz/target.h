#ifndef HWYNN_FUZZ_TARGET_H_
#define HWYNN_FUZZ_TARGET_H_

// What a fuzz target defines, and what it may use. fuzz/<name>.cc is one target: it is linked with libFuzzer
// (libfuzzer_main.cc) in the fuzz preset, and with replay_main.cc, which reads fuzz/corpus/<name>/, among the tests.

#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>

namespace hwynn::fuzz {

using Bytes = std::span<const std::byte>;

/// Defined by each target: gives `input` to a reader and returns the text of its error, or "" when it was taken. What
/// was taken is used: written again, looked at in full. Anything but the readers' two kinds of error is a finding.
std::string ReadInput(Bytes input);

/// The text of the error that `read` throws, or "".
template <class Function>
std::string ErrorOf(const Function& read) {
  try {
    read();
  } catch (const std::runtime_error& error) {
    return error.what();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

/// Ends the program, which libFuzzer reports with the input, when something that was read isn't what it must be.
inline void Require(bool ok, const char* what) {
  if (ok) return;
  std::cerr << "not so: " << what << std::endl;
  std::abort();
}

/// A folder for readers that take paths; in memory where the system has such a place, and removed at exit.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// Writes a file and returns its path.
  std::string Write(const std::string& name, Bytes bytes) const;

 private:
  std::string path_;
};

}  // namespace hwynn::fuzz

#endif  // HWYNN_FUZZ_TARGET_H_
