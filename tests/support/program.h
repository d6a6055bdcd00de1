#ifndef HWYNN_TESTS_SUPPORT_PROGRAM_H_
#define HWYNN_TESTS_SUPPORT_PROGRAM_H_

// Programs of this build as a user meets them.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn::testing {

/// A program that stands beside the test; it may not have been built.
inline std::filesystem::path ProgramPath(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

struct ProgramResult {
  int code = 0;  // 128 + signal when one ended it
  std::string out, err;
};

/// Runs a program to its end; `folder` takes what it prints.
inline ProgramResult RunProgram(const std::filesystem::path& program, std::vector<std::string> arguments,
                                const TempFolder& folder) {
  arguments.insert(arguments.begin(), program.string());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string out = folder / "stdout", err = folder / "stderr";
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  const auto text = [](const std::string& path) {
    const Bytes bytes = ReadBytes(path);
    return std::string(bytes.begin(), bytes.end());
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text(out), text(err)};
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_PROGRAM_H_
