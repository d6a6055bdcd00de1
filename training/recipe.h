#ifndef HWYNN_TRAINING_RECIPE_H_
#define HWYNN_TRAINING_RECIPE_H_

// The options that decide the numbers of a training run, and one table of them: the program makes its command-line
// options from it, checkpoints store it, and resuming compares it.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "hwynn/core/export.h"
#include "hwynn/data/augmentation.h"
#include "hwynn/data/dataset.h"
#include "hwynn/models/make_model.h"
#include "hwynn/models/mobilenet.h"
#include "hwynn/training/optimizer.h"
#include "hwynn/training/schedule.h"

namespace HWYNN_EXPORT hwynn {

/// How to train a model, whichever it is, on a data set, whichever it is.
struct TrainOptions {
  int64_t epochs = 1;
  int64_t batch_size = 128;
  int64_t seed = 0;  // initial values, shuffling, augmentation, dropout
  float label_smoothing = 0.0f;
  bool fusion = true;              // CallContext::fusion
  bool freeze_batch_norm = false;  // the running statistics, as they are, in the batch's place
  int64_t ghost_batch_size = 0;    // BatchNorm's statistics are of so many images; 0: of the batch
  bool recalibrate = false;        // the running statistics are made anew after the last step (recalibrate.h)
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  AugmentationOptions augmentation;
};

/// A model and a data set by name, and how to train. The defaults are the recipe of `./dev train`: ResNet-20 on
/// Fashion-MNIST within five minutes on two cores.
struct Recipe {
  std::string model = "resnet20";
  double width = 1.0;                // multiplies the filters of a ResNet, the channels of a MobileNetV2
  std::optional<ResNetStem> stem{};  // another than the model's of that name
  PaddingRule padding = PaddingRule::kFlax;
  std::string dataset = "fashion-mnist";
  int64_t image_size = 0;  // of photographs, which become squares of it; 0: what the data set has
  TrainOptions training{.epochs = 5,
                        .batch_size = 128,
                        .optimizer = {.momentum = 0.9f, .nesterov = true, .weight_decay = 5e-4f},
                        .schedule = {.learning_rate = 0.2, .warmup_epochs = 0.75},
                        .augmentation = {.horizontal_flip = true}};
};

/// Calls visit(name, value, help) for those options of a Recipe or const Recipe that decide the model: what VisitFields
/// begins with.
template <class R, class Visitor>
void VisitModelFields(R& recipe, Visitor&& visit) {
  visit("model", recipe.model, ModelNamesText());
  visit("width", recipe.width, "multiplies the filters of a ResNet or the channels of a MobileNetV2");
  visit("stem", recipe.stem,
        "imagenet (7x7, stride 2, max pool), deep (three 3x3, stride 2, max pool), cifar (3x3) or preset, the model's "
        "own; of a mobilenet_v2: imagenet (stride 2), cifar (stride 1)");
  visit("padding", recipe.padding, "of windows at stride 2: flax (at the end) or pytorch (both sides)");
}

/// Calls visit(name, value, help) for every option of a Recipe or const Recipe. Values are strings, integers,
/// floating-point numbers, bools, vectors of integers, enums that have EnumNames, which may be optional, and the
/// options of an augmentation as numbers with commas between.
///
/// Whoever adds an option gives it a row in ValuesWhenAbsent.
template <class R, class Visitor>
void VisitFields(R& recipe, Visitor&& visit) {
  auto& training = recipe.training;
  auto& optimizer = training.optimizer;
  auto& schedule = training.schedule;
  auto& augmentation = training.augmentation;
  VisitModelFields(recipe, visit);
  visit("dataset", recipe.dataset, DatasetNamesText() + ", and photographs: folder, csv (docs/photos.md)");
  visit("image-size", recipe.image_size, "photographs become squares of so many pixels; 0: 224, or the data set's own");
  visit("epochs", training.epochs, "passes over the training images");
  visit("batch-size", training.batch_size, "images a step");
  visit("seed", training.seed, "of initial values, shuffling, augmentation and dropout");
  visit("label-smoothing", training.label_smoothing, "share of the target spread over all classes");
  visit("fusion", training.fusion, "BatchNorm is computed by the convolutions around it, not in passes of its own");
  visit("freeze-batch-norm", training.freeze_batch_norm, "running statistics in place of the batch's");
  visit("ghost-batch", training.ghost_batch_size, "images of which BatchNorm takes its statistics; 0: all of a step's");
  visit("recalibrate", training.recalibrate, "after the last step, running statistics anew from all training images");
  visit("optimizer", optimizer.kind, "sgd, adam or adamw");
  visit("momentum", optimizer.momentum, "of sgd");
  visit("nesterov", optimizer.nesterov, "Nesterov's momentum for sgd");
  visit("beta1", optimizer.b1, "decay of adam's and adamw's mean");
  visit("beta2", optimizer.b2, "decay of adam's and adamw's mean square");
  visit("epsilon", optimizer.epsilon, "of adam and adamw");
  visit("weight-decay", optimizer.weight_decay, "L2 for sgd and adam, decoupled for adamw");
  visit("decay-all", optimizer.decay_all, "weight decay on biases and BatchNorm's scale and bias too");
  visit("clip-norm", optimizer.clip_norm, "clips the gradients' global norm; 0: not");
  visit("schedule", schedule.kind, "of the learning rate: constant, cosine or step");
  visit("learning-rate", schedule.learning_rate, "the highest of the schedule");
  visit("warmup-epochs", schedule.warmup_epochs, "epochs, or a fraction, of linear warm-up");
  visit("decay-epochs", schedule.decay_epochs, "where a step schedule decays, as 80,120");
  visit("decay-factor", schedule.decay_factor, "by what a step schedule multiplies the learning rate");
  visit("random-resized-crop", augmentation.random_resized_crop,
        "images are random parts of at least this share of the area, resized; 0: not, 0.08 is usual");
  visit("color-jitter", augmentation.color_jitter,
        "random brightness, contrast, saturation and hue by so much, as 0.4,0.4,0.4,0.1; one number: the first three");
  visit("randaugment", augmentation.rand_augment, "random changes of an image: how many, magnitude 0 ... 30, as 2,9");
  visit("pad-crop", augmentation.pad_crop, "pads images by so many pixels and crops at a random place");
  visit("flip", augmentation.horizontal_flip, "mirrors images left to right with probability 1/2");
  visit("random-erasing", augmentation.random_erasing, "probability of erasing a rectangle");
  visit("erasing-fill", augmentation.erasing_fill, "what is put there: noise or mean");
  visit("mixup", augmentation.mixup, "alpha of mixup, which mixes images and labels of a batch; 0: not, 0.2 is usual");
}

/// The values of an enum by name.
template <class Enum>
const std::map<std::string, Enum>& EnumNames();
template <>
const std::map<std::string, ResNetStem>& EnumNames<ResNetStem>();
template <>
const std::map<std::string, PaddingRule>& EnumNames<PaddingRule>();
template <>
const std::map<std::string, OptimizerKind>& EnumNames<OptimizerKind>();
template <>
const std::map<std::string, ScheduleKind>& EnumNames<ScheduleKind>();
template <>
const std::map<std::string, ErasingFill>& EnumNames<ErasingFill>();

/// All options by name, as text that reads back to the same value.
std::map<std::string, std::string> ToFields(const Recipe& recipe);

/// What those options were that earlier programs didn't have: the value that a file without them means. A row never
/// changes, whatever the default of new runs becomes. Options without a row have been in every checkpoint.
const std::map<std::string, std::string>& ValuesWhenAbsent();

/// The inverse of ToFields; ValuesWhenAbsent stand in for options that are missing. Throws std::invalid_argument that
/// names the option when another one is missing, or one is unknown or isn't a value of its type.
Recipe RecipeFromFields(std::map<std::string, std::string> fields);

/// What MakeModel makes of a recipe's model.
ModelOptions RecipeModelOptions(const Recipe& recipe, int64_t num_classes);

/// Makes `options` the recipe's model. Throws std::invalid_argument when no preset has their stages of their blocks, or
/// a stem no name.
void SetModel(const ResNetOptions& options, Recipe& recipe);
void SetModel(const MobileNetV2Options& options, Recipe& recipe);

}  // namespace hwynn

#endif  // HWYNN_TRAINING_RECIPE_H_
