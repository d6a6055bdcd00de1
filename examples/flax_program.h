#ifndef HWYNN_EXAMPLES_FLAX_PROGRAM_H_
#define HWYNN_EXAMPLES_FLAX_PROGRAM_H_

// What the six programs share that isn't of interest in them: how they start, end and print.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

/// Parses the arguments, then runs `body`. The status is 2 for wrong arguments, 1 for an error.
template <class Body>
int RunProgram(CLI::App& app, int argc, char** argv, const Body& body) {
  try {
    app.parse(argc, argv);
    body();
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return 1;
  }
}

/// Prints values on one line, with spaces between them; `last` ends the line.
template <class Values>
void PrintValues(const Values& values, bool last = true) {
  const char* separator = "";
  for (const double value : values) {
    std::printf("%s%.9g", separator, value);
    separator = " ";
  }
  std::printf(last ? "\n" : " ");
}

#endif  // HWYNN_EXAMPLES_FLAX_PROGRAM_H_
