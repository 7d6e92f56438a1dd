// SPDX-License-Identifier: Apache-2.0
// Rings: wrap and phase, full completion queues, arbitration, interrupts.
#include <catch2/catch.hpp>
#include <map>

#include "tests/unit/nvme/fake_host.hpp"

namespace gnomon::nvme {
namespace {

TEST_CASE("queues wrap, and the phase turns with the completion queue") {
  FakeHost host;
  host.enable();
  host.create_queue(1, 5, 3);
  std::uint32_t completed = 0;
  for (std::uint16_t cid = 0; cid < 23; ++cid) {
    host.submit(1, write_page(cid, cid));
    host.run();
    const auto entry = host.bus.load<CompletionEntry>(host.queues[1].cq + (completed % 3) * 16);
    CHECK(phase_of(entry) == (completed / 3 % 2 == 0));
    CHECK(entry.sq_head == (cid + 1) % 5);
    const auto done = host.reap(1);
    REQUIRE(done.size() == 1);
    CHECK(done[0].cid == cid);
    ++completed;
  }
}

TEST_CASE("a batch is fetched to the end of the ring, to the end of the turn, and on") {
  FakeHost host;
  host.enable();
  host.create_queue(1, 8, 64);
  for (std::uint16_t cid = 0; cid < 6; ++cid) host.put(1, write_page(cid));
  host.ring(1);
  host.run();
  host.reap(1);
  host.bus.reads.clear();
  host.bus.fetched.clear();
  for (std::uint16_t cid = 6; cid < 11; ++cid) host.put(1, write_page(cid));
  host.ring(1);
  host.run();
  REQUIRE(host.bus.reads.size() == 3);
  CHECK(host.bus.reads[0].address == host.queues[1].sq + 6 * 64);
  CHECK(host.bus.reads[0].bytes == 2 * 64);
  CHECK(host.bus.reads[1].address == host.queues[1].sq);
  CHECK(host.bus.reads[1].bytes == 2 * 64);  // the turn's four commands are over
  CHECK(host.bus.reads[2].address == host.queues[1].sq + 2 * 64);
  CHECK(host.bus.reads[2].bytes == 64);
  for (unsigned i = 0; i < 5; ++i) CHECK(host.bus.fetched.at(i).cid == 6 + i);
}

TEST_CASE("a fetch ends at its page's end") {
  auto config = plain_config();
  config.fetch_burst = 64;
  config.arbitration_burst = 64;
  FakeHost host(config);
  host.enable();
  host.create_queue(1, 256, 256);
  for (std::uint16_t cid = 0; cid < 60; ++cid) host.put(1, write_page(cid));
  host.ring(1);
  host.run();
  host.bus.reads.clear();
  for (std::uint16_t cid = 0; cid < 10; ++cid) host.put(1, write_page(cid));
  host.ring(1);
  host.run();
  REQUIRE(host.bus.reads.size() == 2);
  CHECK(host.bus.reads[0].bytes == 4 * 64);
  CHECK(host.bus.reads[1].bytes == 6 * 64);
  CHECK(host.bus.reads[1].at == host.bus.reads[0].at + host.bus.read_time);
}

TEST_CASE("a full completion queue holds completions back until the host reads") {
  FakeHost host;
  host.enable();
  host.create_queue(1, 64, 4);
  for (std::uint16_t cid = 0; cid < 10; ++cid) host.put(1, write_page(cid, 0));  // one channel: in order
  host.ring(1);
  host.run();
  CHECK(host.bus.completed.size() == 3);  // one slot stays empty
  CHECK(host.core.in_flight() == 7);
  CHECK(host.core.next_action() == Time::max());

  std::vector<std::uint16_t> order;
  host.poll(1);
  host.ring_head(1);  // room for one
  host.run();
  CHECK(host.bus.completed.size() == 4);
  order.push_back(0);
  while (order.size() < 10) {
    const auto done = host.reap(1);
    REQUIRE_FALSE(done.empty());
    for (const auto& entry : done) order.push_back(entry.cid);
    host.run();
  }
  for (std::uint16_t cid = 0; cid < 10; ++cid) CHECK(order[cid] == cid);
  CHECK(host.core.in_flight() == 0);
  CHECK(host.bus.interrupts.size() == 10);
}

TEST_CASE("room in a full completion queue goes to those that waited, even when another finishes that instant") {
  FakeHost host;
  host.enable();
  host.create_queue(1, 64, 2);
  for (std::uint16_t cid = 0; cid < 3; ++cid) host.put(1, write_page(cid, 0));  // 10 us apart on one channel
  host.ring(1);
  while (host.bus.completed.empty()) {
    host.now = host.core.next_action();
    host.core.advance(host.now);
  }
  const Time third_done = host.now + 20_us;
  host.run(third_done - 1_ps);
  REQUIRE(host.poll(1));
  host.now = third_done;
  host.ring_head(1);
  host.run();
  REQUIRE(host.bus.completed.size() == 2);
  CHECK(host.bus.completed[1] == FakeBus::Completed{third_done, 1, 1, Status::success});
}

TEST_CASE("commands complete as the media finish, not as they came") {
  FakeHost host;
  host.enable();
  host.create_queue(1);
  host.put(1, read_page(1, 0));
  host.put(1, read_page(2, 0));   // the same channel: behind the first
  host.put(1, write_page(3, 1));  // another channel, and faster
  host.ring(1);
  host.run();
  const auto done = host.reap(1);
  REQUIRE(done.size() == 3);
  CHECK((done[0].cid == 3 && done[1].cid == 1 && done[2].cid == 2));
  CHECK((done[0].sq_head == 3 && done[2].sq_head == 3));
  std::map<unsigned, FakeBus::Served> served;
  for (const auto& s : host.bus.served) served[s.cid] = s;
  CHECK(served[1].channel == served[2].channel);
  CHECK(served[2].begin == served[1].end);
}

TEST_CASE("queues take turns of the arbitration burst") {
  auto config = plain_config();
  config.fetch_burst = 2;
  config.arbitration_burst = 4;
  config.fetches_in_flight = 1;
  FakeHost host(config);
  host.enable();
  for (std::uint16_t q = 1; q <= 3; ++q) host.create_queue(q);
  const std::uint16_t commands[] = {0, 10, 3, 9};
  for (unsigned q = 1; q <= 3; ++q) {
    for (std::uint16_t cid = 0; cid < commands[q]; ++cid) host.put(q, write_page(cid));
    host.ring(q);
  }
  host.run();
  std::string turns;
  for (const auto& f : host.bus.fetched) turns += static_cast<char>('0' + f.queue);
  CHECK(turns ==
        "1111"
        "222"
        "3333"
        "1111"
        "3333"
        "11"
        "3");
  CHECK(host.bus.reads[0].bytes == 128);
  CHECK(host.bus.reads[1].at == host.bus.reads[0].at + host.bus.read_time);  // one at a time
}

TEST_CASE("fetches of different queues overlap up to the limit") {
  auto config = plain_config();
  config.fetches_in_flight = 2;
  FakeHost host(config);
  host.enable();
  for (std::uint16_t q = 1; q <= 3; ++q) host.create_queue(q);
  for (unsigned q = 1; q <= 3; ++q) host.submit(q, write_page(1));
  const Time t = host.now;
  host.run();
  REQUIRE(host.bus.reads.size() == 3);
  CHECK((host.bus.reads[0].at == t && host.bus.reads[1].at == t && host.bus.reads[2].at == t + host.bus.read_time));
}

TEST_CASE("a queue deleted and made anew while it waits keeps one place in line") {
  auto config = plain_config();
  config.fetches_in_flight = 1;
  config.fetch_burst = 4;
  config.command_overhead = Time{};
  FakeHost host(config);
  host.enable();
  for (std::uint16_t q = 1; q <= 3; ++q) host.create_queue(q);
  SubmissionEntry remove;
  remove.opcode = static_cast<std::uint8_t>(AdminOpcode::delete_io_sq);
  remove.cdw10 = 1;
  host.put(0, remove);
  const bool anew = GENERATE(false, true);
  if (anew) host.put(0, create_io_sq(2, 1, 64, host.queues[1].sq, 1));
  host.ring(0);
  host.submit(2, write_page(20));
  host.submit(1, write_page(10));        // never fetched
  host.run(host.now + Time::ns(1'600));  // both admin commands are done, queue 2 is being fetched, queue 1 waits
  REQUIRE(host.reap(0).size() == (anew ? 2 : 1));
  if (anew) {
    host.queues[1].tail = 0;
    for (std::uint16_t cid = 0; cid < 8; ++cid) host.put(1, write_page(cid));
    host.ring(1);
  }
  for (std::uint16_t cid = 0; cid < 4; ++cid) host.put(3, write_page(cid));
  host.ring(3);
  host.run();
  std::string turns;
  for (const auto& f : host.bus.fetched) turns += static_cast<char>('0' + f.queue);
  CHECK(turns == (anew ? "00"
                         "2"
                         "1111"
                         "3333"
                         "1111"
                       : "0"
                         "2"
                         "3333"));
}

TEST_CASE("no more commands are taken than there are slots") {
  auto config = plain_config();
  config.command_slots = 3;
  FakeHost host(config);
  host.enable();
  host.create_queue(1);
  for (std::uint16_t cid = 0; cid < 20; ++cid) host.put(1, write_page(cid, cid));
  host.ring(1);
  std::uint32_t most = 0;
  while (host.core.next_action() != Time::max()) {
    host.now = host.core.next_action();
    host.core.advance(host.now);
    most = std::max(most, host.core.in_flight());
  }
  CHECK(most == 3);
  CHECK(host.reap(1).size() == 20);
}

TEST_CASE("a completion queue without interrupts, and two submission queues on one completion queue") {
  FakeHost host;
  host.enable();
  const std::uint64_t cq = 0x10'0000, sq1 = 0x11'0000, sq2 = 0x12'0000;
  REQUIRE(status_of(host.admin(create_io_cq(1, 1, 16, cq, 5, false))) == Status::success);
  REQUIRE(status_of(host.admin(create_io_sq(2, 1, 16, sq1, 1))) == Status::success);
  REQUIRE(status_of(host.admin(create_io_sq(3, 2, 16, sq2, 1))) == Status::success);
  host.queues.push_back({sq1, cq, 16, 16});
  host.queues.push_back({sq2, cq, 16, 16});
  host.bus.interrupts.clear();
  host.submit(1, write_page(1, 0));
  host.submit(2, write_page(1, 1));
  host.run();
  const auto done = host.reap(1);
  REQUIRE(done.size() == 2);
  CHECK((done[0].sq_id == 1 && done[1].sq_id == 2));
  CHECK(host.bus.interrupts.empty());
}

TEST_CASE("interrupt coalescing: enough completions, or time") {
  auto config = plain_config();
  config.aggregation_threshold = 3;
  config.aggregation_time = Time::us(100);
  FakeHost host(config);
  host.enable();
  CHECK(host.bus.interrupts.empty());
  host.create_queue(1);
  for (std::uint16_t cid = 0; cid < 4; ++cid) host.put(1, write_page(cid, 0));  // 10 us apart
  host.ring(1);
  host.run();
  REQUIRE(host.bus.completed.size() == 4);
  REQUIRE(host.bus.interrupts.size() == 2);
  CHECK(host.bus.interrupts[0].at == host.bus.completed[2].at + host.bus.write_time);
  CHECK(host.bus.interrupts[1].at == host.bus.completed[3].at + host.bus.write_time + 100_us);
  host.admin(set_number_of_queues(1, 1, 1));  // refused, but completed: the admin queue is not coalesced
  CHECK(host.bus.interrupts.size() == 3);
  CHECK(host.bus.interrupts[2].vector == 0);
}

}  // namespace
}  // namespace gnomon::nvme
