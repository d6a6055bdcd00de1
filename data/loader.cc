#include "hwynn/data/loader.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/random.h"
#include "hwynn/core/split.h"
#include "hwynn/data/mixup.h"

namespace hwynn {
namespace {

// Small images are made so many at a time that taking them costs nothing beside: about 10 µs of copying.
constexpr int64_t kElementsAtOnce = 16 * 1024;

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
  images_at_once_ = std::max<int64_t>(1, kElementsAtOnce / shape.num_elements());
  CheckAugmentation(options_.augmentation, shape.back());
  CheckStandardization(options_.standardization, shape.back());
  if (!options_.standardization.mean.empty()) {
    padding_.resize(options_.standardization.mean.size());
    Standardize(options_.standardization, padding_);
  }
  // One thread, also for what the images are made with: the others belong to the caller.
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
    next_ = laid_out_ = first_batch;
  }
  changed_.notify_all();
}

const Batch* Loader::Next() {
  std::unique_lock lock(mutex_);
  Check(started_epochs_ > 0, "Loader::Next: call StartEpoch first");
  if (next_ == batches_per_epoch_) return nullptr;
  Slot& slot = slots_[static_cast<size_t>(next_ % 2)];
  changed_.wait(lock, [this] { return laid_out_ > next_; });
  if (const int64_t left = std::ssize(slot.indices) - slot.taken; left > 0) {
    const int64_t started_epochs = started_epochs_;
    lock.unlock();
    ParallelFor(CeilDiv(left, images_at_once_), [&](int64_t) { MakeSome(started_epochs, slot); });
    lock.lock();
  }
  changed_.wait(lock, [&] { return slot.ready; });
  if (slot.error) std::rethrow_exception(slot.error);
  ++next_;
  lock.unlock();
  changed_.notify_all();
  return &slot.batch;
}

void Loader::Run() {
  int64_t started_epochs = 0;
  std::vector<int64_t> order;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(
        lock, [this] { return stop_ || (started_epochs_ > 0 && laid_out_ == next_ && next_ < batches_per_epoch_); });
    if (stop_) return;
    const bool new_epoch = std::exchange(started_epochs, started_epochs_) != started_epochs_;
    const int64_t number = next_;
    Slot& slot = slots_[static_cast<size_t>(number % 2)];
    slot.epoch = epoch_;
    slot.number = number;

    lock.unlock();
    std::exception_ptr error;
    try {
      if (new_epoch) order = EpochOrder(slot.epoch);
      LayOut(order, slot);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();

    if (!IsWanted(started_epochs)) continue;
    slot.taken = error ? std::ssize(slot.indices) : 0;
    slot.finished = 0;
    slot.ready = error != nullptr;
    slot.error = error;
    laid_out_ = number + 1;
    lock.unlock();
    changed_.notify_all();
    while (MakeSome(started_epochs, slot)) {
    }
    lock.lock();
  }
}

// Takes some images of the batch and makes them. Returns false when there is nothing left to take.
bool Loader::MakeSome(int64_t started_epochs, Slot& slot) {
  std::unique_lock lock(mutex_);
  const int64_t count = std::ssize(slot.indices);
  if (!IsWanted(started_epochs) || slot.taken == count) return false;
  const int64_t begin = slot.taken;
  const int64_t end = std::min(count, begin + images_at_once_);
  slot.taken = end;
  lock.unlock();

  std::exception_ptr error;
  int64_t i = begin;
  try {
    for (; i < end; ++i) MakeImage(slot, i);
  } catch (...) {
    error = std::current_exception();
  }

  lock.lock();
  if (error && (!slot.error || i < slot.failed)) {
    slot.error = error;
    slot.failed = i;
  }
  slot.finished += end - begin;
  if (slot.finished < count) return true;
  if (options_.training && options_.augmentation.mixup > 0.0 && !slot.error) {
    lock.unlock();
    Mix(slot);  // nobody else has to do with the batch now
    lock.lock();
  }
  slot.ready = true;
  lock.unlock();
  changed_.notify_all();
  return false;
}

std::vector<int64_t> Loader::EpochOrder(int64_t epoch) const {
  if (options_.shuffle) {
    return Permutation(FoldIn(KeyFromSeed(options_.seed), static_cast<uint32_t>(epoch)), dataset_.size());
  }
  std::vector<int64_t> order(static_cast<size_t>(dataset_.size()));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

void Loader::LayOut(const std::vector<int64_t>& order, Slot& slot) const {
  const Shape image_shape = dataset_.image_shape();
  const int64_t first = slot.number * options_.batch_size;
  const int64_t count = std::min(options_.batch_size, dataset_.size() - first);
  slot.indices.assign(order.begin() + first, order.begin() + first + count);
  slot.batch.labels.resize(static_cast<size_t>(count));
  const Shape shape{count, image_shape[0], image_shape[1], image_shape[2]};
  if (slot.batch.images.shape() != shape) slot.batch.images = Tensor(shape);
}

void Loader::MakeImage(Slot& slot, int64_t i) const {
  const Shape image_shape = dataset_.image_shape();
  const auto image_size = static_cast<size_t>(image_shape.num_elements());
  const int64_t index = slot.indices[static_cast<size_t>(i)];
  const std::span<float> image = slot.batch.images.span().subspan(static_cast<size_t>(i) * image_size, image_size);
  if (options_.training) {
    const ImageDraw draw{options_.seed, slot.epoch, index, options_.augmentation.random_resized_crop};
    dataset_.TrainingImage(draw, image);
    ChangeColors(options_.augmentation, draw, image_shape, image);
    Standardize(options_.standardization, image);
    Augment(options_.augmentation, draw, image_shape, padding_, image);
  } else {
    dataset_.Image(index, image);
    Standardize(options_.standardization, image);
  }
  const int32_t label = dataset_.Label(index);
  Check(label >= 0 && label < dataset_.num_classes(), "Loader: label ", label, " of image ", index, " is not one of ",
        dataset_.num_classes(), " classes");
  slot.batch.labels[static_cast<size_t>(i)] = label;
}

void Loader::Mix(Slot& slot) const {
  Batch& batch = slot.batch;
  batch.first_share = DrawMixupShare(options_.augmentation.mixup, options_.seed, slot.epoch, slot.number);
  batch.second_labels.assign(batch.labels.rbegin(), batch.labels.rend());
  MixImages(batch.first_share, batch.images);
}

}  // namespace hwynn
