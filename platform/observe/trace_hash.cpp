// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/trace_hash.hpp"

#define XXH_INLINE_ALL  // the library's own switch: compile the hash here, where it can be inlined
#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <bit>
#include <cstring>
#include <type_traits>
#include <variant>

namespace gnomon::observe {

static_assert(std::endian::native == std::endian::little, "the hash is defined over little-endian bytes");

namespace {

constexpr std::size_t block_bytes = 4096;
constexpr std::size_t head_bytes = sizeof(std::uint64_t) + sizeof(std::uint32_t);
constexpr std::size_t largest_record = 128;
static_assert(head_bytes + sizeof(trace::Event) <= largest_record);
static_assert(std::is_trivially_copyable_v<trace::Event>);

template <class... E>
constexpr std::array<std::uint8_t, sizeof...(E)> sizes_of(std::type_identity<std::variant<E...>>) {
  return {static_cast<std::uint8_t>(sizeof(E))...};
}
constexpr auto event_bytes = sizes_of(std::type_identity<trace::Event>{});

}  // namespace

struct TraceHash::State {
  XXH3_state_t hash;
  std::size_t used = 0;
  // A record starts below block_bytes and may end beyond it: no record is ever split by hand.
  std::array<unsigned char, block_bytes + largest_record> block;
};

[[gnu::noinline]] void TraceHash::hash_block(State& s) {
  XXH3_64bits_update(&s.hash, s.block.data(), s.used);
  s.used = 0;
}

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
  // A variant of trivial alternatives is its storage and then its index: all of it is copied, a fixed number of bytes,
  // and the alternative's own are kept.
  std::memcpy(out + head_bytes, static_cast<const void*>(&event), sizeof event);
  s.used += head_bytes + event_bytes[kind];
  if (s.used >= block_bytes) hash_block(s);
  last_at_ = at;
  if (++events_ == next_checkpoint_) take_checkpoint();
}

/// Rare, and kept out of on_event: inlined there, it costs every event the saving of its registers.
[[gnu::noinline]] void TraceHash::take_checkpoint() {
  checkpoints_.push_back({events_, last_at_, value()});
  next_checkpoint_ = checkpoint_after(events_);
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
