// SPDX-License-Identifier: Apache-2.0
// A processor that is alone in its world: its clock is the time. For software under test on the test's own stack.
#pragma once

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "models/cpu/core/processor.hpp"

namespace gnomon::test {

class SoloProcessor final : public Processor {
 public:
  /// halt() with nothing to come: the end of a program that never returns.
  struct Idle {};

  unsigned id() const override { return 0; }
  Time now() const override { return now_; }
  void spend(Time work) override { now_ += work; }
  void sync() override {
    while (!planned_.empty() && planned_.front().first <= now_) {
      const auto happen = std::move(planned_.front().second);
      planned_.erase(planned_.begin());
      happen();
    }
  }
  void park() override {
    sync();
    if (unpark_at_ == Time::max()) throw std::logic_error("parked, and nobody there to unpark");
    now_ = std::max(now_, std::exchange(unpark_at_, Time::max()));
  }
  void unpark(Time at) override { unpark_at_ = at; }
  void write_mmio(Gpa address, std::uint64_t value, unsigned bytes) override {
    stores.push_back({address, value, bytes});
    if (on_store) on_store();
  }
  std::uint64_t read_mmio(Gpa, unsigned) override { return 0; }
  void halt() override {
    for (sync(); !interrupt_pending(); sync()) {
      Time next = timer_at_;
      for (const auto& [at, vector] : pending_) next = std::min(next, at);
      if (!planned_.empty()) next = std::min(next, planned_.front().first);
      if (next == Time::max()) throw Idle{};
      now_ = std::max(now_, next);
    }
  }
  bool interrupt_pending() const override {
    return timer_at_ <= now_ ||
           std::any_of(pending_.begin(), pending_.end(), [&](auto& p) { return p.first <= now_; });
  }
  unsigned acknowledge_interrupt() override {
    if (timer_at_ <= now_) {
      timer_at_ = Time::max();
      return timer_vector;
    }
    const auto first = std::find_if(pending_.begin(), pending_.end(), [&](auto& p) { return p.first <= now_; });
    const unsigned vector = first->second;
    pending_.erase(first);
    return vector;
  }
  void set_timer(Time at) override {
    timer_at_ = at;
    timers.push_back(at);
  }
  void send_interrupt(unsigned processor, unsigned vector) override { sent.push_back({processor, vector}); }

  void raise(unsigned vector, Time at) { pending_.emplace_back(at, vector); }
  /// Something happens at `at`, as the processor sees it: at its first sync from then on. Planned in order of time.
  void plan(Time at, std::function<void()> happen) { planned_.emplace_back(at, std::move(happen)); }

  struct Store {
    Gpa address;
    std::uint64_t value = 0;
    unsigned bytes = 0;
    bool operator==(const Store&) const = default;
  };
  std::vector<Store> stores;
  std::function<void()> on_store;
  std::vector<Time> timers;  ///< what the local timer was set to
  std::vector<std::pair<unsigned, unsigned>> sent;

 private:
  Time now_;
  Time unpark_at_ = Time::max();
  Time timer_at_ = Time::max();
  std::vector<std::pair<Time, unsigned>> pending_;
  std::vector<std::pair<Time, std::function<void()>>> planned_;
};

}  // namespace gnomon::test
