#ifndef HWYNN_INFERENCE_PROGRAM_PROGRAM_H_
#define HWYNN_INFERENCE_PROGRAM_PROGRAM_H_

// Not for users: what an InferenceModel runs. A flat list of kernel calls, made of a Graph: BatchNorms are folded into
// the filters before them, additions and ReLUs are parts of the convolutions.

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/tensor.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/pool.h"
#include "hwynn/module/graph.h"

namespace hwynn {

/// One kernel call. What a kind doesn't use stays at its default.
struct ProgramStep {
  enum class Kind {
    kConv2d,             // relu?(conv(input, filter) + bias + addend)
    kDense,              // relu?(input·filter + bias + addend), over the last axis; the filter is [1,1,C,F]
    kNormalize,          // relu?(input·scale + bias + addend), a BatchNorm that no filter stands before
    kRelu,               //
    kAdd,                // relu?(input + addend)
    kMaxPool,            //
    kAveragePool,        //
    kGlobalAveragePool,  //
    kFlatten,            //
    kModule,             // a user's own
  };

  Kind kind = Kind::kConv2d;
  std::string path;  // of the module whose value this is
  int input = 0;     // a value: 0 is the program's input, i + 1 what steps[i] makes
  int addend = -1;   // a value, or none
  Conv2dParams conv{};
  PoolParams pool{};
  ConstTensorView filter{};
  ConstTensorView mean{};   // [C], kNormalize: (x − mean)·scale + bias
  ConstTensorView scale{};  // [C]
  ConstTensorView ones{};   // [C], in a variance's place
  ConstTensorView bias{};   // [C] or empty
  bool relu = false;
  float upper = std::numeric_limits<float>::infinity();  // of the ReLU
  const Module* module = nullptr;

  /// What files and descriptions call a kind: "conv2d".
  static std::string_view KindName(Kind kind);
  bool multiplies() const { return kind == Kind::kConv2d || kind == Kind::kDense; }
};

/// A filter of a program as an algorithm reads it.
struct PackedStep {
  int step = 0;
  std::string algorithm;
  std::span<const float> packed;
};

/// The filters of some steps, packed for one target.
struct PackedSteps {
  std::string target;
  std::vector<PackedStep> steps;
};

/// By what name PackedFilters has a step's filter.
std::string PackedName(int step);

struct Program {
  std::vector<ProgramStep> steps;
  int output = 0;                      // a value
  std::shared_ptr<const void> arrays;  // what the steps' views point to

  bool calls_modules() const;
};

/// The program of a graph whose output is `output`. Filters and constants are copied. In float64: with
/// mul = scale/√(var + epsilon) a filter becomes filter·mul and a bias (bias − mean)·mul + the BatchNorm's; of results
/// the subnormal ones become 0, with which processors multiply a hundred times slower.
Program MakeProgram(const Graph& graph, GraphValue output);

}  // namespace hwynn

#endif  // HWYNN_INFERENCE_PROGRAM_PROGRAM_H_
