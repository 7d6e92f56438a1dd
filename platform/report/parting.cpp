// SPDX-License-Identifier: Apache-2.0
#include "platform/report/parting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <fstream>
#include <iterator>

#include "platform/report/result_folder.hpp"

namespace gnomon::report {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view head = "# gnomon trace hashes 1:";

std::string us(std::uint64_t ps) {
  return fmt::format("{}.{:06} us", ps / 1'000'000, ps % 1'000'000);
}

bool read_number(std::string_view& line, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc{} || end == line.data() + line.size() || *end != ' ') return false;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()) + 1);
  return true;
}

std::vector<TracePoint> points_in(const fs::path& folder) {
  const fs::path file = folder / "trace.hashes";
  std::ifstream in{file, std::ios::binary};
  if (!in)
    throw Unreadable(
        fmt::format("{}: is missing: the results are damaged, or an older gnomon wrote them; "
                    "run the scenario again",
                    file.string()));
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  return read_trace_points(text, file.string());
}

/// The first line that differs between two logs, with the last they have in common.
std::string log_text(const fs::path& a, const fs::path& b) {
  std::ifstream in_a{a / "events.log"}, in_b{b / "events.log"};
  if (!in_a || !in_b)
    return "gnomon run --log, in both, writes events.log: with them gnomon diff names the event.\n";
  constexpr std::size_t context = 3;
  std::deque<std::string> before;
  std::string line_a, line_b;
  for (std::uint64_t number = 1;; ++number) {
    const bool more_a = static_cast<bool>(std::getline(in_a, line_a));
    const bool more_b = static_cast<bool>(std::getline(in_b, line_b));
    if (!more_a && !more_b) return "The lines of both events.log are the same.\n";
    if (more_a && more_b && line_a == line_b) {
      before.push_back(line_a);
      if (before.size() > context) before.pop_front();
      continue;
    }
    std::string text = fmt::format("Event {} is the first that differs:\n", number);
    for (const std::string& line : before) text += "    " + line + "\n";
    text += "  A " + (more_a ? line_a : "(has ended)") + "\n";
    return text + "  B " + (more_b ? line_b : "(has ended)") + "\n";
  }
}

}  // namespace

std::vector<TracePoint> read_trace_points(std::string_view text, const std::string& name) {
  if (!text.starts_with(head)) throw Unreadable(name + ": is not a list of trace hashes of layout 1");
  text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  std::vector<TracePoint> points;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    TracePoint point;
    const bool good = end != std::string_view::npos && read_number(line, point.events) &&
                      read_number(line, point.ps) && line.size() == 16 &&
                      line.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
                      (points.empty() || point.events > points.back().events);
    if (!good) throw Unreadable(fmt::format("{}: is damaged, at line {}", name, points.size() + 2));
    point.hash = line;
    points.push_back(std::move(point));
    text.remove_prefix(end + 1);
  }
  return points;
}

Parting parting(const std::vector<TracePoint>& a, const std::vector<TracePoint>& b) {
  Parting out;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] == b[i]) {
      out.same = a[i].events;
      out.same_ps = a[i].ps;
      continue;
    }
    out.differ = std::min(a[i].events, b[i].events);
    if (a[i].events != b[i].events) {  // the end of one lies before the checkpoint of the other
      out.differ = std::max(a[i].events, b[i].events);
      out.one_ended = true;
    }
    out.differ_ps_a = a[i].ps;
    out.differ_ps_b = b[i].ps;
    return out;
  }
  if (a.size() == b.size()) return {};
  const auto& longer = a.size() > b.size() ? a : b;
  const TracePoint& next = longer[std::min(a.size(), b.size())];
  out.differ = next.events;
  out.differ_ps_a = out.differ_ps_b = next.ps;
  out.one_ended = true;
  return out;
}

std::string parting_text(const fs::path& folder_a, const fs::path& folder_b) {
  const auto a = points_in(folder_a), b = points_in(folder_b);
  const Parting p = parting(a, b);
  if (p.differ == 0)
    return a.empty() ? "Neither trace has any event.\n"
                     : fmt::format("The traces are the same, {} events to {}.\n", a.back().events, us(a.back().ps));
  std::string text;
  if (p.same == 0) {
    text = "The traces differ from the first event on.\n";
  } else if (p.differ == p.same + 1) {
    text = fmt::format("The traces agree for {} events, to {}; event {} differs, at {} in A and {} in B.\n", p.same,
                       us(p.same_ps), p.differ, us(p.differ_ps_a), us(p.differ_ps_b));
  } else {
    text = fmt::format("The traces agree for {} events, to {}, and {} by event {}, {} in A and {} in B.\n", p.same,
                       us(p.same_ps), p.one_ended ? "one ends or they differ" : "differ", p.differ,
                       us(p.differ_ps_a), us(p.differ_ps_b));
  }
  return text + log_text(folder_a, folder_b);
}

}  // namespace gnomon::report
