#ifndef HWYNN_TESTS_SUPPORT_CHILD_H_
#define HWYNN_TESTS_SUPPORT_CHILD_H_

// A part of a test in a process of its own, which was forked.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hwynn::testing {

/// Runs `part` in a child. Expectations that fail there are printed, and one fails here, as it does for a child that
/// ends by a signal or doesn't end within a minute.
template <class Part>
void RunInChild(const Part& part) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(60);
    part();
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child's status is " << status;
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_CHILD_H_
