// SPDX-License-Identifier: Apache-2.0
// ECMA-48 (ANSI) sequences: CPL goes up to the start of a line, ED erases from there to the end of the screen.
#include "platform/run/progress_display.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <utility>

namespace gnomon::run {
namespace {

constexpr std::chrono::milliseconds redraw_interval{100};

bool can_redraw(int fd) {
  const char* const term = std::getenv("TERM");
  return ::isatty(fd) == 1 && (term == nullptr || std::string_view{term} != "dumb");
}

// One column stays free: a full line would wrap on some terminals, and the next redraw would miss it.
std::pair<std::size_t, std::size_t> size_of(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col < 2 || size.ws_row < 3) return {79, 23};
  return {size.ws_col - 1u, size.ws_row - 1u};
}

}  // namespace

ProgressDisplay::ProgressDisplay(std::vector<std::string> names, int fd, bool quiet)
    : board_(std::move(names)), fd_(fd), visible_(!quiet && can_redraw(fd)) {}

void ProgressDisplay::started(std::size_t job) {
  if (!visible_) return;
  board_.started(job, std::chrono::steady_clock::now());
  draw();
}

void ProgressDisplay::progressed(std::size_t job, const Progress& progress) {
  if (!visible_) return;
  board_.progressed(job, progress, std::chrono::steady_clock::now());
  draw();
}

void ProgressDisplay::finished(std::size_t job) {
  if (!visible_) return;
  board_.finished(job);
  draw();
}

void ProgressDisplay::clear() {
  if (drawn_lines_ == 0) return;
  put(fmt::format("\x1b[{}F\x1b[J", drawn_lines_));
  drawn_lines_ = 0;
  last_drawn_.reset();
}

void ProgressDisplay::draw() {
  const auto now = std::chrono::steady_clock::now();
  if (last_drawn_ && now - *last_drawn_ < redraw_interval) return;
  last_drawn_ = now;
  const auto [columns, lines] = size_of(fd_);
  std::string text = drawn_lines_ == 0 ? "" : fmt::format("\x1b[{}F\x1b[J", drawn_lines_);
  const auto rows = board_.render(columns, lines);
  for (const std::string& row : rows) text += row + "\n";
  drawn_lines_ = rows.size();
  put(text);
}

// A terminal that takes no more is no reason to end a simulation.
void ProgressDisplay::put(const std::string& text) const {
  [[maybe_unused]] const ssize_t written = ::write(fd_, text.data(), text.size());
}

}  // namespace gnomon::run
