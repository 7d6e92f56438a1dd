// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/trace_hash.hpp"

#define XXH_INLINE_ALL  // the library's own switch: compile the hash here, where it can be inlined
#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <span>
#include <utility>

#include "platform/observe/packed_events.hpp"

namespace gnomon::observe {

namespace {

// Hashed alone, events stay in the first-level cache; batches are to be long.
constexpr std::size_t block_bytes = 4096;
constexpr std::size_t batch_bytes = 64 * 1024;

}  // namespace

struct TraceHash::State {
  XXH3_state_t hash;
  std::vector<unsigned char> block;
  unsigned char* next = nullptr;    // record
  unsigned char* hashed = nullptr;  // up to here
  unsigned char* ends = nullptr;    // a record starts below it and may end beyond it: none is ever split
  EventBatches* batches = nullptr;

  void make_block(std::size_t bytes) {
    block.resize(bytes + packed::reach);
    next = hashed = block.data();
    ends = next + bytes;
  }
  void catch_up() {
    XXH3_64bits_update(&hash, hashed, static_cast<std::size_t>(next - hashed));
    hashed = next;
  }
  [[gnu::noinline]] void end_block() {  // rare: inlined, it costs every event the saving of its registers
    catch_up();
    if (batches != nullptr) batches->tell({block.data(), next});
    next = hashed = block.data();
  }
};

TraceHash::TraceHash() : state_(new State) {
  XXH3_64bits_reset(&state_->hash);
  state_->make_block(block_bytes);
}
TraceHash::~TraceHash() = default;

void TraceHash::pass_on_to(EventBatches& batches) {
  state_->batches = &batches;
  state_->make_block(batch_bytes);
}

void TraceHash::pass_on() {
  state_->end_block();
}

template <std::size_t kind>
void TraceHash::add(trace::Sink& self, Time at, const trace::Event& event) {
  auto& hash = static_cast<TraceHash&>(self);
  State& s = *hash.state_;
  s.next = packed::write<kind>(s.next, at, *std::get_if<kind>(&event));
  if (s.next >= s.ends) s.end_block();
  hash.last_at_ = at;
  if (++hash.events_ == hash.next_checkpoint_) hash.take_checkpoint();
}

trace::Sink::Handler TraceHash::handler(std::size_t kind) const {
  static constexpr auto by_kind = []<std::size_t... kinds>(std::index_sequence<kinds...>) {
    return std::array<Handler, sizeof...(kinds)>{&add<kinds>...};
  }(std::make_index_sequence<trace::event_kinds>());
  return by_kind[kind];
}

[[gnu::noinline]] void TraceHash::take_checkpoint() {
  state_->catch_up();
  checkpoints_.push_back({events_, last_at_, XXH3_64bits_digest(&state_->hash)});
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
  XXH3_state_t hash = state_->hash;
  XXH3_64bits_update(&hash, state_->hashed, static_cast<std::size_t>(state_->next - state_->hashed));
  return XXH3_64bits_digest(&hash);
}

}  // namespace gnomon::observe
