// Resizing of photographs of three channels beside what memory allows: to copy the source. The shape is the source's;
// the shorter side becomes 256, as before a centre crop of 224, which is what is computed.

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/core/check.h"
#include "hwynn/kernels/reference/resize.h"
#include "hwynn/kernels/resize.h"
#include "hwynn/kernels/target.h"

namespace hwynn::bench {
namespace {

constexpr int64_t kShorter = 256;
constexpr int64_t kCrop = 224;

ResizeParams CentreCrop(int64_t height, int64_t width, Interpolation interpolation) {
  const int64_t shorter = std::min(height, width);
  ResizeParams params = {.interpolation = interpolation,
                         .height = height * kShorter / shorter,
                         .width = width * kShorter / shorter,
                         .window_height = kCrop,
                         .window_width = kCrop};
  params.window_top = (params.height - kCrop) / 2;
  params.window_left = (params.width - kCrop) / 2;
  return params;
}

void Run(benchmark::State& state, const std::string& target, Interpolation interpolation, int64_t height, int64_t width,
         int64_t channels, int64_t batch, int threads) {
  SetTarget(target);
  std::vector<uint8_t> bytes(static_cast<size_t>(height * width * channels));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * i / 7 + i);
  std::vector<uint8_t> copy(bytes.size());
  const ByteImageView input = {bytes.data(), height, width, channels, width * channels};
  const ResizeParams params = CentreCrop(height, width, interpolation);
  std::vector<uint8_t> output(static_cast<size_t>(kCrop * kCrop * channels));
  ResizeImage(params, input, output);
  Check(output == reference::ResizeImage(params, input), "resize_bench: the result isn't the reference's");
  const Timing timing = TimeBesideLimit(
      state, threads,
      [&] {
        for (int64_t i = 0; i < batch; ++i) ResizeImage(params, input, output);
      },
      [&] {
        for (int64_t i = 0; i < batch; ++i) std::memcpy(copy.data(), bytes.data(), bytes.size());
        benchmark::DoNotOptimize(copy.data());
      });
  SetTarget("");
  const double images = static_cast<double>(batch);
  state.counters["source_gb_per_s"] = images * static_cast<double>(bytes.size()) / timing.kernel * 1e-9;
  state.counters["of_copy"] = timing.limit / timing.kernel;
  state.counters["us_per_image"] = timing.kernel / images * 1e6;
}

void Register(const std::string& shape, int64_t batch, int threads) {
  const std::vector<int64_t> extents = ParseExtents(shape, 3);
  for (const Interpolation interpolation : {Interpolation::kBilinear, Interpolation::kBicubic}) {
    const char* const name = interpolation == Interpolation::kBilinear ? "bilinear" : "bicubic";
    for (const std::string& target : SupportedTargets()) {
      const std::string front = StrCat("ResizeImage/", name, "/", target);
      benchmark::RegisterBenchmark(CaseName(front, shape, batch, threads).c_str(), [=](benchmark::State& state) {
        Run(state, target, interpolation, extents[0], extents[1], extents[2], batch, threads);
      })->Unit(benchmark::kMillisecond);
    }
  }
}

void RegisterCases(const UserCase* user) {
  if (user) {
    Register(user->shape, user->batch, user->threads);
    return;
  }
  for (const char* const shape : {"300x400x3", "800x1200x3"}) Register(shape, 16, 1);
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) { return hwynn::bench::BenchMain(argc, argv, hwynn::bench::RegisterCases); }
