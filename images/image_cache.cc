#include "hwynn/images/image_cache.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/images/photo_dataset.h"

namespace hwynn {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// What Linux could give to programs without swapping.
int64_t AvailableBytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string name, unit; file >> name;) {
    int64_t kibibytes = 0;
    file >> kibibytes;
    std::getline(file, unit);
    if (name == "MemAvailable:") return kibibytes * 1024;
  }
  return 0;
}

// What the control groups of this process, version 2, leave it.
int64_t GroupBytes() {
  int64_t left = kUnlimited;
  std::ifstream membership("/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    if (!line.starts_with("0::")) continue;
    for (std::string path = line.substr(3);;) {
      const std::string folder = "/sys/fs/cgroup" + (path == "/" ? "" : path);
      std::ifstream most_file(folder + "/memory.max"), used_file(folder + "/memory.current");
      int64_t most = 0, used = 0;  // "max" is no number
      if (most_file >> most && used_file >> used) left = std::min(left, std::max<int64_t>(0, most - used));
      if (path.empty() || path == "/") break;
      path.resize(path.rfind('/'));
    }
  }
  return left;
}

}  // namespace

ImageCache::ImageCache(int64_t count, int64_t most_bytes)
    : most_bytes_(most_bytes), places_(most_bytes > 0 ? static_cast<size_t>(count) : 0) {
  Check(most_bytes >= 0, "ImageCache: a limit of ", most_bytes, " bytes");
}

const DecodedImage* ImageCache::Find(int64_t index) const {
  if (places_.empty()) return nullptr;
  const Place& place = places_[static_cast<size_t>(index)];
  return place.state.load(std::memory_order_acquire) == State::kKept ? &place.image : nullptr;
}

void ImageCache::Keep(int64_t index, DecodedImage&& image) {
  if (places_.empty()) return;
  Place& place = places_[static_cast<size_t>(index)];
  State expected = State::kEmpty;
  if (!place.state.compare_exchange_strong(expected, State::kTaken, std::memory_order_relaxed)) return;
  const int64_t size = std::ssize(image.pixels);
  if (bytes_.fetch_add(size, std::memory_order_relaxed) > most_bytes_ - size) {
    bytes_.fetch_sub(size, std::memory_order_relaxed);
    place.state.store(State::kEmpty, std::memory_order_relaxed);
    return;
  }
  place.image = std::move(image);
  place.state.store(State::kKept, std::memory_order_release);
}

int64_t DefaultCacheBytes() { return std::min(AvailableBytes(), GroupBytes()) / 4; }

}  // namespace hwynn
