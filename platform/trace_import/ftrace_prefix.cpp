// SPDX-License-Identifier: Apache-2.0
// The columns before an event. A command's name may hold anything, brackets too: the first bracket from which the
// rest can be read is the CPU's.
#include <algorithm>

#include "platform/trace_import/ftrace.hpp"

namespace gnomon::trace_import {
namespace {

constexpr std::uint64_t most_cpus = 65'536;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The pid that ends before `end`: "comm-pid ", "comm pid " (perf), with a thread group "(tgid) " after it.
bool pid_before(std::string_view line, std::size_t end, std::uint64_t& pid) {
  const auto skip_spaces = [&] {
    while (end > 0 && line[end - 1] == ' ') --end;
  };
  skip_spaces();
  if (end > 0 && line[end - 1] == ')') {
    const std::size_t open = line.rfind('(', end - 1);
    if (open == std::string_view::npos) return false;
    end = open;
    skip_spaces();
  }
  std::size_t start = end;
  while (start > 0 && is_digit(line[start - 1])) --start;
  if (start == end || start == 0) return false;
  if (line[start - 1] == '/') {  // perf script -F pid,tid
    end = start - 1;
    start = end;
    while (start > 0 && is_digit(line[start - 1])) --start;
    if (start == end || start == 0) return false;
  }
  if (line[start - 1] != '-' && line[start - 1] != ' ') return false;
  return Cursor{line.substr(start, end - start)}.decimal(pid);
}

Context context_of(char c) {
  switch (c) {
    case 's': return Context::soft_interrupt;
    case 'h':
    case 'H': return Context::interrupt;
    case 'z':
    case 'Z': return Context::unmaskable;
    default: return Context::task;
  }
}

/// "[cpu] flags time: event:" from the bracket on. The flags are missing in older reports and in perf's.
bool columns(Cursor& in, FtracePrefix& p, const char*& expected) {
  expected = "[CPU], a number below 65536";
  if (!in.literal("[") || !in.decimal(p.cpu) || p.cpu >= most_cpus || !in.literal("]") || in.peek() != ' ')
    return false;
  in.spaces();
  p.context = Context::task;
  expected = "a time in seconds and ':' (trace_clock must be one of seconds: local, global, mono, boot)";
  if (!in.seconds(p.time_ns)) {
    std::string_view flags;
    const std::size_t start = in.position();
    if (!in.word(flags) || flags.size() < 4 || flags.size() > 6) return in.move_to(start), false;
    p.context = context_of(flags[2]);
    in.spaces();
    if (!in.seconds(p.time_ns)) return false;
  }
  if (!in.literal(":")) return false;
  in.spaces();
  expected = "the event's name and ':'";
  if (!in.before(':', p.event) || p.event.find(' ') != std::string_view::npos) return false;
  static_cast<void>(in.literal(":"));
  if (!in.at_end() && in.peek() != ' ') {  // "group:name:"
    if (!in.before(':', p.event) || p.event.find(' ') != std::string_view::npos) return false;
    static_cast<void>(in.literal(":"));
  }
  in.spaces();
  p.text = in.position();
  return true;
}

}  // namespace

bool parse_ftrace_prefix(std::string_view line, FtracePrefix& prefix, const char*& expected, std::size_t& column) {
  expected = "COMM-PID [CPU] FLAGS SECONDS: EVENT: TEXT";
  column = 0;
  for (std::size_t at = line.find('['); at != std::string_view::npos; at = line.find('[', at + 1)) {
    if (at == 0 || line[at - 1] != ' ' || !pid_before(line, at, prefix.pid)) continue;
    Cursor in{line};
    in.move_to(at);
    const char* what = nullptr;
    if (columns(in, prefix, what)) return true;
    if (in.position() >= column) {
      expected = what;
      column = in.position();
    }
  }
  return false;
}

std::string_view ftrace_noise(std::string_view line) {
  if (line.empty()) return "blank lines";
  if (line.front() == '#') return "header lines";
  if (line.front() == '\t') return "call chains";
  if (line.starts_with("CPU:") || line.starts_with("CPU ")) {
    Cursor in{line.substr(4)};
    std::uint64_t cpu = 0;
    if (!in.decimal(cpu)) return {};
    in.spaces();
    if (in.literal("[LOST ") || in.rest().ends_with("EVENTS DROPPED]")) return "lost events";
    if (in.literal("is empty")) return "header lines";
  }
  if (line.starts_with("cpus=") || line.starts_with("version = ")) return "header lines";
  return {};
}

}  // namespace gnomon::trace_import
