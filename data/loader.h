#ifndef HWYNN_DATA_LOADER_H_
#define HWYNN_DATA_LOADER_H_

// Batches of a data set, each prepared while the one before it is in use.

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/data/augmentation.h"
#include "hwynn/data/dataset.h"
#include "hwynn/data/standardization.h"

namespace HWYNN_EXPORT hwynn {

struct Batch {
  Tensor images;                // [N,H,W,C]
  std::vector<int32_t> labels;  // N
  // Where images are mixed (AugmentationOptions::mixup): the second of each image's two labels, and the first one's
  // share.
  std::vector<int32_t> second_labels{};
  float first_share = 1.0f;
};

struct LoaderOptions {
  int64_t batch_size = 128;
  /// Shuffling and augmentation are drawn from it.
  int64_t seed = 0;
  /// A new order each epoch: Permutation(FoldIn(KeyFromSeed(seed), epoch)); otherwise the data set's order.
  bool shuffle = true;
  /// Leaves a last batch out that isn't full; otherwise it is smaller than the others.
  bool drop_last = true;
  /// Images as training is to see them: Dataset::TrainingImage, augmented. Otherwise Dataset::Image.
  bool training = true;
  AugmentationOptions augmentation{};
  Standardization standardization{};
};

/// Standardised, augmented batches in the order of an epoch.
///
///     Loader loader(*splits.train, {.batch_size = 128, .standardization = ComputeStandardization(*splits.train)});
///     loader.StartEpoch(epoch);
///     while (const Batch* batch = loader.Next()) Train(*batch);
///
/// Determinism: batch b of an epoch depends on (data set, options, epoch, b) alone, so that an epoch can be entered
/// in its middle. Threads: one thread of the caller's at a time. The Loader has one of its own, which prepares the next
/// batch; a caller that has to wait for it in Next helps, with all threads of its arena. So images that are quick to
/// make take nothing from the cores that train, and those that are slow get all of them.
class Loader {
 public:
  /// `dataset` must outlive the Loader. Throws std::invalid_argument for options out of range, or when the data set
  /// gives no batch.
  Loader(const Dataset& dataset, LoaderOptions options);
  /// Waits for the batch at work, if any; an epoch needn't have ended.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  const LoaderOptions& options() const { return options_; }
  int64_t batches_per_epoch() const { return batches_per_epoch_; }

  /// Begins `epoch` (≥ 0) at batch `first_batch`, whether or not the epoch before has ended.
  void StartEpoch(int64_t epoch, int64_t first_batch = 0);

  /// The next batch, or null at the end of the epoch. Valid until the next call of Next or StartEpoch. An exception
  /// of the data set, of the batch's first image that has one, is thrown here, again with each call until StartEpoch.
  const Batch* Next();

 private:
  // A batch in the making. `batch` and `indices` belong to whoever has taken images; the Loader's mutex guards the
  // rest.
  struct Slot {
    Batch batch;
    std::vector<int64_t> indices;  // of its images in the data set
    int64_t epoch = 0;
    int64_t number = 0;    // of the batch
    int64_t taken = 0;     // images that a thread has taken to make
    int64_t finished = 0;  // those that were made, or failed
    bool ready = false;    // all of them
    int64_t failed = 0;    // the first that failed, with `error`
    std::exception_ptr error;
  };

  void Run();
  bool IsWanted(int64_t started_epochs) const { return !stop_ && started_epochs == started_epochs_; }
  std::vector<int64_t> EpochOrder(int64_t epoch) const;
  void LayOut(const std::vector<int64_t>& order, Slot& slot) const;
  bool MakeSome(int64_t started_epochs, Slot& slot);
  void MakeImage(Slot& slot, int64_t i) const;
  void Mix(Slot& slot) const;

  const Dataset& dataset_;
  const LoaderOptions options_;
  const int64_t batches_per_epoch_;
  int64_t images_at_once_ = 1;  // that a thread takes
  std::vector<float> padding_;  // black, standardised

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool stop_ = false;
  int64_t started_epochs_ = 0;  // calls of StartEpoch; a batch in the making for an earlier one is thrown away
  int64_t epoch_ = 0;
  int64_t next_ = 0;      // the number of the batch that Next will return
  int64_t laid_out_ = 0;  // next_ or, once that batch is in the making, next_ + 1

  // Batch b is in slot b mod 2: while the caller has batch next_ − 1, batch next_ is made.
  std::array<Slot, 2> slots_;
  std::thread thread_;
};

}  // namespace hwynn

#endif  // HWYNN_DATA_LOADER_H_
