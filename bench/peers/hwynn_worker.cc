// hwynn's side of bench/peers/compare.py, which describes the conversation.
//
//   hwynn_worker                 lists the cases, a JSON object a line
//   hwynn_worker CASE THREADS    prepares the case of that name, or Peak, says so, and repeats it on request

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/conv2d_shapes.h"
#include "hwynn/bench/support/model_run.h"
#include "hwynn/bench/support/peak.h"
#include "hwynn/core/check.h"
#include "hwynn/kernels/target.h"

namespace hwynn::bench {
namespace {

// What is repeated, and its floating-point operations.
struct Work {
  std::function<void()> run;
  double flops;
};

struct Case {
  nlohmann::ordered_json description;  // its name, and what other libraries need to do the same
  std::function<Work(int threads)> prepare;
};

Case PeakCase() {
  return {{{"name", "Peak"}, {"kind", "peak"}}, [](int threads) {
            return Work{[threads] { PeakPass(threads); }, PeakPass(threads)};
          }};
}

Case CaseOf(const ModelCase& c) {
  return {{{"name", ModelCaseName(c)},
           {"kind", c.train ? "train" : "infer"},
           {"model", c.model},
           {"size", c.size},
           {"channels", c.channels},
           {"classes", c.classes()},
           {"batch", c.batch}},
          [c](int) {
            const auto run = std::make_shared<ModelRun>(c);
            return Work{[run] { run->Run(); }, run->flops()};
          }};
}

using ConvPass = std::function<void(const Conv2dParams&, Tensor& x, Tensor& w, Tensor& y, const Workspace&)>;

Case CaseOf(const ConvShape& shape, const std::string& name, const ConvPass& pass) {
  return {{{"name", StrCat(name, "/", ConvName(shape), "/batch:", shape.batch)},
           {"kind", name},
           {"size", shape.size},
           {"ic", shape.ic},
           {"kernel", shape.kernel},
           {"oc", shape.oc},
           {"stride", shape.stride},
           {"groups", shape.groups},
           {"batch", shape.batch}},
          [shape, pass](int) {
            struct Operands {
              Workspace workspace;
              Tensor x, w, y;
            };
            const Conv2dGeometry g = GeometryOf(shape, shape.batch);
            const auto operands = std::make_shared<Operands>();
            Operands& o = *operands;
            uint32_t seed = 0;
            for (auto& [tensor, extents] :
                 {std::pair{&o.x, g.input_shape()}, {&o.w, g.filter_shape()}, {&o.y, g.output_shape()}}) {
              *tensor = o.workspace.NewTensor(extents);
              Fill(*tensor, ++seed);
            }
            return Work{[=] { pass(ParamsOf(shape), operands->x, operands->w, operands->y, operands->workspace); },
                        g.flops()};
          }};
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const char* model : {"resnet18", "resnet50"}) cases.push_back(CaseOf(ModelCase{model, 224, 3, 32, true}));
  cases.push_back(CaseOf(ModelCase{"resnet20", 28, 1, 128, true}));
  for (const char* model : {"resnet18", "resnet50", "mobilenet_v2"}) {
    for (const int64_t batch : {1, 16}) cases.push_back(CaseOf(ModelCase{model, 224, 3, batch, false}));
  }
  for (const ConvShape& shape : ConvShapes()) {
    cases.push_back(CaseOf(shape, "Conv2dForward", [](auto& params, auto& x, auto& w, auto& y, auto& workspace) {
      Conv2dForward(params, x, w, y, workspace);
    }));
    cases.push_back(CaseOf(shape, "Conv2dBackwardInput", [](auto& params, auto& x, auto& w, auto& y, auto& workspace) {
      Conv2dBackwardInput(params, y, w, x, workspace);
    }));
    cases.push_back(CaseOf(shape, "Conv2dBackwardFilter", [](auto& params, auto& x, auto& w, auto& y, auto& workspace) {
      Conv2dBackwardFilter(params, x, y, w, workspace);
    }));
  }
  return cases;
}

void Serve(const Case& chosen, int threads) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const Work work = chosen.prepare(threads);
  for (int i = 0; i < 2; ++i) work.run();
  std::cout << nlohmann::json{{"version", "hwynn on " + CurrentTarget()}, {"flops", work.flops}} << std::endl;
  for (double budget; std::cin >> budget;) {
    auto seconds = nlohmann::json::array();
    const Clock::time_point begin = Clock::now();
    do {
      const Clock::time_point start = Clock::now();
      work.run();
      seconds.push_back(seconds_since(start));
    } while (seconds_since(begin) < budget);
    std::cout << seconds << std::endl;
  }
}

int Main(int argc, char** argv) try {
  std::vector<Case> cases = Cases();
  if (argc == 1) {
    for (const Case& c : cases) std::cout << c.description << "\n";
    return 0;
  }
  cases.push_back(PeakCase());
  Check(argc == 3, "usage: hwynn_worker [CASE THREADS]");
  const auto chosen =
      std::find_if(cases.begin(), cases.end(), [&](const Case& c) { return c.description["name"] == argv[1]; });
  Check(chosen != cases.end(), "no case \"", argv[1], "\"; without arguments hwynn_worker lists them");
  const int threads = std::stoi(argv[2]);
  RunWithThreads(threads, [&] { Serve(*chosen, threads); });
  return 0;
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) { return hwynn::bench::Main(argc, argv); }
