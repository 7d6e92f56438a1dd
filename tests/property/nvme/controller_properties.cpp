// SPDX-License-Identifier: Apache-2.0
// Whatever a driver submits and whenever it looks, every command completes exactly once, with its own identifier
// and the status a plain reference predicts; nothing is lost and nothing is invented.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <map>

#include "tests/unit/nvme/fake_host.hpp"

namespace gnomon::nvme {
namespace {

constexpr std::uint64_t blocks = (1u << 30) / 512;
constexpr std::uint64_t bad_page = 0x7ff;

struct Issued {
  SubmissionEntry entry;
  Status expected;
};

/// One random command, and by inspection what must become of it.
Issued any_command(RandomStream& random, std::uint16_t cid) {
  const auto opcode = random.below(2) == 0 ? IoOpcode::read : IoOpcode::write;
  const std::uint64_t page = random.below(blocks / 8);
  switch (random.below(12)) {
    case 0: return {io_command(IoOpcode::flush, cid, 0, 1, 0, 0), Status::success};
    case 1: return {io_command(opcode, cid, blocks - random.below(8), 8, 0x70'0000, 0), Status::lba_out_of_range};
    case 2: return {io_command(IoOpcode{0x7e}, cid, 0, 8, 0x70'0000, 0), Status::invalid_opcode};
    case 3: return {io_command(opcode, cid, page * 8, 8, bad_page << page_shift, 0), Status::data_transfer_error};
    case 4: return {io_command(opcode, cid, page * 8, 8, 0x70'0001, 0), Status::prp_offset_invalid};
    case 5: return {io_command(opcode, cid, 0, 8192, 0x70'0000, 0x40'0000), Status::invalid_field};
    case 6: return {io_command(opcode, cid, 0, 24, 0x70'0000, bad_page << page_shift), Status::data_transfer_error};
    case 7: return {io_command(opcode, cid, page / 2 * 8, 128, 0x70'0000, 0x40'0000), Status::success};
    case 8: return {io_command(opcode, cid, page * 8, 8, 0x70'0804, 0x71'0000), Status::success};
    default: return {io_command(opcode, cid, page * 8, 8, 0x70'0000, 0), Status::success};
  }
}

struct Shape {
  unsigned queues;
  std::uint32_t sq_entries, cq_entries;
};

NvmeConfig any_config(RandomStream& random) {
  NvmeConfig config;
  config.capacity = 1u << 30;
  config.command_slots = static_cast<unsigned>(1 + random.below(40));
  config.fetch_burst = static_cast<unsigned>(1 + random.below(8));
  config.fetches_in_flight = static_cast<unsigned>(1 + random.below(4));
  config.arbitration_burst = 1u << random.below(5);
  config.media.channels = static_cast<unsigned>(1 + random.below(24));
  config.command_overhead = Time::ns(random.below(3) * 700);
  if (random.below(2) == 0) {
    config.aggregation_threshold = static_cast<unsigned>(1 + random.below(5));
    config.aggregation_time = Time::us(random.below(60));
  }
  return config;
}

/// The driver's book: what is outstanding in each queue.
class Book {
 public:
  Book(FakeHost& host, unsigned queues, std::uint32_t sq_entries)
      : host_(host), outstanding_(queues + 1), sq_entries_(sq_entries), next_cid_(queues + 1) {}

  void submit(RandomStream& random, unsigned queue) {
    if (outstanding_[queue].size() + 1 >= sq_entries_) return;  // the ring would be full
    const std::uint16_t cid = next_cid_[queue]++;
    const Issued issued = any_command(random, cid);
    outstanding_[queue].emplace(cid, issued);
    host_.put(queue, issued.entry);
    ++submitted;
  }

  void reap(unsigned queue, unsigned most) {
    bool any = false;
    for (unsigned i = 0; i < most; ++i) {
      const auto entry = host_.poll(queue);
      if (!entry) break;
      any = true;
      const auto found = outstanding_[queue].find(entry->cid);
      RC_ASSERT(found != outstanding_[queue].end());  // completed twice, or never submitted
      RC_ASSERT(entry->sq_id == queue);
      RC_ASSERT(entry->sq_head < sq_entries_);
      RC_ASSERT(status_of(*entry) == found->second.expected);
      RC_ASSERT(do_not_retry(*entry) == (found->second.expected != Status::success &&
                                         found->second.expected != Status::data_transfer_error));
      outstanding_[queue].erase(found);
      ++completed;
    }
    if (any) host_.ring_head(queue);
  }

  std::size_t submitted = 0;
  std::size_t completed = 0;

 private:
  FakeHost& host_;
  std::vector<std::map<std::uint16_t, Issued>> outstanding_;
  std::uint32_t sq_entries_;
  std::vector<std::uint16_t> next_cid_;
};

TEST_CASE("every command completes exactly once") {
  CHECK(rc::check("every command completes exactly once", [] {
    RandomStream random(*rc::gen::arbitrary<std::uint64_t>(), "property");
    const auto queues = *rc::gen::inRange<unsigned>(1, 5);
    const auto sq_entries = *rc::gen::inRange<std::uint32_t>(2, 70);
    const auto cq_entries = *rc::gen::inRange<std::uint32_t>(2, 70);
    const NvmeConfig config = any_config(random);
    FakeHost host(config);
    host.bus.faulty_pages.insert(bad_page);
    for (std::uint64_t i = 0; i < 15; ++i) host.bus.store(0x40'0000 + i * 8, 0x60'0000 + i * 0x1000);
    host.enable();
    for (unsigned q = 1; q <= queues; ++q) host.create_queue(static_cast<std::uint16_t>(q), sq_entries, cq_entries);

    Book book(host, queues, sq_entries);
    const auto steps = *rc::gen::inRange<unsigned>(1, 300);
    for (unsigned step = 0; step < steps; ++step) {
      const auto queue = static_cast<unsigned>(1 + random.below(queues));
      switch (random.below(4)) {
        case 0:
          for (std::uint64_t n = random.below(8); n-- > 0;) book.submit(random, queue);
          host.ring(queue);
          break;
        case 1: host.run(host.now + Time::ns(random.below(20'000))); break;
        case 2: book.reap(queue, static_cast<unsigned>(random.below(6))); break;
        case 3: RC_ASSERT(host.core.in_flight() <= config.command_slots); break;
      }
    }
    std::size_t before;
    do {  // a driver that keeps looking gets everything
      before = book.completed;
      host.run();
      for (unsigned q = 1; q <= queues; ++q) book.reap(q, cq_entries);
    } while (book.completed != before);
    RC_ASSERT(book.completed == book.submitted);
    RC_ASSERT(host.core.in_flight() == 0u);
    RC_ASSERT(host.bus.fetched.size() == book.submitted);
    RC_ASSERT(host.bus.completed.size() == book.submitted);
    RC_ASSERT((host.core.mmio_read(reg::csts, 4) & csts::cfs) == 0u);
    // every completion is followed by an interrupt of its queue's vector
    std::map<unsigned, Time> last;
    for (const auto& i : host.bus.interrupts) last[i.vector] = i.at;
    for (const auto& c : host.bus.completed) RC_ASSERT(last[c.queue] >= c.at + host.bus.write_time);
  }));
}

}  // namespace
}  // namespace gnomon::nvme
