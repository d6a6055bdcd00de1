// hwynn compile: a checkpoint becomes the file that an application serves.

#include <iostream>

#include "hwynn/apps/commands.h"
#include "hwynn/kernels/target.h"

namespace hwynn::apps {
namespace {

struct CompileOptions {
  std::string checkpoint;
  std::string output;
  std::string pack;
  int64_t batch = 1;
  int64_t image_size = 0;  // 0: the model's own
};

void RunCompile(const CompileOptions& options) {
  const InferenceModel model = LoadInferenceModel(options.checkpoint);
  if (options.pack.empty()) {
    model.Save(options.output);
  } else {
    if (options.pack != "native") SetTarget(options.pack);
    const Shape& image = model.info().image_shape;
    const int64_t size = options.image_size;
    model.Save(options.output, Shape{options.batch, size > 0 ? size : image[0], size > 0 ? size : image[1], image[2]});
  }
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
  CLI::Option* pack = command->add_option(
      "--pack", options->pack,
      "also the filters packed for an instruction set that this machine has, such as AVX3; native: for the best");
  pack->type_name("TARGET");
  command->add_option("--batch", options->batch, "with --pack: images of a call")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->needs(pack);
  command->add_option("--image-size", options->image_size, "with --pack: height and width; default: the model's")
      ->check(CLI::Range(1, 1 << 16))
      ->needs(pack);
  command->callback([options] { RunCompile(*options); });
}

}  // namespace hwynn::apps
