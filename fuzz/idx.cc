// An IDX file, plain or compressed, as the images that go with two labels and as the labels that go with two images.

#include "hwynn/data/idx.h"

#include <algorithm>
#include <array>
#include <vector>

#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

constexpr std::array<uint8_t, 10> kLabels{0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
constexpr std::array<uint8_t, 20> kImages{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4};

void Read(const std::string& images, const std::string& labels) {
  const auto dataset = LoadIdx(images, labels, {"a", "b", "c"});
  std::vector<float> image(static_cast<size_t>(dataset->image_shape().num_elements()));
  for (int64_t i = 0; i < dataset->size(); ++i) {
    dataset->Image(i, image);
    Require(std::ranges::all_of(image, [](float x) { return x >= 0.0f && x <= 1.0f; }), "pixels are in 0 … 1");
    Require(dataset->Label(i) < 3, "a label is a class");
  }
}

}  // namespace

std::string ReadInput(Bytes input) {
  static const Scratch scratch;
  static const std::string labels = scratch.Write("labels", std::as_bytes(std::span(kLabels)));
  static const std::string images = scratch.Write("images", std::as_bytes(std::span(kImages)));
  const std::string path = scratch.Write("input", input);
  const std::string error = ErrorOf([&] { Read(path, labels); });
  const std::string error_as_labels = ErrorOf([&] { Read(images, path); });
  // The magic number says which of the two it is meant for.
  return error.find("magic number") != std::string::npos ? error_as_labels : error;
}

}  // namespace hwynn::fuzz
