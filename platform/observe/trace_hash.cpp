// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/trace_hash.hpp"

#define XXH_INLINE_ALL  // the library's own switch: compile the hash here, where it can be inlined
#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <bit>
#include <cstring>

namespace gnomon::observe {

static_assert(std::endian::native == std::endian::little, "the hash is defined over little-endian bytes");

namespace {

constexpr std::size_t block_bytes = 4096;
constexpr std::size_t head_bytes = sizeof(std::uint64_t) + sizeof(std::uint32_t);
constexpr std::size_t largest_record = 128;
static_assert(head_bytes + sizeof(trace::Event) <= largest_record);

}  // namespace

struct TraceHash::State {
  XXH3_state_t hash;
  std::size_t used = 0;
  // A record starts below block_bytes and may end beyond it: no record is ever split by hand.
  std::array<unsigned char, block_bytes + largest_record> block;
};

TraceHash::TraceHash() : state_(new State) {
  XXH3_64bits_reset(&state_->hash);
}
TraceHash::~TraceHash() = default;

void TraceHash::on_event(Time at, const trace::Event& event) {
  State& s = *state_;
  unsigned char* out = s.block.data() + s.used;
  const std::uint64_t ps = at.ps();
  const auto kind = static_cast<std::uint32_t>(event.index());
  std::memcpy(out, &ps, sizeof ps);
  std::memcpy(out + sizeof ps, &kind, sizeof kind);
  s.used += head_bytes + std::visit(
                             [out](const auto& e) {
                               std::memcpy(out + head_bytes, &e, sizeof e);
                               return sizeof e;
                             },
                             event);
  if (s.used >= block_bytes) {
    XXH3_64bits_update(&s.hash, s.block.data(), s.used);
    s.used = 0;
  }
  last_at_ = at;
  if (++events_ == next_checkpoint_) {
    checkpoints_.push_back({events_, at, value()});
    next_checkpoint_ = checkpoint_after(events_);
  }
}

std::string TraceHash::checkpoints_text() const {
  std::string text = "# gnomon trace hashes 1: events, time of the last in ps, XXH3-64 of them all\n";
  const auto line = [&text](const Checkpoint& c) {
    text += fmt::format("{} {} {:016x}\n", c.events, c.at.ps(), c.hash);
  };
  for (const Checkpoint& checkpoint : checkpoints_) line(checkpoint);
  if (events_ != 0 && checkpoints_.back().events != events_) line({events_, last_at_, value()});
  return text;
}

std::uint64_t TraceHash::value() const {
  State copy = *state_;
  XXH3_64bits_update(&copy.hash, copy.block.data(), copy.used);
  return XXH3_64bits_digest(&copy.hash);
}

}  // namespace gnomon::observe
