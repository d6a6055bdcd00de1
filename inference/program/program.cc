#include "hwynn/inference/program/program.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"

namespace hwynn {
namespace {

using Kind = ProgramStep::Kind;

// A step while it is made: its filter and its constants aren't views yet.
struct Draft {
  ProgramStep step;
  ConstTensorView filter{};  // as the model has it
  std::vector<double> mul;   // [OC], times the filter; empty: 1
  std::vector<double> mean;  // [C], of kNormalize
  std::vector<double> bias;  // [C] or empty
};

std::vector<double> Doubles(ConstTensorView values) { return {values.span().begin(), values.span().end()}; }

// scale/√(var + epsilon).
std::vector<double> Mul(const BatchNormAffine& affine) {
  std::vector<double> mul;
  for (int64_t c = 0; c < affine.var.size(); ++c) {
    const double scale = affine.scale.size() != 0 ? affine.scale[c] : 1.0;
    mul.push_back(scale / std::sqrt(static_cast<double>(affine.var[c]) + static_cast<double>(affine.epsilon)));
  }
  return mul;
}

// Subnormal values become 0.
float Rounded(double value) {
  const auto rounded = static_cast<float>(value);
  return std::abs(rounded) < std::numeric_limits<float>::min() ? 0.0f : rounded;
}

class ProgramMaker {
 public:
  explicit ProgramMaker(const Graph& graph) : graph_(graph), uses_(graph.nodes().size() + 1) {
    for (const GraphNode& node : graph.nodes()) {
      for (const GraphValue input : node.inputs) ++uses_[static_cast<size_t>(input)];
    }
    values_.push_back(0);
  }

  Program Make(GraphValue output) {
    ++uses_[static_cast<size_t>(output)];
    for (const GraphNode& node : graph_.nodes()) {
      node_ = &node;
      values_.push_back(std::visit([&](const auto& op) { return Append(op); }, node.op));
    }
    return Finish(values_[static_cast<size_t>(output)]);
  }

 private:
  int Value(size_t input) const { return values_[static_cast<size_t>(node_->inputs[input])]; }

  int Emit(ProgramStep step) {
    step.path = node_->path;
    step.input = Value(0);
    drafts_.push_back({.step = std::move(step)});
    return static_cast<int>(drafts_.size());
  }

  // The step whose value nobody but this node reads, so that the node may become a part of it; or null.
  Draft* Producer(size_t input) {
    const int value = Value(input);
    if (value == 0 || uses_[static_cast<size_t>(node_->inputs[input])] != 1) return nullptr;
    return &drafts_[static_cast<size_t>(value) - 1];
  }

  // The node becomes a part of what made `value`.
  int Merge(int value) {
    drafts_[static_cast<size_t>(value) - 1].step.path = node_->path;
    return value;
  }

  int Append(const Conv2dOp& op) {
    const int value = Emit({.kind = Kind::kConv2d, .conv = op.params});
    drafts_.back().filter = op.filter;
    drafts_.back().bias = Doubles(op.bias);
    return value;
  }

  int Append(const DenseOp& op) {
    const int value = Emit({.kind = Kind::kDense, .conv = {.padding = Padding::Valid()}});
    drafts_.back().filter = {op.kernel.data(), {1, 1, op.kernel.shape()[0], op.kernel.shape()[1]}};
    drafts_.back().bias = Doubles(op.bias);
    return value;
  }

  int Append(const BatchNormOp& op) {
    const std::vector<double> mul = Mul(op.affine);
    Draft* producer = Producer(0);
    if (producer != nullptr && producer->step.multiplies() && !producer->step.relu && producer->step.addend < 0) {
      Fold(op.affine, mul, *producer);
      return Merge(Value(0));
    }
    const int value = Emit({.kind = Kind::kNormalize});
    drafts_.back().mul = mul;
    drafts_.back().mean = Doubles(op.affine.mean);
    drafts_.back().bias = Doubles(op.affine.bias);
    return value;
  }

  static void Fold(const BatchNormAffine& affine, const std::vector<double>& mul, Draft& draft) {
    const size_t channels = mul.size();
    Check(static_cast<int64_t>(channels) == draft.filter.shape().back(), "InferenceModel: a BatchNorm of ", channels,
          " channels behind \"/", draft.step.path, "\", which has ", draft.filter.shape().back());
    draft.mul.resize(channels, 1.0);
    draft.bias.resize(channels, 0.0);
    for (size_t c = 0; c < channels; ++c) {
      const auto index = static_cast<int64_t>(c);
      const double bias = affine.bias.size() != 0 ? affine.bias[index] : 0.0;
      draft.bias[c] = (draft.bias[c] - affine.mean[index]) * mul[c] + bias;
      draft.mul[c] *= mul[c];
    }
  }

  int Append(const ReluOp& op) {
    Draft* producer = Producer(0);
    // Only a convolution's epilogue has an upper end.
    const bool clips = producer != nullptr && !producer->step.relu &&
                       (producer->step.multiplies() ||
                        (op.upper == std::numeric_limits<float>::infinity() &&
                         (producer->step.kind == Kind::kNormalize || producer->step.kind == Kind::kAdd)));
    if (!clips) return Emit({.kind = Kind::kRelu, .relu = true, .upper = op.upper});
    producer->step.relu = true;
    producer->step.upper = op.upper;
    return Merge(Value(0));
  }

  int Append(const AddOp&) {
    // Into the later of the two steps: then the other's value is there.
    const size_t later = Value(0) > Value(1) ? 0 : 1;
    Draft* producer = Producer(later);
    const bool can_add =
        producer != nullptr && (producer->step.multiplies() || producer->step.kind == Kind::kNormalize);
    if (can_add && Value(0) != Value(1) && !producer->step.relu && producer->step.addend < 0) {
      producer->step.addend = Value(1 - later);
      return Merge(Value(later));
    }
    return Emit({.kind = Kind::kAdd, .addend = Value(1)});
  }

  int Append(const MaxPoolOp& op) { return Emit({.kind = Kind::kMaxPool, .pool = op.params}); }
  int Append(const AveragePoolOp& op) { return Emit({.kind = Kind::kAveragePool, .pool = op.params}); }
  int Append(const GlobalAveragePoolOp&) { return Emit({.kind = Kind::kGlobalAveragePool}); }
  int Append(const FlattenOp&) { return Emit({.kind = Kind::kFlatten}); }
  int Append(const ModuleOp& op) { return Emit({.kind = Kind::kModule, .module = op.module}); }

  Program Finish(int output) const;

  const Graph& graph_;
  const GraphNode* node_ = nullptr;  // that is being appended
  std::vector<int> uses_;            // of the graph's values
  std::vector<int> values_;          // the program's value for each of the graph's
  std::vector<Draft> drafts_;
};

// The filter times mul.
Tensor Folded(ConstTensorView filter, const std::vector<double>& mul) {
  Tensor folded(filter.shape());
  const int64_t channels = filter.shape().back();
  ParallelFor(filter.size() / channels, [&](int64_t row) {
    for (int64_t c = 0; c < channels; ++c) {
      const double value = filter[row * channels + c];
      folded[row * channels + c] = Rounded(mul.empty() ? value : value * mul[static_cast<size_t>(c)]);
    }
  });
  return folded;
}

Program ProgramMaker::Finish(int output) const {
  const auto arrays = std::make_shared<std::vector<Tensor>>();
  const auto keep = [&](Tensor array) -> ConstTensorView {
    if (array.size() == 0) return {};
    arrays->push_back(std::move(array));
    return arrays->back();
  };
  const auto rounded = [&](const std::vector<double>& values) {
    if (values.empty()) return Tensor();
    Tensor result(Shape{static_cast<int64_t>(values.size())});
    std::ranges::transform(values, result.data(), Rounded);
    return result;
  };
  Program program{.output = output};
  for (const Draft& draft : drafts_) {
    ProgramStep step = draft.step;
    if (step.multiplies()) {
      step.filter = keep(Folded(draft.filter, draft.mul));
    } else if (step.kind == Kind::kNormalize) {
      step.mean = keep(rounded(draft.mean));
      step.scale = keep(rounded(draft.mul));
      step.ones = keep(Tensor(step.scale.shape(), 1.0f));
    }
    step.bias = keep(rounded(draft.bias));
    program.steps.push_back(std::move(step));
  }
  program.arrays = arrays;
  return program;
}

}  // namespace

std::string_view ProgramStep::KindName(Kind kind) {
  switch (kind) {
    case Kind::kConv2d:
      return "conv2d";
    case Kind::kDense:
      return "dense";
    case Kind::kNormalize:
      return "normalize";
    case Kind::kRelu:
      return "relu";
    case Kind::kAdd:
      return "add";
    case Kind::kMaxPool:
      return "max_pool";
    case Kind::kAveragePool:
      return "average_pool";
    case Kind::kGlobalAveragePool:
      return "global_average_pool";
    case Kind::kFlatten:
      return "flatten";
    case Kind::kModule:
      return "module";
  }
  return "";
}

std::string PackedName(int step) { return std::to_string(step); }

bool Program::calls_modules() const {
  return std::ranges::any_of(steps, [](const ProgramStep& step) { return step.kind == Kind::kModule; });
}

Program MakeProgram(const Graph& graph, GraphValue output) { return ProgramMaker(graph).Make(output); }

}  // namespace hwynn
