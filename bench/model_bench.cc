// Whole models: TrainStep/resnet18/224/batch:32/threads:2 is one training step (forward, loss, backward, SGD with
// momentum) on the best target of this machine; Inference/resnet50/224/batch:1/threads:2 is one forward pass.
// non_conv_share is the part of the step beyond the stand-alone times of its convolutions and dense layers.

#include <sys/resource.h>

#include <memory>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/model_convs.h"
#include "hwynn/bench/support/peak.h"
#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/models/make_model.h"
#include "hwynn/training/train_state.h"

namespace hwynn::bench {
namespace {

struct ModelCase {
  std::string model;
  int64_t size, channels, classes, batch;
  int threads;
  bool train;
};

double PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

Tensor MakeImages(const ModelCase& c) {
  Tensor images({c.batch, c.size, c.size, c.channels});
  for (int64_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>(i * 7919 % 1013) / 506.0f - 1.0f;
  return images;
}

// Seconds of all convolutions of the case on their own, each the median of a few runs.
double ConvSeconds(const std::vector<ModelConv>& convs, const ModelCase& c) {
  const Workspace workspace;
  double total = 0;
  RunWithThreads(c.threads, [&] {
    for (const ModelConv& conv : convs) {
      Tensor x = workspace.NewTensor(conv.geometry.input_shape());
      Tensor w = workspace.NewTensor(conv.geometry.filter_shape());
      Tensor y = workspace.NewTensor(conv.geometry.output_shape());
      for (Tensor* tensor : {&x, &w, &y}) {
        for (int64_t i = 0; i < tensor->size(); ++i) (*tensor)[i] = static_cast<float>(i % 7 - 3);
      }
      double seconds = MedianSeconds([&] { Conv2dForward(conv.params, x, w, y, workspace); });
      if (c.train) {
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

void RunCase(benchmark::State& state, const ModelCase& c) {
  const std::unique_ptr<const Module> model = MakeModel(c.model, {.num_classes = c.classes});
  const Tensor images = MakeImages(c);
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < c.batch; ++i) labels.push_back(static_cast<int32_t>(i % c.classes));
  const OptimizerOptions sgd{.momentum = 0.9f, .weight_decay = 5e-4f};
  TrainState train_state = CreateTrainState(*model, sgd, KeyFromSeed(0), {c.size, c.size, c.channels});
  Stepper stepper(*model, sgd);
  const Workspace workspace;
  const auto step = [&] {
    if (c.train) {
      stepper.Train(images, labels, 0.01f, Key{}, train_state);
    } else {
      Predict(*model, train_state.variables, images, workspace);
    }
  };
  double peak_flops = 0;
  const Timing timing = TimeBesideLimit(state, c.threads, step, [&] { peak_flops = PeakPass(c.threads); });

  const std::vector<ModelConv> convs = ConvolutionsOf(c.model, c.size, c.channels, c.classes, c.batch);
  double flops = 0;
  for (const ModelConv& conv : convs) {
    const int passes = !c.train ? 1 : conv.input_gradient ? 3 : 2;
    flops += conv.geometry.flops() * passes * static_cast<double>(conv.count);
  }
  state.counters["images_per_s"] = static_cast<double>(c.batch) / timing.kernel;
  state.counters["gflops"] = flops / timing.kernel * 1e-9;
  state.counters["of_peak"] = flops / timing.kernel / (peak_flops / timing.limit);
  state.counters["non_conv_share"] = 1 - ConvSeconds(convs, c) / timing.kernel;
  state.counters["peak_rss_bytes"] = PeakResidentBytes();
}

void Register(const ModelCase& c) {
  benchmark::RegisterBenchmark(
      CaseName(StrCat(c.train ? "TrainStep/" : "Inference/", c.model), StrCat(c.size), c.batch, c.threads).c_str(),
      [c](benchmark::State& state) { RunCase(state, c); })
      ->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) {
  using namespace hwynn::bench;
  return BenchMain(argc, argv, [](const UserCase* user) {
    const auto family = [](int64_t size, int64_t channels, int64_t batch, int threads, const std::string& model) {
      const int64_t classes = size >= 64 ? 1000 : 10;
      for (const bool train : {true, false}) Register({model, size, channels, classes, batch, threads, train});
    };
    if (user != nullptr) {  // --shape=224x224x3: every ResNet of the size's family
      const std::vector<int64_t> extents = ParseExtents(user->shape, 3);
      hwynn::Check(extents[0] == extents[1], "--shape: images must be square");
      for (const char* model : {"resnet18", "resnet50", "resnet20", "resnet56"}) {
        family(extents[0], extents[2], user->batch, user->threads, model);
      }
      return;
    }
    for (const int threads : {1, 2}) {
      for (const char* model : {"resnet18", "resnet50"}) {
        family(224, 3, 32, threads, model);
        for (const int64_t batch : {1, 16}) Register({model, 224, 3, 1000, batch, threads, false});
      }
      family(28, 1, 128, threads, "resnet20");
      family(32, 3, 128, threads, "resnet20");
    }
  });
}
