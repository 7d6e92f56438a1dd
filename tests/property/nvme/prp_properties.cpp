// SPDX-License-Identifier: Apache-2.0
// Any buffer, described by PRPs as a driver would, comes out of the controller as the same bytes in the same order.
#include <rapidcheck.h>

#include <catch2/catch.hpp>

#include "tests/unit/nvme/fake_host.hpp"

namespace gnomon::nvme {
namespace {

/// Writes the PRP list of `pages` starting at `first`, chaining through the pages after 0x400000. Returns how many
/// DMAs reading it takes: written here by counting slots, not by the controller's rule.
std::size_t lay_list(FakeBus& bus, std::uint64_t first, const std::vector<std::uint64_t>& pages) {
  std::uint64_t slot = first, next_page = 0x40'1000;
  std::size_t reads = 1;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    const bool last_slot = slot % page_size == page_size - 8;
    if (last_slot && i + 1 < pages.size()) {
      bus.store(slot, next_page);
      slot = next_page;
      next_page += page_size;
      ++reads;
    }
    bus.store(slot, pages[i]);
    slot += 8;
  }
  return reads;
}

TEST_CASE("PRPs describe every buffer exactly") {
  CHECK(rc::check("PRPs describe every buffer exactly", [] {
    FakeHost host;
    host.enable();
    host.create_queue(1);
    const auto blocks = *rc::gen::inRange<std::uint32_t>(1, 4097);
    const auto offset = *rc::gen::inRange<std::uint64_t>(0, 1024) * 4;
    const auto list_start = 0x40'0000 + *rc::gen::inRange<std::uint64_t>(0, 512) * 8;
    const bool write = *rc::gen::arbitrary<bool>();
    const std::uint64_t bytes = std::uint64_t{blocks} * 512;
    const std::uint64_t page_count = pages_spanned(Iova{offset}, bytes);
    RandomStream random(*rc::gen::arbitrary<std::uint64_t>(), "pages");
    std::vector<std::uint64_t> pages(page_count);
    for (auto& page : pages) page = random.below(1ull << 40) * page_size;

    const std::uint64_t prp1 = pages[0] + offset;
    std::uint64_t prp2 = 0xdead'beef'0001;  // reserved when unused: must not be looked at
    std::size_t reads = 0;
    if (page_count == 2) {
      prp2 = pages[1];
    } else if (page_count > 2) {
      prp2 = list_start;
      reads = lay_list(host.bus, list_start, {pages.begin() + 1, pages.end()});
    }
    host.submit(1, io_command(write ? IoOpcode::write : IoOpcode::read, 9, 0, blocks, prp1, prp2));
    host.run();
    const auto done = host.reap(1);
    RC_ASSERT(done.size() == 1u);
    RC_ASSERT(status_of(done[0]) == Status::success);
    RC_ASSERT(host.bus.reads.size() == 1 + reads);
    RC_ASSERT(host.bus.transfers.size() == 1u);
    RC_ASSERT((host.bus.transfers[0].direction == Direction::from_host) == write);
    const auto& segments = host.bus.transfers[0].segments;
    RC_ASSERT(segments.size() == page_count);
    std::uint64_t at = offset;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      RC_ASSERT(segments[i].address.value == pages[i] + at % page_size);
      at += segments[i].bytes;
    }
    RC_ASSERT(at == offset + bytes);
  }));
}

}  // namespace
}  // namespace gnomon::nvme
