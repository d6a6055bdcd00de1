#include "hwynn/data/loader.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/random.h"

namespace hwynn {
namespace {

int64_t CountBatches(const Dataset& dataset, const LoaderOptions& options) {
  const int64_t size = dataset.size();
  Check(options.batch_size > 0, "Loader: batch size ", options.batch_size, " is not positive");
  Check(size > 0, "Loader: the data set is empty");
  Check(size >= options.batch_size || !options.drop_last, "Loader: ", size, " images fill no batch of ",
        options.batch_size);
  // Keys are 32 bits wide.
  Check(size <= std::numeric_limits<uint32_t>::max(), "Loader: ", size, " images are too many");
  return size / options.batch_size + (!options.drop_last && size % options.batch_size != 0 ? 1 : 0);
}

}  // namespace

Loader::Loader(const Dataset& dataset, LoaderOptions options)
    : dataset_(dataset), options_(std::move(options)), batches_per_epoch_(CountBatches(dataset_, options_)) {
  const Shape shape = dataset_.image_shape();
  Check(shape.rank() == 3 && shape.num_elements() > 0, "Loader: image shape ", shape, " is not [H,W,C]");
  CheckAugmentation(options_.augmentation);
  CheckStandardization(options_.standardization, shape.back());
  if (!options_.standardization.mean.empty()) {
    padding_.resize(options_.standardization.mean.size());
    Standardize(options_.standardization, padding_);
  }
  // One thread, also for what the batches are made with: the others belong to the caller.
  thread_ = std::thread([this] { RunWithThreads(1, [this] { Run(); }); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Loader::StartEpoch(int64_t epoch, int64_t first_batch) {
  Check(epoch >= 0 && epoch <= std::numeric_limits<uint32_t>::max(), "Loader::StartEpoch: epoch ", epoch,
        " is out of range");
  Check(first_batch >= 0 && first_batch <= batches_per_epoch_, "Loader::StartEpoch: batch ", first_batch,
        " is not in 0 … ", batches_per_epoch_);
  {
    const std::lock_guard lock(mutex_);
    ++started_epochs_;
    epoch_ = epoch;
    taken_ = prepared_ = first_batch;
    error_ = nullptr;
  }
  changed_.notify_all();
}

const Batch* Loader::Next() {
  std::unique_lock lock(mutex_);
  Check(started_epochs_ > 0, "Loader::Next: call StartEpoch first");
  if (taken_ == batches_per_epoch_) return nullptr;
  changed_.wait(lock, [this] { return error_ || prepared_ > taken_; });
  if (error_) std::rethrow_exception(error_);
  const Batch* batch = &slots_[static_cast<size_t>(taken_ % 2)];
  ++taken_;
  lock.unlock();
  changed_.notify_all();
  return batch;
}

void Loader::Run() {
  int64_t started_epochs = 0;
  std::vector<int64_t> order;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] {
      return stop_ || (started_epochs_ > 0 && !error_ && prepared_ == taken_ && taken_ < batches_per_epoch_);
    });
    if (stop_) return;
    const bool new_epoch = std::exchange(started_epochs, started_epochs_) != started_epochs_;
    const int64_t epoch = epoch_;
    const int64_t number = taken_;

    lock.unlock();
    std::exception_ptr error;
    try {
      if (new_epoch) order = EpochOrder(epoch);
      Prepare(order, epoch, number, slots_[static_cast<size_t>(number % 2)]);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();

    if (started_epochs != started_epochs_) continue;
    if (error) {
      error_ = std::move(error);
    } else {
      prepared_ = number + 1;
    }
    changed_.notify_all();
  }
}

std::vector<int64_t> Loader::EpochOrder(int64_t epoch) const {
  if (options_.shuffle) {
    return Permutation(FoldIn(KeyFromSeed(options_.seed), static_cast<uint32_t>(epoch)), dataset_.size());
  }
  std::vector<int64_t> order(static_cast<size_t>(dataset_.size()));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

void Loader::Prepare(const std::vector<int64_t>& order, int64_t epoch, int64_t number, Batch& batch) const {
  const Shape image_shape = dataset_.image_shape();
  const int64_t first = number * options_.batch_size;
  const int64_t count = std::min(options_.batch_size, dataset_.size() - first);
  const Shape shape{count, image_shape[0], image_shape[1], image_shape[2]};
  if (batch.images.shape() != shape) batch.images = Tensor(shape);
  batch.labels.resize(static_cast<size_t>(count));

  const auto image_size = static_cast<size_t>(image_shape.num_elements());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = order[static_cast<size_t>(first + i)];
    const std::span<float> image = batch.images.span().subspan(static_cast<size_t>(i) * image_size, image_size);
    dataset_.Image(index, image);
    Standardize(options_.standardization, image);
    Augment(options_.augmentation, {options_.seed, epoch, index}, image_shape, padding_, image);
    const int32_t label = dataset_.Label(index);
    Check(label >= 0 && label < dataset_.num_classes(), "Loader: label ", label, " of image ", index, " is not one of ",
          dataset_.num_classes(), " classes");
    batch.labels[static_cast<size_t>(i)] = label;
  }
}

}  // namespace hwynn
