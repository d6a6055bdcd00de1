#include "hwynn/module/statistics_averages.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/module/path.h"

namespace hwynn {

void StatisticsAverages::Add(std::string_view path, double images, ConstTensorView mean, ConstTensorView var) {
  const auto channels = static_cast<size_t>(mean.size());
  Sums& sums =
      sums_.try_emplace(std::string(path), Sums{0, std::vector<double>(channels), std::vector<double>(channels)})
          .first->second;
  Check(sums.mean.size() == channels && var.size() == mean.size(), "StatisticsAverages: the BatchNorm at \"", path,
        "\" has ", sums.mean.size(), " channels, not ", mean.shape(), " and ", var.shape());
  sums.images += images;
  for (size_t c = 0; c < channels; ++c) {
    sums.mean[c] += images * static_cast<double>(mean.span()[c]);
    sums.var[c] += images * static_cast<double>(var.span()[c]);
  }
}

void StatisticsAverages::Store(Variables& variables) const {
  if (sums_.empty()) return;
  struct Row {
    const std::vector<double>& sums;
    double images;
    TensorView values;
  };
  Collection& collection = GetCollection(variables, kBatchStats);
  std::vector<Row> rows;
  for (const auto& [path, sums] : sums_) {
    for (const std::string_view name : {"mean", "var"}) {
      const std::vector<double>& values = name == "mean" ? sums.mean : sums.var;
      const auto found = collection.find(JoinPath(path, name));
      Check(found != collection.end() && found->second.size() == static_cast<int64_t>(values.size()),
            "StatisticsAverages: batch_stats has no \"", name, "\" of ", values.size(), " channels at \"", path, "\"");
      rows.push_back({values, sums.images, found->second});
    }
  }
  for (const Row& row : rows) {
    for (size_t c = 0; c < row.sums.size(); ++c) {
      row.values.span()[c] = static_cast<float>(row.sums[c] / row.images);
    }
  }
}

}  // namespace hwynn
