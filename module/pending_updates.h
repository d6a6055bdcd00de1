#ifndef HWYNN_MODULE_PENDING_UPDATES_H_
#define HWYNN_MODULE_PENDING_UPDATES_H_

#include "hwynn/core/export.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

/// What a training call writes besides params, running statistics above all, kept apart until the call has succeeded:
/// one that fails leaves the variables as they were. Its memory is used again by the next call.
class PendingUpdates {
 public:
  /// Copies of all collections but params, for CallContext::updates.
  Variables& Begin(const Variables& variables);
  /// Copies them back, into the arrays of `variables`, which are those of Begin.
  void Commit(Variables& variables) const;

 private:
  Variables copies_;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_PENDING_UPDATES_H_
