// SPDX-License-Identifier: Apache-2.0
// A run over time, in a fixed amount of memory: what plots of bandwidth, latency, exits and hit rate are drawn
// from.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "guest/fio/latency.hpp"
#include "models/base/time.hpp"
#include "models/trace/tracer.hpp"
#include "platform/observe/sanitizer.hpp"

namespace gnomon::observe {

/// Sums over the whole run, ramp-up included, in at most `capacity` bins of one width: a power of two of
/// picoseconds, about 1 us at first, that doubles when an event falls beyond the last bin. Neither memory nor the
/// cost of an event depends on the length of the run.
class RunSeries final : public trace::Sink {
 public:
  static constexpr std::size_t capacity = 512;
  static constexpr int schema = 1;  ///< of series.json

  /// What fell into one bin. Ends count, not beginnings: an I/O belongs to the bin in which it was reaped.
  struct Bin {
    std::uint64_t ios = 0, bytes = 0, latency_ps = 0, latency_max_ps = 0;
    std::uint64_t exits = 0, iotlb_hits = 0, iotlb_misses = 0, invalidations = 0, lock_wait_ps = 0;
    std::uint64_t in_flight_max = 0;

    void merge(const Bin& later);
    bool operator==(const Bin&) const = default;
  };

  trace::KindSet wants() const override;
  void on_event(Time at, const trace::Event& event) override;

  Time bin_width() const { return Time::ps(std::uint64_t{1} << shift_); }
  std::size_t size() const { return used_; }  ///< bins up to the last that an event fell into
  const Bin& operator[](std::size_t i) const { return bins_[i]; }

  /// series.json: {schema, bin_ns, window_ns: [opened, closed], columns: {name: [a value a bin]}, latency_ns and
  /// exposure_ns: [[upper or middle of a bucket, count], ...]}. Integers, but for times in ns. Of a window that
  /// never opened or closed, null.
  std::string to_json(const fio::Latency& latency, const Exposure& exposure) const;

 private:
  Bin& bin_at(Time at);
  void fold();

  std::array<Bin, capacity> bins_{};
  unsigned shift_ = 20;
  std::size_t used_ = 0;
  std::uint64_t in_flight_ = 0;
  bool opened_ = false, closed_ = false;
  Time opened_at_, closed_at_;
};

}  // namespace gnomon::observe
