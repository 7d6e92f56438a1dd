// SPDX-License-Identifier: Apache-2.0
#include "models/dma_master/core/stream_core.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace gnomon::dma_master {

namespace {

const DmaMasterConfig& validated(const DmaMasterConfig& c) {
  if (!std::has_single_bit(c.burst)) throw std::invalid_argument("burst must be a power of two");
  if (c.fifo == 0 || c.fifo % c.burst != 0) throw std::invalid_argument("fifo must be a multiple of burst");
  if (c.outstanding == 0) throw std::invalid_argument("outstanding must not be 0");
  return c;
}

}  // namespace

StreamCore::StreamCore(const DmaMasterConfig& config, Bus& bus)
    : config_(validated(config)), bus_(bus), history_(std::max(config.fifo / config.burst, config.outstanding)) {}

void StreamCore::mmio_write(Time now, std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  if (offset == reg::control) {
    if ((value & control::clear) != 0) list_.clear();
    next_ = Time::max();
    write_ = (value & control::write) != 0;
    repeat_ = (value & control::repeat) != 0;
    if ((value & control::run) != 0) start(now);
  }
  if (offset == reg::update) update_ = running() && value != 0 && !next_list_.empty();
  if (bytes != 8) return;
  if (offset == reg::segment_iova) iova_ = value;
  if (offset == reg::rate) rate_ = value;
  if (offset == reg::segment_bytes && value != 0) {
    std::vector<Segment>& list = running() ? next_list_ : list_;
    if (list.size() < config_.segments) list.push_back({Iova{iova_}, value});
  }
}

std::uint64_t StreamCore::mmio_read(std::uint32_t offset, unsigned /*bytes*/) const {
  switch (offset) {
    case reg::control:
      return (running() ? control::run : 0) | (write_ ? control::write : 0) | (repeat_ ? control::repeat : 0);
    case reg::status: return running() ? status_running : 0;
    case reg::segment_iova: return iova_;
    case reg::rate: return rate_;
    case reg::underruns: return underruns_;
    case reg::moved: return position_;
    case reg::refused: return refused_;
    case reg::update: return update_ ? 1 : 0;
    default: return 0;
  }
}

void StreamCore::start(Time now) {
  next_list_.clear();
  update_ = false;
  if (list_.empty() || rate_ == 0) return;
  sent_ = position_ = underruns_ = refused_ = 0;
  segment_ = 0;
  offset_ = 0;
  last_sent_ = begin_ = now;
  next_ = write_ ? issue_time() : now;
}

void StreamCore::advance(Time now) {
  while (next_ <= now) send(next_);
}

void StreamCore::send(Time at) {
  const Segment& segment = list_[segment_];
  const Iova iova = segment.iova + offset_;
  const std::uint64_t edge = std::min<std::uint64_t>(config_.burst, page_size);
  const auto bytes = static_cast<std::uint32_t>(std::min(edge - iova.value % edge, segment.bytes - offset_));
  const DmaResult result = bus_.move(at, iova, bytes, write_);
  if (!result.ok) ++refused_;
  last_sent_ = at;
  const std::uint64_t depth = config_.fifo / config_.burst;
  const bool filling = !write_ && sent_ < depth;
  if (filling) begin_ = std::max(begin_, result.done);
  // Read, it is due when all before it has been drained; written, when the FIFO behind it is full.
  const Time needed = write_ ? stream_time(position_ + bytes + config_.fifo) : stream_time(position_);
  if (!filling && result.done > needed) {
    ++underruns_;
    bus_.on_underrun(iova, needed, result.done, write_);
  }
  history_[sent_ % history_.size()] = {result.done, position_ + bytes};
  ++sent_;
  position_ += bytes;
  offset_ += bytes;
  if (offset_ == segment.bytes) {
    offset_ = 0;
    if (++segment_ == list_.size()) {
      const bool ends = !repeat_ && !update_;
      end_of_list();
      if (ends) {
        next_ = Time::max();
        return;
      }
    }
  }
  next_ = issue_time();
}

void StreamCore::end_of_list() {
  segment_ = 0;
  if (!update_) return;
  list_.swap(next_list_);
  next_list_.clear();
  update_ = false;
}

/// Of the next burst: not before the last, not before a request slot and room in the FIFO are free (reading), or
/// its data is there (writing).
Time StreamCore::issue_time() const {
  Time at = last_sent_;
  if (sent_ >= config_.outstanding) {
    at = std::max(at, history_[(sent_ - config_.outstanding) % history_.size()].done);
  }
  if (write_) {
    const Segment& segment = list_[segment_];
    const std::uint64_t edge = std::min<std::uint64_t>(config_.burst, page_size);
    const std::uint64_t bytes = std::min(edge - (segment.iova.value + offset_) % edge, segment.bytes - offset_);
    return std::max(at, stream_time(position_ + bytes));
  }
  const std::uint64_t depth = config_.fifo / config_.burst;
  if (sent_ >= depth) at = std::max(at, stream_time(history_[(sent_ - depth) % history_.size()].end));
  return at;
}

}  // namespace gnomon::dma_master
