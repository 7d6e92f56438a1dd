// SPDX-License-Identifier: Apache-2.0
// The flush queue: capacities, counters, timer, and the time line of two CPUs.
#include "guest/dma/flush_queue.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace gnomon::guest {
namespace {

std::vector<std::uint64_t> reap(FlushQueue& queue, unsigned cpu) {
  std::vector<std::uint64_t> pfns;
  const unsigned count = queue.reap(cpu, [&pfns](const FlushQueueEntry& entry) { pfns.push_back(entry.iova_pfn); });
  CHECK(count == pfns.size());
  return pfns;
}

void flush(FlushQueue& queue) {
  queue.begin_flush();
  queue.end_flush();
}

TEST_CASE("A ring keeps one slot free", "[flush_queue]") {
  const auto [config, usable] =
      GENERATE(std::pair{flush_queue_per_cpu, 255u}, std::pair{flush_queue_single, 32767u});
  FlushQueue queue(config, 2);
  for (unsigned i = 0; i < usable; ++i) {
    REQUIRE_FALSE(queue.needs_flush(0));
    queue.push(0, i + 1, 1);
  }
  CHECK(queue.queued(0) == usable);
  CHECK(queue.needs_flush(0));
  CHECK(queue.needs_flush(1) == !config.per_cpu);  // one for all, or not
  CHECK_THROWS_AS(queue.push(0, 1, 1), std::logic_error);
}

TEST_CASE("Queues and timeouts of the two kinds", "[flush_queue]") {
  CHECK(FlushQueue(flush_queue_per_cpu, 4).queues() == 4);
  CHECK(FlushQueue(flush_queue_single, 4).queues() == 1);
  CHECK(flush_queue_per_cpu.timeout == Time::ms(10));
  CHECK(flush_queue_single.timeout == Time::ms(1000));
  CHECK_THROWS_AS(FlushQueue({true, 100, Time::ms(1)}, 1), std::invalid_argument);
  CHECK_THROWS_AS(FlushQueue({true, 1, Time::ms(1)}, 1), std::invalid_argument);
  CHECK_THROWS_AS(FlushQueue(flush_queue_per_cpu, 0), std::invalid_argument);
}

TEST_CASE("The time line of two CPUs", "[flush_queue]") {
  FlushQueue queue(flush_queue_per_cpu, 2);
  queue.push(0, 1000, 1);
  CHECK(queue.arm_timer());  // t0
  queue.push(1, 2000, 1);
  CHECK_FALSE(queue.arm_timer());

  for (std::uint64_t pfn = 1001; pfn < 1255; ++pfn) {
    REQUIRE(reap(queue, 0).empty());
    REQUIRE_FALSE(queue.needs_flush(0));
    queue.push(0, pfn, 1);
  }
  CHECK(queue.queued(0) == 255);

  // The 256th unmap of CPU 0.
  CHECK(reap(queue, 0).empty());
  CHECK(queue.needs_flush(0));
  queue.begin_flush();
  queue.push(1, 2001, 1);  // while the flush runs
  queue.end_flush();
  CHECK(queue.flushes_finished() == 1);
  const auto released = reap(queue, 0);
  REQUIRE(released.size() == 255);
  CHECK(released.front() == 1000);
  CHECK(released.back() == 1254);
  queue.push(0, 1255, 1);
  CHECK_FALSE(queue.arm_timer());  // a full flush does not cancel it

  // CPU 1's next unmap: what it queued before the flush is free, what it queued during it is not.
  CHECK(reap(queue, 1) == std::vector<std::uint64_t>{2000});
  CHECK(queue.queued(1) == 1);

  // t0 + 10 ms.
  CHECK(queue.timer_armed());
  queue.timer_fired();
  flush(queue);
  CHECK(reap(queue, 0) == std::vector<std::uint64_t>{1255});
  CHECK(reap(queue, 1) == std::vector<std::uint64_t>{2001});
  CHECK_FALSE(queue.timer_armed());
  CHECK(queue.flushes_started() == 2);
  CHECK(queue.arm_timer());
}

TEST_CASE("Entries come out whole and oldest first, across the wrap of the ring", "[flush_queue]") {
  FlushQueue queue({true, 4, Time::ms(10)}, 1);
  for (std::uint64_t round = 0; round < 5; ++round) {
    queue.push(0, 10 * round + 1, 16, {5});
    queue.push(0, 10 * round + 2, 2, {});
    flush(queue);
    std::vector<FlushQueueEntry> entries;
    queue.reap(0, [&entries](const FlushQueueEntry& entry) { entries.push_back(entry); });
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].iova_pfn == 10 * round + 1);
    CHECK(entries[0].pages == 16);
    CHECK(entries[0].freelist == FreelistHandle{5});
    CHECK(entries[0].counter == round);
    CHECK(entries[1].iova_pfn == 10 * round + 2);
    CHECK(queue.queued(0) == 0);
  }
}

TEST_CASE("A flush that began before the entries leaves a full ring full", "[flush_queue]") {
  FlushQueue queue({true, 4, Time::ms(10)}, 1);
  queue.begin_flush();  // on another CPU, and slow
  for (std::uint64_t pfn = 1; pfn <= 3; ++pfn) queue.push(0, pfn, 1);
  flush(queue);
  CHECK(reap(queue, 0).empty());
  CHECK(queue.needs_flush(0));  // one flush is not enough: hence the loop
  flush(queue);
  CHECK(reap(queue, 0).size() == 3);
  queue.end_flush();
  CHECK_THROWS_AS(queue.end_flush(), std::logic_error);
}

TEST_CASE("A flush that ends during a reap serves the next one", "[flush_queue]") {
  FlushQueue queue(flush_queue_per_cpu, 1);
  queue.push(0, 1, 1);
  queue.begin_flush();
  queue.push(0, 2, 1);
  queue.end_flush();
  std::vector<std::uint64_t> pfns;
  queue.reap(0, [&](const FlushQueueEntry& entry) {
    pfns.push_back(entry.iova_pfn);
    flush(queue);
  });
  CHECK(pfns == std::vector<std::uint64_t>{1});
  CHECK(reap(queue, 0) == std::vector<std::uint64_t>{2});
}

TEST_CASE("The planted bug releases IOVAs no flush has covered", "[flush_queue]") {
  FlushQueue sound(flush_queue_per_cpu, 1);
  FlushQueue faulty(flush_queue_per_cpu, 1, {.reap_without_flush = true});
  for (FlushQueue* queue : {&sound, &faulty}) queue->push(0, 7, 1);
  CHECK(reap(sound, 0).empty());
  CHECK(reap(faulty, 0) == std::vector<std::uint64_t>{7});
}

}  // namespace
}  // namespace gnomon::guest
