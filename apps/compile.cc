// hwynn compile: a checkpoint becomes the file that an application serves.

#include <iostream>

#include "hwynn/apps/commands.h"

namespace hwynn::apps {
namespace {

struct CompileOptions {
  std::string checkpoint;
  std::string output;
};

void RunCompile(const CompileOptions& options) {
  const InferenceModel model = LoadInferenceModel(options.checkpoint);
  model.Save(options.output);
  std::cout << options.output << ": " << model.weight_bytes() << " bytes of weights" << std::endl;
}

}  // namespace

void AddCompileCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "compile", "one file that is loaded and served: weights with BatchNorm folded in, class names, standardisation");
  const auto options = std::make_shared<CompileOptions>();
  command->add_option("checkpoint", options->checkpoint, "a checkpoint.safetensors")
      ->required()
      ->type_name("CHECKPOINT");
  command->add_option("--output", options->output, "the file to write")->required()->type_name("F");
  command->callback([options] { RunCompile(*options); });
}

}  // namespace hwynn::apps
