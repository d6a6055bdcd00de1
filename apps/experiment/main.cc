// The program experiment: what is in docs/results and takes more than one training.

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>

#include "hwynn/apps/experiment/batch_size.h"

int main(int argc, char** argv) {
  CLI::App app("Experiments of many trainings.", "experiment");
  app.require_subcommand(1);
  hwynn::apps::BatchSizeOptions options;
  CLI::App* command = app.add_subcommand(
      "batch-size",
      "accuracy of ResNet-20 by batch size: BatchNorm, ghost batches, none; running statistics, recalibrated");
  const auto positive = CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max());
  command->add_option("--batch-sizes", options.batch_sizes, "as 2,16,128")->delimiter(',')->check(positive);
  command->add_option("--ghost-batch", options.ghost_batch_size, "images of a ghost batch, in larger batches")
      ->check(positive)
      ->capture_default_str();
  command->add_option("--images", options.images, "the first so many training images; default: all")->check(positive);
  command->add_option("--epochs", options.epochs, "passes over them")->check(positive)->capture_default_str();
  command->add_option("--test-images", options.test_images, "the first so many; default: all")->check(positive);
  command
      ->add_option("--recalibration-images", options.recalibration_images, "that running statistics are made of anew")
      ->check(positive)
      ->capture_default_str();
  command->add_option("--width", options.width, "multiplies the filters")->capture_default_str();
  command->add_option("--seed", options.seed, "of initial values, shuffling and augmentation")->capture_default_str();
  command->add_option("--dataset", options.dataset, "as hwynn train has it")->capture_default_str();
  command->add_option("--data-dir", options.data_dir, "the folder of the data set's files")->type_name("DIR");
  command->add_option("--output", options.output, "the folder for batch-size.csv and batch-size.svg")
      ->type_name("DIR")
      ->capture_default_str();
  options.machine.AddTo(*command);
  try {
    app.parse(argc, argv);
    hwynn::apps::RunBatchSizeExperiment(options);
    return EXIT_SUCCESS;
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::cerr << "experiment: " << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
