#ifndef HWYNN_APPS_OP_DRIVER_OPS_H_
#define HWYNN_APPS_OP_DRIVER_OPS_H_

// The ops of the driver. A row says what an op takes and makes; the driver's checks and --list read the rows.

#include <optional>
#include <string_view>
#include <vector>

#include "hwynn/apps/op_driver/case.h"
#include "hwynn/kernels/conv2d.h"

namespace hwynn::apps {

struct Op {
  std::string_view name;
  std::vector<InputSpec> inputs;
  std::vector<std::string_view> outputs;
  std::vector<AttributeSpec> attributes;
  std::optional<Conv2dPass> pass;  // of which there are algorithms to choose from
  void (*run)(Case&);
};

const std::vector<Op>& Ops();

/// Throws std::invalid_argument, with the names there are, for any other name.
const Op& FindOp(std::string_view name);

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_OP_DRIVER_OPS_H_
