// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/run_series.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace gnomon::observe {

void RunSeries::Bin::merge(const Bin& later) {
  ios += later.ios;
  bytes += later.bytes;
  latency_ps += later.latency_ps;
  latency_max_ps = std::max(latency_max_ps, later.latency_max_ps);
  exits += later.exits;
  iotlb_hits += later.iotlb_hits;
  iotlb_misses += later.iotlb_misses;
  invalidations += later.invalidations;
  lock_wait_ps += later.lock_wait_ps;
  in_flight_max = std::max(in_flight_max, later.in_flight_max);
}

trace::KindSet RunSeries::wants() const {
  return trace::kinds<trace::WindowOpened, trace::WindowClosed, trace::IoSubmitted, trace::IoReaped, trace::VmExit,
                      trace::DmaBurst, trace::IotlbInvalidated, trace::LockAcquired>();
}

RunSeries::Bin& RunSeries::bin_at(Time at) {
  while ((at.ps() >> shift_) >= capacity) fold();
  const auto index = static_cast<std::size_t>(at.ps() >> shift_);
  for (; used_ <= index; ++used_) bins_[used_].in_flight_max = in_flight_;  // bins in which nothing happened too
  return bins_[index];
}

void RunSeries::fold() {
  for (std::size_t i = 0; i < capacity / 2; ++i) {
    bins_[i] = bins_[2 * i];
    bins_[i].merge(bins_[2 * i + 1]);
  }
  std::fill(bins_.begin() + capacity / 2, bins_.end(), Bin{});
  used_ = (used_ + 1) / 2;
  ++shift_;
}

void RunSeries::on_event(Time at, const trace::Event& event) {
  if (const auto* burst = std::get_if<trace::DmaBurst>(&event)) {
    Bin& bin = bin_at(at);
    ++(burst->iotlb_hit != 0 ? bin.iotlb_hits : bin.iotlb_misses);
  } else if (const auto* lock = std::get_if<trace::LockAcquired>(&event)) {
    bin_at(at).lock_wait_ps += lock->waited_ps;
  } else if (std::holds_alternative<trace::VmExit>(event)) {
    ++bin_at(at).exits;
  } else if (const auto* reaped = std::get_if<trace::IoReaped>(&event)) {
    Bin& bin = bin_at(at);
    if (in_flight_ > 0) --in_flight_;
    if (reaped->status != 0) return;
    ++bin.ios;
    bin.bytes += reaped->bytes;
    bin.latency_ps += reaped->latency_ps;
    bin.latency_max_ps = std::max(bin.latency_max_ps, reaped->latency_ps);
  } else if (std::holds_alternative<trace::IoSubmitted>(event)) {
    Bin& bin = bin_at(at);
    bin.in_flight_max = std::max(bin.in_flight_max, ++in_flight_);
  } else if (std::holds_alternative<trace::IotlbInvalidated>(event)) {
    ++bin_at(at).invalidations;
  } else if (std::holds_alternative<trace::WindowOpened>(event)) {
    opened_ = true;
    opened_at_ = at;
  } else if (std::holds_alternative<trace::WindowClosed>(event)) {
    closed_ = true;
    closed_at_ = at;
  }
}

namespace {

/// Picoseconds as nanoseconds, exactly.
std::string ns_text(std::uint64_t ps) {
  const std::uint64_t rest = ps % 1000;
  return rest == 0 ? fmt::format("{}", ps / 1000) : fmt::format("{}.{:03}", ps / 1000, rest);
}

struct Column {
  const char* name;
  std::uint64_t RunSeries::Bin::*value;
  bool is_time;
};

using Bin = RunSeries::Bin;
constexpr std::array columns = {
    Column{"ios", &Bin::ios, false},
    Column{"bytes", &Bin::bytes, false},
    Column{"latency_ns", &Bin::latency_ps, true},
    Column{"latency_max_ns", &Bin::latency_max_ps, true},
    Column{"in_flight_max", &Bin::in_flight_max, false},
    Column{"exits", &Bin::exits, false},
    Column{"iotlb_hits", &Bin::iotlb_hits, false},
    Column{"iotlb_misses", &Bin::iotlb_misses, false},
    Column{"invalidations", &Bin::invalidations, false},
    Column{"lock_wait_ns", &Bin::lock_wait_ps, true},
};

}  // namespace

std::string RunSeries::to_json(const fio::Latency& latency, const Exposure& exposure) const {
  std::string out;
  const auto say = [&out](fmt::string_view text, const auto&... values) {
    fmt::vformat_to(std::back_inserter(out), text, fmt::make_format_args(values...));
  };
  const auto instant = [](bool there, Time at) { return there ? ns_text(at.ps()) : std::string("null"); };
  say("{{\n\"schema\": {},\n\"bin_ns\": {},\n", schema, ns_text(bin_width().ps()));
  say("\"window_ns\": [{}, {}],\n\"columns\": {{", instant(opened_, opened_at_), instant(closed_, closed_at_));
  for (const Column& column : columns) {
    say("{}\n\"{}\": [", &column == columns.begin() ? "" : ",", column.name);
    for (std::size_t i = 0; i < used_; ++i) {
      const std::uint64_t value = bins_[i].*column.value;
      say("{}{}", i == 0 ? "" : ",", column.is_time ? ns_text(value) : fmt::format("{}", value));
    }
    say("]");
  }
  say("\n}},\n\"latency_ns\": [");
  const char* comma = "";
  for (std::size_t bucket = 0; bucket < latency.buckets().size(); ++bucket) {
    if (latency.buckets()[bucket] == 0) continue;
    say("{}[{},{}]", comma, fio::bucket_value(bucket), latency.buckets()[bucket]);
    comma = ",";
  }
  say("],\n\"exposure_ns\": [");
  comma = "";
  for (std::size_t bucket = 0; bucket < exposure.pages.size(); ++bucket) {
    if (exposure.pages[bucket] == 0) continue;
    say("{}[{},{}]", comma, Exposure::bucket_end_ns(bucket), exposure.pages[bucket]);
    comma = ",";
  }
  say("]\n}}\n");
  return out;
}

}  // namespace gnomon::observe
