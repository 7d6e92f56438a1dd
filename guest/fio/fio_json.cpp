// SPDX-License-Identifier: Apache-2.0
// The JSON report. Every key is where fio 3.33 has it; those of what is not simulated (trims, syncs) say 0 as fio
// does.
#include "guest/fio/fio_json.hpp"

#include <fmt/format.h>

#include <iterator>
#include <string_view>

namespace gnomon::fio {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* class_keys[] = {"2",   "4",   "10",  "20",   "50",   "100",
                                      "250", "500", "750", "1000", "2000", ">=2000"};
constexpr const char* level_keys[] = {"1", "2", "4", "8", "16", "32", ">=64"};
constexpr const char* batch_keys[] = {"0", "4", "8", "16", "32", "64", ">=64"};

Json options_object(std::span<const OptionText> options) {
  Json object = Json::object();
  for (const auto& option : options)
    if (option.has_value) object[option.key] = option.value;  // fio leaves bare flags out
  return object;
}

Json latency_object(const Latency& latency, std::span<const double> percentile_list, JsonFlavour flavour) {
  const Moments& m = latency.moments();
  Json object = {{"min", m.min()}, {"max", m.max()}, {"mean", m.mean()}, {"stddev", m.stddev()}, {"N", m.count()}};
  if (m.count() == 0 || latency.buckets().empty()) return object;
  const auto values = latency.percentiles(percentile_list);
  Json& percentile = object["percentile"] = Json::object();
  for (std::size_t i = 0; i < values.size(); ++i) percentile[fmt::format("{:f}", percentile_list[i])] = values[i];
  if (flavour == JsonFlavour::json) return object;
  Json& bins = object["bins"] = Json::object();
  const auto buckets = latency.buckets();
  for (std::size_t i = 0; i < buckets.size(); ++i)
    if (buckets[i] != 0) bins[std::to_string(bucket_value(i))] = buckets[i];
  return object;
}

Json direction_object(const DirectionStatistics& s, const JobSpec& job, const GroupTotals& group,
                      JsonFlavour flavour) {
  const std::uint64_t bandwidth = per_second(s.bytes, s.runtime_ms);
  const double iops =
      s.runtime_ms == 0 ? 0.0 : 1000.0 * static_cast<double>(s.issued) / static_cast<double>(s.runtime_ms);
  return {{"io_bytes", s.bytes},
          {"io_kbytes", s.bytes >> 10},
          {"bw_bytes", bandwidth},
          {"bw", bandwidth / 1024},
          {"iops", iops},
          {"runtime", s.runtime_ms},
          {"total_ios", s.issued},
          {"short_ios", 0},
          {"drop_ios", 0},
          {"slat_ns", latency_object(s.slat, job.percentile_list, flavour)},
          {"clat_ns", latency_object(s.clat, job.percentile_list, flavour)},
          {"lat_ns", latency_object(s.lat, job.percentile_list, flavour)},
          {"bw_min", s.bandwidth.min},
          {"bw_max", s.bandwidth.max},
          {"bw_agg", share_of_group(s.bandwidth, group)},
          {"bw_mean", s.bandwidth.mean},
          {"bw_dev", s.bandwidth.stddev()},
          {"bw_samples", s.bandwidth.samples},
          {"iops_min", s.iops.min},
          {"iops_max", s.iops.max},
          {"iops_mean", s.iops.mean},
          {"iops_stddev", s.iops.stddev()},
          {"iops_samples", s.iops.samples}};
}

template <std::size_t n>
Json shares(const char* const (&keys)[n], const DepthCounts& counts, std::uint64_t total) {
  Json object = Json::object();
  for (std::size_t i = 0; i < n; ++i) object[keys[i]] = share(counts[i], total, least_depth_share);
  return object;
}

std::uint64_t sum(const DepthCounts& counts) {
  std::uint64_t total = 0;
  for (const auto count : counts) total += count;
  return total;
}

Json latency_classes_object(const JobStatistics& s, std::size_t first, std::size_t count) {
  Json object = Json::object();
  for (std::size_t i = 0; i < count; ++i)
    object[class_keys[i]] = share(s.latency_classes[first + i], s.total_issued(), least_latency_share);
  return object;
}

double percent_of_run(Time cpu, std::uint64_t run_ms) {
  return run_ms == 0 ? 0.0 : cpu.seconds() * 1e3 * 100.0 / static_cast<double>(run_ms);
}

Json job_object(const EntryReport& entry, const RunReport& run, JsonFlavour flavour) {
  const JobSpec& job = *entry.job;
  const JobStatistics& s = entry.statistics;
  Json object = {{"jobname", job.name},
                 {"groupid", job.group_id},
                 {"error", 0},
                 {"eta", 0},
                 {"elapsed", run.elapsed_s},
                 {"job options", options_object(job.options)}};
  for (const Direction d : directions)
    object[d == Direction::read ? "read" : "write"] =
        direction_object(s[d], job, group_totals(run, job.group_id, d), flavour);
  object["trim"] = direction_object({}, job, {}, flavour);
  object["sync"] = {{"total_ios", 0}, {"lat_ns", latency_object(Latency{}, {}, flavour)}};
  object["job_runtime"] = s.run_ms;
  object["usr_cpu"] = percent_of_run(s.user_time, s.run_ms);
  object["sys_cpu"] = percent_of_run(s.system_time, s.run_ms);
  object["ctx"] = s.context_switches;
  object["majf"] = 0;
  object["minf"] = 0;
  object["iodepth_level"] = shares(level_keys, s.depth_level, s.total_issued());
  object["iodepth_submit"] = shares(batch_keys, s.depth_submit, sum(s.depth_submit));
  object["iodepth_complete"] = shares(batch_keys, s.depth_complete, sum(s.depth_complete));
  object["latency_ns"] = latency_classes_object(s, 0, latency_classes_ns);
  object["latency_us"] = latency_classes_object(s, latency_classes_ns, latency_classes_us);
  object["latency_ms"] = latency_classes_object(s, latency_classes_ns + latency_classes_us, latency_classes_ms);
  object["latency_depth"] = job.iodepth;
  object["latency_target"] = 0;
  object["latency_percentile"] = 100.0;
  object["latency_window"] = 0;
  return object;
}

Json disk_object(const DiskReport& disk) {
  return {{"name", disk.name},
          {"read_ios", disk.ios.read},
          {"write_ios", disk.ios.write},
          {"read_merges", disk.merges.read},
          {"write_merges", disk.merges.write},
          {"read_ticks", disk.ticks_ms.read},
          {"write_ticks", disk.ticks_ms.write},
          {"in_queue", disk.in_queue_ms},
          {"util", disk.utilisation}};
}

void write(const Json& value, std::string& out, std::size_t indent) {
  if (value.is_number_float()) {
    fmt::format_to(std::back_inserter(out), "{:f}", value.get<double>());
  } else if (value.is_structured()) {
    const bool object = value.is_object();
    out += object ? "{\n" : "[\n";
    bool first = true;
    for (const auto& item : value.items()) {
      if (!std::exchange(first, false)) out += ",\n";
      out.append(indent + 2, ' ');
      if (object) out += Json(item.key()).dump() + " : ";
      write(item.value(), out, indent + 2);
    }
    out += '\n';
    out.append(indent, ' ');
    out += object ? '}' : ']';
  } else {
    out += value.dump();
  }
}

}  // namespace

nlohmann::ordered_json to_fio_json(const RunReport& run, JsonFlavour flavour) {
  Json document = {{"fio version", fio_version},
                   {"timestamp", run.timestamp_ms / 1000},
                   {"timestamp_ms", run.timestamp_ms},
                   {"time", calendar_time(run.timestamp_ms)}};
  if (!run.global_options.empty()) document["global options"] = options_object(run.global_options);
  Json& jobs = document["jobs"] = Json::array();
  for (const EntryReport& entry : run.entries) jobs.push_back(job_object(entry, run, flavour));
  if (run.disks.empty()) return document;
  Json& disks = document["disk_util"] = Json::array();
  for (const DiskReport& disk : run.disks) disks.push_back(disk_object(disk));
  return document;
}

std::string write_fio_json(const nlohmann::ordered_json& document) {
  std::string out;
  write(document, out, 0);
  out += '\n';
  return out;
}

}  // namespace gnomon::fio
