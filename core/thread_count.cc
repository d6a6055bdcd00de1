// How many threads this process may use, as the system says it: affinity mask and cgroup CPU quota.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#include "hwynn/core/parallel.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace hwynn {
namespace {

int AffinityCount() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

// The tightest quota from this process's cgroup up to the root, in CPUs; infinity where there is none.
double CgroupQuota() {
  double quota = INFINITY;
  std::ifstream membership("/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    // "0::/path" for version 2; "4:cpu,cpuacct:/path" for version 1.
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    std::string path = line.substr(second + 1);
    while (true) {
      const std::string folder = root + (path == "/" ? "" : path);
      double limit = -1;
      double period = 100000;
      if (v2) {
        std::ifstream max(folder + "/cpu.max");  // "max 100000" or "150000 100000"
        if (std::string text; max >> text >> period && text != "max") limit = std::atof(text.c_str());
      } else {
        std::ifstream(folder + "/cpu.cfs_quota_us") >> limit;
        std::ifstream(folder + "/cpu.cfs_period_us") >> period;
      }
      if (limit > 0 && period > 0) quota = std::min(quota, limit / period);
      if (path.empty() || path == "/") break;
      path = path.substr(0, path.rfind('/'));
    }
  }
  return quota;
}

}  // namespace

int DefaultThreadCount() {
  int count = std::max(1, AffinityCount());
  const double quota = CgroupQuota();
  if (quota < count) count = std::max(1, static_cast<int>(std::ceil(quota)));
  return count;
}

}  // namespace hwynn
