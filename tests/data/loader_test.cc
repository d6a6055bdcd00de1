#include "hwynn/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <stdexcept>

#include "hwynn/core/parallel.h"
#include "hwynn/core/random.h"
#include "hwynn/data/mixup.h"
#include "hwynn/data/random_crop.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

// Image i holds i·100 + 0 … 7, its label is i mod 5; one image may be made to throw.
class Numbered : public Dataset {
 public:
  explicit Numbered(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  Shape image_shape() const override { return {2, 2, 2}; }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  int32_t Label(int64_t index) const override { return index == bad_label ? 5 : static_cast<int32_t>(index % 5); }
  void Image(int64_t index, std::span<float> hwc) const override {
    if (index == throws_at) throw std::runtime_error("image " + std::to_string(index) + " can't be read");
    std::iota(hwc.begin(), hwc.end(), static_cast<float>(index * 100));
  }

  std::atomic<int64_t> throws_at = -1;
  std::atomic<int64_t> bad_label = -1;

 private:
  int64_t size_;
  std::vector<std::string> class_names_{"a", "b", "c", "d", "e"};
};

// Images so large that each is a task of its own: image i holds i in each pixel.
class Large : public Numbered {
 public:
  using Numbered::Numbered;
  Shape image_shape() const override { return {128, 128, 1}; }
  void Image(int64_t index, std::span<float> hwc) const override {
    if (index >= throws_at && throws_at >= 0) throw std::runtime_error("image " + std::to_string(index) + " is broken");
    std::ranges::fill(hwc, static_cast<float>(index));
  }
};

// Training images differ from those that are evaluated: they hold their draw.
class Drawn : public Numbered {
 public:
  using Numbered::Numbered;
  void TrainingImage(const ImageDraw& draw, std::span<float> hwc) const override {
    std::ranges::fill(hwc, static_cast<float>(draw.seed * 10000 + draw.epoch * 1000 + draw.index));
  }
};

struct Contents {
  std::vector<float> images;
  std::vector<int32_t> labels;
  friend bool operator==(const Contents&, const Contents&) = default;
};

Contents Copy(const Batch& batch) { return {{batch.images.span().begin(), batch.images.span().end()}, batch.labels}; }

std::vector<Contents> Epoch(Loader& loader, int64_t epoch, int64_t first_batch = 0) {
  std::vector<Contents> batches;
  loader.StartEpoch(epoch, first_batch);
  while (const Batch* batch = loader.Next()) batches.push_back(Copy(*batch));
  EXPECT_EQ(loader.Next(), nullptr);
  return batches;
}

std::vector<int64_t> IndicesOf(const std::vector<Contents>& batches) {
  std::vector<int64_t> indices;
  for (const Contents& batch : batches) {
    for (size_t i = 0; i < batch.labels.size(); ++i) {
      const auto index = static_cast<int64_t>(batch.images[i * 8]) / 100;
      for (size_t j = 0; j < 8; ++j) {
        EXPECT_EQ(batch.images[i * 8 + j], static_cast<float>(index * 100 + static_cast<int64_t>(j)));
      }
      EXPECT_EQ(batch.labels[i], index % 5);
      indices.push_back(index);
    }
  }
  return indices;
}

std::vector<int64_t> Iota(int64_t count) {
  std::vector<int64_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

TEST(LoaderTest, EveryImageInOrderWithoutShuffling) {
  for (const int64_t size : {1, 4, 8, 11}) {
    const Numbered dataset(size);
    Loader loader(dataset, {.batch_size = 4, .shuffle = false, .drop_last = false});
    EXPECT_EQ(loader.batches_per_epoch(), (size + 3) / 4);
    for (const int64_t epoch : {0, 1}) EXPECT_EQ(IndicesOf(Epoch(loader, epoch)), Iota(size));
  }
}

TEST(LoaderTest, BatchShapes) {
  const Numbered dataset(11);
  Loader loader(dataset, {.batch_size = 4, .drop_last = false});
  loader.StartEpoch(0);
  EXPECT_EQ(loader.Next()->images.shape(), (Shape{4, 2, 2, 2}));
  EXPECT_EQ(loader.Next()->images.shape(), (Shape{4, 2, 2, 2}));
  const Batch* last = loader.Next();
  EXPECT_EQ(last->images.shape(), (Shape{3, 2, 2, 2}));
  EXPECT_EQ(last->labels.size(), 3u);
}

TEST(LoaderTest, DropsTheLastBatchThatIsNotFull) {
  const Numbered dataset(11);
  Loader loader(dataset, {.batch_size = 4, .shuffle = false});
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  EXPECT_EQ(IndicesOf(Epoch(loader, 0)), Iota(8));
}

TEST(LoaderTest, OrderIsThePermutationOfSeedAndEpoch) {
  const Numbered dataset(100);
  Loader loader(dataset, {.batch_size = 10, .seed = 3});
  for (const int64_t epoch : {2, 0}) {
    EXPECT_EQ(IndicesOf(Epoch(loader, epoch)), Permutation(FoldIn(KeyFromSeed(3), static_cast<uint32_t>(epoch)), 100));
  }
  std::vector<int64_t> order = IndicesOf(Epoch(loader, 1));
  EXPECT_NE(order, IndicesOf(Epoch(loader, 0)));
  Loader other(dataset, {.batch_size = 10, .seed = 4});
  EXPECT_NE(order, IndicesOf(Epoch(other, 1)));
  std::ranges::sort(order);
  EXPECT_EQ(order, Iota(100));
}

TEST(LoaderTest, EpochsCanBeEnteredInTheMiddle) {
  const Numbered dataset(50);
  const LoaderOptions options{
      .batch_size = 8,
      .seed = 1,
      .augmentation = {.pad_crop = 1, .horizontal_flip = true, .random_erasing = 0.5},
  };
  Loader loader(dataset, options);
  const std::vector<Contents> whole = Epoch(loader, 5);
  ASSERT_EQ(whole.size(), 6u);
  for (int64_t first = 0; first <= 6; ++first) {
    Loader fresh(dataset, options);
    EXPECT_EQ(Epoch(fresh, 5, first), std::vector<Contents>(whole.begin() + first, whole.end()));
  }
}

TEST(LoaderTest, ABatchStaysUntilTheNextCall) {
  const Numbered dataset(400);
  Loader loader(dataset, {.batch_size = 4, .shuffle = false});
  loader.StartEpoch(0);
  for (int64_t number = 0; const Batch* batch = loader.Next(); ++number) {
    // The next one is prepared meanwhile.
    for (int repeat = 0; repeat < 50; ++repeat) ASSERT_EQ(batch->images[0], static_cast<float>(number * 400));
  }
}

TEST(LoaderTest, EpochsCanBeLeftInTheMiddle) {
  const Numbered dataset(100);
  Loader loader(dataset, {.batch_size = 10, .shuffle = false});
  for (int64_t stop = 0; stop < 200; ++stop) {
    loader.StartEpoch(stop, stop % 7);
    for (int64_t number = 0; number < stop % 3; ++number) {
      ASSERT_EQ(loader.Next()->images[0], static_cast<float>((stop % 7 + number) * 1000));
    }
  }
  for (int64_t stop = 0; stop < 200; ++stop) {  // and the Loader with them
    Loader short_lived(dataset, {.batch_size = 10});
    if (stop % 4 > 0) short_lived.StartEpoch(0);
    for (int64_t number = 1; number < stop % 4; ++number) EXPECT_NE(short_lived.Next(), nullptr);
  }
}

TEST(LoaderTest, StandardizesThenAugmentsWithStandardizedBlack) {
  const Numbered dataset(20);
  const Standardization standardization{{50, 40}, {2, 4}};
  const AugmentationOptions augmentation{.pad_crop = 1, .horizontal_flip = true};
  Loader loader(dataset, {.batch_size = 20,
                          .seed = 9,
                          .shuffle = false,
                          .augmentation = augmentation,
                          .standardization = standardization});
  loader.StartEpoch(4);
  const Batch* batch = loader.Next();
  for (int64_t index = 0; index < 20; ++index) {
    std::vector<float> image(8);
    dataset.Image(index, image);
    Standardize(standardization, image);
    Augment(augmentation, {9, 4, index}, {2, 2, 2}, std::vector<float>{-25, -10}, image);
    EXPECT_TRUE(std::ranges::equal(image, batch->images.span().subspan(static_cast<size_t>(index) * 8, 8))) << index;
  }
}

TEST(LoaderTest, AugmentationIsDrawnForTheImageNotForItsPlace) {
  const Numbered dataset(20);
  const AugmentationOptions augmentation{.pad_crop = 1, .horizontal_flip = true};
  Loader loader(dataset, {.batch_size = 5, .seed = 9, .augmentation = augmentation});
  const std::vector<int64_t> order = Permutation(FoldIn(KeyFromSeed(9), 4), 20);
  ASSERT_NE(order, Iota(20));
  const std::vector<Contents> batches = Epoch(loader, 4);
  for (size_t i = 0; i < 20; ++i) {
    std::vector<float> image(8);
    dataset.Image(order[i], image);
    Augment(augmentation, {9, 4, order[i]}, {2, 2, 2}, {}, image);
    const Contents& batch = batches[i / 5];
    EXPECT_TRUE(std::ranges::equal(image, std::span(batch.images).subspan(i % 5 * 8, 8))) << i;
    EXPECT_EQ(batch.labels[i % 5], order[i] % 5);
  }
}

TEST(LoaderTest, DataSetsDrawTheirOwnTrainingImages) {
  const Drawn dataset(12);
  Loader training(dataset, {.batch_size = 4, .seed = 3, .shuffle = false});
  const std::vector<Contents> batches = Epoch(training, 2);
  for (size_t i = 0; i < 12; ++i) {
    for (size_t j = 0; j < 8; ++j) EXPECT_EQ(batches[i / 4].images[i % 4 * 8 + j], 32000.0f + static_cast<float>(i));
  }
  const AugmentationOptions augmentation{.pad_crop = 1, .random_erasing = 1.0};
  Loader evaluation(dataset,
                    {.batch_size = 4, .seed = 3, .shuffle = false, .training = false, .augmentation = augmentation});
  EXPECT_EQ(IndicesOf(Epoch(evaluation, 2)), Iota(12));  // as they are
}

// Pixels of 1 … 24 of 255ths, and a hue.
class Colored : public Numbered {
 public:
  using Numbered::Numbered;
  Shape image_shape() const override { return {6, 4, 3}; }
  void Image(int64_t index, std::span<float> hwc) const override {
    for (size_t i = 0; i < hwc.size(); ++i) {
      hwc[i] = static_cast<float>(static_cast<int64_t>(i * (1 + i % 3)) + index) / 255.0f;
    }
  }
};

TEST(LoaderTest, CropsThenChangesColorsThenStandardizes) {
  const Colored dataset(6);
  const Standardization standardization{{0.1f, 0.2f, 0.3f}, {2, 4, 8}};
  const AugmentationOptions augmentation{
      .random_resized_crop = 0.2, .color_jitter = {.contrast = 0.9}, .horizontal_flip = true};
  Loader loader(
      dataset,
      {.batch_size = 6, .seed = 9, .shuffle = false, .augmentation = augmentation, .standardization = standardization});
  loader.StartEpoch(4);
  const Batch* batch = loader.Next();
  for (int64_t index = 0; index < 6; ++index) {
    const ImageDraw draw{9, 4, index, 0.2};
    std::vector<float> image(72);
    dataset.Image(index, image);
    CropAtRandom(draw, {6, 4, 3}, image);
    ChangeColors(augmentation, draw, {6, 4, 3}, image);
    Standardize(standardization, image);
    Augment(augmentation, draw, {6, 4, 3}, {}, image);
    EXPECT_TRUE(std::ranges::equal(image, batch->images.span().subspan(static_cast<size_t>(index) * 72, 72))) << index;
  }
}

TEST(LoaderTest, MixesImagesAndLabelsOfABatch) {
  const Numbered dataset(10);
  const LoaderOptions plain{.batch_size = 5, .seed = 3};
  LoaderOptions options = plain;
  options.augmentation.mixup = 0.4;
  Loader loader(dataset, plain), mixing(dataset, options);
  for (const int64_t epoch : {0, 1}) {
    loader.StartEpoch(epoch);
    mixing.StartEpoch(epoch);
    for (int64_t number = 0; number < 2; ++number) {
      const Batch &separate = *loader.Next(), &mixed = *mixing.Next();
      EXPECT_TRUE(separate.second_labels.empty());
      EXPECT_EQ(separate.first_share, 1.0f);
      EXPECT_EQ(mixed.first_share, DrawMixupShare(0.4, 3, epoch, number));
      EXPECT_EQ(mixed.labels, separate.labels);
      EXPECT_EQ(mixed.second_labels, std::vector<int32_t>(separate.labels.rbegin(), separate.labels.rend()));
      Tensor images(separate.images.shape());
      std::ranges::copy(separate.images.span(), images.data());
      MixImages(mixed.first_share, images);
      EXPECT_TRUE(std::ranges::equal(mixed.images.span(), images.span()));
    }
  }
  options.training = false;
  Loader evaluation(dataset, options);
  evaluation.StartEpoch(0);
  EXPECT_TRUE(evaluation.Next()->second_labels.empty());
}

TEST(LoaderTest, SameBatchesForAnyNumberOfThreads) {
  const Large dataset(40);
  const LoaderOptions options{
      .batch_size = 8, .seed = 5, .augmentation = {.pad_crop = 9, .random_erasing = 0.5, .mixup = 0.5}};
  std::vector<Contents> first;
  for (const int threads : {1, 2, 3}) {
    RunWithThreads(threads, [&] {
      Loader loader(dataset, options);
      for (const int64_t epoch : {1, 0}) {
        std::vector<Contents> batches = Epoch(loader, epoch);
        if (epoch == 1) continue;
        if (first.empty()) first = batches;
        EXPECT_EQ(batches, first) << threads << " threads";
      }
    });
  }
}

// Each image waits until another one is made at the same time.
class Pairs : public Large {
 public:
  using Large::Large;
  void Image(int64_t index, std::span<float> hwc) const override {
    Large::Image(index, hwc);
    std::unique_lock lock(mutex_);
    const int64_t mine = arrived_++;
    changed_.notify_all();
    met_ = changed_.wait_for(lock, std::chrono::seconds(60), [&] { return arrived_ / 2 > mine / 2; }) && met_;
  }
  bool met() const { return met_; }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable int64_t arrived_ = 0;
  mutable bool met_ = true;
};

TEST(LoaderTest, WhoeverWaitsForABatchHelpsToMakeIt) {
  const Pairs dataset(6);
  Loader loader(dataset, {.batch_size = 2, .shuffle = false});
  RunWithThreads(1, [&] {
    loader.StartEpoch(0);
    for (int64_t number = 0; const Batch* batch = loader.Next(); ++number) {
      EXPECT_EQ(batch->images[0], static_cast<float>(2 * number));
      EXPECT_EQ(batch->images[128 * 128], static_cast<float>(2 * number + 1));
    }
  });
  EXPECT_TRUE(dataset.met());
}

TEST(LoaderTest, TheFirstErrorOfABatchIsTheOneThatIsSeen) {
  Large dataset(40);
  dataset.throws_at = 25;
  for (int repeat = 0; repeat < 20; ++repeat) {
    RunWithThreads(3, [&] {
      Loader loader(dataset, {.batch_size = 10, .shuffle = false});
      loader.StartEpoch(0, 2);
      ExpectError([&] { loader.Next(); }, {"image 25 is broken"});
    });
  }
}

TEST(LoaderTest, ErrorsOfTheDataSetReachTheCaller) {
  Numbered dataset(40);
  Loader loader(dataset, {.batch_size = 10, .shuffle = false});
  dataset.throws_at = 25;
  loader.StartEpoch(0);
  EXPECT_NE(loader.Next(), nullptr);
  EXPECT_NE(loader.Next(), nullptr);
  for (int repeat = 0; repeat < 2; ++repeat) ExpectError([&] { loader.Next(); }, {"image 25 can't be read"});
  dataset.throws_at = -1;
  EXPECT_EQ(IndicesOf(Epoch(loader, 1)), Iota(40));
  dataset.bad_label = 3;
  loader.StartEpoch(2);
  ExpectError<std::invalid_argument>([&] { loader.Next(); }, {"label 5 of image 3", "5 classes"});
  dataset.bad_label = -1;
  dataset.throws_at = 15;
  loader.StartEpoch(3);  // and the destructor follows while an error waits
}

TEST(LoaderTest, RejectsWhatGivesNoBatch) {
  using Error = std::invalid_argument;
  const Numbered dataset(20);
  const auto make = [&](LoaderOptions options) { return [&dataset, options] { Loader loader(dataset, options); }; };
  ExpectError<Error>(make({.batch_size = 0}), {"batch size 0"});
  ExpectError<Error>(make({.batch_size = -3}), {"batch size -3"});
  ExpectError<Error>(make({.batch_size = 21}), {"20 images fill no batch of 21"});
  ExpectError<Error>(make({.augmentation = {.pad_crop = -1}}), {"20 images fill no batch of 128"});
  ExpectError<Error>(make({.batch_size = 2, .augmentation = {.pad_crop = -1}}), {"pad_crop -1"});
  ExpectError<Error>(make({.batch_size = 2, .standardization = {{1}, {1}}}), {"1 means", "2 channels"});
  const Numbered empty(0);
  ExpectError<Error>([&] { Loader loader(empty, {.drop_last = false}); }, {"empty"});

  Loader loader(dataset, {.batch_size = 10});
  ExpectError<Error>([&] { loader.Next(); }, {"StartEpoch"});
  ExpectError<Error>([&] { loader.StartEpoch(-1); }, {"epoch -1"});
  ExpectError<Error>([&] { loader.StartEpoch(0, 3); }, {"batch 3 is not in 0 … 2"});
}

}  // namespace
}  // namespace hwynn
