// SPDX-License-Identifier: Apache-2.0
// RPCIT as QEMU serves it: steps, the record of mapped pages, runs of unmaps, slots that run out.
#include <catch2/catch.hpp>

#include "models/spec/s390_pci/dma_table.hpp"
#include "tests/support/s390_bench.hpp"

namespace gnomon {
namespace {

namespace s390 = s390_pci;
using Call = test::RecordingShadow::Call;
using s390::ConditionCode;

constexpr s390::Outcome done{};
constexpr s390::Outcome exhausted{ConditionCode::error, s390::status::insufficient_resources};

struct Guest : test::S390Machine {
  explicit Guest(std::optional<std::uint32_t> slots = 65535) : S390Machine(slots) {
    REQUIRE(device.register_translation(operand, first, first + (aperture - 1), s390::anchor(table.root())) ==
            done);
  }
  s390::Outcome refresh(std::uint64_t page, std::uint64_t count) {
    solo.sync();
    instructions.rpcit(solo, operand, at(page), count << page_shift);
    return instructions.served.back().outcome;
  }
  s390::Outcome refresh_all() { return refresh(0, aperture >> page_shift); }
  const hypervisor::RefreshServed& last() const { return instructions.served.back(); }
  void map(std::uint64_t page, std::uint64_t gpa_page, std::uint64_t count = 1) {
    table.map(at(page), Gpa::from_page(gpa_page), count << page_shift, true);
  }
  void unmap(std::uint64_t page, std::uint64_t count = 1) { table.unmap(at(page), count << page_shift); }
  static Iova at(std::uint64_t page) { return first + (page << page_shift); }
  static Call mapped(std::uint64_t page, std::uint64_t gpa_page) {
    return {true, at(page).value, gpa_page << page_shift, page_size};
  }
  static Call unmapped(std::uint64_t page, std::uint64_t count) {
    return {false, at(page).value, 0, count << page_shift};
  }

  static constexpr std::uint64_t aperture = std::uint64_t{4} << 30;
  test::SoloProcessor solo;
  pgtable::S390DmaTable<GpaSpace> table{kernel};
};

TEST_CASE("RPCIT of the reference buffer: 16 MAPs, then one UNMAP of 64 KiB") {
  Guest g;
  constexpr std::uint64_t page = 0xfffe0 - 0x80000;
  g.map(page, 0x1000, 10);
  g.map(page + 10, 0x2003, 6);
  CHECK(g.refresh(page, 16) == done);
  REQUIRE(g.shadow.calls.size() == 16);
  for (std::uint64_t i = 0; i < 16; ++i)
    CHECK(g.shadow.calls[i] == Guest::mapped(page + i, i < 10 ? 0x1000 + i : 0x2003 + i - 10));
  CHECK(g.last().reads == 48);  // each page a walk from the root
  CHECK(g.last().look_ups == 16);
  CHECK(g.device.free_slots(Guest::handle) == 65519);

  g.forget();
  g.unmap(page, 16);
  CHECK(g.refresh(page, 16) == done);
  CHECK(g.shadow.calls == std::vector{Guest::unmapped(page, 16)});
  CHECK(g.device.free_slots(Guest::handle) == 65535);
  CHECK(g.shadow.pages.empty());
}

TEST_CASE("what is mapped already costs a look-up and no ioctl, what changed two") {
  Guest g;
  g.map(3, 0x100, 2);
  g.refresh(3, 2);
  g.forget();
  CHECK(g.refresh(3, 2) == done);
  CHECK(g.shadow.calls.empty());
  g.map(4, 0x200);
  g.refresh(3, 2);
  CHECK(g.shadow.calls == std::vector{Guest::unmapped(4, 1), Guest::mapped(4, 0x200)});
  CHECK(g.device.mapped_pages(Guest::handle) == 2);
  CHECK(g.device.free_slots(Guest::handle) == 65533);
}

TEST_CASE("a run of invalid entries ends at a valid one and is cut at natural alignment") {
  Guest g;
  g.map(1, 0x100, 15);
  g.refresh(1, 15);
  g.forget();
  g.unmap(1, 9);  // 1..9 go, 10 stays, 11..12 go
  g.unmap(11, 2);
  CHECK(g.refresh(0, 16) == done);
  // Page 0 was never mapped, and yet it is in the run: QEMU gathers whatever entry is invalid.
  CHECK(g.shadow.calls ==
        std::vector{Guest::unmapped(0, 8), Guest::unmapped(8, 2), Guest::unmapped(11, 1), Guest::unmapped(12, 1)});
  CHECK(g.device.mapped_pages(Guest::handle) == 4);
}

TEST_CASE("the whole aperture: a look-up a page, steps of 1 MiB and 2 GiB where tables are absent") {
  Guest g;
  g.map(0, 0x100, 1);
  CHECK(g.refresh_all() == done);
  CHECK(g.last().look_ups == 1u << 20);
  // A page table of 256 walks of three reads; 2047 absent segments of two; one absent region.
  CHECK(g.last().reads == 256 * 3 + 2047 * 2 + 1);
  CHECK(g.last().maps == 1);
  CHECK(g.instructions.reads == g.last().reads);
  CHECK(g.instructions.look_ups == g.last().look_ups);
}

TEST_CASE("the last slot taken is out of resources, though everything is mapped") {
  Guest g(4);
  g.map(0, 0x100, 3);
  CHECK(g.refresh(0, 3) == done);
  g.map(3, 0x200);
  CHECK(g.refresh(3, 1) == exhausted);
  CHECK(g.shadow.pages.size() == 4);
  CHECK(g.refresh_all() == exhausted);  // nothing to free
  CHECK(g.last().passes == 1);
}

TEST_CASE("without a limit named by the kernel nothing is ever exhausted") {
  Guest g(std::nullopt);
  g.map(0, 0x100, 300);
  CHECK(g.refresh(0, 300) == done);
  CHECK(g.shadow.pages.size() == 300);
}

TEST_CASE("a pass frees slots first, a second one maps what the first left out") {
  Guest g(4);
  g.map(10, 0x100, 4);
  g.refresh(10, 4);
  g.unmap(11, 3);
  g.map(2, 0x200, 2);
  g.forget();
  CHECK(g.refresh(0, 32) == done);
  CHECK(g.last().passes == 2);
  CHECK(g.shadow.pages.size() == 3);
  CHECK(g.shadow.pages.at(Guest::at(2).page()) == 0x200);
  CHECK(g.shadow.pages.count(Guest::at(11).page()) == 0);
  CHECK(g.device.free_slots(Guest::handle) == 1);
}

TEST_CASE("a refusal by the host is recorded as mapped, as in QEMU") {
  Guest g;
  g.shadow.refuse_after = 0;
  g.map(0, 0x100);
  CHECK(g.refresh(0, 1) == done);
  CHECK(g.device.mapped_pages(Guest::handle) == 1);
  CHECK(g.shadow.pages.empty());
}

TEST_CASE("bad tables and ranges put the function in error until it is registered anew") {
  Guest g;
  const auto broken = [&](std::uint64_t region, s390::EventCode event) {
    g.ram.write(g.table.root() + 2 * 8, s390::big_endian(region));
    CHECK(g.refresh(0, 1).code == ConditionCode::error);
    CHECK(g.last().event == event);
    CHECK(g.last().outcome.status == s390::status::function_in_error);
    CHECK(g.refresh(0, 1).status == s390::status::error_recovery);
    REQUIRE(g.device.deregister_translation(Guest::operand) == done);
    REQUIRE(g.device.register_translation(Guest::operand, Guest::first, Guest::first + (Guest::aperture - 1),
                                          s390::anchor(g.table.root())) == done);
  };
  broken(0, s390::EventCode::invalid_table_entry);
  broken(0x4006, s390::EventCode::invalid_table_length);
  broken(0x7, s390::EventCode::translation_type);
  g.ram.write(g.table.root() + 2 * 8, s390::big_endian(0x20));
  CHECK(g.refresh(0, 1) == done);
  g.instructions.rpcit(g.solo, Guest::operand, Iova{0}, page_size);
  CHECK(g.last().event == s390::EventCode::out_of_range);
}

TEST_CASE("an entry of zero stops the walk after what came before it") {
  Guest g;
  g.map(0, 0x100, 4);
  const std::uint64_t region = s390::big_endian(g.ram.read<std::uint64_t>(g.table.root() + 2 * 8));
  const Gpa segments{region & s390::region_origin_mask};
  const std::uint64_t pages = s390::big_endian(g.ram.read<std::uint64_t>(segments));
  g.ram.write(Gpa{pages} + 2 * 8, std::uint64_t{0});
  CHECK(g.refresh(0, 4).code == ConditionCode::error);
  CHECK(g.last().event == s390::EventCode::invalid_table_entry);
  CHECK(g.shadow.pages.size() == 2);
  CHECK(g.last().reads == 9);
}

TEST_CASE("a frame of 1 MiB is mapped page by page") {
  Guest g;
  g.map(0, 0x100);
  const std::uint64_t region = s390::big_endian(g.ram.read<std::uint64_t>(g.table.root() + 2 * 8));
  const Gpa segments{region & s390::region_origin_mask};
  g.ram.write(segments + 8, s390::big_endian(0x70'0000 | s390::segment_frame_bit));
  CHECK(g.refresh(256, 256) == done);
  CHECK(g.shadow.pages.size() == 256);
  CHECK(g.shadow.pages.at(Guest::at(256 + 7).page()) == 0x707);
}

TEST_CASE("registration is refused off the window, twice, and with other tables") {
  test::S390Machine m;
  const auto reg = [&](Iova first, Iova last, std::uint64_t iota) {
    return m.device.register_translation(m.operand, first, last, iota);
  };
  const Iova last = m.first + 0xffff'ffff;
  CHECK(reg(Iova{0}, last, 0x4'0804).code == ConditionCode::error);
  CHECK(reg(m.first, last, 0x4'0004).code == ConditionCode::error);  // relaxed translation
  CHECK(reg(m.first, last, 0x4'0808).code == ConditionCode::error);  // a region second table
  CHECK(reg(m.first, last, 0x4'0804) == done);
  CHECK(reg(m.first, last, 0x4'0804).status == s390::status::sequence);
  CHECK(m.device.register_translation(s390::function_operand({9}), m.first, last, 0x4'0804).code ==
        ConditionCode::invalid_handle);
}

TEST_CASE("deregistering unmaps all and returns the slots") {
  Guest g(100);
  g.map(0, 0x100, 50);
  g.refresh(0, 50);
  CHECK(g.device.deregister_translation(Guest::operand) == done);
  CHECK(g.shadow.pages.empty());
  CHECK(g.device.free_slots(Guest::handle) == 100);
  CHECK(g.refresh(0, 1).code == ConditionCode::error);
}

}  // namespace
}  // namespace gnomon
