#include "hwynn/apps/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace hwynn::apps {
namespace {

// A bar that changes ten times a second looks alive; a log wants to be read afterwards.
constexpr std::chrono::duration<double> kTerminalInterval(0.1);
constexpr std::chrono::duration<double> kLogInterval(30);

int TerminalWidth() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// 3725 → 1:02:05; 65 → 1:05.
std::string Duration(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(seconds));
  std::ostringstream text;
  text << std::setfill('0');
  if (total >= 3600) {
    text << total / 3600 << ':' << std::setw(2) << total / 60 % 60;
  } else {
    text << total / 60;
  }
  text << ':' << std::setw(2) << total % 60;
  return text.str();
}

std::string Bar(double fraction, int width) {
  const int filled = static_cast<int>(fraction * width);
  return "[" + std::string(static_cast<size_t>(filled), '=') + std::string(static_cast<size_t>(width - filled), ' ') +
         "]";
}

}  // namespace

Progress::Progress(int64_t first_step, int64_t last_step, int64_t steps_per_epoch, int64_t batch_size)
    : first_step_(first_step),
      last_step_(last_step),
      steps_per_epoch_(steps_per_epoch),
      batch_size_(batch_size),
      terminal_(isatty(STDOUT_FILENO) != 0) {}

std::string Progress::StepText(const StepReport& report) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double steps_per_second = static_cast<double>(report.step - first_step_) / seconds;
  std::ostringstream text;
  text << std::fixed << std::setprecision(4) << "loss " << report.epoch_sums.MeanLoss() << "  accuracy "
       << report.epoch_sums.Accuracy() << "  " << std::setprecision(0)
       << steps_per_second * static_cast<double>(batch_size_) << " images/s  "
       << Duration(static_cast<double>(last_step_ - report.step) / steps_per_second) << " left";
  return text.str();
}

void Progress::Step(const StepReport& report) {
  const Clock::time_point now = Clock::now();
  if (now - shown_ < (terminal_ ? kTerminalInterval : kLogInterval)) return;
  shown_ = now;
  const std::string text = StrCat("step ", report.step, "/", last_step_, "  ", StepText(report));
  if (!terminal_) {
    std::cout << text << std::endl;
    return;
  }
  const int bar_width = std::min(TerminalWidth() - static_cast<int>(text.size()) - 5, 30);
  const double fraction =
      static_cast<double>((report.step - 1) % steps_per_epoch_ + 1) / static_cast<double>(steps_per_epoch_);
  std::cout << "\r\x1b[K" << (bar_width > 3 ? Bar(fraction, bar_width) + " " : "")
            << text.substr(0, static_cast<size_t>(TerminalWidth() - 1)) << std::flush;
  bar_shown_ = true;
}

void Progress::Epoch(const HistoryRow& row, int64_t epochs) {
  Clear();
  std::ostringstream text;
  text << "epoch " << std::setprecision(3) << row.epoch << "/" << epochs << std::fixed << std::setprecision(4)
       << "  loss " << row.train_loss << "  accuracy " << row.train_accuracy << "  test loss " << row.test_loss
       << "  test accuracy " << row.test_accuracy << std::setprecision(0) << "  " << row.images_per_second
       << " images/s  " << Duration(row.seconds);
  std::cout << text.str() << std::endl;
}

void Progress::Clear() {
  if (bar_shown_) std::cout << "\r\x1b[K" << std::flush;
  bar_shown_ = false;
}

}  // namespace hwynn::apps
