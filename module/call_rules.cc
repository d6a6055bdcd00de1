#include "hwynn/module/call_rules.h"

#include "hwynn/core/check.h"
#include "hwynn/module/path.h"

namespace hwynn {

Key LinenRules::DrawKey(const std::string& path) {
  Check(dropout_key_.has_value(), "the random draws of \"/", path, "\" in training need a dropout_key");
  return LinenKey(*dropout_key_, path, ++draws_[path]);
}

void LinenRules::CheckGivenTwice(std::string_view argument, const std::string& path) const {
  Check(false, "Parameter \"", argument,
        "\" was passed to the constructor and at call time. Should be passed just once. In \"/", path, "\"");
}

}  // namespace hwynn
