#include "hwynn/images/image_cache.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <thread>
#include <vector>

#include "hwynn/images/photo_dataset.h"

namespace hwynn {
namespace {

DecodedImage Image(uint8_t value, size_t bytes) {
  return {
      .height = 1, .width = static_cast<int64_t>(bytes), .channels = 1, .pixels = std::vector<uint8_t>(bytes, value)};
}

TEST(ImageCacheTest, KeepsWhatFits) {
  ImageCache cache(4, 100);
  EXPECT_EQ(cache.Find(0), nullptr);
  cache.Keep(0, Image(1, 60));
  cache.Keep(1, Image(2, 60));  // doesn't fit
  cache.Keep(2, Image(3, 40));
  cache.Keep(3, Image(4, 1));
  ASSERT_NE(cache.Find(0), nullptr);
  EXPECT_EQ(cache.Find(0)->pixels, std::vector<uint8_t>(60, 1));
  EXPECT_EQ(cache.Find(0)->width, 60);
  EXPECT_EQ(cache.Find(1), nullptr);
  ASSERT_NE(cache.Find(2), nullptr);
  EXPECT_EQ(cache.Find(2)->pixels[39], 3);
  EXPECT_EQ(cache.Find(3), nullptr);
  EXPECT_EQ(cache.bytes(), 100);
  const DecodedImage* const kept = cache.Find(0);
  cache.Keep(0, Image(9, 10));  // the first stays
  EXPECT_EQ(cache.Find(0), kept);
  EXPECT_EQ(kept->pixels[0], 1);
  EXPECT_EQ(cache.bytes(), 100);
}

TEST(ImageCacheTest, WithoutALimitThereIsNone) {
  ImageCache cache(2, 0);
  cache.Keep(0, Image(1, 1));
  EXPECT_EQ(cache.Find(0), nullptr);
  EXPECT_EQ(cache.Find(1), nullptr);
  EXPECT_THROW(ImageCache(2, -1), std::invalid_argument);
  ImageCache most(1, std::numeric_limits<int64_t>::max());
  most.Keep(0, Image(1, 1));
  EXPECT_NE(most.Find(0), nullptr);
}

TEST(ImageCacheTest, SeveralThreadsKeepAndFind) {
  constexpr int64_t kCount = 200;
  ImageCache cache(kCount, 100 * 10);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int64_t i = 0; i < kCount; ++i) {
        if (const DecodedImage* image = cache.Find(i)) {
          EXPECT_EQ(image->pixels, std::vector<uint8_t>(10, static_cast<uint8_t>(i)));
        } else {
          cache.Keep(i, Image(static_cast<uint8_t>(i), 10));
        }
      }
    });
  }
  threads.clear();
  EXPECT_LE(cache.bytes(), 1000);
  EXPECT_GE(cache.bytes(), 970);  // two threads at the limit may both have seen it full
  int64_t kept = 0;
  for (int64_t i = 0; i < kCount; ++i) kept += cache.Find(i) != nullptr ? 1 : 0;
  EXPECT_EQ(10 * kept, cache.bytes());
}

TEST(ImageCacheTest, TheDefaultIsSomeOfTheMemoryThatIsFree) {
  EXPECT_GT(DefaultCacheBytes(), 0);
  EXPECT_LT(DefaultCacheBytes(), int64_t{1} << 50);
}

}  // namespace
}  // namespace hwynn
