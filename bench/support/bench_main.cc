#include "hwynn/bench/support/bench_main.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iostream>
#include <string_view>
#include <vector>

#include "hwynn/core/check.h"

namespace hwynn::bench {
namespace {

int64_t ParseNumber(std::string_view what, std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  Check(error == std::errc{} && end == text.data() + text.size() && value >= 1, what, ": \"", text,
        "\" is not a number from 1 up");
  return value;
}

template <class Work>
double Seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

double MedianSeconds(FunctionRef<void()> work) {
  work();
  std::vector<double> seconds;
  for (int i = 0; i < 5; ++i) seconds.push_back(Seconds(work));
  return Median(seconds);
}

std::vector<int64_t> ParseExtents(const std::string& shape, size_t count) {
  std::vector<int64_t> extents;
  for (std::string_view rest = shape; !rest.empty();) {
    const size_t x = rest.find('x');
    extents.push_back(ParseNumber("--shape", rest.substr(0, x)));
    rest = x == std::string_view::npos ? "" : rest.substr(x + 1);
  }
  Check(extents.size() == count, "--shape: \"", shape, "\" has ", extents.size(), " extents, not ", count);
  return extents;
}

std::string CaseName(const std::string& front, const std::string& shape, int64_t batch, int threads) {
  return StrCat(front, "/", shape, "/batch:", batch, "/threads:", threads);
}

void Fill(TensorView values, uint32_t seed) {
  uint32_t state = seed * 2654435761u + 1;
  for (float& value : values.span()) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
}

Timing TimeBesideLimit(benchmark::State& state, int threads, FunctionRef<void()> kernel, FunctionRef<void()> limit) {
  std::vector<double> kernel_seconds;
  std::vector<double> limit_seconds;
  RunWithThreads(threads, [&] {
    kernel();
    limit();
    for (auto _ : state) {
      kernel_seconds.push_back(Seconds(kernel));
      state.PauseTiming();
      limit_seconds.push_back(Seconds(limit));
      state.ResumeTiming();
    }
  });
  return {Median(kernel_seconds), Median(limit_seconds)};
}

int BenchMain(int argc, char** argv, const std::function<void(const UserCase* user)>& register_cases) try {
  UserCase user;
  bool described = false;
  std::vector<char*> others;
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = std::min(argument.find('='), argument.size());
    const std::string_view name = argument.substr(0, equals);
    const std::string_view value = argument.substr(std::min(equals + 1, argument.size()));
    if (name == "--shape") {
      user.shape = value;
    } else if (name == "--batch") {
      user.batch = ParseNumber(name, value);
      described = true;
    } else if (name == "--threads") {
      user.threads = static_cast<int>(ParseNumber(name, value));
      described = true;
    } else {
      others.push_back(argv[i]);
    }
  }
  Check(!described || !user.shape.empty(), "--batch and --threads describe a case of --shape=…");
  register_cases(nullptr);
  if (!user.shape.empty()) register_cases(&user);

  int count = static_cast<int>(others.size());
  others.push_back(nullptr);
  benchmark::Initialize(&count, others.data());
  if (benchmark::ReportUnrecognizedArguments(count, others.data())) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}

}  // namespace hwynn::bench
