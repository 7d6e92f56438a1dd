// SPDX-License-Identifier: Apache-2.0
// Reads and writes: steps and their times, PRPs, faults, illegal commands.
#include <catch2/catch.hpp>

#include "tests/unit/nvme/fake_host.hpp"

namespace gnomon::nvme {
namespace {

struct Ready : FakeHost {
  explicit Ready(const NvmeConfig& config = plain_config(), const NvmeFaults& planted = {})
      : FakeHost(config, planted) {
    enable();
    create_queue(1);
    start = now;
  }
  CompletionEntry io(const SubmissionEntry& entry) {
    submit(1, entry);
    run();
    const auto all = reap(1);
    REQUIRE(all.size() == 1);
    return all.front();
  }
  Time start;
};

TEST_CASE("a write: entry, payload, media, completion, interrupt") {
  Ready host;
  const auto done = host.io(write_page(7, 3));
  const Time t = host.start;
  CHECK(host.bus.doorbells[0] == FakeBus::Rung{t, 1, false, 1});
  CHECK(host.bus.reads == std::vector<FakeBus::Access>{{t, host.queues[1].sq, 64}});
  CHECK(host.bus.fetched == std::vector<FakeBus::Fetched>{{t + 1_us, 1, 7}});
  CHECK(host.bus.transfers ==
        std::vector<FakeBus::Transfer>{{t + 2_us, {{Iova{0x70'0000}, 4096}}, Direction::from_host}});
  CHECK(host.bus.served ==
        std::vector<FakeBus::Served>{{1, 7, 3, t + 5_us, t + 15_us}});  // 2 us of DMA, 1 us of bandwidth
  CHECK(host.bus.completed == std::vector<FakeBus::Completed>{{t + 15_us, 1, 7, Status::success}});
  CHECK(host.bus.writes == std::vector<FakeBus::Access>{{t + 15_us, host.queues[1].cq, 16}});
  CHECK(host.bus.interrupts == std::vector<FakeBus::Interrupt>{{t + 15_us + 500_ns, 1}});
  CHECK(done == CompletionEntry{.result = 0, .sq_head = 1, .sq_id = 1, .cid = 7, .status = 0x0001});
  CHECK(host.core.in_flight() == 0);
}

TEST_CASE("a read: entry, media, payload, completion") {
  Ready host;
  host.io(read_page(8, 2));
  const Time t = host.start;
  CHECK(host.bus.served == std::vector<FakeBus::Served>{{1, 8, 2, t + 3_us, t + 43_us}});
  CHECK(host.bus.transfers ==
        std::vector<FakeBus::Transfer>{{t + 43_us, {{Iova{0x70'0000}, 4096}}, Direction::to_host}});
  CHECK(host.bus.completed == std::vector<FakeBus::Completed>{{t + 45_us, 1, 8, Status::success}});
}

TEST_CASE("Flush succeeds without touching the media") {
  Ready host;
  auto flush = io_command(IoOpcode::flush, 1, 0, 1, 0, 0);
  CHECK(status_of(host.io(flush)) == Status::success);
  flush.nsid = 0xffff'ffff;
  CHECK(status_of(host.io(flush)) == Status::success);
  flush.nsid = 2;
  CHECK(status_of(host.io(flush)) == Status::invalid_namespace);
  CHECK(host.bus.served.empty());
  CHECK(host.bus.transfers.empty());
}

TEST_CASE("PRP1 and PRP2 without a list") {
  Ready host;
  SECTION("an offset, and the rest in one page") {
    host.io(io_command(IoOpcode::write, 1, 0, 8, 0x70'0604, 0x50'3000));
    CHECK(host.bus.transfers[0].segments == std::vector<Segment>{{Iova{0x70'0604}, 2556}, {Iova{0x50'3000}, 1540}});
  }
  SECTION("two pages") {
    host.io(io_command(IoOpcode::write, 1, 0, 16, 0x70'0000, 0x50'3000));
    CHECK(host.bus.transfers[0].segments == std::vector<Segment>{{Iova{0x70'0000}, 4096}, {Iova{0x50'3000}, 4096}});
  }
  SECTION("one block inside a page: PRP2 is not looked at") {
    host.io(io_command(IoOpcode::write, 1, 0, 1, 0x70'0e00, 0xbad1));
    CHECK(host.bus.transfers[0].segments == std::vector<Segment>{{Iova{0x70'0e00}, 512}});
  }
  CHECK(host.bus.reads.size() == 1);  // the entry alone
}

TEST_CASE("a PRP list is read before the payload moves") {
  Ready host;
  for (std::uint64_t i = 0; i < 15; ++i) host.bus.store(0x40'0100 + i * 8, 0x60'0000 + i * 0x2000);
  host.io(io_command(IoOpcode::write, 1, 0, 128, 0x70'0000, 0x40'0100));
  REQUIRE(host.bus.reads.size() == 2);
  CHECK(host.bus.reads[1] == FakeBus::Access{host.start + 2_us, 0x40'0100, 15 * 8});
  REQUIRE(host.bus.transfers.size() == 1);
  CHECK(host.bus.transfers[0].at == host.start + 3_us);
  const auto& segments = host.bus.transfers[0].segments;
  REQUIRE(segments.size() == 16);
  CHECK(segments[0] == Segment{Iova{0x70'0000}, 4096});
  for (std::uint64_t i = 0; i < 15; ++i) CHECK(segments[i + 1] == Segment{Iova{0x60'0000 + i * 0x2000}, 4096});
}

TEST_CASE("a PRP list chains from page to page, and an unaligned start ends in a part of a page") {
  Ready host;
  // 1028 KiB from offset 0x200: 258 pages touched, 257 of them by the list; it starts 3 slots before its page's end
  const std::uint64_t first_list = 0x40'0fe8, second_list = 0x40'5000;
  host.bus.store(first_list, std::uint64_t{0x1000'0000});
  host.bus.store(first_list + 8, std::uint64_t{0x1000'1000});
  host.bus.store(first_list + 16, second_list);
  for (std::uint64_t i = 0; i < 255; ++i) host.bus.store(second_list + i * 8, 0x2000'0000 + i * 0x1000);
  const auto done = host.io(io_command(IoOpcode::read, 1, 0, 1028 * 2, 0x70'0200, first_list));
  CHECK(status_of(done) == Status::success);
  REQUIRE(host.bus.reads.size() == 3);
  CHECK(host.bus.reads[1] == FakeBus::Access{host.start + 2_us, first_list, 24});
  CHECK(host.bus.reads[2] == FakeBus::Access{host.start + 3_us, second_list, 255 * 8});
  const auto& segments = host.bus.transfers.at(0).segments;
  REQUIRE(segments.size() == 258);
  CHECK(segments[2] == Segment{Iova{0x1000'1000}, 4096});
  CHECK(segments[3] == Segment{Iova{0x2000'0000}, 4096});
  CHECK(segments[257] == Segment{Iova{0x2000'0000 + 254 * 0x1000}, 512});
  std::uint64_t sum = 0;
  for (const Segment& s : segments) sum += s.bytes;
  CHECK(sum == 1028 * 1024);
}

TEST_CASE("a full list page whose last slot is data does not chain") {
  Ready host;
  for (std::uint64_t i = 0; i < 511; ++i) host.bus.store(0x40'0000 + i * 8, 0x1000'0000 + i * 0x1000);
  CHECK(status_of(host.io(io_command(IoOpcode::write, 1, 0, 4096, 0x70'0000, 0x40'0000))) == Status::success);
  CHECK(host.bus.reads.size() == 2);
  CHECK(host.bus.transfers.at(0).segments.size() == 512);
}

TEST_CASE("PRPs that are not aligned") {
  Ready host;
  const auto status = [&host](std::uint32_t blocks, std::uint64_t prp1, std::uint64_t prp2) {
    return status_of(host.io(io_command(IoOpcode::write, 1, 0, blocks, prp1, prp2)));
  };
  CHECK(status(8, 0x70'0002, 0x50'0000) == Status::prp_offset_invalid);
  CHECK(status(16, 0x70'0000, 0x50'0200) == Status::prp_offset_invalid);
  CHECK(status(24, 0x70'0000, 0x40'0004) == Status::prp_offset_invalid);
  host.bus.store(0x40'0000, std::uint64_t{0x60'0000});
  host.bus.store(0x40'0008, std::uint64_t{0x60'1004});
  CHECK(status(24, 0x70'0000, 0x40'0000) == Status::prp_offset_invalid);  // an entry of the list
  host.bus.store(0x40'0ff0, std::uint64_t{0x60'0000});
  host.bus.store(0x40'0ff8, std::uint64_t{0x40'2008});
  CHECK(status(32, 0x70'0000, 0x40'0ff0) == Status::prp_offset_invalid);  // the chain
  CHECK(host.bus.transfers.empty());
  CHECK(host.bus.served.empty());
}

TEST_CASE("commands that cannot be carried out") {
  Ready host;
  const std::uint64_t blocks = (1u << 30) / 512;
  CHECK(status_of(host.io(write_page(1, blocks / 8 - 1))) == Status::success);
  host.bus.served.clear();
  CHECK(status_of(host.io(write_page(1, blocks / 8))) == Status::lba_out_of_range);
  CHECK(status_of(host.io(io_command(IoOpcode::read, 1, blocks - 7, 8, 0x70'0000, 0))) == Status::lba_out_of_range);
  CHECK(status_of(host.io(io_command(IoOpcode::read, 1, ~0ull, 8, 0x70'0000, 0))) == Status::lba_out_of_range);
  CHECK(status_of(host.io(io_command(IoOpcode::read, 1, 0, 4097, 0x70'0000, 0x40'0000))) == Status::invalid_field);
  auto e = write_page(1);
  e.nsid = 2;
  CHECK(status_of(host.io(e)) == Status::invalid_namespace);
  e = write_page(1);
  e.flags = 0x40;
  CHECK(status_of(host.io(e)) == Status::invalid_field);
  e.flags = 0x01;
  CHECK(status_of(host.io(e)) == Status::invalid_field);
  e = write_page(1);
  e.opcode = 0x05;  // Compare
  const auto done = host.io(e);
  CHECK(status_of(done) == Status::invalid_opcode);
  CHECK(do_not_retry(done));
  CHECK(host.bus.served.empty());
}

TEST_CASE("a DMA fault is a Data Transfer Error that may be retried") {
  Ready host;
  SECTION("payload of a write: the media see nothing") {
    host.bus.faulty_pages.insert(0x700);
    const auto done = host.io(write_page(4));
    CHECK(done.status == 0x0009);
    CHECK(host.bus.served.empty());
    CHECK(host.bus.completed[0].at == host.start + 4_us);  // when the fault came back
  }
  SECTION("payload of a read, after the media") {
    host.bus.faulty_pages.insert(0x700);
    CHECK(host.io(read_page(4)).status == 0x0009);
    CHECK(host.bus.served.size() == 1);
  }
  SECTION("a PRP list") {
    host.bus.faulty_pages.insert(0x400);
    CHECK(host.io(io_command(IoOpcode::write, 4, 0, 24, 0x70'0000, 0x40'0000)).status == 0x0009);
    CHECK(host.bus.transfers.empty());
  }
  CHECK((host.core.mmio_read(reg::csts, 4) & csts::cfs) == 0);
  host.bus.faulty_pages.clear();
  CHECK(status_of(host.io(write_page(5))) == Status::success);
}

TEST_CASE("the planted fault reads a completed write's last page once more, and nothing else") {
  const NvmeFaults planted{.late_dma = true, .late_dma_delay = Time::us(20)};
  Ready host(plain_config(), planted);
  for (std::uint64_t i = 0; i < 2; ++i) host.bus.store(0x40'0000 + i * 8, 0x60'0000 + i * 0x1000);
  host.submit(1,
              io_command(IoOpcode::write, 1, 0, 20, 0x70'0000, 0x40'0000));  // 10 KiB: the third page is half full
  host.run();
  REQUIRE(host.bus.transfers.size() == 2);
  CHECK(host.bus.transfers[1].segments == std::vector<Segment>{{Iova{0x60'1000}, 2048}});
  CHECK(host.bus.transfers[1].direction == Direction::from_host);
  CHECK(host.bus.transfers[1].at == host.bus.interrupts[0].at + 20_us);
  CHECK(host.reap(1).size() == 1);

  host.io(read_page(2));
  CHECK(host.bus.transfers.size() == 3);
  host.bus.faulty_pages.insert(0x700);
  CHECK(status_of(host.io(write_page(3))) == Status::data_transfer_error);
  CHECK(host.bus.transfers.size() == 4);  // a failed write is not read again
}

TEST_CASE("the planted fault keeps each late page apart") {
  Ready host(plain_config(), {.late_dma = true, .late_dma_delay = Time::us(20)});
  const std::vector<std::vector<std::uint64_t>> rounds{
      {0x70'0000}, {0x71'0000, 0x72'0000, 0x73'0000}, {0x74'0000, 0x75'0000}};
  for (const auto& pages : rounds) {
    host.bus.transfers.clear();
    for (const std::uint64_t page : pages) host.put(1, write_page(1, page >> page_shift, page));
    host.ring(1);
    host.run();
    host.reap(1);
    std::multiset<std::uint64_t> seen;
    for (const auto& t : host.bus.transfers) seen.insert(t.segments.at(0).address.value);
    std::multiset<std::uint64_t> twice(pages.begin(), pages.end());
    twice.insert(pages.begin(), pages.end());
    CHECK(seen == twice);
  }
}

}  // namespace
}  // namespace gnomon::nvme
