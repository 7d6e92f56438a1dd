// SPDX-License-Identifier: Apache-2.0
// s390 PCI translation: entries bit by bit, the table's editing in memory, the hardware unit that walks it.
#include <catch2/catch.hpp>

#include "models/iommu/s390/unit.hpp"
#include "models/pgtable/s390_dma_table.hpp"
#include "models/spec/s390_pci/dma_table.hpp"

namespace gnomon {
namespace {

namespace s390 = s390_pci;
using iommu::Access;
using iommu::S390PciUnit;
using iommu::Translation;

struct Partition {
  PhysicalMemory memory{32 << 20};
  GuestRam ram = GuestRam::identity(memory, 32 << 20);
  pgtable::GuestTableMemory tables{ram, Gpa{0x10'1000}, Gpa{0x80'0000}};
};

std::uint64_t entry_at(const Partition& p, std::uint64_t address) {  // byte by byte, most significant first
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) value = value << 8 | p.ram.read<std::uint8_t>(Gpa{address + i});
  return value;
}

TEST_CASE("s390 entries are the bits of Linux and QEMU") {
  CHECK(s390::region_entry(Gpa{0x1234'4000}) == 0x1234'4007);
  CHECK(s390::segment_entry(Gpa{0x1234'5800}) == 0x1234'5800);
  CHECK(s390::page_entry(Gpa{0x89ab'c000}, true) == 0x89ab'c000);
  CHECK(s390::page_entry(Gpa{0x89ab'c000}, false) == 0x89ab'c200);
  CHECK(s390::anchor(Gpa{0x4'0000}) == 0x4'0804);
  CHECK(s390::empty_directory_entry == 0x20);
  CHECK(s390::empty_page_entry == 0x400);
  CHECK(s390::region_full_length(0x1234'4007));
  CHECK_FALSE(s390::region_full_length(0x1234'4006));
  CHECK_FALSE(s390::region_full_length(0x1234'4047));
}

TEST_CASE("s390 indices cut an IOVA at bits 12, 20 and 31") {
  const Iova iova{std::uint64_t{5} << 31 | std::uint64_t{1027} << 20 | std::uint64_t{129} << 12 | 0xabc};
  CHECK(s390::region_index(iova) == 5);
  CHECK(s390::segment_index(iova) == 1027);
  CHECK(s390::page_index(iova) == 129);
}

TEST_CASE("instruction operands carry the handle above and the status in bits 31:24") {
  CHECK(s390::function_operand({0x8001'0003}) == 0x8001'0003'0000'0000);
  CHECK(s390::handle_of(0x8001'0003'1000'0000).value == 0x8001'0003);
  CHECK(s390::status_of(0x8001'0003'1000'0000) == s390::status::insufficient_resources);
  CHECK(s390::tlb_refresh(0x21));
  CHECK_FALSE(s390::tlb_refresh(0x20));
}

TEST_CASE("an s390 table is big endian, its big tables are aligned, its page tables are halves of a page") {
  Partition p;
  pgtable::S390DmaTable<GpaSpace> table(p.tables);
  CHECK(table.root().value % s390::table_bytes == 0);
  const std::uint64_t before = p.tables.in_use();
  CHECK(before == 4);
  const auto done = table.map(Iova{0x1'000f'f000}, Gpa{0xaaa000}, 2 * page_size, false);  // over a segment's end
  CHECK(done.status == pgtable::S390MapStatus::done);
  CHECK(done.bytes == 2 * page_size);
  CHECK(done.tables_allocated == 3);
  CHECK(done.entries_written == 5);
  CHECK(done.levels_walked == 6);
  CHECK(p.tables.in_use() == before + 5);  // a segment table, and one page for two page tables

  const std::uint64_t root = table.root().value;
  CHECK(entry_at(p, root) == 0x20);
  const std::uint64_t region = entry_at(p, root + 2 * 8);
  CHECK((region & 0x3fff) == 7);
  const std::uint64_t segments = region & ~std::uint64_t{0x3fff};
  const std::uint64_t one = entry_at(p, segments);
  const std::uint64_t two = entry_at(p, segments + 8);
  CHECK(entry_at(p, segments + 16) == 0x20);
  CHECK(two == one + 0x800);
  CHECK(entry_at(p, one + 255 * 8) == 0xaaa200);
  CHECK(entry_at(p, one + 254 * 8) == 0x400);
  CHECK(entry_at(p, two) == 0xaab200);
}

TEST_CASE("unmapping an s390 table frees nothing, releasing it frees all") {
  Partition p;
  pgtable::S390DmaTable<GpaSpace> table(p.tables);
  table.map(Iova{0x1'0000'0000}, Gpa{0x10'0000}, 64 * page_size, true);
  const std::uint64_t held = p.tables.in_use();
  CHECK(table.unmap(Iova{0x1'0000'0000}, 64 * page_size).bytes == 64 * page_size);
  CHECK(p.tables.in_use() == held);
  CHECK_FALSE(table.lookup(Iova{0x1'0000'0000}));
  // A range that was never mapped is invalidated all the same; the walk takes tables for it.
  CHECK(table.unmap(Iova{0x2'0000'0000}, page_size).tables_allocated == 2);
  table.release();
  CHECK(p.tables.in_use() == 0);
}

TEST_CASE("an s390 map without memory for a table leaves nothing valid") {
  Partition p;
  pgtable::GuestTableMemory little(p.ram, Gpa{0x20'0000}, Gpa{0x20'0000 + 9 * page_size});  // two tables and a page
  pgtable::S390DmaTable<GpaSpace> table(little);
  CHECK(table.map(Iova{0}, Gpa{0}, 513 * page_size, true).status == pgtable::S390MapStatus::no_memory);
  for (std::uint64_t n = 0; n < 513; ++n) CHECK_FALSE(table.lookup(Iova::from_page(n)));
  CHECK(table.map(Iova{0}, Gpa{0}, 512 * page_size, true).bytes == 512 * page_size);
  CHECK(table.lookup(Iova{511 * page_size + 5})->gpa == Gpa{511 * page_size + 5});
}

TEST_CASE("an s390 table refuses what it cannot hold") {
  Partition p;
  pgtable::S390DmaTable<GpaSpace> table(p.tables);
  CHECK(table.map(Iova{0x800}, Gpa{0}, page_size, true).status == pgtable::S390MapStatus::misaligned);
  CHECK(table.map(Iova{s390::table_span - page_size}, Gpa{0}, 2 * page_size, true).status ==
        pgtable::S390MapStatus::out_of_range);
  CHECK(table.unmap(Iova{~std::uint64_t{0xfff}}, page_size).status == pgtable::S390MapStatus::out_of_range);
  CHECK(table.map(Iova{s390::table_span - page_size}, Gpa{0}, page_size, true).bytes == page_size);
}

struct Hardware : Partition {
  static constexpr SourceId source{0x10};
  static constexpr std::uint64_t function = s390::function_operand({0x8000'0001});

  Hardware() {
    unit.add_function({0x8000'0001}, source, DomainId{1});
    table.map(at, Gpa{0x30'0000}, 2 * page_size, true);
  }
  void enable() {
    REQUIRE(unit.register_translation(function, at, at + 0xffff'ffff, anchor).code == s390::ConditionCode::done);
  }
  Translation read(Iova iova) { return unit.translate(source, iova, Access::read); }

  static constexpr Iova at{0x1'0000'0000};
  S390PciUnit unit{iommu::IommuConfig{}, memory};
  pgtable::S390DmaTable<GpaSpace> table{tables};
  std::uint64_t anchor = s390::anchor(table.root());
};

TEST_CASE("the s390 unit walks three levels and remembers what it found until RPCIT") {
  Hardware h;
  CHECK(h.read(h.at).reason == s390::EventCode::invalid_address_space);
  h.enable();
  const Translation cold = h.read(h.at + 0x1234);
  CHECK(cold.kind == Translation::Kind::translated);
  CHECK(cold.walk_reads == 3);
  CHECK(cold.hpa == Hpa{0x30'1234});
  CHECK(cold.bytes == page_size - 0x234);
  CHECK(h.read(h.at + 0x1234).iotlb_hit);

  h.table.unmap(h.at, 2 * page_size);
  CHECK(h.read(h.at + 0x1234).kind == Translation::Kind::translated);  // stale
  CHECK_FALSE(h.unit.resolve(h.source, h.at + 0x1234, Access::read));
  CHECK(h.unit.refresh(h.function, h.at + 0x1000, page_size).dropped == 1);
  const Translation gone = h.read(h.at + 0x1234);
  CHECK(gone.kind == Translation::Kind::fault);
  CHECK(gone.reason == s390::EventCode::invalid_table_entry);
  h.table.map(h.at + 0x1000, Gpa{0x40'0000}, page_size, true);  // invalid entries are not cached: no RPCIT
  CHECK(h.read(h.at + 0x1000).hpa == Hpa{0x40'0000});
}

TEST_CASE("the s390 unit keeps to limits, protection and its own functions") {
  Hardware h;
  h.enable();
  CHECK(h.read(Iova{0xffff'f000}).reason == s390::EventCode::out_of_range);
  h.table.map(h.at + 0x5000, Gpa{0x50'0000}, page_size, false);
  CHECK(h.unit.translate(h.source, h.at + 0x5000, Access::write).reason == s390::EventCode::protection);
  CHECK(h.read(h.at + 0x5000).kind == Translation::Kind::translated);
  CHECK(h.unit.translate({0x11}, h.at, Access::read).reason == s390::EventCode::invalid_address_space);
  CHECK(h.unit.refresh(s390::function_operand({5}), h.at, page_size).outcome.code ==
        s390::ConditionCode::invalid_handle);
  CHECK(h.unit.refresh(h.function, Iova{0}, page_size).outcome.code == s390::ConditionCode::error);
  h.read(h.at);
  CHECK(h.unit.refresh(h.function, h.at, 0x1'0000'0000).dropped == 2);
  CHECK(h.unit.iotlb().size() == 0);
  h.read(h.at);
  CHECK(h.unit.deregister_translation(h.function).code == s390::ConditionCode::done);
  CHECK(h.unit.iotlb().size() == 0);
  CHECK(h.read(h.at).kind == Translation::Kind::fault);
}

TEST_CASE("an interrupt message passes an s390 unit, registered or not; a read of its address does not") {
  Partition p;
  S390PciUnit unit({}, p.memory);
  const Translation message = unit.translate(SourceId{0x100}, Iova{0xfee0'1000}, Access::write);
  CHECK(message.kind == Translation::Kind::interrupt_request);
  CHECK(unit.translate(SourceId{0x100}, Iova{0xfee0'1000}, Access::read).kind == Translation::Kind::fault);
  CHECK(unit.translate(SourceId{0x100}, Iova{0xfed0'1000}, Access::write).kind == Translation::Kind::fault);
}

}  // namespace
}  // namespace gnomon
