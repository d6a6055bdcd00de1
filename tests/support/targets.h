#ifndef HWYNN_TESTS_SUPPORT_TARGETS_H_
#define HWYNN_TESTS_SUPPORT_TARGETS_H_

// Runs a test body once on every instruction set of this machine.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hwynn/kernels/target.h"

namespace hwynn::testing {

/// Calls body(name) on each target, best first, and gives the choice back to Highway. Fails when there is none, and
/// when the kernels run on another target than the one asked for: a silent fallback would test one target three times.
template <class Body>
void ForEachTarget(const Body& body) {
  const std::vector<std::string> targets = SupportedTargets();
  ASSERT_FALSE(targets.empty());
  for (const std::string& target : targets) {
    SCOPED_TRACE("target " + target);
    SetTarget(target);
    EXPECT_EQ(CurrentTarget(), target);
    body(target);
    SetTarget("");
  }
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_TARGETS_H_
