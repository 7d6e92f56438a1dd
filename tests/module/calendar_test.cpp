// SPDX-License-Identifier: Apache-2.0
// The event calendar: who takes a step, and that nobody can tell.
#include <memory>
#include <string>

#include "models/base/random.hpp"
#include "models/fabric/calendar.hpp"
#include "tests/module/vcpu_bench.hpp"

namespace gnomon::test {
namespace {

TEST_CASE("steps are taken in order of time, then in the order they were asked for") {
  const Times t = isolated_list<Time>([] {
    Times out;
    const auto note = [&out](std::uint64_t who) {
      return [&out, who] { out.insert(out.end(), {Time::ps(who), global_time()}); };
    };
    TimedStep one(note(1)), two(note(2)), three(note(3)), never(note(4));
    two.at(Time::ns(5));
    one.at(Time::ns(5));
    three.at(Time::ns(9));
    three.at(Time::ns(3));   // an earlier time counts
    three.at(Time::ns(20));  // a later one does not
    never.at(Time::ns(4));
    never.cancel();
    never.at(Time::max());
    run_simulation();
    return out;
  });
  CHECK(t == Times{Time::ps(3), Time::ns(3), Time::ps(2), Time::ns(5), Time::ps(1), Time::ns(5)});
}

TEST_CASE("a step may ask for the next one, and for one that has passed: that is now") {
  const Times t = isolated_list<Time>([] {
    Times out;
    std::unique_ptr<TimedStep> step;
    step = std::make_unique<TimedStep>([&] {
      out.push_back(global_time());
      if (out.size() < 4) step->at(out.size() == 2 ? Time::ns(1) : global_time() + Time::ns(7));
    });
    step->at(Time::ns(7));
    run_simulation();
    return out;
  });
  CHECK(t == Times{Time::ns(7), Time::ns(14), Time::ns(14), Time::ns(21)});
}

TEST_CASE("steps that ask for each other at one instant pause the simulation") {
  const Times t = isolated_list<Time>([] {
    std::uint64_t turns = 0;
    std::unique_ptr<TimedStep> one, two;
    one = std::make_unique<TimedStep>([&] { ++turns, two->at(global_time()); });
    two = std::make_unique<TimedStep>([&] { ++turns, one->at(global_time()); });
    one->at(Time::ns(1));
    run_simulation();
    return Times{Time::ps(time_stands_still()), Time::ps(turns)};
  });
  CHECK(t.at(0) == Time::ps(1));
  CHECK(t.at(1).ps() < most_activations_at_an_instant + 10);
}

TEST_CASE("what a step throws comes out as it was, whoever takes it") {
  const auto failure = [](bool of_a_cpu) {
    return isolated_bytes([of_a_cpu]() -> std::string {
      VcpuBench bench(vcpu_config(), true);
      TimedStep step([] { throw std::bad_alloc(); });
      step.at(Time::us(2));
      if (of_a_cpu) bench[0].load([&] { bench[0].spend(Time::us(3)), bench[0].sync(); });
      try {
        run_simulation();
        return "";
      } catch (const std::exception& error) {
        return error.what();
      }
    });
  };
  CHECK(failure(false) == std::bad_alloc().what());
  CHECK(failure(true) == std::bad_alloc().what());
}

TEST_CASE("a processor that waits for what a step does needs no context switch") {
  const Times t = run_on_cpu(
      vcpu_config(), true,
      [](VcpuBench& b, Times& out) {
        b[0].spend(Time::us(1));
        b[0].sync();
        const std::uint64_t before = b.activations;
        TimedStep step([&b] { b[0].unpark(global_time() + Time::ns(40)); });
        step.at(Time::us(3));
        b[0].park();
        out.push_back(b[0].now());
        TimedStep message([&b] { b.interrupt(0x40, Time::ns(60)); });
        message.at(Time::us(5));
        b[0].halt();
        out.push_back(b[0].now());
        out.push_back(Time::ps(b.activations - before));
      },
      [](VcpuBench&, Times&) {});
  CHECK(t.at(0) == Time::ns(3'040));
  CHECK(t.at(1) == Time::ns(5'060) + vcpu_config().exits.hlt);
  CHECK(t.at(2) == Time{});
}

/// The same step as a process of the kernel's own.
class KernelStep final : public sc_core::sc_module {
 public:
  KernelStep(const sc_core::sc_module_name& name, std::function<void()> take)
      : sc_module(name), take_(std::move(take)) {
    using SC_CURRENT_USER_MODULE = KernelStep;
    SC_METHOD(run);
    sensitive << due_;
    dont_initialize();
  }
  void at(Time due) { notify_at(due_, due); }

 private:
  void run() {
    process_resumed();
    take_();
    meet_kernel_again();
  }
  sc_core::sc_event due_{"due"};
  std::function<void()> take_;
};

/// Two processors and three devices at random times, which wake processors now and then: who did something when.
template <class Step>
Times world(std::uint64_t seed) {
  return isolated_list<Time>([seed] {
    Times out;
    VcpuBench bench(vcpu_config(), false);
    const auto note = [&out](std::uint64_t who) { out.insert(out.end(), {Time::ps(who), global_time()}); };
    std::vector<RandomStream> random;
    for (unsigned i = 0; i < 5; ++i) random.emplace_back(seed, "actor " + std::to_string(i));
    std::vector<std::unique_ptr<Step>> steps;
    for (unsigned i = 0; i < 3; ++i) {
      const auto take = [&, i] {
        note(i);
        if (random[i].below(3) == 0) bench.interrupt(0x40 + i, Time::ps(random[i].below(900'000)), i & 1);
        if (global_time() < Time::us(300)) steps[i]->at(global_time() + Time::ps(1 + random[i].below(2'000'000)));
      };
      if constexpr (std::is_constructible_v<Step, decltype(take)>) {
        steps.push_back(std::make_unique<Step>(take));
      } else {
        steps.push_back(std::make_unique<Step>(sc_core::sc_gen_unique_name("step"), take));
      }
      steps[i]->at(Time::ps(1 + random[i].below(2'000'000)));
    }
    for (unsigned i = 0; i < 2; ++i) {
      bench[i].load([&, i] {
        while (global_time() < Time::us(200)) {
          bench[i].spend(Time::ps(1 + random[3 + i].below(700'000)));
          bench[i].sync();
          note(3 + i);
          if (random[3 + i].below(8) == 0) bench[i].halt();
          while (bench[i].interrupt_pending()) note(100 + bench[i].acknowledge_interrupt());
        }
      });
    }
    run_simulation();
    return out;
  });
}

TEST_CASE("with steps in the calendar, a world is the one it is with processes of the kernel") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    const Times with_calendar = world<TimedStep>(seed);
    CHECK(with_calendar.size() > 1000);
    CHECK(with_calendar == world<KernelStep>(seed));
  }
}

/// A software thread as a process of the kernel's own.
class KernelThread final {
 public:
  explicit KernelThread(std::function<void()> run)
      : script_(sc_core::sc_gen_unique_name("thread"), [run = std::move(run)](Script&) { run(); }) {}
  void wait_until(Time at) { script_.wait_until(at); }
  void wait() { script_.wait_for(woken_); }
  void wake_at(Time at) { notify_at(woken_, at); }

 private:
  sc_core::sc_event woken_{sc_core::sc_gen_unique_name("woken")};
  Script script_;
};

std::uint64_t switches = 0;

/// Threads that wait for times and for each other: who went on when.
template <class Thread>
Times crowd(std::uint64_t seed) {
  return isolated_list<Time>([seed] {
    constexpr unsigned count = 5;
    Times out;
    std::vector<RandomStream> random;
    std::vector<std::unique_ptr<Thread>> threads;
    std::vector<bool> waits(count);
    unsigned waiting = 0;
    const auto live = [&](unsigned i) {
      const auto note = [&] { out.insert(out.end(), {Time::ps(i), global_time()}); };
      while (global_time() < Time::us(200)) {
        threads[i]->wait_until(global_time() + Time::ps(1 + random[i].below(700'000)));
        note();
        if (random[i].below(4) == 0 && waiting + 1 < count) {
          waits[i] = true, ++waiting;
          threads[i]->wait();
          waits[i] = false, --waiting;
          note();
        } else if (const auto other = random[i].below(count); waits[other]) {
          threads[other]->wake_at(global_time() + Time::ps(1 + random[i].below(900'000)));
        }
      }
    };
    for (unsigned i = 0; i < count; ++i) {
      random.emplace_back(seed, "thread " + std::to_string(i));
      if constexpr (std::is_same_v<Thread, SoftwareThread>) {
        threads.push_back(std::make_unique<SoftwareThread>([&, i] { live(i); }, switches));
      } else {
        threads.push_back(std::make_unique<Thread>([&, i] { live(i); }));
      }
    }
    run_simulation();
    return out;
  });
}

TEST_CASE("software threads go on when threads of the kernel would") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    const Times ours = crowd<SoftwareThread>(seed);
    CHECK(ours.size() > 1000);
    CHECK(ours == crowd<KernelThread>(seed));
  }
}

TEST_CASE("at one instant, steps come first, then threads, in the order in which they asked") {
  const Times t = isolated_list<Time>([] {
    Times out;
    const auto note = [&out](std::uint64_t who) { out.insert(out.end(), {Time::ps(who), global_time()}); };
    const auto waits = [&note](std::unique_ptr<SoftwareThread>& self, std::uint64_t who, Time asks) {
      return [&note, &self, who, asks] {
        self->wait_until(asks);
        self->wait_until(Time::ns(9));
        note(who);
      };
    };
    std::unique_ptr<SoftwareThread> late, early;
    late = std::make_unique<SoftwareThread>(waits(late, 1, Time::ns(5)), switches);
    early = std::make_unique<SoftwareThread>(waits(early, 2, Time::ns(4)), switches);
    TimedStep step([&note] { note(3); });
    TimedStep asks_late([&step] { step.at(Time::ns(9)); });
    asks_late.at(Time::ns(7));
    run_simulation();
    return out;
  });
  CHECK(t == Times{Time::ps(3), Time::ns(9), Time::ps(2), Time::ns(9), Time::ps(1), Time::ns(9)});
}

TEST_CASE("what a software thread throws and catches stays on its stack") {
  const Times t = isolated_list<Time>([] {
    Times out;
    std::unique_ptr<SoftwareThread> one, two;
    const auto tries = [&out](std::unique_ptr<SoftwareThread>& self, Time at) {
      return [&out, &self, at] {
        for (unsigned i = 1; i <= 3; ++i) {
          try {
            self->wait_until(at * i);
            throw at;
          } catch (Time caught) {
            out.push_back(caught);
          }
        }
      };
    };
    one = std::make_unique<SoftwareThread>(tries(one, Time::ns(20)), switches);
    two = std::make_unique<SoftwareThread>(tries(two, Time::ns(21)), switches);
    run_simulation();
    return out;
  });
  CHECK(t == Times{Time::ns(20), Time::ns(21), Time::ns(20), Time::ns(21), Time::ns(20), Time::ns(21)});
}

}  // namespace
}  // namespace gnomon::test
