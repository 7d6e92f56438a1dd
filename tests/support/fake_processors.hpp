// SPDX-License-Identifier: Apache-2.0
// Processors that take turns by their clocks, without SystemC: each runs on a stack of its own until it syncs.
#pragma once

#include <ucontext.h>

#include <deque>
#include <exception>
#include <functional>
#include <utility>
#include <vector>

#include "models/cpu/core/processor.hpp"

namespace gnomon::test {

class FakeProcessors {
 public:
  class Fake final : public Processor {
   public:
    Fake(FakeProcessors& all, unsigned id) : all_(all), id_(id), stack_(256 * 1024) {}

    unsigned id() const override { return id_; }
    Time now() const override { return all_.now_ + ahead_; }
    void spend(Time work) override { ahead_ += work; }
    void sync() override {
      due_ = now();
      ahead_ = Time{};
      all_.leave(*this);
    }
    void park() override {
      sync();
      if (unpark_at_ == Time::max()) {
        parked_ = true;
        due_ = Time::max();
        all_.leave(*this);
        parked_ = false;
      } else if (unpark_at_ > now()) {
        due_ = unpark_at_;
        all_.leave(*this);
      }
      unpark_at_ = Time::max();
    }
    void unpark(Time at) override {
      unpark_at_ = at;
      if (parked_) due_ = at;
    }
    void write_mmio(Gpa, std::uint64_t, unsigned) override {}
    std::uint64_t read_mmio(Gpa, unsigned) override { return 0; }
    void halt() override {}
    bool interrupt_pending() const override { return false; }
    unsigned acknowledge_interrupt() override { return 0; }
    void set_timer(Time) override {}
    void send_interrupt(unsigned, unsigned) override {}

   private:
    friend class FakeProcessors;
    FakeProcessors& all_;
    const unsigned id_;
    std::function<void(Processor&)> program_;
    std::vector<char> stack_;
    ucontext_t context_{};
    Time ahead_;
    Time due_ = Time::max();
    Time unpark_at_ = Time::max();
    bool parked_ = false;
  };

  explicit FakeProcessors(unsigned count) {
    for (unsigned i = 0; i < count; ++i) fakes_.emplace_back(*this, i);
  }

  void load(unsigned processor, std::function<void(Processor&)> program) {
    Fake& fake = fakes_.at(processor);
    fake.program_ = std::move(program);
    fake.due_ = Time{};
    ::getcontext(&fake.context_);
    fake.context_.uc_stack.ss_sp = fake.stack_.data();
    fake.context_.uc_stack.ss_size = fake.stack_.size();
    fake.context_.uc_link = &home_;
    ::makecontext(&fake.context_, reinterpret_cast<void (*)()>(&FakeProcessors::start), 2,
                  static_cast<int>(reinterpret_cast<std::uintptr_t>(&fake) >> 32),
                  static_cast<int>(reinterpret_cast<std::uintptr_t>(&fake)));
  }

  /// Runs whoever is due first, the lower number where two are, until nobody is. Throws what a program throws.
  /// Returns false where somebody is still parked.
  bool run() {
    for (;;) {
      Fake* next = nullptr;
      for (Fake& fake : fakes_) {
        if (fake.due_ != Time::max() && (next == nullptr || fake.due_ < next->due_)) next = &fake;
      }
      if (next == nullptr) break;
      now_ = next->due_;
      ::swapcontext(&home_, &next->context_);
      if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }
    for (const Fake& fake : fakes_) {
      if (fake.parked_) return false;
    }
    return true;
  }

 private:
  static void start(int high, int low) {
    auto& fake = *reinterpret_cast<Fake*>((static_cast<std::uintptr_t>(static_cast<unsigned>(high)) << 32) |
                                          static_cast<unsigned>(low));
    try {
      fake.program_(fake);
    } catch (...) {
      fake.all_.failure_ = std::current_exception();
    }
    fake.due_ = Time::max();
  }
  void leave(Fake& fake) { ::swapcontext(&fake.context_, &home_); }

  std::deque<Fake> fakes_;
  ucontext_t home_{};
  Time now_;
  std::exception_ptr failure_;
};

}  // namespace gnomon::test
