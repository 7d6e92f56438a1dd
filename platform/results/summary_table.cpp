// SPDX-License-Identifier: Apache-2.0
// The table: a variant a row, and beside each published figure what was simulated.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "platform/results/summary.hpp"

namespace gnomon::results {
namespace {

using Row = std::vector<std::string>;

std::string scaled(double value, double step, std::initializer_list<const char*> units) {
  auto unit = units.begin();
  while (std::abs(value) >= step && unit + 1 != units.end()) {
    value /= step;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, std::abs(value) < 10 ? 3 : std::abs(value) < 100 ? 2 : 1, *unit);
}

/// A figure in the unit its metric's name ends with; a ratio has none.
std::string figure_text(const scenario::Expectation& e, double value) {
  const std::string& metric = *e.metric;
  if (e.relative_to) return fmt::format("{:.3f}", value);
  if (metric.ends_with("bw_bytes_per_s")) return bandwidth_text(value);
  if (metric == "net.bits_per_s") return fmt::format("{:.2f} Gbit/s", value * 1e-9);
  if (metric.ends_with(".mean") || metric.ends_with("_ns") || metric.find("_ns.") != std::string::npos)
    return time_text(value);
  return fmt::format("{:.6g}", value);
}

std::string figure_name(const scenario::Expectation& e) {
  if (e.status) return "status";
  return e.relative_to ? fmt::format("{} / {}", *e.metric, *e.relative_to) : *e.metric;
}

std::string published_text(const scenario::Expectation& e) {
  if (e.status) return *e.status;
  if (e.value) return figure_text(e, *e.value);
  if (e.min && e.max) return fmt::format("{} to {}", figure_text(e, *e.min), figure_text(e, *e.max));
  return fmt::format("at {} {}", e.min ? "least" : "most", figure_text(e, e.min ? *e.min : *e.max));
}

std::string error_text(const ExpectationResult& r) {
  const scenario::Expectation& e = r.expected;
  if (!e.value || !r.simulated) return "";
  const double off = *r.simulated - *e.value;
  if (e.relative_to && e.tolerance) return fmt::format("{:+.3f}", off);
  return *e.value == 0 ? fmt::format("{:+.4g}", off) : fmt::format("{:+.1f} %", 100 * off / *e.value);
}

const char* verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::holds: return "ok";
    case Verdict::fails: return "FAILED";
    case Verdict::skipped: return "skipped";
  }
  return "";
}

/// Of a workload's table: the sum of metrics of one unit. Where `only_if` is 0 there is nothing to show.
struct Column {
  const char* title;
  std::array<std::string_view, 2> metrics;
  std::string (*text)(double);
  std::string_view only_if;
};

std::string whole(double count) {
  return fmt::format("{:.0f}", count);
}

constexpr std::array fio_columns{Column{"bandwidth", {"io.bw_bytes_per_s"}, bandwidth_text, {}},
                                 Column{"IOPS", {"io.iops"}, count_text, {}},
                                 Column{"mean latency", {"io.lat_ns.mean"}, time_text, {}}};
std::string byte_seconds_text(double value) {
  return scaled(value, 1000, {"B s", "kB s", "MB s", "GB s"});
}
constexpr std::array misbehaviour_columns{
    Column{"IOPS", {"io.iops"}, count_text, {}},
    Column{"mean latency", {"io.lat_ns.mean"}, time_text, {}},
    Column{"longest exposure", {"exposure.max_ns"}, time_text, {}},
    Column{"exposed", {"exposure.byte_seconds"}, byte_seconds_text, {}},
    Column{"stray accesses", {"device.stray_accesses"}, whole, {}},
    Column{"refused", {"device.stray_refused"}, whole, {}},
    Column{"in exposed memory", {"exposure.dma_beats"}, whole, {}},
    Column{"of a new owner", {"exposure.new_owner_beats"}, whole, {}}};
constexpr Column invalidations{"invalidations", {"guest.invalidation_commands"}, whole, {}};
constexpr Column waits{"waits", {"guest.wait_commands"}, whole, {}};
constexpr Column exits{"exits", {"exits.total"}, whole, {}};
constexpr Column ioctls{"ioctls", {"hypervisor.map_ioctls", "hypervisor.unmap_ioctls"}, whole, {}};
constexpr std::array api_columns{
    Column{"map", {"api.map_ns.mean"}, time_text, "api.map_calls"},
    Column{"unmap", {"api.unmap_ns.mean"}, time_text, "api.unmap_calls"},
    Column{"driver calls", {"api.driver_map_calls", "api.driver_unmap_calls"}, whole, {}},
    invalidations,
    waits,
    exits,
    ioctls,
    Column{"pages covered", {"invalidation.pages_covered"}, whole, {}},
    Column{"modified", {"invalidation.pages_modified"}, whole, {}},
    Column{"in all", {"sim.window_ns"}, time_text, {}}};
constexpr std::array map_benchmark_columns{Column{"rounds", {"dma_api.rounds"}, whole, {}},
                                           Column{"map", {"dma_api.map_ns.mean"}, time_text, {}},
                                           Column{"unmap", {"dma_api.unmap_ns.mean"}, time_text, {}},
                                           invalidations,
                                           waits,
                                           exits,
                                           ioctls};
std::string goodput_text(double bits_per_s) {
  return fmt::format("{:.2f} Gbit/s", bits_per_s * 1e-9);
}

constexpr std::array iperf_columns{
    Column{"goodput", {"net.bits_per_s"}, goodput_text, {}},
    Column{"map", {"api.map_ns.mean"}, time_text, "api.map_calls"},
    Column{"unmap", {"api.unmap_ns.mean"}, time_text, "api.unmap_calls"},
    invalidations,
    Column{"flushes", {"guest.flush_queue.full_flushes", "guest.flush_queue.timer_flushes"}, whole, {}},
    Column{"one flush", {"guest.flush_queue.flush_ns.mean"}, time_text, {}},
    exits,
    ioctls,
    Column{"table reads", {"hypervisor.ptes_read"}, whole, {}},
    Column{"queue lock wait", {"lock.intel_qi.wait_ns"}, time_text, {}},
    Column{"dropped", {"net.packets_dropped"}, whole, {}},
    Column{"sent again", {"net.packets_retransmitted"}, whole, {}}};
constexpr std::array vfio_columns{Column{"map", {"vfio.map_ns"}, time_text, {}},
                                  Column{"unmap", {"vfio.unmap_ns"}, time_text, {}},
                                  Column{"runs", {"vfio.runs"}, whole, {}},
                                  Column{"regions", {"vfio.regions"}, whole, {}},
                                  Column{"syncs", {"vfio.syncs"}, whole, {}},
                                  Column{"software walks", {"vfio.software_walks"}, whole, {}},
                                  invalidations};

/// Where the IOMMU's driver tells what its maintenance takes: of a map or unmap.
constexpr std::array maintained_columns{Column{"map", {"api.map_ns.mean"}, time_text, "api.map_calls"},
                                        Column{"unmap", {"api.unmap_ns.mean"}, time_text, "api.unmap_calls"},
                                        Column{"a call", {"api.call_ns.mean"}, time_text, {}},
                                        Column{"TLB", {"api.tlb_ns.mean"}, time_text, {}},
                                        Column{"read back", {"api.read_back_ns.mean"}, time_text, {}},
                                        Column{"cleaning", {"api.cache_ns.mean"}, time_text, {}},
                                        Column{"barriers", {"api.barrier_ns.mean"}, time_text, {}},
                                        Column{"software", {"api.software_ns.mean"}, time_text, {}},
                                        Column{"in all", {"sim.window_ns"}, time_text, {}}};
constexpr std::array stream_columns{Column{"streamed", {"stream.bytes_per_s"}, bandwidth_text, {}},
                                    Column{"refused", {"stream.refused"}, whole, {}},
                                    Column{"underruns", {"stream.underruns"}, whole, {}},
                                    Column{"maps", {"api.map_calls"}, whole, {}},
                                    Column{"map", {"api.map_ns.mean"}, time_text, "api.map_calls"},
                                    Column{"unmap", {"api.unmap_ns.mean"}, time_text, "api.unmap_calls"},
                                    invalidations,
                                    exits};

/// The columns that matter to the workload, which is known by what its runs report.
std::span<const Column> columns_of(const ScenarioResult& result) {
  const auto reported = [&](std::string_view metric) {
    return std::any_of(result.variants.begin(), result.variants.end(), [&](const VariantResult& v) {
      return std::any_of(v.metrics.begin(), v.metrics.end(), [&](const auto& m) { return m.first == metric; });
    });
  };
  if (reported("net.bits_per_s")) return iperf_columns;
  if (reported("device.stray_accesses")) return misbehaviour_columns;
  if (reported("vfio.map_ns")) return vfio_columns;
  if (reported("dma_api.rounds")) return map_benchmark_columns;
  if (reported("stream.bytes_per_s")) return stream_columns;
  if (reported("api.call_ns.mean")) return maintained_columns;
  if (reported("api.driver_map_calls")) return api_columns;
  return fio_columns;
}

std::string cell(const VariantResult& v, const Column& column) {
  double sum = 0;
  bool any = false;
  for (const std::string_view metric : column.metrics) {
    const auto value = metric.empty() ? std::nullopt : v.metric(metric);
    any = any || value;
    sum += value.value_or(0);
  }
  const bool blank = !any || (!column.only_if.empty() && v.metric(column.only_if).value_or(0) == 0);
  return blank ? std::string{} : column.text(sum);
}

constexpr std::array<const char*, 5> judgement{"figure", "simulated", "published", "error", "verdict"};

/// `row` without the cells of judgement.
Row judged(Row row, const ExpectationResult& r) {
  row.push_back(figure_name(r.expected));
  row.push_back(r.expected.status ? r.simulated_status : r.simulated ? figure_text(r.expected, *r.simulated) : "");
  row.push_back(published_text(r.expected));
  row.push_back(error_text(r));
  row.emplace_back(verdict_text(r.verdict));
  return row;
}

/// What was said of many variants at once, and holds of this one, is told below the table.
bool has_row(const ExpectationResult& r, const VariantResult& v) {
  return r.expected.variant == v.name && (r.expected.pattern.empty() || r.verdict == Verdict::fails);
}

std::vector<Row> rows_of(const ScenarioResult& result) {
  const std::span<const Column> columns = columns_of(result);
  Row head{"variant"};
  for (const Column& column : columns) head.emplace_back(column.title);
  head.insert(head.end(), judgement.begin(), judgement.end());
  std::vector<Row> rows{std::move(head)};
  for (const VariantResult& v : result.variants) {
    Row row{v.name};
    for (const Column& column : columns) row.push_back(cell(v, column));
    const Row blank(row.size());
    bool first = true;
    for (const ExpectationResult& e : result.expectations) {
      if (!has_row(e, v)) continue;
      rows.push_back(judged(first ? row : blank, e));
      first = false;
    }
    if (!first) continue;
    row.resize(row.size() + judgement.size());
    if (v.status != "ok") row.back() = v.status;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string layout(const std::vector<Row>& rows) {
  const std::size_t columns = rows.front().size();
  const std::size_t figure = columns - judgement.size();
  std::vector<std::size_t> width(columns);
  for (const Row& row : rows)
    for (std::size_t i = 0; i < columns; ++i) width[i] = std::max(width[i], row[i].size());
  bool any_figure = false;
  for (std::size_t r = 1; r < rows.size(); ++r) any_figure = any_figure || !rows[r][figure].empty();
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < columns; ++i) {
      if (!any_figure && i >= figure && i + 1 < columns) continue;
      const bool left = i == 0 || i == figure || i + 1 == columns;
      line += left ? fmt::format("{:<{}}  ", row[i], width[i]) : fmt::format("{:>{}}  ", row[i], width[i]);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += line;
    out.push_back('\n');
  }
  return out;
}

/// A line for each expectation of several variants.
std::string patterns_text(const ScenarioResult& result) {
  std::string out;
  const auto& all = result.expectations;
  for (auto at = all.begin(); at != all.end();) {
    const scenario::Expectation& e = at->expected;
    if (e.pattern.empty()) {
      ++at;
      continue;
    }
    std::array<std::size_t, 3> verdicts{};
    for (const std::size_t written = e.written; at != all.end() && at->expected.written == written; ++at)
      ++verdicts[static_cast<std::size_t>(at->verdict)];
    const std::size_t held = verdicts[static_cast<std::size_t>(Verdict::holds)];
    const std::size_t failed = verdicts[static_cast<std::size_t>(Verdict::fails)];
    std::string what = e.status ? "status" : *e.metric;
    if (e.relative_to) what += " / " + e.relative_pattern;
    const char* verdict = failed != 0 ? "FAILED" : held != 0 ? "ok" : "skipped";
    out += fmt::format("{}: {} {}  {} ({} variants)\n", e.pattern, what, published_text(e), verdict,
                       failed != 0 ? failed : held);
  }
  return out;
}

/// What several variants have in common is said once.
std::string notes_text(const ScenarioResult& result) {
  std::vector<std::pair<std::string, std::vector<std::string>>> notes;
  for (const VariantResult& v : result.variants) {
    if (v.skipped()) continue;
    for (const std::string& note : v.notes) {
      const auto same = std::find_if(notes.begin(), notes.end(), [&](const auto& n) { return n.first == note; });
      if (same == notes.end())
        notes.push_back({note, {v.name}});
      else
        same->second.push_back(v.name);
    }
  }
  std::string out;
  for (const auto& [note, names] : notes) out += fmt::format("note: {}: {}\n", fmt::join(names, ", "), note);
  return out;
}

std::string after_table(const ScenarioResult& result) {
  std::string out = patterns_text(result);
  for (const ExpectationResult& e : result.expectations) {
    if (!e.expected.order.empty())
      out += fmt::format("order of {}: {}  {}\n", *e.expected.metric, fmt::join(e.expected.order, " "),
                         verdict_text(e.verdict));
    if (e.verdict == Verdict::fails)
      out += fmt::format("FAILED: {}{}: {}\n", e.expected.variant.value_or("order"),
                         e.expected.metric ? fmt::format(" {}", figure_name(e.expected)) : "", e.reason);
  }
  for (const VariantResult* v : unexpected_statuses(result.variants, result.expectations))
    out += fmt::format("{}: {}: {}\n", v->name, v->status, v->explanation);
  for (const UnexpectedVerdict& u : unexpected_verdicts(result.variants, result.expectations))
    out += fmt::format("{}: the sanitizer raised {} {:.6g} times\n", u.variant,
                       u.metric.substr(u.metric.find('.') + 1), u.count);
  return out + notes_text(result);
}

}  // namespace

std::string bandwidth_text(double bytes_per_second) {
  return scaled(bytes_per_second, 1024, {"B/s", "KiB/s", "MiB/s", "GiB/s"});
}
std::string count_text(double count) {
  return count < 1000 ? fmt::format("{:.0f}", count) : scaled(count, 1000, {"", "k", "M"});
}
std::string time_text(double ns) {
  return scaled(ns, 1000, {"ns", "us", "ms", "s"});
}

std::string to_table(const ScenarioResult& result) {
  const std::string repeated = result.repeat > 1 ? fmt::format(" (means of {} seeds)", result.repeat) : "";
  return fmt::format("{}: {}{}\n\n", result.scenario, result.title, repeated) + layout(rows_of(result)) +
         after_table(result);
}

}  // namespace gnomon::results
