#ifndef HWYNN_APPS_COMMANDS_H_
#define HWYNN_APPS_COMMANDS_H_

// The subcommands of the program. Each adds its options to a parser and runs what they say; errors are exceptions,
// which main turns into one line and an exit code.

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hwynn/inference/inference_model.h"
#include "hwynn/module/module.h"
#include "hwynn/training/checkpoint.h"

namespace hwynn::apps {

/// How and where a command computes.
struct MachineOptions {
  int threads = 0;  // 0: DefaultThreadCount()
  std::string target;

  void AddTo(CLI::App& app);
  /// Runs `work` on the target and threads asked for.
  void Run(const std::function<void()>& work) const;
  int ThreadCount() const;
};

/// A command adds its options to `app`, reads nothing else, and sets `exit_code` when it ran.
void AddTrainCommand(CLI::App& app, const std::vector<std::string>& arguments, int& exit_code);
void AddEvaluateCommand(CLI::App& app);
void AddPredictCommand(CLI::App& app);
void AddInspectCommand(CLI::App& app);
void AddConvertCommand(CLI::App& app);
void AddInitCommand(CLI::App& app);
void AddCompileCommand(CLI::App& app);
void AddServeBenchCommand(CLI::App& app);

std::unique_ptr<const Module> MakeRecipeModel(const Recipe& recipe, int64_t num_classes);

/// A model read from a checkpoint, ready for inference.
struct TrainedModel {
  CheckpointInfo info;
  std::unique_ptr<const Module> model;
  Variables variables;
};
TrainedModel LoadTrainedModel(const std::string& checkpoint);

/// The model of a checkpoint, or of a file that `hwynn compile` wrote, as it is served.
InferenceModel LoadInferenceModel(const std::string& path, const InferenceOptions& options = {});

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_COMMANDS_H_
