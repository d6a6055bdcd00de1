// op_driver: runs one kernel on arrays from a file, to compare hwynn with other libraries (docs/op_driver.md).

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "hwynn/apps/op_driver/ops.h"
#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/target.h"

namespace hwynn::apps {
namespace {

constexpr int kExitRefused = 2;

struct Options {
  std::string op, inputs, attributes = "{}", target, algorithm, output;
  int threads = 0;  // 0: DefaultThreadCount()
  bool list = false;
};

template <class Items>
void PrintItems(const char* title, const Items& items) {
  std::cout << "  " << title << ':';
  for (const auto& item : items) std::cout << ' ' << item;
  std::cout << '\n';
}

void List() {
  std::cout << "targets:";
  for (const std::string& target : SupportedTargets()) std::cout << ' ' << target;
  std::cout << '\n';
  for (const Op& op : Ops()) {
    std::vector<std::string> inputs;
    for (const InputSpec& input : op.inputs) {
      inputs.push_back(input.optional ? StrCat('[', input.name, ']') : std::string(input.name));
    }
    std::cout << op.name << '\n';
    PrintItems("inputs", inputs);
    PrintItems("outputs", op.outputs);
    if (op.pass) PrintItems("algorithms", Conv2dAlgorithms(*op.pass));
    for (const AttributeSpec& attribute : op.attributes) {
      std::cout << "  attribute " << attribute.name << ": " << attribute.form << '\n';
    }
  }
}

void Run(const Options& options) {
  Check(!options.op.empty(), "--op is missing; --list shows the ops");
  const Op& op = FindOp(options.op);
  Check(!options.inputs.empty(), "--inputs is missing");
  Check(!options.output.empty(), "--output is missing");
  SetTarget(options.target);
  const SafetensorsFile file(options.inputs);
  try {
    Case one(op, file, options.attributes, options.algorithm);
    RunWithThreads(options.threads > 0 ? options.threads : DefaultThreadCount(), [&] { op.run(one); });
    one.Write(options.output);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(StrCat(op.name, ": ", error.what()));
  }
}

/// One line, whatever the text was.
int Fail(std::string message) {
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  std::cerr << "op_driver: " << message << std::endl;
  return kExitRefused;
}

int Main(int argc, char** argv) {
  CLI::App app("Runs one kernel of hwynn on arrays from a file.", "op_driver");
  Options options;
  app.add_option("--op", options.op, "what to run")->type_name("NAME");
  app.add_option("--inputs", options.inputs, "a safetensors file with the op's tensors")->type_name("FILE");
  app.add_option("--attributes", options.attributes, R"(such as {"stride": [2,2], "padding": "VALID"})")
      ->type_name("JSON");
  app.add_option("--target", options.target, "instruction set; default: the best of this machine")->type_name("T");
  app.add_option("--algorithm", options.algorithm, "of a convolution; default: what the dispatcher chooses")
      ->type_name("A");
  app.add_option("--output", options.output, "the safetensors file to write")->type_name("FILE");
  app.add_option("--threads", options.threads, "threads to compute with; default: the processors this process may use")
      ->check(CLI::Range(1, 1024))
      ->type_name("T");
  app.add_flag("--list", options.list, "shows the ops with their tensors and attributes, targets and algorithms");
  try {
    app.parse(argc, argv);
    if (options.list) {
      List();
    } else {
      Run(options);
    }
    std::cout.flush();
    return std::cout ? EXIT_SUCCESS : Fail("standard output can't be written");
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return Fail(StrCat(error.what(), "; see op_driver --help"));
  } catch (const std::bad_alloc&) {
    return Fail("there is not enough memory");
  } catch (const std::exception& error) {
    return Fail(error.what());
  }
}

}  // namespace
}  // namespace hwynn::apps

int main(int argc, char** argv) { return hwynn::apps::Main(argc, argv); }
