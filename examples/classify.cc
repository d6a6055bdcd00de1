// Says what is on an image: classify MODEL IMAGE, a file of `hwynn compile` and a PPM or PGM of 8 bits, as
//   convert photo.jpg -resize 256x256^ -gravity center -extent 224x224 photo.ppm

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "hwynn/inference/inference_model.h"

int main(int argc, char** argv) try {
  if (argc != 3) throw std::invalid_argument("usage: classify MODEL IMAGE.ppm");
  const hwynn::InferenceModel model = hwynn::InferenceModel::Load(argv[1]);

  // P6 (RGB) or P5 (grey), width, height, 255, one space; then the pixels, row by row: [H,W,C].
  std::ifstream file(argv[2], std::ios::binary);
  std::string kind;
  int width = 0, height = 0, white = 0;
  file >> kind >> width >> height >> white;
  const int channels = kind == "P6" ? 3 : 1;
  const bool known = (kind == "P6" || kind == "P5") && white == 255;
  if (!known || std::min(width, height) < 1 || std::max(width, height) > 10'000 || file.get() == EOF)
    throw std::runtime_error(std::string(argv[2]) + ": isn't a PPM or PGM of 8 bits");
  std::vector<unsigned char> pixels(static_cast<size_t>(width) * height * channels);
  if (!file.read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(pixels.size())))
    throw std::runtime_error(std::string(argv[2]) + ": ends before its last pixel");

  hwynn::InferenceContext context(model);
  const auto scores = context.RunBytes(pixels.data(), {1, height, width, channels}).span();

  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  double sum = 0;  // of the softmax
  for (const float score : scores) sum += std::exp(score - scores[order[0]]);
  const std::vector<std::string>& names = model.info().class_names;
  for (size_t i = 0; i < std::min<size_t>(5, order.size()); ++i) {
    const std::string name = order[i] < names.size() ? names[order[i]] : "class " + std::to_string(order[i]);
    std::printf("%5.1f %%  %s\n", 100 * std::exp(scores[order[i]] - scores[order[0]]) / sum, name.c_str());
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
