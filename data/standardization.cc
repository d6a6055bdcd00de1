#include "hwynn/data/standardization.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"

namespace hwynn {
namespace {

// Sums value(x, c) over all pixels of all images, per channel: in blocks of images, added in block order.
template <class Value>
std::vector<double> SumPerChannel(const Dataset& dataset, const Value& value) {
  constexpr int64_t kBlock = 512;
  const Shape shape = dataset.image_shape();
  const auto channels = static_cast<size_t>(shape.back());
  const int64_t num_blocks = (dataset.size() + kBlock - 1) / kBlock;
  std::vector<std::vector<double>> partials(static_cast<size_t>(num_blocks), std::vector<double>(channels));
  ParallelFor(num_blocks, [&](int64_t block) {
    std::vector<double>& sums = partials[static_cast<size_t>(block)];
    std::vector<float> image(static_cast<size_t>(shape.num_elements()));
    for (int64_t index = block * kBlock; index < std::min(dataset.size(), (block + 1) * kBlock); ++index) {
      dataset.Image(index, image);
      for (size_t c = 0; c < channels; ++c) {
        double sum = 0.0;
        for (size_t i = c; i < image.size(); i += channels) sum += value(image[i], c);
        sums[c] += sum;
      }
    }
  });
  std::vector<double> sums(channels);
  for (const std::vector<double>& partial : partials) {
    for (size_t c = 0; c < channels; ++c) sums[c] += partial[c];
  }
  return sums;
}

}  // namespace

Standardization ComputeStandardization(const Dataset& dataset) {
  const Shape shape = dataset.image_shape();
  Check(dataset.size() > 0 && shape.num_elements() > 0, "ComputeStandardization: the data set is empty");
  const double count = static_cast<double>(dataset.size()) * static_cast<double>(shape[0] * shape[1]);
  std::vector<double> means = SumPerChannel(dataset, [](float x, size_t) { return static_cast<double>(x); });
  for (double& mean : means) mean /= count;
  const std::vector<double> squares = SumPerChannel(dataset, [&](float x, size_t c) {
    const double deviation = x - means[c];
    return deviation * deviation;
  });

  Standardization result;
  for (size_t c = 0; c < means.size(); ++c) {
    const auto stddev = static_cast<float>(std::sqrt(squares[c] / count));
    result.mean.push_back(static_cast<float>(means[c]));
    result.stddev.push_back(stddev > 0.0f ? stddev : 1.0f);
  }
  return result;
}

}  // namespace hwynn
