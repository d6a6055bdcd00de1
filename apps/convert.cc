// hwynn convert: checkpoints from one format to another. The input's format follows from its bytes, the output's from
// its name.

#include <array>
#include <filesystem>
#include <iostream>

#include "hwynn/apps/commands.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/formats/flax_checkpoint.h"
#include "hwynn/formats/flax_safetensors.h"
#include "hwynn/models/pytorch_import.h"

namespace hwynn::apps {
namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  std::string input;
  std::string output;
  std::string from = "auto";
  std::string like;
  int64_t image_size = 224;
  // ImageNet's, of images in 0 … 1.
  std::vector<float> mean = {0.485f, 0.456f, 0.406f};
  std::vector<float> stddev = {0.229f, 0.224f, 0.225f};
  MachineOptions machine;
};

bool IsMsgpackName(const std::string& path) {
  const fs::path name = fs::path(path).filename();
  return name.extension() == ".msgpack" || name.string().starts_with("checkpoint_");
}

bool IsCheckpoint(const SafetensorsFile& file) {
  const auto format = file.metadata().find("format");
  return format != file.metadata().end() && format->second.starts_with("hwynn checkpoint");
}

void Note(const std::string& text) { std::cout << "note: " << text << std::endl; }

/// A state of the checkpoint's model and optimizer, to restore into.
TrainState MakeState(const std::string& path, const Checkpoint& checkpoint) {
  const CheckpointInfo& info = checkpoint.info();
  const Shape& image = info.image_shape;
  TrainState state;
  try {
    const auto model = MakeRecipeModel(info.recipe, static_cast<int64_t>(info.class_names.size()));
    state.variables = InitZeros(*model, {1, image[0], image[1], image[2]}, checkpoint.num_elements());
    state.opt_state = Optimizer(info.recipe.training.optimizer).Init(GetCollection(state.variables, kParams));
  } catch (const std::invalid_argument& error) {  // options and shapes are the file's
    throw std::runtime_error(StrCat(path, ": ", error.what()));
  }
  return state;
}

/// A checkpoint of hwynn's with the arrays of `flax`, and all else as in the checkpoint `like`.
void WriteLike(const FlaxCheckpoint& flax, const std::string& like, const std::string& output) {
  const Checkpoint checkpoint(like);
  TrainState state = MakeState(like, checkpoint);
  const bool all = flax.root().Find("opt_state") != nullptr;
  const FlaxChanges changes = all ? flax.Restore(state) : flax.RestoreVariables(state.variables);
  if (!changes.converted.empty()) {
    Note(StrCat(changes.converted.size(), " arrays became float32, ", changes.converted[0], " first"));
  }
  if (!changes.zeroed.empty()) {
    Note(StrCat(changes.zeroed.size(), " arrays of the optimizer's state are masked in ", flax.path(),
                " and 0 in the checkpoint, ", changes.zeroed[0], " first"));
  }
  SaveCheckpoint(output, checkpoint.info(), state);
}

void WriteTree(const MsgpackValue& root, const ConvertOptions& options) {
  if (!options.like.empty()) {
    WriteLike(FlaxCheckpoint(options.input, root), options.like, options.output);
  } else if (IsMsgpackName(options.output)) {
    WriteMsgpack(options.output, root);
  } else {
    const FlaxSafetensors flat = FlaxToSafetensors(root, options.input);
    WriteSafetensors(options.output, flat.entries, flat.metadata);
  }
}

void ConvertCheckpoint(const ConvertOptions& options) {
  const Checkpoint checkpoint(options.input);
  TrainState state = MakeState(options.input, checkpoint);
  checkpoint.Restore(state);
  const TrainOptions& training = checkpoint.info().recipe.training;
  FlaxLayout layout = OptaxLayout(training.optimizer);
  layout.schedule = training.schedule.kind != ScheduleKind::kConstant || training.schedule.warmup_epochs > 0;
  FlaxCheckpoint::Create(state, layout).Write(options.output);
  Note("recipe, class names and standardisation are not in " + options.output + "; keep " + options.input +
       " for the way back (--like)");
}

void ConvertPyTorch(const SafetensorsFile& file, const ConvertOptions& options) {
  ImportedModel imported = ImportPyTorchModel(file);
  const ImportedOptions& model = imported.options;
  if (IsMsgpackName(options.output)) {
    WriteMsgpack(options.output, FlaxFromSafetensors(NamedArrays(imported.variables), {}, options.input));
    Note("PyTorch pads windows at stride 2 on both sides, which is not in " + options.output);
    return;
  }
  CheckpointInfo info;
  try {
    std::visit([&](const auto& model_options) { SetModel(model_options, info.recipe); }, model.model);
  } catch (const std::invalid_argument& error) {  // the file's
    throw std::runtime_error(StrCat(options.input, ": ", error.what()));
  }
  info.recipe.dataset.clear();
  info.image_shape = {options.image_size, options.image_size, model.channels};
  constexpr int64_t kMostOfPhotographs = 8192;
  if (info.recipe.stem != ResNetStem::kCifar && model.channels == 3 && options.image_size <= kMostOfPhotographs) {
    info.transform = PhotographTransform(options.image_size);  // ImageNet's models are evaluated so
  }
  for (int64_t i = 0; i < model.num_classes(); ++i) info.class_names.push_back(std::to_string(i));
  if (static_cast<int64_t>(options.mean.size()) == model.channels) {
    info.standardization = {options.mean, options.stddev};
  } else {
    Note("images are not standardised: there are no means for " + std::to_string(model.channels) + " channels");
  }
  CheckStandardization(info.standardization, model.channels);
  TrainState state;
  state.variables = std::move(imported.variables);
  SaveCheckpoint(options.output, info, state);
  if (info.recipe.stem == ResNetStem::kCifar) {
    Note("the names don't say whether a max pool follows the 3x3 stem: none does here, and its stride is 1");
  }
  std::cout << info.recipe.model << ", " << model.num_classes() << " classes" << std::endl;
}

void RunConvert(const ConvertOptions& options) {
  const bool to_safetensors = fs::path(options.output).extension() == ".safetensors";
  Check(to_safetensors || IsMsgpackName(options.output), options.output,
        ": the output's name must end in .safetensors or .msgpack, or be checkpoint_<n>");
  Check(options.like.empty() || to_safetensors, "--like is for an output that ends in .safetensors");
  std::error_code no_matter;
  Check(!fs::equivalent(options.input, options.output, no_matter), options.output,
        ": input and output are the same file");
  const bool is_folder = fs::is_directory(options.input, no_matter);
  const std::string path = is_folder ? LatestFlaxCheckpoint(options.input) : options.input;
  std::vector<std::byte> bytes = ReadContainer(path);
  CheckContainer(path, bytes, {Container::kSafetensors, Container::kMsgpack});
  if (RecogniseFile(bytes) != Container::kSafetensors) {
    Check(options.from == "auto", path, ": PyTorch's weights must be in a safetensors file");
    const SharedBytes document = SharedBytes::Own(std::move(bytes));
    const FlaxCheckpoint flax = FlaxCheckpoint::Parse(path, document);
    if (to_safetensors) return WriteTree(flax.root(), options);
    const std::array pieces{document.bytes};  // to the last byte, whatever encodings it has
    return WriteFileAtomically(options.output, pieces);
  }
  const SafetensorsFile file(path, std::move(bytes));
  if (options.from == "pytorch" || HasPyTorchNames(file)) return ConvertPyTorch(file, options);
  if (IsCheckpoint(file)) {
    Check(!to_safetensors, path, ": a checkpoint of hwynn is safetensors already");
    return ConvertCheckpoint(options);
  }
  Check(!to_safetensors || !options.like.empty(), path,
        ": flat arrays make no model by themselves; --like FILE makes a checkpoint like that one of them");
  WriteTree(FlaxFromSafetensors(file), options);
}

}  // namespace

void AddConvertCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "convert",
      "checkpoints between Flax's msgpack, safetensors and hwynn; imports PyTorch's ResNets and MobileNetV2");
  const auto options = std::make_shared<ConvertOptions>();
  command->add_option("input", options->input, "msgpack or safetensors, as its bytes say; a folder of checkpoint_<n>")
      ->required()
      ->type_name("A");
  command->add_option("output", options->output, "its name ends in .safetensors or .msgpack, or is checkpoint_<n>")
      ->required()
      ->type_name("B");
  command->add_option("--from", options->from, "pytorch: A has PyTorch's names, which a conv1.weight shows too")
      ->check(CLI::IsMember({"auto", "pytorch"}))
      ->capture_default_str();
  command
      ->add_option("--like", options->like,
                   "makes B a checkpoint of hwynn with A's arrays, and model, recipe and class names of this one")
      ->type_name("FILE");
  command->add_option("--image-size", options->image_size, "of an imported model: height and width of its images")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command->add_option("--mean", options->mean, "of an imported model's images in 0 … 1, as 0.485,0.456,0.406")
      ->delimiter(',');
  command->add_option("--stddev", options->stddev, "of an imported model's images")->delimiter(',');
  options->machine.AddTo(*command);
  command->callback([options] { options->machine.Run([&] { RunConvert(*options); }); });
}

}  // namespace hwynn::apps
