// The program hwynn: trains, evaluates, classifies images, and shows what a checkpoint holds.

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "hwynn/apps/commands.h"

namespace {

/// One line, whatever the text was.
int Fail(std::string message) {
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  std::cout.flush();
  std::cerr << "hwynn: " << message << std::endl;
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains BatchNorm networks on images, on CPUs.", "hwynn");
  app.require_subcommand(1);
  int exit_code = EXIT_SUCCESS;
  hwynn::apps::AddTrainCommand(app, {argv, argv + argc}, exit_code);
  hwynn::apps::AddEvaluateCommand(app);
  hwynn::apps::AddPredictCommand(app);
  hwynn::apps::AddInspectCommand(app);
  hwynn::apps::AddConvertCommand(app);
  hwynn::apps::AddInitCommand(app);
  hwynn::apps::AddCompileCommand(app);
  hwynn::apps::AddServeBenchCommand(app);
  try {
    app.parse(argc, argv);
    std::cout.flush();
    if (!std::cout) return Fail("standard output can't be written");
    return exit_code;
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return Fail(std::string(error.what()) + "; see hwynn --help");
  } catch (const std::bad_alloc&) {
    return Fail("there is not enough memory");
  } catch (const std::exception& error) {
    return Fail(error.what());
  }
}
