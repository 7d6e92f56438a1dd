// SPDX-License-Identifier: Apache-2.0
// Queueing at the flash, computed at arrival: both kinds of server are first come first served.
#include "models/nvme/core/media.hpp"

#include <algorithm>

namespace gnomon::nvme {

Media::Media(const MediaConfig& config, RandomStream random)
    : config_(config), random_(random), channel_free_(config.channels) {}

Media::Passage Media::pass(Direction direction, Time at, std::uint64_t bytes) {
  const bool write = direction == Direction::from_host;
  Time& free = bandwidth_free_[write];
  const Time begin = std::max(at, free);
  free = begin + transfer_time(bytes, write ? config_.write_bandwidth : config_.read_bandwidth);
  return {begin, free};
}

Media::Visit Media::enter(Direction direction, Time at, std::uint64_t offset) {
  const unsigned channel = channel_of(offset);
  Time& free = channel_free_[channel];
  const Time begin = std::max(at, free);
  free = begin + latency(direction);
  return {channel, begin, free};
}

unsigned Media::channel_of(std::uint64_t offset) const {
  const std::uint64_t stripe = offset / config_.stripe;
  const std::uint64_t turn = (stripe / config_.channels * 0x9e37'79b9'7f4a'7c15u) >> 32;  // Fibonacci hashing
  return static_cast<unsigned>((stripe + turn) % config_.channels);
}

Time Media::latency(Direction direction) {
  const bool write = direction == Direction::from_host;
  Time time = write ? config_.write_latency : config_.read_latency;
  const Time jitter = write ? config_.write_jitter : config_.read_jitter;
  if (jitter != Time{}) time += Time::ps(random_.below(jitter.ps() + 1));
  if (config_.slow_per_million != 0 && random_.below(1'000'000) < config_.slow_per_million)
    time += config_.slow_extra;
  return time;
}

}  // namespace gnomon::nvme
