// hwynn train: trains a model, with everything that makes it safe to stop and to repeat.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "hwynn/apps/commands.h"
#include "hwynn/apps/datasets.h"
#include "hwynn/apps/history.h"
#include "hwynn/apps/progress.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/kernels/target.h"
#include "hwynn/training/profile.h"
#include "hwynn/training/trainer.h"

namespace hwynn::apps {
namespace {

constexpr std::string_view kCheckpointName = "checkpoint.safetensors";  // in a run's folder
constexpr int kExitInterrupted = 130;  // what shells report for a program that SIGINT ended

struct TrainCommand {
  std::map<std::string, std::string> fields = ToFields(Recipe());  // the recipe's options, as text
  std::set<std::string> given;                                     // those on the command line
  DataOptions data;
  std::string output;
  std::string finetune;
  int64_t max_steps = std::numeric_limits<int64_t>::max();
  bool resume = false;
  bool json = false;
  bool profile = false;
  MachineOptions machine;
  std::vector<std::string> arguments;  // as typed
};

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");

/// The first SIGINT or SIGTERM asks the run to stop, the second ends the program.
void StopOnSignals() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int64_t PeakRssBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

/// The command that goes on where this one stopped, for a shell.
std::string ResumeCommand(const TrainCommand& command) {
  std::string line;
  for (const std::string& argument : command.arguments) {
    const bool plain = argument.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                           "_-./=,:+") == std::string::npos;
    if (plain && !argument.empty()) {
      line += argument;
    } else {
      line += '\'';
      for (const char c : argument) line += c == '\'' ? "'\\''" : std::string(1, c);
      line += '\'';
    }
    line += ' ';
  }
  return line + (command.resume ? "" : "--resume");
}

/// A learning rate that suits SGD is far too high for Adam; and photographs are cropped at random unless somebody says
/// otherwise, to squares of the size that the checkpoint to fine-tune, if any, is for.
Recipe FreshRecipe(TrainCommand& command, const Checkpoint* start) {
  const auto set_default = [&](const std::string& name, const std::string& text) {
    if (!command.given.contains(name)) command.fields[name] = text;
  };
  if (command.fields["optimizer"] != "sgd") set_default("learning-rate", "0.001");
  if (IsOfPhotographs(command.fields["dataset"])) {
    const int64_t size = start ? start->info().transform.image_size : 0;
    if (command.fields["image-size"] == "0") command.fields["image-size"] = StrCat(size > 0 ? size : 224);
    set_default("random-resized-crop", "0.08");
  }
  return RecipeFromFields(command.fields);
}

/// An import: a model that no recipe has trained yet.
bool IsImport(const Checkpoint& checkpoint) { return checkpoint.info().recipe.dataset.empty(); }

/// Options of the model that weren't typed become the checkpoint's. Returns what was typed otherwise: name, typed
/// value, stored value.
std::vector<std::array<std::string, 3>> TakeModel(const Checkpoint& checkpoint, TrainCommand& command) {
  std::vector<std::array<std::string, 3>> differences;
  const auto typed = ToFields(RecipeFromFields(command.fields));
  const auto stored = ToFields(checkpoint.info().recipe);
  VisitModelFields(checkpoint.info().recipe, [&](const std::string& name, const auto&, const std::string&) {
    if (!command.given.contains(name)) {
      command.fields[name] = stored.at(name);
    } else if (typed.at(name) != stored.at(name)) {
      differences.push_back({name, typed.at(name), stored.at(name)});
    }
  });
  return differences;
}

/// A checkpoint's recipe, which must agree with every option that was typed. Of an import it is the model alone.
Recipe ResumedRecipe(TrainCommand& command, const Checkpoint& checkpoint, const std::string& path) {
  const auto check = [&](const std::string& name, const std::string& typed, const std::string& stored) {
    Check(typed == stored, path, " was made with ", name, " ", stored, ", not ", typed,
          ": leave that option out to resume, or choose another --output");
  };
  if (IsImport(checkpoint)) {
    for (const auto& [name, typed, stored] : TakeModel(checkpoint, command)) check(name, typed, stored);
    return FreshRecipe(command, &checkpoint);
  }
  const auto typed = ToFields(RecipeFromFields(command.fields));
  const auto stored = ToFields(checkpoint.info().recipe);
  for (const std::string& name : command.given) check(name, typed.at(name), stored.at(name));
  return checkpoint.info().recipe;
}

/// A training run in its output folder.
class Run {
 public:
  /// `start` is the checkpoint to fine-tune, if any.
  Run(TrainCommand& command, const Checkpoint* start)
      : command_(command),
        start_(start),
        folder_(command.output.empty() ? "runs/" + command.fields["model"] + "-" + command.fields["dataset"]
                                       : command.output),
        checkpoint_path_((folder_ / kCheckpointName).string()),
        history_path_((folder_ / "history.csv").string()),
        curve_path_((folder_ / "history.svg").string()),
        profile_path_((folder_ / "profile.json").string()) {}

  int Execute();

 private:
  void CheckImages(const Checkpoint& source, const std::string& path, bool resumed) const;
  void Describe(const TrainState& state) const;
  void Record(const EpochReport& report);
  bool IsRecorded(int64_t step) const { return !history_.empty() && history_.back().step == step; }
  void Save(const TrainState& state);
  void KeepEarlierRun();
  void PrintResult() const;

  TrainCommand& command_;
  const Checkpoint* start_;
  const std::filesystem::path folder_;
  const std::string checkpoint_path_;
  const std::string history_path_;
  const std::string curve_path_;
  const std::string profile_path_;
  CheckpointInfo info_;
  DatasetSplits splits_;
  int64_t left_out_ = 0;  // images
  std::vector<HistoryRow> history_;
  double trained_images_ = 0;  // by this process
  double train_seconds_ = 0;
  bool folder_is_ours_ = false;  // no files of an earlier run are in it
  double earlier_seconds_ = 0;   // that the epoch in progress took before the run was stopped
};

int Run::Execute() {
  std::optional<Checkpoint> previous;
  if (command_.resume && std::filesystem::exists(checkpoint_path_)) previous.emplace(checkpoint_path_);
  info_.recipe = previous ? ResumedRecipe(command_, *previous, checkpoint_path_) : FreshRecipe(command_, start_);
  const TrainOptions& options = info_.recipe.training;
  const Checkpoint* const source = previous ? &*previous : start_;
  if (IsOfPhotographs(info_.recipe.dataset)) {
    constexpr int64_t kMostSide = 4096;
    Check(info_.recipe.image_size > 0 && info_.recipe.image_size <= kMostSide, "--image-size ", info_.recipe.image_size,
          " is not in 1 … ", kMostSide);
    info_.transform = PhotographTransform(info_.recipe.image_size);
    const EvaluationTransform of_source = source ? source->info().transform : EvaluationTransform();
    if (of_source.image_size == info_.recipe.image_size) info_.transform = of_source;
  }
  LoadedDataset loaded = LoadNamedDataset(
      {.name = info_.recipe.dataset, .transform = info_.transform, .seed = options.seed}, command_.data);
  splits_ = std::move(loaded.splits);
  Check(info_.recipe.image_size == 0 || IsOfPhotographs(info_.recipe.dataset), "--image-size is of photographs; ",
        info_.recipe.dataset, " has images of one size");
  left_out_ = std::ssize(loaded.left_out);
  info_.image_shape = splits_.train->image_shape();
  info_.class_names = splits_.train->class_names();
  if (source != nullptr) {
    CheckImages(*source, previous ? checkpoint_path_ : command_.finetune, previous.has_value());
    info_.standardization = source->info().standardization;  // what its params have learnt to expect
  } else {
    info_.standardization =
        IsOfPhotographs(info_.recipe.dataset) ? PhotographStandardization() : ComputeStandardization(*splits_.train);
  }
  const auto model = MakeRecipeModel(info_.recipe, splits_.train->num_classes());
  Trainer trainer(*model, *splits_.train, splits_.test.get(), info_.standardization, options);
  TrainState& state = trainer.state();
  if (previous) {
    previous->Restore(state);
    folder_is_ours_ = true;
    history_ = ReadHistory(history_path_);
    std::erase_if(history_, [&](const HistoryRow& row) {
      const bool partial = row.step % trainer.steps_per_epoch() != 0 && row.step != state.step;
      return row.step > state.step || partial;
    });
  } else if (start_) {
    for (const std::string& name : start_->RestoreBody(state.variables)) {
      std::cout << "fine-tuning: " << name << " starts afresh" << std::endl;
    }
  }
  std::filesystem::create_directories(folder_);
  CheckData(access(folder_.c_str(), W_OK) == 0, folder_.string(), ": can't be written to");
  Describe(state);

  const int64_t last_step = std::min(trainer.total_steps(), command_.max_steps);
  const bool at_end = state.step >= last_step || state.step % trainer.steps_per_epoch() == 0;
  if (IsRecorded(state.step) && (!at_end || std::isnan(history_.back().test_loss))) {
    earlier_seconds_ = history_.back().seconds;  // a row of a part of an epoch: the whole epoch's takes its place
    history_.pop_back();
  }
  if (state.step > 0 && at_end && !IsRecorded(state.step)) Record(trainer.Report());  // it was stopped just before that
  Progress progress(state.step, last_step, trainer.steps_per_epoch(), options.batch_size);
  using Clock = std::chrono::steady_clock;
  Clock::time_point epoch_start = Clock::now();
  int64_t epoch_first_step = state.step;
  StepReport last;
  // The third step is the first that finds all memory and all files warm.
  const int64_t profiled_step = std::min(state.step + 3, last_step);
  StepProfile profile;
  StopOnSignals();
  const bool finished = trainer.Run(
      {.on_step =
           [&](const StepReport& report) {
             progress.Step(report);
             last = report;
             return !stop_requested;
           },
       .on_epoch =
           [&](const EpochReport& report) {
             progress.Clear();
             Record(report);
             progress.Epoch(history_.back(), options.epochs);
             epoch_start = Clock::now();
             epoch_first_step = report.step;
             return !stop_requested || report.step == last_step;
           },
       .on_save = [&](const TrainState& saved) { Save(saved); },
       .observer = [&](int64_t step) { return command_.profile && step == profiled_step ? &profile : nullptr; }},
      command_.max_steps);
  progress.Clear();
  if (!profile.work().empty()) {
    std::cout << "step " << profiled_step << ", also in " << profile_path_ << " for chrome://tracing or Perfetto:\n"
              << profile.Table() << std::flush;
    WriteFileAtomically(profile_path_, profile.TraceJson());
  }
  if (!finished) {
    if (!IsRecorded(state.step)) {  // stopped within an epoch: its time so far
      Record({.step = last.step,
              .epochs = static_cast<double>(last.step) / static_cast<double>(trainer.steps_per_epoch()),
              .learning_rate = last.learning_rate,
              .train = last.epoch_sums,
              .trained_images = (last.step - epoch_first_step) * options.batch_size,
              .train_seconds = std::chrono::duration<double>(Clock::now() - epoch_start).count()});
    }
    std::cout << "stopped after step " << state.step << " of " << trainer.total_steps() << ", saved in "
              << checkpoint_path_ << "; to go on: " << ResumeCommand(command_) << std::endl;
    return kExitInterrupted;
  }
  PrintResult();
  return EXIT_SUCCESS;
}

/// The images fit a checkpoint that the run starts from.
void Run::CheckImages(const Checkpoint& source, const std::string& path, bool resumed) const {
  const CheckpointInfo& info = source.info();
  const std::string& dataset = info_.recipe.dataset;
  if (resumed && !IsImport(source)) {
    Check(info.image_shape == info_.image_shape && info.class_names == info_.class_names, path,
          ": was trained on other images than these of ", dataset);
    return;
  }
  Check(info.image_shape.back() == info_.image_shape.back(), path, ": the model takes images of ",
        info.image_shape.back(), " channels, those of ", dataset, " have ", info_.image_shape.back());
  Check(!resumed || info.class_names.size() == info_.class_names.size(), path, ": the model knows ",
        info.class_names.size(), " classes, ", dataset, " has ", info_.class_names.size(),
        ": with --finetune it gets a new head");
}

void Run::Describe(const TrainState& state) const {
  std::cout << info_.recipe.model << " (" << CountElements(GetCollection(state.variables, kParams))
            << " parameters) on " << info_.recipe.dataset << " (" << splits_.train->size() << " training, "
            << splits_.test->size() << " test images " << info_.image_shape << "), " << CurrentTarget() << ", "
            << command_.machine.ThreadCount() << " threads, output in " << folder_.string();
  if (state.step > 0) std::cout << ", resumed after step " << state.step;
  std::cout << std::endl;
}

void Run::Record(const EpochReport& report) {
  KeepEarlierRun();
  history_.push_back(MakeHistoryRow(report));
  history_.back().seconds += std::exchange(earlier_seconds_, 0.0);
  trained_images_ += static_cast<double>(report.trained_images);
  train_seconds_ += report.train_seconds;
  WriteHistory(history_path_, history_);
  WriteFileAtomically(curve_path_, HistorySvg(info_.recipe.model + " on " + info_.recipe.dataset, history_));
}

void Run::Save(const TrainState& state) {
  KeepEarlierRun();
  SaveCheckpoint(checkpoint_path_, info_, state);
}

// Before this run writes its first file: what an earlier run left in the folder moves to a folder of its own.
void Run::KeepEarlierRun() {
  namespace fs = std::filesystem;
  if (std::exchange(folder_is_ours_, true)) return;
  std::vector<std::string> files = {checkpoint_path_, history_path_, curve_path_, profile_path_};
  std::erase_if(files, [](const std::string& file) { return !fs::exists(file); });
  if (files.empty()) return;
  int number = 1;
  while (!fs::create_directory(folder_ / StrCat("earlier-", number))) ++number;
  const fs::path earlier = folder_ / StrCat("earlier-", number);
  for (const std::string& file : files) fs::rename(file, earlier / fs::path(file).filename());
  std::cout << "an earlier run's files are now in " << earlier.string() << std::endl;
}

void Run::PrintResult() const {
  const HistoryRow& last = history_.back();
  double seconds = 0;
  for (const HistoryRow& row : history_) seconds += row.seconds;
  std::cout << "test accuracy " << std::fixed << std::setprecision(4) << last.test_accuracy << ", test loss "
            << last.test_loss << ", " << std::setprecision(0) << seconds << " s; " << checkpoint_path_ << std::endl;
  if (!command_.json) return;
  nlohmann::ordered_json result{
      {"test_accuracy", last.test_accuracy},
      {"test_loss", last.test_loss},
      {"images_per_second", train_seconds_ > 0 ? trained_images_ / train_seconds_ : last.images_per_second},
      {"epochs", static_cast<int64_t>(last.epoch)},
      {"seconds", seconds},
      {"peak_rss_bytes", PeakRssBytes()},
      {"target", CurrentTarget()},
      {"threads", command_.machine.ThreadCount()}};
  if (command_.data.skip_broken) result["left_out_images"] = left_out_;
  std::cout << result.dump() << std::endl;
}

int Train(TrainCommand& command) {
  std::optional<Checkpoint> start;
  const bool goes_on = command.resume && !command.output.empty() &&
                       std::filesystem::exists(std::filesystem::path(command.output) / kCheckpointName);
  if (!command.finetune.empty() && !goes_on) {
    start.emplace(command.finetune);
    for (const auto& [name, typed, stored] : TakeModel(*start, command)) {
      std::cout << "fine-tuning: " << name << " " << typed << ", where " << command.finetune << " has " << stored
                << std::endl;
    }
  }
  return Run(command, start ? &*start : nullptr).Execute();
}

}  // namespace

void AddTrainCommand(CLI::App& app, const std::vector<std::string>& arguments, int& exit_code) {
  CLI::App* command = app.add_subcommand("train", "trains a model and saves it");
  const auto options = std::make_shared<TrainCommand>();
  options->arguments = arguments;
  command->option_defaults()->take_last();  // what is typed after a script's own options counts
  Recipe defaults;
  VisitFields(defaults, [&](const std::string& name, auto& value, const std::string& help) {
    const auto set = [options, name](const std::string& text) {
      options->fields[name] = text;
      options->given.insert(name);
    };
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, bool>) {
      command->add_flag_function(
          "--" + name + ",!--no-" + name, [set](int64_t count) { set(count > 0 ? "true" : "false"); },
          help + (value ? " (on by default)" : ""));
    } else {
      command->add_option_function<std::string>("--" + name, set, help)->default_str(options->fields[name]);
    }
  });
  command->add_option("--max-steps", options->max_steps, "ends the run after so many steps; the schedule stays")
      ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max()));
  options->data.AddTo(*command);
  command->add_option("--output", options->output, "the run's folder; default runs/MODEL-DATASET")->type_name("DIR");
  command
      ->add_option("--finetune", options->finetune,
                   "starts from this checkpoint's arrays, with its model and standardisation; the head may differ")
      ->type_name("FILE");
  command->add_flag("--resume", options->resume, "goes on from the checkpoint in the output folder, if there is one");
  command->add_flag("--profile", options->profile,
                    "prints where the time and the memory of a step go, and writes profile.json for chrome://tracing");
  command->add_flag("--json", options->json, "the last line of standard output is a JSON object");
  options->machine.AddTo(*command);
  command->callback([options, &exit_code] { options->machine.Run([&] { exit_code = Train(*options); }); });
}

}  // namespace hwynn::apps
