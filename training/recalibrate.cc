#include "hwynn/training/recalibrate.h"

#include "hwynn/module/pending_updates.h"

namespace hwynn {

int64_t Recalibrate(const Module& model, Loader& loader, const RecalibrateOptions& options, Variables& variables) {
  const Workspace workspace;
  StatisticsAverages averages;
  PendingUpdates updates;  // what other modules write, which is thrown away
  int64_t images = 0;
  loader.StartEpoch(options.epoch);
  for (uint32_t number = 0; images < options.images; ++number) {
    const Batch* const batch = loader.Next();
    if (!batch) break;
    LinenRules rules(FoldIn(options.dropout_key, number));
    const CallContext context{.workspace = &workspace,
                              .variables = &variables,
                              .updates = &updates.Begin(variables),
                              .mode = Mode::kTrain,
                              .rules = &rules,
                              .fusion = options.fusion,
                              .ghost_batch_size = options.ghost_batch_size,
                              .averages = &averages};
    model.Forward(Scope(context), BorrowActivation(batch->images)).Value();
    images += batch->images.shape()[0];
  }
  averages.Store(variables);
  return images;
}

}  // namespace hwynn
