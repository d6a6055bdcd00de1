#ifndef HWYNN_TESTS_SUPPORT_TARGETS_H_
#define HWYNN_TESTS_SUPPORT_TARGETS_H_

// Runs a test body once on every instruction set of this machine.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/tensor.h"
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

/// False for the targets whose "fused" multiply-add rounds twice: they promise no bits in common with the others.
inline bool HasFusedMultiplyAdd(const std::string& target) {
  const std::vector<std::string> without = {"SSE2", "SSSE3", "SSE4", "EMU128", "SCALAR"};
  return std::find(without.begin(), without.end(), target) == without.end();
}

/// Calls compute(), which returns std::vector<Tensor>, on every target with a fused multiply-add, and expects all of
/// them to give the same bits. Where a machine has one such target alone there is nothing to compare.
template <class Compute>
void ExpectSameBitsOnTargets(const Compute& compute) {
  std::string first_target;
  std::vector<Tensor> first;
  ForEachTarget([&](const std::string& target) {
    if (!HasFusedMultiplyAdd(target)) return;
    std::vector<Tensor> results = compute();
    if (first_target.empty()) {
      first_target = target;
      first = std::move(results);
      return;
    }
    ASSERT_EQ(results.size(), first.size());
    for (size_t r = 0; r < first.size(); ++r) {
      ASSERT_EQ(results[r].shape(), first[r].shape()) << "result " << r;
      for (int64_t i = 0; i < first[r].size(); ++i) {
        ASSERT_EQ(std::memcmp(first[r].data() + i, results[r].data() + i, sizeof(float)), 0)
            << "result " << r << " element " << i << ": " << first[r][i] << " on " << first_target << ", "
            << results[r][i] << " on " << target;
      }
    }
  });
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_TARGETS_H_
