// SPDX-License-Identifier: Apache-2.0
// Sampling windows, merging and the classes of latencies.
#include "guest/fio/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace gnomon::fio {
namespace {

constexpr Time window = Time::ms(500);  // fio's bwavgtime and iopsavgtime
constexpr std::uint64_t windows_per_second = 2;

RateSummary summary(const Moments& samples) {
  return {samples.min(), samples.max(), samples.mean(), samples.squared_deviations(), samples.count()};
}

std::uint64_t milliseconds_up(Time t) {
  return (t.ps() + Time::ms(1).ps() - 1) / Time::ms(1).ps();
}

template <class Counts>
void add(Counts& to, const Counts& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

/// The first of fio's bounds above `value` < 1000.
std::size_t decade_class(std::uint64_t value) {
  constexpr std::uint64_t bounds[] = {2, 4, 10, 20, 50, 100, 250, 500, 750};
  return static_cast<std::size_t>(std::upper_bound(std::begin(bounds), std::end(bounds), value) -
                                  std::begin(bounds));
}

}  // namespace

double RateSummary::stddev() const {
  return samples < 2 ? 0.0 : std::sqrt(squared_deviations / static_cast<double>(samples - 1));
}

void RateSummary::merge(const RateSummary& other) {
  min += other.min;
  max += other.max;
  mean += other.mean;
  squared_deviations += other.squared_deviations;
  samples += other.samples;
}

std::size_t latency_class(std::uint64_t ns) {
  if (ns < 1'000) return decade_class(ns);
  if (ns < 1'000'000) return latency_classes_ns + decade_class(ns / 1'000);
  const std::uint64_t ms = ns / 1'000'000;
  const std::size_t in_ms = ms < 1'000 ? decade_class(ms) : ms < 2'000 ? 10 : 11;
  return latency_classes_ns + latency_classes_us + in_ms;
}

JobStatistics::JobStatistics(const JobSpec& job)
    : ramp_time_(job.ramp_time), asynchronous_(job.engine != Engine::psync) {
  for (const Direction d : directions) {
    direction_[d].slat = Latency(job.slat_percentiles);
    direction_[d].clat = Latency(job.clat_percentiles);
    direction_[d].lat = Latency(job.lat_percentiles);
  }
}

void JobStatistics::start(Time now) {
  measured_from_ = now + ramp_time_;
  window_end_ = measured_from_ + window;
}

void JobStatistics::close_windows(Time now) {
  for (const Direction d : directions) {
    if (window_ios_[d] == 0) continue;  // fio takes no sample of an idle window
    bandwidth_[d].record(window_bytes_[d] * windows_per_second / 1024);
    iops_[d].record(window_ios_[d] * windows_per_second);
  }
  window_bytes_ = {};
  window_ios_ = {};
  window_end_ += window * ((now - window_end_) / window + 1);
}

void JobStatistics::finish(Time now) {
  const Time measured = now > measured_from_ ? now - measured_from_ : Time{};
  if (now >= window_end_) close_windows(now);
  run_ms = milliseconds_up(measured);
  for (const Direction d : directions) {
    direction_[d].bandwidth = summary(bandwidth_[d]);
    direction_[d].iops = summary(iops_[d]);
    if (direction_[d].bytes != 0) direction_[d].runtime_ms = run_ms;
  }
}

void JobStatistics::merge(const JobStatistics& other) {
  for (const Direction d : directions) {
    DirectionStatistics& to = direction_[d];
    const DirectionStatistics& from = other.direction_[d];
    to.issued += from.issued;
    to.bytes += from.bytes;
    to.runtime_ms = std::max(to.runtime_ms, from.runtime_ms);
    to.slat.merge(from.slat);
    to.clat.merge(from.clat);
    to.lat.merge(from.lat);
    to.bandwidth.merge(from.bandwidth);
    to.iops.merge(from.iops);
  }
  add(depth_level, other.depth_level);
  add(depth_submit, other.depth_submit);
  add(depth_complete, other.depth_complete);
  add(latency_classes, other.latency_classes);
  run_ms += other.run_ms;
  user_time += other.user_time;
  system_time += other.system_time;
  context_switches += other.context_switches;
}

}  // namespace gnomon::fio
