// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/exit_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gnomon::observe {

void ExitStatistics::add(std::uint64_t duration_ps) {
  ++count;
  total_ps += duration_ps;
  min_ps = std::min(min_ps, duration_ps);
  max_ps = std::max(max_ps, duration_ps);
  squares_ps2 += static_cast<Wide>(duration_ps) * duration_ps;
}

void ExitStatistics::merge(const ExitStatistics& other) {
  count += other.count;
  total_ps += other.total_ps;
  min_ps = std::min(min_ps, other.min_ps);
  max_ps = std::max(max_ps, other.max_ps);
  squares_ps2 += other.squares_ps2;
}

double ExitStatistics::mean_ps() const {
  return count == 0 ? 0.0 : static_cast<double>(total_ps) / static_cast<double>(count);
}

double ExitStatistics::standard_error_ps() const {
  if (count < 2) return 0.0;
  const auto total = static_cast<Wide>(total_ps);
  // Squared deviations from the mean, exact but for the division's remainder (below 1 ps^2), which rounds up to
  // zero.
  const Wide mean_part = (total * total + (count - 1)) / count;
  const auto deviations = static_cast<double>(squares_ps2 > mean_part ? squares_ps2 - mean_part : 0);
  const auto n = static_cast<double>(count);
  return std::sqrt(deviations / (n - 1.0) / n);
}

double ExitStatistics::relative_standard_error_percent() const {
  return total_ps == 0 ? 0.0 : 100.0 * standard_error_ps() / mean_ps();
}

ExitTable::ExitTable(ExitSpelling spelling, Scope scope)
    : spelling_(spelling), counting_(scope == Scope::whole_run), follows_window_(scope == Scope::window) {}

void ExitTable::on_event(Time at, const trace::Event& event) {
  if (const auto* exit = std::get_if<trace::VmExit>(&event)) {
    if (!counting_) return;
    if (exit->cpu >= by_cpu_.size()) by_cpu_.resize(std::size_t{exit->cpu} + 1);
    by_cpu_[exit->cpu][static_cast<std::size_t>(exit->reason)].add((at - Time::ps(exit->began_ps)).ps());
  } else if (follows_window_) {
    if (std::holds_alternative<trace::WindowOpened>(event)) counting_ = true;
    if (std::holds_alternative<trace::WindowClosed>(event)) counting_ = false;
  }
}

std::vector<ExitTable::Row> ExitTable::rows(std::optional<std::uint32_t> cpu, Order order) const {
  std::vector<Row> rows;
  for (const trace::ExitReason reason : exit_reasons) {
    ExitStatistics sum;
    for (std::size_t c = 0; c < by_cpu_.size(); ++c) {
      if (!cpu || *cpu == c) sum.merge(by_cpu_[c][static_cast<std::size_t>(reason)]);
    }
    if (sum.count == 0) continue;
    const std::string_view name = exit_reason_name(spelling_, reason);
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
    if (same != rows.end()) {
      same->exits.merge(sum);
    } else {
      rows.push_back({name, sum});
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    return order == Order::samples ? a.exits.count > b.exits.count : a.exits.total_ps > b.exits.total_ps;
  });
  return rows;
}

std::string ExitTable::render(std::optional<std::uint32_t> cpu, Order order) const {
  const std::vector<Row> sorted = rows(cpu, order);
  ExitStatistics all;
  for (const Row& row : sorted) all.merge(row.exits);
  const auto percent = [](std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole) * 100.0;
  };
  const auto us = [](double ps) { return ps * 1e-6; };

  std::string text = "\n\nAnalyze events for all VMs, ";
  text += cpu ? fmt::format("VCPU {}:\n\n", *cpu) : "all VCPUs:\n\n";
  text += fmt::format("{:>20} {:>10} {:>9} {:>9} {:>11} {:>11} {:>16} \n\n", "VM-EXIT", "Samples", "Samples%",
                      "Time%", "Min Time", "Max Time", "Avg time");
  for (const auto& [name, exits] : sorted) {
    text += fmt::format("{:>20} {:>10} {:>8.2f}% {:>8.2f}% {:>9.2f}us {:>9.2f}us {:>9.2f}us ( +-{:>7.2f}% )\n",
                        name, exits.count, percent(exits.count, all.count), percent(exits.total_ps, all.total_ps),
                        us(static_cast<double>(exits.min_ps)), us(static_cast<double>(exits.max_ps)),
                        us(exits.mean_ps()), exits.relative_standard_error_percent());
  }
  text += fmt::format("\nTotal Samples:{}, Total events handled time:{:.2f}us.\n\n", all.count,
                      us(static_cast<double>(all.total_ps)));
  return text;
}

}  // namespace gnomon::observe
