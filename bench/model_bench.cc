// Whole models: TrainStep/resnet18/224/batch:32/threads:2 is one training step (forward, loss, backward, SGD with
// momentum) on the best target of this machine; Inference/resnet50/224/batch:1/threads:2 is one call of an
// InferenceModel. …/unfused takes BatchNorm in passes of its own, …/frozen with the running statistics as they are.
// non_conv_share is the part of the step beyond the stand-alone times of its convolutions and dense layers; pass_share
// that of passes over memory that are neither convolution, dense nor pooling, in one step that is observed; kept_bytes
// what its Forward keeps for Backward.

#include <sys/resource.h>

#include <chrono>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/model_run.h"
#include "hwynn/bench/support/peak.h"
#include "hwynn/core/check.h"
#include "hwynn/training/profile.h"

namespace hwynn::bench {
namespace {

double PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

// Seconds of all convolutions of the case on their own, each the median of a few runs.
double ConvSeconds(const std::vector<ModelConv>& convs, bool train, int threads) {
  const Workspace workspace;
  double total = 0;
  RunWithThreads(threads, [&] {
    for (const ModelConv& conv : convs) {
      Tensor x = workspace.NewTensor(conv.geometry.input_shape());
      Tensor w = workspace.NewTensor(conv.geometry.filter_shape());
      Tensor y = workspace.NewTensor(conv.geometry.output_shape());
      for (Tensor* tensor : {&x, &w, &y}) {
        for (int64_t i = 0; i < tensor->size(); ++i) (*tensor)[i] = static_cast<float>(i % 7 - 3);
      }
      double seconds = MedianSeconds([&] { Conv2dForward(conv.params, x, w, y, workspace); });
      if (train) {
        seconds += MedianSeconds([&] { Conv2dBackwardFilter(conv.params, x, y, w, workspace); });
        if (conv.input_gradient) {
          seconds += MedianSeconds([&] { Conv2dBackwardInput(conv.params, y, w, x, workspace); });
        }
      }
      total += seconds * static_cast<double>(conv.count);
    }
  });
  return total;
}

void RunCase(benchmark::State& state, const ModelCase& c, int threads) {
  ModelRun run(c);
  double peak_flops = 0;
  const Timing timing = TimeBesideLimit(
      state, threads, [&] { run.Run(); }, [&] { peak_flops = PeakPass(threads); });
  state.counters["images_per_s"] = static_cast<double>(c.batch) / timing.kernel;
  state.counters["gflops"] = run.flops() / timing.kernel * 1e-9;
  state.counters["of_peak"] = run.flops() / timing.kernel / (peak_flops / timing.limit);
  state.counters["non_conv_share"] = 1 - ConvSeconds(run.convs(), c.train, threads) / timing.kernel;
  state.counters["peak_rss_bytes"] = PeakResidentBytes();
  if (!c.train) return;
  StepProfile profile;
  const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  RunWithThreads(threads, [&] { run.Run(&profile); });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  state.counters["pass_share"] = profile.Seconds(WorkKind::kPass) / seconds.count();
  state.counters["kept_bytes"] = static_cast<double>(profile.kept_bytes());
}

void RegisterAs(const std::string& name, const ModelCase& c, int threads) {
  benchmark::RegisterBenchmark(name.c_str(), [c, threads](benchmark::State& state) {
    RunCase(state, c, threads);
  })->Unit(benchmark::kMillisecond);
}

void Register(ModelCase c, int threads) {
  const std::string name = StrCat(ModelCaseName(c), "/threads:", threads);
  RegisterAs(name, c, threads);
  if (!c.train) return;
  c.step = {.fusion = false};
  RegisterAs(name + "/unfused", c, threads);
  c.step = {.freeze_batch_norm = true};
  RegisterAs(name + "/frozen", c, threads);
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) {
  using namespace hwynn::bench;
  return BenchMain(argc, argv, [](const UserCase* user) {
    const auto family = [](int64_t size, int64_t channels, int64_t batch, int threads, const std::string& model) {
      for (const bool train : {true, false}) Register({model, size, channels, batch, train}, threads);
    };
    if (user != nullptr) {  // --shape=224x224x3: every model, whatever its usual size
      const std::vector<int64_t> extents = ParseExtents(user->shape, 3);
      hwynn::Check(extents[0] == extents[1], "--shape: images must be square");
      for (const char* model : {"resnet18", "resnet50", "resnet20", "resnet56", "mobilenet_v2"}) {
        family(extents[0], extents[2], user->batch, user->threads, model);
      }
      return;
    }
    for (const int threads : {1, 2}) {
      for (const char* model : {"resnet18", "resnet50", "mobilenet_v2"}) {
        family(224, 3, 32, threads, model);
      }
      for (const char* model : {"resnet18", "resnet50", "mobilenet_v2"}) {
        for (const int64_t batch : {1, 16}) Register({model, 224, 3, batch, false}, threads);
      }
      family(28, 1, 128, threads, "resnet20");
      family(32, 3, 128, threads, "resnet20");
    }
  });
}
