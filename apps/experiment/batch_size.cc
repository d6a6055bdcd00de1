#include "hwynn/apps/experiment/batch_size.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <limits>
#include <locale>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include "hwynn/apps/datasets.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/models/presets.h"
#include "hwynn/training/recalibrate.h"
#include "hwynn/training/trainer.h"

namespace hwynn::apps {
namespace {

constexpr double kWarmup = 0.15;  // of the run, as in the default recipe

/// The first images of a data set.
class FirstImages final : public Dataset {
 public:
  FirstImages(const Dataset& all, int64_t size) : all_(all), size_(std::min(size, all.size())) {}
  int64_t size() const override { return size_; }
  Shape image_shape() const override { return all_.image_shape(); }
  const std::vector<std::string>& class_names() const override { return all_.class_names(); }
  int32_t Label(int64_t index) const override { return all_.Label(index); }
  void Image(int64_t index, std::span<float> hwc) const override { all_.Image(index, hwc); }
  void TrainingImage(const ImageDraw& draw, std::span<float> hwc) const override { all_.TrainingImage(draw, hwc); }

 private:
  const Dataset& all_;
  int64_t size_;
};

struct Variant {
  std::string name;
  bool normalizes = true;
  int64_t ghost_batch_size = 0;
};

class Experiment {
 public:
  explicit Experiment(const BatchSizeOptions& options)
      : options_(options),
        splits_(LoadNamedDataset({.name = options.dataset}, {.directory = options.data_dir}).splits),
        train_(*splits_.train, options.images),
        test_(*splits_.test, options.test_images),
        standardization_(ComputeStandardization(train_)) {}

  void Run();

 private:
  std::vector<Variant> Variants(int64_t batch_size) const;
  void Train(const Variant& variant, int64_t batch_size);
  // Adds the row of a state that is looked at now, or that there is none of.
  void Add(const std::string& series, const TrainOptions& training, Trainer* trainer);
  void Write() const;

  const BatchSizeOptions& options_;
  const DatasetSplits splits_;
  const FirstImages train_, test_;
  const Standardization standardization_;
  std::vector<BatchSizeRow> rows_;
  std::chrono::steady_clock::time_point start_;  // of what the next row takes
};

std::vector<Variant> Experiment::Variants(int64_t batch_size) const {
  std::vector<Variant> variants{{.name = "batch-norm"}};
  if (batch_size > options_.ghost_batch_size) {
    variants.push_back({StrCat("ghost-", options_.ghost_batch_size), true, options_.ghost_batch_size});
  }
  variants.push_back({.name = "none", .normalizes = false});
  return variants;
}

// The default recipe, but for the batch size and the learning rate, which grows with it.
void Experiment::Train(const Variant& variant, int64_t batch_size) {
  TrainOptions training = Recipe().training;
  training.schedule.learning_rate *= static_cast<double>(batch_size) / static_cast<double>(training.batch_size);
  training.schedule.warmup_epochs = kWarmup * static_cast<double>(options_.epochs);
  training.batch_size = batch_size;
  training.epochs = options_.epochs;
  training.seed = options_.seed;
  training.ghost_batch_size = variant.ghost_batch_size;
  ResNetOptions net = ResNetPreset("resnet20", options_.width);
  net.num_classes = train_.num_classes();
  if (!variant.normalizes) net.norm = NoNormalization();
  const ResNet model(net);

  start_ = std::chrono::steady_clock::now();
  Trainer trainer(model, train_, nullptr, standardization_, training);
  bool finite = true;
  try {
    trainer.Run({});
  } catch (const std::runtime_error& error) {  // the loss
    std::cout << "batch size " << batch_size << ", " << variant.name << ": " << error.what() << std::endl;
    finite = false;
  }
  Add(variant.name, training, finite ? &trainer : nullptr);
  if (!variant.normalizes) return;
  if (finite) {
    Loader loader(
        train_,
        {.batch_size = batch_size, .seed = options_.seed, .augmentation = {}, .standardization = standardization_});
    Recalibrate(model, loader,
                {.images = options_.recalibration_images,
                 .epoch = options_.epochs,
                 .ghost_batch_size = variant.ghost_batch_size},
                trainer.state().variables);
  }
  Add(variant.name + "-recalibrated", training, finite ? &trainer : nullptr);
}

void Experiment::Add(const std::string& series, const TrainOptions& training, Trainer* trainer) {
  constexpr int64_t kEvaluationBatch = 500;
  BatchSizeRow row{.batch_size = training.batch_size,
                   .series = series,
                   .accuracy = 1.0 / static_cast<double>(train_.num_classes()),
                   .loss = std::numeric_limits<double>::quiet_NaN()};
  if (trainer) {
    const MetricSums sums = trainer->Evaluate(test_, kEvaluationBatch);
    row.accuracy = sums.Accuracy();
    row.loss = sums.MeanLoss();
  }
  const auto now = std::chrono::steady_clock::now();
  row.seconds = std::chrono::duration<double>(now - start_).count();
  start_ = now;
  std::cout << "batch size " << row.batch_size << ", " << series << ": accuracy " << std::fixed << std::setprecision(4)
            << row.accuracy << ", " << std::setprecision(1) << row.seconds << " s" << std::endl;
  rows_.push_back(row);
  Write();
}

void Experiment::Write() const {
  const std::filesystem::path folder(options_.output);
  std::filesystem::create_directories(folder);
  std::ostringstream csv;
  csv.imbue(std::locale::classic());
  csv << "batch_size,series,test_accuracy,test_loss,seconds\n";
  for (const BatchSizeRow& row : rows_) {
    csv << row.batch_size << ',' << row.series << ',' << row.accuracy << ',' << row.loss << ',' << std::fixed
        << std::setprecision(1) << row.seconds << std::defaultfloat << std::setprecision(6) << '\n';
  }
  WriteFileAtomically((folder / "batch-size.csv").string(), csv.str());
  const std::string title = StrCat("ResNet-20 on ", options_.dataset, ", ", train_.size() * options_.epochs,
                                   " images seen: test accuracy by batch size");
  WriteFileAtomically((folder / "batch-size.svg").string(), BatchSizeSvg(title, rows_));
}

void Experiment::Run() {
  const int64_t largest = *std::ranges::max_element(options_.batch_sizes);
  Check(largest <= train_.size(), "batch size ", largest, " is larger than the training set (", train_.size(),
        " images)");
  // The large ones first: they are quick, and what goes wrong shows early.
  std::vector<int64_t> batch_sizes = options_.batch_sizes;
  std::ranges::sort(batch_sizes, std::greater<>());
  for (const int64_t batch_size : batch_sizes) {
    for (const Variant& variant : Variants(batch_size)) Train(variant, batch_size);
  }
}

}  // namespace

void RunBatchSizeExperiment(const BatchSizeOptions& options) {
  Check(!options.batch_sizes.empty(), "no batch size is given");
  options.machine.Run([&] { Experiment(options).Run(); });
}

}  // namespace hwynn::apps
