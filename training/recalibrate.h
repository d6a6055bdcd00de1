#ifndef HWYNN_TRAINING_RECALIBRATE_H_
#define HWYNN_TRAINING_RECALIBRATE_H_

// Running statistics made anew for the params as they are ("precise BatchNorm", Wu and Johnson 2021,
// https://arxiv.org/abs/2105.07576): those that training leaves are averages over steps whose params have changed
// since.

#include <cstdint>
#include <limits>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"
#include "hwynn/data/loader.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

struct RecalibrateOptions {
  int64_t images = std::numeric_limits<int64_t>::max();  // at least so many of the epoch, or all of it
  int64_t epoch = 0;                                     // of the loader's: which order
  int64_t ghost_batch_size = 0;                          // CallContext::ghost_batch_size
  bool fusion = true;                                    // CallContext::fusion
  Key dropout_key{};                                     // of the first batch; Dropout drops as in training
};

/// Runs `model` in training mode over batches of `loader`, and sets the running statistics of each BatchNorm that takes
/// the batch's: mean = Σ wᵢ·meanᵢ / Σ wᵢ and var = Σ wᵢ·varᵢ / Σ wᵢ over what it saw, with wᵢ the images of batch i (of
/// ghost batch i), summed in double. Nothing else changes: no params, no `count`, no statistics that a module of the
/// user's own keeps. Returns the images seen.
/// Throws what a forward pass throws; `variables` are then as they were.
int64_t Recalibrate(const Module& model, Loader& loader, const RecalibrateOptions& options, Variables& variables);

}  // namespace hwynn

#endif  // HWYNN_TRAINING_RECALIBRATE_H_
