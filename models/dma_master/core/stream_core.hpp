// SPDX-License-Identifier: Apache-2.0
// A device that streams a list of segments at a fixed rate through a FIFO: a timed state machine that does nothing
// by itself. Reading, it fills the FIFO, then drains it at the rate, whatever arrives late (an underrun); writing,
// the FIFO fills at the rate, and what does not leave in time has no room (an overrun, counted as an underrun).
#pragma once

#include <cstdint>
#include <vector>

#include "models/base/address.hpp"
#include "models/base/time.hpp"
#include "models/spec/dma_master/registers.hpp"

namespace gnomon::dma_master {

struct DmaMasterConfig {
  std::uint32_t burst = 4096;      ///< bytes a request moves at most; none crosses a page. A power of two
  std::uint32_t fifo = 16384;      ///< bytes, a multiple of the burst
  unsigned outstanding = 4;        ///< requests in flight
  std::uint32_t segments = 65536;  ///< the list's length; more are dropped
};

struct DmaResult {
  bool ok = true;
  Time done;  ///< not before the request's time
};

/// Implemented by the shell. Called from StreamCore::advance, with times that never go back.
class Bus {
 public:
  virtual ~Bus() = default;
  virtual DmaResult move(Time at, Iova iova, std::uint32_t bytes, bool write) = 0;
  virtual void on_underrun(Iova iova, Time needed, Time came, bool write) = 0;
};

class StreamCore {
 public:
  /// `bus` must outlive the device. Throws std::invalid_argument for a configuration that cannot be.
  StreamCore(const DmaMasterConfig& config, Bus& bus);

  /// Accesses of 4 or 8 bytes, naturally aligned. Unknown offsets read 0 and ignore writes. An empty list, or a
  /// rate of 0, does not start.
  void mmio_write(Time now, std::uint32_t offset, std::uint64_t value, unsigned bytes);
  std::uint64_t mmio_read(std::uint32_t offset, unsigned bytes) const;

  /// When the next request goes out; Time::max() when stopped. Ask again after every mmio_write and advance.
  Time next_action() const { return next_; }
  /// Sends what is due at or before `now`.
  void advance(Time now);

 private:
  struct Segment {
    Iova iova;
    std::uint64_t bytes = 0;
  };
  struct InFlight {
    Time done;
    std::uint64_t end = 0;  // stream position after it
  };

  bool running() const { return next_ != Time::max(); }
  void start(Time now);
  void end_of_list();
  void send(Time at);
  Time issue_time() const;
  Time stream_time(std::uint64_t position) const { return begin_ + transfer_time(position, rate_); }

  const DmaMasterConfig config_;
  Bus& bus_;
  std::vector<Segment> list_;
  std::vector<Segment> next_list_;  // written while it runs
  bool update_ = false;             // and to take over
  std::uint64_t iova_ = 0;
  std::uint64_t rate_ = 0;
  bool write_ = false;
  bool repeat_ = false;

  Time next_ = Time::max();
  Time last_sent_;
  Time begin_;  // position 0 is drained, or filled, from here on; reading: while filling, the latest arrival
  std::vector<InFlight> history_;  // ring of the last bursts, a FIFO full of them or as many as may be in flight
  std::uint64_t sent_ = 0;         // bursts since the start
  std::uint64_t position_ = 0;     // bytes since the start
  std::size_t segment_ = 0;
  std::uint64_t offset_ = 0;  // in the segment
  std::uint64_t underruns_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace gnomon::dma_master
