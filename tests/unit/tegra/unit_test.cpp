// SPDX-License-Identifier: Apache-2.0
// The Tegra SMMU alone: a table written into memory by hand, registers by hand, and what a request then sees.
#include <catch2/catch.hpp>

#include "models/iommu/tegra/unit.hpp"

namespace gnomon::iommu {
namespace {

using namespace tegra;
using Kind = Translation::Kind;

constexpr SourceId head{client::display_0a.id};

/// Directory at page 0x10 of address space 1, a table at page 0x11 for the first 4 MiB.
struct Bench {
  explicit Bench(TegraConfig config = {}) : soc(*config.soc), unit(config, memory) {
    memory.write<std::uint32_t>(Hpa{0x10'000}, encode(table_pointer(0x11'000, true)));
    unit.write(reg::ptb_asid, 1, 4);
    unit.write(reg::ptb_data, encode(table_pointer(0x10'000, false)), 4);
    unit.write(client::display_0a.swgroup_register, swgroup_enable | 1, 4);
    unit.write(enable_register(head.value), enable_bit(head.value), 4);
    unit.write(reg::tlb_config, soc.tlb_lines, 4);
    unit.write(reg::ptc_config, ptc_enable, 4);
    unit.write(reg::smmu_config, smmu_enable, 4);
  }
  void entry(std::uint64_t page, std::uint32_t frame, bool r = true, bool w = true) {
    memory.write<std::uint32_t>(Hpa{0x11'000 + page * 4}, frame == 0 ? 0 : encode(Entry{r, w, true, false, frame}));
  }
  Translation at(std::uint64_t page, Access access = Access::read) {
    return unit.translate(head, Iova::from_page(page), access);
  }
  void flush_ptc() { unit.write(reg::ptc_flush, ptc_flush_all, 4); }
  IotlbInvalidated flush(const TlbFlush& f) {
    return std::get<IotlbInvalidated>(unit.write(reg::tlb_flush, encode(f, soc), 4).executed);
  }
  const Soc& soc;
  PhysicalMemory memory{1 << 20};
  TegraSmmuUnit unit;
};

TEST_CASE("a request passes through until unit, group and client are all on") {
  Bench b;
  b.entry(5, 0x77);
  CHECK(b.at(5).kind == Kind::translated);
  for (const std::uint32_t offset :
       {reg::smmu_config, std::uint32_t{client::display_0a.swgroup_register}, enable_register(head.value)}) {
    const auto was = b.unit.read(offset, 4);
    b.unit.write(offset, 0, 4);
    CHECK(b.at(5).kind == Kind::pass_through);
    b.unit.write(offset, was, 4);
  }
  CHECK(b.unit.translate(SourceId{0x7e}, Iova{0x5000}, Access::read).kind == Kind::pass_through);
}

TEST_CASE("a walk reads two atoms; the cache then answers, and the TLB holds a group of four") {
  Bench b;
  for (const unsigned page : {4u, 5u, 7u, 8u}) b.entry(page, 0x100 + page);
  const Translation first = b.at(5);
  CHECK(first.kind == Kind::translated);
  CHECK(first.hpa == Hpa::from_page(0x105));
  CHECK(first.domain == DomainId{2});
  CHECK(first.walk_reads == 2);
  CHECK_FALSE(first.iotlb_hit);
  CHECK(b.at(7).iotlb_hit);
  CHECK(b.at(4).iotlb_hit);
  const Translation next_group = b.at(8);
  CHECK_FALSE(next_group.iotlb_hit);
  CHECK(next_group.walk_reads == 0);   // the same atom of 16 entries
  CHECK(b.at(6).kind == Kind::fault);  // absent, though its group is held
  CHECK(b.unit.tlb().size() == 2);
}

TEST_CASE("an absent entry is never answered by the TLB, but by the page-table cache until that is flushed") {
  Bench b;
  b.entry(5, 0x105);
  CHECK(b.at(5).kind == Kind::translated);
  CHECK(b.at(6).kind == Kind::fault);
  b.entry(6, 0x106);
  CHECK(b.at(6).kind == Kind::fault);
  b.unit.write(reg::ptc_flush_hi, 0, 4);
  b.unit.write(reg::ptc_flush, ptc_flush_address(Hpa{0x11'000}), 4);
  CHECK(b.at(6).kind == Kind::translated);
}

TEST_CASE("what was unmapped is seen until the TLB is flushed of it, by group, section, address space or all") {
  const auto match = GENERATE(TlbMatch::all, TlbMatch::section, TlbMatch::group);
  const bool one = match != TlbMatch::all || GENERATE(true, false);
  Bench b;
  b.entry(5, 0x105);
  b.at(5);
  b.entry(5, 0);
  b.flush_ptc();
  CHECK(b.at(5).kind == Kind::translated);
  CHECK(b.flush({match, true, 0, Iova{0x5000}}).iotlb_dropped == 0);  // of another address space
  if (match != TlbMatch::all) CHECK(b.flush({match, true, 1, Iova{0x40'5000}}).iotlb_dropped == 0);
  const IotlbInvalidated done = b.flush({match, one, 1, Iova{0x5000}});
  CHECK(done.iotlb_dropped == 1);
  CHECK(done.domain == DomainId{static_cast<std::uint16_t>(one ? 2 : 0)});
  CHECK(done.bytes == (match == TlbMatch::all       ? aperture_bytes
                       : match == TlbMatch::section ? section_bytes
                                                    : group_bytes));
  CHECK(b.at(5).kind == Kind::fault);
}

TEST_CASE("a directory entry that changes is seen after a flush of its atom and its section") {
  Bench b;
  b.entry(5, 0x105);
  b.at(5);
  b.memory.write<std::uint32_t>(Hpa{0x10'000}, 0);
  CHECK(b.flush({TlbMatch::section, true, 1, {}}).iotlb_dropped == 1);
  CHECK(b.at(5).kind == Kind::translated);  // the page-table cache still has the directory's atom
  b.unit.write(reg::ptc_flush, ptc_flush_address(Hpa{0x10'000}), 4);
  b.flush({TlbMatch::section, true, 1, {}});
  CHECK(b.at(5).kind == Kind::fault);
}

TEST_CASE("a flush by address reaches above 4 GiB through PTC_FLUSH_HI, where there is one") {
  PhysicalMemory memory{std::uint64_t{6} << 30};
  for (const Soc* soc : {&tegra210, &tegra124}) {
    PageTableCache cache{64, 4, soc->atom_bytes, false, memory};
    cache.enable(true);
    std::uint32_t raw = 0;
    CHECK(cache.read(Hpa{0x1'4000'0000}, &raw, 4) == 1);
    CHECK(cache.read(Hpa{0x1'4000'0000}, &raw, 4) == 0);
    CHECK(cache.flush(Hpa{0x4000'0000}) == 0);
    CHECK(cache.flush(Hpa{0x1'4000'0000}) == 1);
  }
  TegraSmmuUnit old{{&tegra30, 64, 4, false}, memory};
  old.write(reg::ptc_flush_hi, 3, 4);
  CHECK(old.read(reg::ptc_flush_hi, 4) == 0);
}

TEST_CASE("permissions, and the record of the first failure until it is cleared") {
  Bench b;
  b.entry(5, 0x105, true, false);
  CHECK(b.at(5, Access::write).kind == Kind::fault);
  CHECK(b.unit.read(reg::interrupt_status, 4) == interrupt::invalid_smmu_page);
  CHECK(decode_error_status(static_cast<std::uint32_t>(b.unit.read(reg::error_status, 4))) ==
        ErrorStatus{ErrorType::invalid_smmu_page, true, false, true, true, 1});
  CHECK(b.unit.read(reg::error_address, 4) == 0x5000);
  CHECK_FALSE(b.at(9).recorded);
  CHECK(b.unit.read(reg::error_address, 4) == 0x5000);
  b.unit.write(reg::interrupt_status, interrupt::invalid_smmu_page, 4);
  CHECK(b.at(9).recorded);
  CHECK(b.unit.read(reg::error_address, 4) == 0x9000);
  CHECK(b.unit.translate(head, Iova{aperture_bytes}, Access::read).reason == ErrorType::decode_error);
  b.memory.write<std::uint32_t>(Hpa{0x10'004}, encode(table_pointer(std::uint64_t{1} << 20, true)));
  CHECK(b.at(1024).reason == ErrorType::invalid_smmu_page);  // the atom was cached
  b.flush_ptc();
  CHECK(b.at(1024).reason == ErrorType::decode_error);
}

TEST_CASE("as many lines as are active; the least recently used one goes") {
  Bench b;
  b.unit.write(reg::tlb_config, 2, 4);
  for (const unsigned page : {0u, 4u, 8u}) b.entry(page, 0x100 + page);
  CHECK_FALSE(b.at(0).iotlb_evicted);
  CHECK_FALSE(b.at(4).iotlb_evicted);
  b.at(0);
  CHECK(b.at(8).iotlb_evicted);
  CHECK(b.at(0).iotlb_hit);
  CHECK_FALSE(b.at(4).iotlb_hit);
  b.unit.write(reg::tlb_config, 0, 4);
  CHECK(b.unit.tlb().size() == 0);
  CHECK(b.at(0).kind == Kind::translated);
  CHECK_FALSE(b.at(0).iotlb_hit);
}

TEST_CASE("a coherent walker sees a store at once; the TLB still has to be flushed") {
  Bench b{{&tegra210, 64, 4, true}};
  b.entry(5, 0x105);
  b.at(5);
  b.entry(6, 0x106);
  CHECK(b.at(6).kind == Kind::translated);
  b.entry(5, 0);
  CHECK(b.at(5).kind == Kind::translated);
  b.flush({TlbMatch::group, true, 1, Iova{0x5000}});
  CHECK(b.at(5).kind == Kind::fault);
}

TEST_CASE("resolve reads memory past every cache") {
  Bench b;
  b.entry(5, 0x105);
  b.at(5);
  b.entry(5, 0x205);
  CHECK(b.at(5).hpa == Hpa::from_page(0x105));
  CHECK(b.unit.resolve(head, Iova{0x5010}, Access::read)->hpa == Hpa{0x205'010});
  b.entry(5, 0);
  CHECK_FALSE(b.unit.resolve(head, Iova{0x5000}, Access::read));
}

TEST_CASE("a configuration that cannot be is refused") {
  PhysicalMemory memory{1 << 20};
  CHECK_THROWS_AS((TegraSmmuUnit{{nullptr, 64, 4, false}, memory}), std::invalid_argument);
  CHECK_THROWS_AS((TegraSmmuUnit{{&tegra210, 48, 4, false}, memory}), std::invalid_argument);
  CHECK_THROWS_AS((TegraSmmuUnit{{&tegra210, 64, 0, false}, memory}), std::invalid_argument);
}

}  // namespace
}  // namespace gnomon::iommu
