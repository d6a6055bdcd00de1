// hwynn init: the initial values of a model, which are Flax's for the same seed.

#include "hwynn/apps/commands.h"
#include "hwynn/formats/flax_safetensors.h"
#include "hwynn/models/make_model.h"

namespace hwynn::apps {
namespace {

struct InitOptions {
  std::string model;
  std::string output;
  int64_t num_classes = 1000;
  int64_t seed = 0;
  double width = 1.0;
  int64_t channels = 3;
  int64_t image_size = 32;
  MachineOptions machine;
};

void RunInit(const InitOptions& options) {
  const auto model = MakeModel(options.model, {.num_classes = options.num_classes, .width = options.width});
  const Variables variables =
      Init(*model, KeyFromSeed(options.seed), {1, options.image_size, options.image_size, options.channels});
  WriteSafetensors(options.output, NamedArrays(variables), ArraysMetadata());
}

}  // namespace

void AddInitCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("init", "writes a model's initial values, which are Flax's for that seed");
  const auto options = std::make_shared<InitOptions>();
  const auto size = CLI::Range(int64_t{1}, int64_t{1} << 20);
  command->add_option("--model", options->model, "as for train")->required();
  command->add_option("--num-classes", options->num_classes, "outputs")->check(size)->capture_default_str();
  command->add_option("--seed", options->seed, "of jax.random.key")->capture_default_str();
  command->add_option("--output", options->output, "a safetensors file with params.… and batch_stats.…")
      ->required()
      ->type_name("FILE");
  command->add_option("--width", options->width, "multiplies the filters of a ResNet")->capture_default_str();
  command->add_option("--channels", options->channels, "of the images")->check(size)->capture_default_str();
  command
      ->add_option("--image-size", options->image_size,
                   "height and width; the variables of a ResNet are the same for all")
      ->check(size)
      ->capture_default_str();
  options->machine.AddTo(*command);
  command->callback([options] { options->machine.Run([&] { RunInit(*options); }); });
}

}  // namespace hwynn::apps
