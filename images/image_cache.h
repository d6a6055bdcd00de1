#ifndef HWYNN_IMAGES_IMAGE_CACHE_H_
#define HWYNN_IMAGES_IMAGE_CACHE_H_

// Images in memory by number, as many as a limit allows.

#include <atomic>
#include <cstdint>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/images/decoded_image.h"

namespace HWYNN_EXPORT hwynn {

/// Keeps images until it ends; none is ever thrown out, so that a pointer to one stays good.
/// Threads: all functions may be called from several at once, none waits for another.
class ImageCache {
 public:
  /// For images 0 … count − 1. Throws std::invalid_argument for a negative limit.
  ImageCache(int64_t count, int64_t most_bytes);

  /// Image `index`, or null where it isn't kept.
  const DecodedImage* Find(int64_t index) const;
  /// Keeps the image if there is room and nobody else did.
  void Keep(int64_t index, DecodedImage&& image);

  int64_t bytes() const { return bytes_; }

 private:
  enum class State : uint8_t { kEmpty, kTaken, kKept };
  struct Place {
    std::atomic<State> state = State::kEmpty;
    DecodedImage image{};
  };

  const int64_t most_bytes_;
  std::atomic<int64_t> bytes_ = 0;
  std::vector<Place> places_;
};

}  // namespace hwynn

#endif  // HWYNN_IMAGES_IMAGE_CACHE_H_
