#include "hwynn/module/graph.h"

#include "hwynn/core/check.h"

namespace hwynn {

GraphValue Graph::Append(const Scope& scope, GraphNode::Op op, std::initializer_list<GraphValue> inputs) {
  const auto made = static_cast<GraphValue>(nodes_.size());
  const size_t wanted = std::holds_alternative<AddOp>(op) ? 2 : 1;
  Check(inputs.size() == wanted, "Graph: an operation in \"/", scope.path(), "\" has ", inputs.size(),
        " inputs instead of ", wanted);
  for (const GraphValue input : inputs) {
    Check(input >= 0 && input <= made, "Graph: an operation in \"/", scope.path(), "\" reads value ", input,
          ", which doesn't exist yet");
  }
  nodes_.push_back({scope.path(), op, inputs});
  return made + 1;
}

}  // namespace hwynn
