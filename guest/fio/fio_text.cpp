// SPDX-License-Identifier: Apache-2.0
// The human report, line by line as fio 3.33 prints it.
#include "guest/fio/fio_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace gnomon::fio {
namespace {

constexpr int digits = 4;  // fio's significant_figures

template <class... T>
void print(std::string& out, fmt::format_string<T...> format, T&&... values) {
  fmt::format_to(std::back_inserter(out), format, std::forward<T>(values)...);
}

/// "15.6MiB/s (16.4MB/s)": the preferred base first.
std::string both_bases(std::uint64_t number, bool binary, const char* unit) {
  return short_number(number, digits, binary, unit) + " (" + short_number(number, digits, !binary, unit) + ")";
}

void print_job_line(std::string& out, const JobSpec& job) {
  const bool binary = job.kb_base == 1024;
  const auto range = [binary](std::uint64_t bytes) {
    const std::string text = short_number(bytes, digits, binary, "B");
    return text + "-" + text;
  };
  print(out, "{}: (g={}): rw={}, bs=(R) {}, (W) {}, (T) {}, ioengine={}, iodepth={}\n", job.name, job.group_id,
        to_string(job.pattern), range(job.block_size.read), range(job.block_size.write),
        range(job.block_size.write), to_string(job.engine), job.iodepth);
  if (job.numjobs > 1) out += "...\n";
}

void print_latency(std::string& out, std::string_view name, const Moments& m) {
  if (m.count() == 0) return;
  std::uint64_t divisor = 1;
  std::string_view unit = "nsec";
  if (m.min() > 2'000'000 && m.max() > 99'999'999 && m.stddev() > 1'000'000.0) {
    unit = "msec", divisor = 1'000'000;
  } else if (m.min() > 2'000 && m.max() > 99'999 && m.stddev() > 1'000.0) {
    unit = "usec", divisor = 1'000;
  }
  const auto scale = static_cast<double>(divisor);
  print(out, "    {} ({}): min={}, max={}, avg={:5.2f}, stdev={:5.2f}\n", name, unit,
        short_number(m.min() / divisor, 6, false, ""), short_number(m.max() / divisor, 6, false, ""),
        m.mean() / scale, m.stddev() / scale);
}

/// Decimals the list was given with: fio prints every percentile with the most of them.
std::size_t decimals(std::span<const double> list) {
  std::size_t most = 0;
  for (const double percentile : list) {
    const auto text = fmt::format("{}", percentile);
    const auto point = text.find('.');
    if (point != std::string::npos && !text.ends_with(".0")) most = std::max(most, text.size() - point - 1);
  }
  return most;
}

void print_percentiles(std::string& out, std::string_view name, const Latency& latency,
                       std::span<const double> list) {
  auto values = latency.percentiles(list);
  if (values.empty()) return;
  std::size_t thousands = 0;
  if (values.front() > 2'000'000 && values.back() > 99'999'999)
    thousands = 2;
  else if (values.front() > 2'000 && values.back() > 99'999)
    thousands = 1;
  constexpr std::string_view units[] = {"nsec", "usec", "msec"};
  constexpr std::uint64_t divisors[] = {1, 1'000, 1'000'000};
  const auto width = std::max<std::size_t>(5, std::to_string(values.back() / divisors[thousands]).size());
  const std::size_t precision = decimals(list);
  const std::size_t per_line = (80 - 7) / (precision + 10 + width);
  print(out, "    {} percentiles ({}):\n     |", name, units[thousands]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0 && i % per_line == 0) out += "\n     |";
    for (std::size_t step = 0; step < thousands; ++step) values[i] = (values[i] + 999) / 1000;  // up, at each step
    print(out, " {:{}.{}f}th=[{:{}}]{}", list[i], precision + 3, precision, values[i], width,
          i + 1 == values.size() ? "\n" : ",");
  }
}

void print_samples(std::string& out, const DirectionStatistics& s, const GroupTotals& group, bool binary) {
  if (s.bandwidth.samples == 0) return;
  RateSummary bw = s.bandwidth;
  double deviation = bw.stddev();
  std::string_view unit = binary ? "KiB" : "kB";
  const std::uint64_t base = binary ? 1024 : 1000;
  const double share = share_of_group(bw, group);
  if (bw.mean > static_cast<double>(base * base)) {
    bw.min /= base;
    bw.max /= base;
    bw.mean /= static_cast<double>(base);
    deviation /= static_cast<double>(base);
    unit = "MiB";  // fio says MiB in both bases
  }
  print(out, "   bw ({:>5}/s): min={:5}, max={:5}, per={:3.2f}%, avg={:5.2f}, stdev={:5.2f}, samples={}\n", unit,
        bw.min, bw.max, share, bw.mean, deviation, bw.samples);
  print(out, "   iops        : min={:5}, max={:5}, avg={:5.2f}, stdev={:5.2f}, samples={}\n", s.iops.min,
        s.iops.max, s.iops.mean, s.iops.stddev(), s.iops.samples);
}

void print_direction(std::string& out, Direction d, const EntryReport& entry, const RunReport& run) {
  const DirectionStatistics& s = entry.statistics[d];
  if (s.bytes == 0 || s.runtime_ms == 0) return;
  const JobSpec& job = *entry.job;
  const bool binary = job.kb_base == 1024;
  print(out, "  {}: IOPS={}, BW={}({}/{}msec){}\n", d == Direction::read ? "read" : "write",
        short_number(per_second(s.issued, s.runtime_ms), digits, false, ""),
        both_bases(per_second(s.bytes, s.runtime_ms), binary, "B/s"), short_number(s.bytes, digits, binary, "B"),
        s.runtime_ms, d == Direction::write ? "; 0 zone resets" : "");
  print_latency(out, "slat", s.slat.moments());
  print_latency(out, "clat", s.clat.moments());
  print_latency(out, " lat", s.lat.moments());
  print_percentiles(out, "slat", s.slat, job.percentile_list);
  print_percentiles(out, "clat", s.clat, job.percentile_list);
  print_percentiles(out, "lat", s.lat, job.percentile_list);
  print_samples(out, s, group_totals(run, job.group_id, d), binary);
}

void print_latency_classes(std::string& out, const JobStatistics& s, std::size_t first, std::size_t count,
                           std::string_view unit) {
  constexpr std::string_view bounds[] = {"2",   "4",   "10",  "20",   "50",   "100",
                                         "250", "500", "750", "1000", "2000", ">=2000"};
  unsigned shown = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (s.latency_classes[first + i] == 0) continue;
    if (shown % 5 == 0)
      print(out, "{}  lat ({})   : ", shown == 0 ? "" : "\n", unit);
    else
      out += ", ";
    print(out, "{}={:3.2f}%", bounds[i],
          share(s.latency_classes[first + i], s.total_issued(), least_latency_share));
    ++shown;
  }
  if (shown != 0) out += '\n';
}

void print_depths(std::string& out, std::string_view title, std::span<const std::string_view> keys,
                  const DepthCounts& counts, std::uint64_t total) {
  print(out, "  {}: ", title);
  for (std::size_t i = 0; i < counts.size(); ++i)
    print(out, "{}{}={:3.1f}%", i == 0 ? "" : ", ", keys[i], share(counts[i], total, least_depth_share));
  out += '\n';
}

std::uint64_t sum(const DepthCounts& counts) {
  std::uint64_t total = 0;
  for (const auto count : counts) total += count;
  return total;
}

void print_entry(std::string& out, const EntryReport& entry, const RunReport& run) {
  constexpr std::string_view levels[] = {"1", "2", "4", "8", "16", "32", ">=64"};
  constexpr std::string_view batches[] = {"0", "4", "8", "16", "32", "64", ">=64"};
  const JobSpec& job = *entry.job;
  const JobStatistics& s = entry.statistics;
  if (s.total_issued() == 0 && s[Direction::read].bytes == 0 && s[Direction::write].bytes == 0) return;
  print(out, "{}: (groupid={}, jobs={}): err= 0: pid={}: {}\n", job.name, job.group_id, entry.threads, entry.pid,
        calendar_time(run.timestamp_ms));
  if (!job.description.empty()) print(out, "  Description  : [{}]\n", job.description);
  for (const Direction d : directions) print_direction(out, d, entry, run);
  print_latency_classes(out, s, 0, latency_classes_ns, "nsec");
  print_latency_classes(out, s, latency_classes_ns, latency_classes_us, "usec");
  print_latency_classes(out, s, latency_classes_ns + latency_classes_us, latency_classes_ms, "msec");
  const double run_percent = s.run_ms == 0 ? 0.0 : 1e5 / static_cast<double>(s.run_ms);  // of a second of CPU
  print(out, "  cpu          : usr={:3.2f}%, sys={:3.2f}%, ctx={}, majf=0, minf=0\n",
        s.user_time.seconds() * run_percent, s.system_time.seconds() * run_percent, s.context_switches);
  print_depths(out, "IO depths    ", levels, s.depth_level, s.total_issued());
  print_depths(out, "   submit    ", batches, s.depth_submit, sum(s.depth_submit));
  print_depths(out, "   complete  ", batches, s.depth_complete, sum(s.depth_complete));
  print(out, "     issued rwts: total={},{},0,0 short=0,0,0,0 dropped=0,0,0,0\n", s[Direction::read].issued,
        s[Direction::write].issued);
  print(out, "     latency   : target=0, window=0, percentile=100.00%, depth={}\n", job.iodepth);
}

void print_group(std::string& out, const RunReport& run, std::uint32_t group_id, bool binary) {
  print(out, "\nRun status group {} (all jobs):\n", group_id);
  for (const Direction d : directions) {
    const GroupTotals t = group_totals(run, group_id, d);
    if (t.max_run_ms == 0) continue;
    const auto range = [&t](bool base2) {
      return short_number(t.min_bandwidth, digits, base2, "B/s") + "-" +
             short_number(t.max_bandwidth, digits, base2, "B/s");
    };
    print(out, "{}: bw={}, {} ({}), io={}, run={}-{}msec\n", d == Direction::read ? "   READ" : "  WRITE",
          both_bases(t.bandwidth, binary, "B/s"), range(binary), range(!binary), both_bases(t.bytes, binary, "B"),
          t.min_run_ms, t.max_run_ms);
  }
}

}  // namespace

std::string short_number(std::uint64_t number, int width, bool binary, const char* unit) {
  constexpr const char* decimal[] = {"", "k", "M", "G", "T", "P"};
  constexpr const char* iec[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi"};
  const std::uint64_t thousand = binary ? 1024 : 1000;
  const auto room = [&] { return width - static_cast<int>(std::to_string(number).size()); };
  std::uint64_t fraction = 0;
  std::size_t prefix = 0;
  while (room() < 0 && prefix + 1 < std::size(decimal)) {
    fraction = number % thousand;
    number /= thousand;
    ++prefix;
  }
  std::string out = std::to_string(number);
  if (prefix != 0 && room() > 1) {
    const auto text =
        fmt::format("{:.{}f}", static_cast<double>(fraction) / static_cast<double>(thousand), room() - 1);
    out.append(text, 1);  // from the point on
  } else if (prefix != 0 && fraction >= thousand / 2) {
    out = std::to_string(number + 1);
  }
  return out + (binary ? iec : decimal)[prefix] + unit;
}

std::string to_fio_text(const RunReport& run) {
  std::string out;
  std::uint64_t threads = 0;
  for (const JobSpec& job : run.jobs) {
    print_job_line(out, job);
    threads += job.numjobs;
  }
  print(out, "{}\nStarting {} process{}\n\n", fio_version, threads, threads == 1 ? "" : "es");
  for (const EntryReport& entry : run.entries) print_entry(out, entry, run);
  if (!run.jobs.empty())
    for (std::uint32_t group = 0; group <= run.jobs.back().group_id; ++group)
      print_group(out, run, group, run.jobs.front().kb_base == 1024);
  if (run.disks.empty()) return out;
  out += "\nDisk stats (read/write):\n";
  for (const DiskReport& disk : run.disks)
    print(out, "  {}: ios={}/{}, merge={}/{}, ticks={}/{}, in_queue={}, util={:3.2f}%\n", disk.name, disk.ios.read,
          disk.ios.write, disk.merges.read, disk.merges.write, disk.ticks_ms.read, disk.ticks_ms.write,
          disk.in_queue_ms, disk.utilisation);
  return out;
}

}  // namespace gnomon::fio
