// hwynn serve-bench: many callers of one compiled model in one process, and what a service would see of it.

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cmath>
#include <ctime>
#include <exception>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "hwynn/apps/commands.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/random.h"
#include "hwynn/formats/checksum.h"
#include "hwynn/kernels/target.h"

namespace hwynn::apps {
namespace {

using Clock = std::chrono::steady_clock;

struct ServeBenchOptions {
  std::string model;
  int callers = 1;
  int threads = 0;
  int64_t batch = 1;
  int64_t calls = 100;
  int64_t image_size = 0;  // 0: the model's own
  bool json = false;
  std::string target;
};

constexpr int kWarmCalls = 3;
constexpr int64_t kDefaultImageSize = 224;

double Milliseconds(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double CpuMilliseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

// The callers of one model: each calls three times, waits for the others, and calls `calls` times more.
class Callers {
 public:
  Callers(const InferenceModel& model, const ServeBenchOptions& options)
      : model_(model), options_(options), together_(options.callers, [this]() noexcept { begin_ = Clock::now(); }) {
    const Shape& shape = model.info().image_shape;
    const auto extent = [&](int axis, int64_t otherwise) {
      if (axis < 2 && options.image_size > 0) return options.image_size;
      return shape[axis] > 0 ? shape[axis] : otherwise;
    };
    images_ = Tensor({options.batch, extent(0, kDefaultImageSize), extent(1, kDefaultImageSize), extent(2, 3)});
    Normal(KeyFromSeed(0), images_.span());
  }

  void Run() {
    contexts_.reserve(static_cast<size_t>(options_.callers));
    for (int i = 0; i < options_.callers; ++i) {
      contexts_.emplace_back(model_, InferenceContextOptions{.threads = options_.threads});
    }
    Call(contexts_[0]);
    first_result_ = Clock::now();
    {
      std::vector<std::jthread> threads;
      for (InferenceContext& context : contexts_) threads.emplace_back([&] { Serve(context); });
    }
    end_ = Clock::now();
    if (failure_) std::rethrow_exception(failure_);
  }

  nlohmann::ordered_json Report(Clock::time_point start) {
    std::ranges::sort(milliseconds_);
    const auto percentile = [&](double share) {  // the smallest time that so many calls don't exceed
      const auto index = static_cast<size_t>(std::ceil(share * static_cast<double>(milliseconds_.size()))) - 1;
      return milliseconds_[index];
    };
    const double seconds = std::chrono::duration<double>(end_ - begin_).count();
    const auto images = static_cast<double>(options_.callers * options_.calls * options_.batch);
    char checksum[17];
    std::snprintf(checksum, sizeof(checksum), "%016llx", static_cast<unsigned long long>(checksum_));
    return {{"images_per_second", images / seconds},
            {"p50_ms", percentile(0.5)},
            {"p99_ms", percentile(0.99)},
            {"max_ms", milliseconds_.back()},
            {"first_result_ms", Milliseconds(first_result_ - start)},
            {"checksum", checksum}};
  }

 private:
  // Checks that all calls give the same.
  void Call(InferenceContext& context) {
    const ConstTensorView logits = context.Run(images_);
    const uint64_t checksum = Checksum(std::as_bytes(logits.span()));
    uint64_t unknown = 0;
    if (!checksum_.compare_exchange_strong(unknown, checksum)) {
      CheckData(unknown == checksum, options_.model, ": two calls with the same input gave different logits");
    }
  }

  void Serve(InferenceContext& context) {
    std::vector<double> milliseconds;
    milliseconds.reserve(static_cast<size_t>(options_.calls));
    bool waiting = true;
    try {
      for (int i = 0; i < kWarmCalls; ++i) Call(context);
      waiting = false;
      together_.arrive_and_wait();
      for (int64_t i = 0; i < options_.calls; ++i) {
        const Clock::time_point call = Clock::now();
        Call(context);
        milliseconds.push_back(Milliseconds(Clock::now() - call));
      }
    } catch (...) {
      if (waiting) together_.arrive_and_drop();
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    milliseconds_.insert(milliseconds_.end(), milliseconds.begin(), milliseconds.end());
  }

  const InferenceModel& model_;
  const ServeBenchOptions& options_;
  Tensor images_;
  std::vector<InferenceContext> contexts_;
  std::barrier<std::function<void()>> together_;
  Clock::time_point begin_, end_, first_result_;
  std::atomic<uint64_t> checksum_ = 0;
  std::mutex mutex_;
  std::vector<double> milliseconds_;  // of each call
  std::exception_ptr failure_;
};

void RunServeBench(const ServeBenchOptions& options) {
  // What the process did before came before main, and was work: its time is the processor's.
  const Clock::time_point start = Clock::now() - std::chrono::duration_cast<Clock::duration>(
                                                     std::chrono::duration<double, std::milli>(CpuMilliseconds()));
  SetTarget(options.target);
  const InferenceModel model = LoadInferenceModel(options.model);
  const double load_ms = Milliseconds(Clock::now() - start);

  Callers callers(model, options);
  callers.Run();
  const double before_waiting = CpuMilliseconds();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const double idle_cpu_ms = CpuMilliseconds() - before_waiting;

  nlohmann::ordered_json report = callers.Report(start);
  report["load_ms"] = load_ms;
  report["idle_cpu_ms"] = idle_cpu_ms;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  report["peak_rss_bytes"] = static_cast<int64_t>(usage.ru_maxrss) * 1024;
  if (!options.json) {
    std::cout << options.callers << " callers, batches of " << options.batch << ", " << options.calls
              << " calls each: " << report["images_per_second"] << " images/s; a call " << report["p50_ms"]
              << " ms (median), " << report["p99_ms"] << " ms (99th percentile)" << std::endl;
  }
  std::cout << report.dump() << std::endl;
}

}  // namespace

void AddServeBenchCommand(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("serve-bench", "callers of one compiled model at once: throughput, latency, memory");
  const auto options = std::make_shared<ServeBenchOptions>();
  const CLI::Range positive(1, 1 << 20);
  command->add_option("model", options->model, "what hwynn compile wrote, or a checkpoint")->required()->type_name("F");
  command->add_option("--callers", options->callers, "threads that call the model at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->type_name("C");
  command
      ->add_option("--threads", options->threads, "threads that work on a call; default: all that the process may use")
      ->check(CLI::Range(1, kMostThreads))
      ->type_name("T");
  command->add_option("--batch", options->batch, "images of a call")
      ->check(positive)
      ->capture_default_str()
      ->type_name("B");
  command->add_option("--calls", options->calls, "of each caller, after three that aren't counted")
      ->check(positive)
      ->capture_default_str()
      ->type_name("K");
  command->add_option("--image-size", options->image_size, "default: the model's, or 224")
      ->check(CLI::Range(1, 1 << 16))
      ->type_name("S");
  command->add_option("--target", options->target, "instruction set; default: the best of this machine");
  command->add_flag("--json", options->json, "nothing but the last line, a JSON object");
  command->callback([options] { RunServeBench(*options); });
}

}  // namespace hwynn::apps
