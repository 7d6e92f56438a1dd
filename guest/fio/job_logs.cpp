// SPDX-License-Identifier: Apache-2.0
// As add_log_sample() and add_samples() of fio 3.33's stat.c.
#include "guest/fio/job_logs.hpp"

namespace gnomon::fio {

JobLogs::JobLogs(const JobSpec& job) : job_(job) {}

bool JobLogs::wanted(const JobSpec& job) {
  return !job.write_bw_log.empty() || !job.write_lat_log.empty() || !job.write_iops_log.empty();
}

void JobLogs::start(Time now) {
  started_ = now;
  measured_from_ = now + job_.ramp_time;
  rates_from_ms_ = ms_at(measured_from_);
  for (Log& log : logs_)
    for (const Direction d : directions) log.windows[d].last_ms = rates_from_ms_;
}

void JobLogs::add(Kind kind, Direction d, std::uint64_t value, std::uint64_t bytes, std::uint64_t offset,
                  Time now) {
  Log& log = logs_[kind];
  const std::uint64_t ms = ms_at(now);
  if (job_.log_avg_msec == 0) {
    log.rows.push_back({ms, value, bytes, offset, d});
    return;
  }
  Window& window = log.windows[d];
  window.sum += value;
  ++window.samples;
  if (ms - window.last_ms < job_.log_avg_msec) return;
  log.rows.push_back({ms, window.sum / window.samples, 0, 0, d});
  window = {0, 0, ms - ms % job_.log_avg_msec};
}

void JobLogs::submitted(Direction d, std::uint64_t bytes, std::uint64_t offset, Time begun, Time submitted) {
  if (job_.write_lat_log.empty() || job_.engine == Engine::psync || !measured(submitted)) return;
  add(slat, d, (submitted - begun).ns(), bytes, offset, submitted);
}

void JobLogs::completed(Direction d, std::uint64_t bytes, std::uint64_t offset, Time begun, Time submitted,
                        Time completed) {
  if (!measured(completed)) return;
  const std::uint64_t took = (completed - submitted).ns();
  if (!job_.write_lat_log.empty()) {
    add(clat, d, took, bytes, offset, completed);
    add(lat, d, (completed - begun).ns(), bytes, offset, completed);
  }
  if (job_.log_avg_msec == 0) {  // a rate of one I/O: its bytes over its latency, and itself
    if (!job_.write_bw_log.empty())
      add(bandwidth, d, took == 0 ? 0 : bytes * 1'000'000 / took, bytes, offset, completed);
    if (!job_.write_iops_log.empty()) add(iops, d, 1, bytes, offset, completed);
    return;
  }
  const std::uint64_t ms = ms_at(completed);
  if (ms >= rates_from_ms_ + job_.log_avg_msec) close_rates(ms);
  window_bytes_[d] += bytes;
  ++window_ios_[d];
}

/// Samples of the window that is over; a direction in which nothing completed has none.
void JobLogs::close_rates(std::uint64_t now_ms) {
  const std::uint64_t whole = (now_ms - rates_from_ms_) / job_.log_avg_msec * job_.log_avg_msec;
  const std::uint64_t length = job_.log_avg_msec;  // later windows of the stretch were idle
  for (const Direction d : directions) {
    if (window_ios_[d] == 0) continue;
    const std::uint64_t ms = rates_from_ms_ + length;
    if (!job_.write_bw_log.empty())
      logs_[bandwidth].rows.push_back({ms, window_bytes_[d] * 1000 / length / 1024, 0, 0, d});
    if (!job_.write_iops_log.empty()) logs_[iops].rows.push_back({ms, window_ios_[d] * 1000 / length, 0, 0, d});
  }
  window_bytes_ = {};
  window_ios_ = {};
  rates_from_ms_ += whole;
}

void JobLogs::finish(Time now) {
  if (job_.log_avg_msec == 0) return;
  const std::uint64_t ms = ms_at(now);
  if (ms >= rates_from_ms_ + job_.log_avg_msec) close_rates(ms);
  for (const Kind kind : {slat, clat, lat}) {
    for (const Direction d : directions) {
      Window& window = logs_[kind].windows[d];
      if (window.samples == 0) continue;
      logs_[kind].rows.push_back({ms, window.sum / window.samples, 0, 0, d});
      window = {};
    }
  }
}

std::vector<std::pair<std::string, std::string>> JobLogs::files(std::uint32_t number) const {
  std::vector<std::pair<std::string, std::string>> files;
  const auto file = [&](const std::string& prefix, const char* kind, const Log& log) {
    if (prefix.empty()) return;
    std::string text;
    for (const Row& row : log.rows) {
      text += std::to_string(row.ms) + ", " + std::to_string(row.value) +
              (row.direction == Direction::read ? ", 0, " : ", 1, ") + std::to_string(row.bytes);
      if (job_.log_offset) text += ", " + std::to_string(row.offset);
      text += ", 0\n";
    }
    files.emplace_back(prefix + "_" + kind + "." + std::to_string(number) + ".log", std::move(text));
  };
  file(job_.write_bw_log, "bw", logs_[bandwidth]);
  file(job_.write_lat_log, "slat", logs_[slat]);
  file(job_.write_lat_log, "clat", logs_[clat]);
  file(job_.write_lat_log, "lat", logs_[lat]);
  file(job_.write_iops_log, "iops", logs_[iops]);
  return files;
}

}  // namespace gnomon::fio
