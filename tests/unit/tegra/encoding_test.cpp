// SPDX-License-Identifier: Apache-2.0
// Registers and entries of the Tegra SMMU, bit by bit, and the table of the SoCs.
#include <catch2/catch.hpp>

#include "models/spec/tegra_smmu/page_table.hpp"

namespace gnomon::tegra {
namespace {

TEST_CASE("the SoCs: atom, TLB lines, address spaces, physical address bits") {
  struct Row {
    const char* name;
    std::uint32_t atom, entries, lines, asids, pfn_mask;
    bool high;
  };
  for (const Row& row :
       {Row{"tegra30", 16, 4, 16, 4, 0xf'ffff, false}, Row{"tegra114", 32, 8, 32, 4, 0xf'ffff, false},
        Row{"tegra124", 32, 8, 32, 128, 0x3f'ffff, true}, Row{"tegra132", 32, 8, 32, 128, 0x3f'ffff, true},
        Row{"tegra210", 64, 16, 48, 128, 0x3f'ffff, true}}) {
    INFO(row.name);
    const Soc* soc = find_soc(row.name);
    REQUIRE(soc != nullptr);
    CHECK(soc->atom_bytes == row.atom);
    CHECK(soc->entries_per_atom() == row.entries);
    CHECK(soc->tlb_lines == row.lines);
    CHECK(soc->asids == row.asids);
    CHECK(soc->pfn_mask() == row.pfn_mask);
    CHECK(soc->has_ptc_flush_hi() == row.high);
  }
  CHECK(find_soc("tegra20") == nullptr);
}

TEST_CASE("TLB_FLUSH: match, address, and the ASID where the SoC has it") {
  CHECK(encode(TlbFlush{}, tegra210) == 0);
  CHECK(encode(TlbFlush{TlbMatch::all, true, 5, {}}, tegra210) == 0x8500'0000);
  CHECK(encode(TlbFlush{TlbMatch::section, true, 0x7f, Iova{0x1234'5678}}, tegra210) == 0xff01'2002);
  CHECK(encode(TlbFlush{TlbMatch::group, true, 1, Iova{0xffff'ffff}}, tegra210) == 0x810f'ffff);
  CHECK(encode(TlbFlush{TlbMatch::group, true, 1, Iova{0x1234'5678}}, tegra124) == 0x8101'2347);
  CHECK(encode(TlbFlush{TlbMatch::group, true, 3, Iova{0x1234'5678}}, tegra30) == 0xe001'2347);
  CHECK(encode(TlbFlush{TlbMatch::all, true, 2, {}}, tegra114) == 0xc000'0000);
}

TEST_CASE("TLB_FLUSH: what was encoded is decoded, for every SoC and match") {
  for (const Soc* soc : socs) {
    for (const TlbMatch match : {TlbMatch::all, TlbMatch::section, TlbMatch::group}) {
      for (std::uint32_t asid = 0; asid < soc->asids; asid += 3) {
        TlbFlush f{match, true, static_cast<std::uint8_t>(asid), {}};
        if (match == TlbMatch::section) f.iova = Iova{0xabc0'0000};
        if (match == TlbMatch::group) f.iova = Iova{0xabcd'c000};
        CHECK(decode_tlb_flush(encode(f, *soc), *soc) == f);
      }
    }
  }
}

TEST_CASE("PTC_FLUSH: bits 31:4 of the address and the type, the rest in PTC_FLUSH_HI") {
  CHECK(ptc_flush_address(Hpa{0x2'8765'4340}) == 0x8765'4341);
  CHECK(ptc_flush_high(Hpa{0x2'8765'4340}) == 2);
}

TEST_CASE("entries: attributes on top, the frame below, as much of it as the SoC has") {
  CHECK(encode(table_pointer(0x3'ffff'f000, true)) == 0xf03f'ffff);
  CHECK(encode(table_pointer(0x1000, false)) == 0xe000'0001);
  CHECK(encode(Entry{true, false, true, false, 0x12345}) == 0xa001'2345);
  const Entry e = decode_entry(0x7fff'ffff, tegra30);
  CHECK_FALSE(e.readable);
  CHECK(e.writable);
  CHECK(e.next);
  CHECK(e.pfn == 0xf'ffff);
  CHECK(decode_entry(0x7fff'ffff, tegra210).pfn == 0x3f'ffff);
  CHECK(addressable(0xffff'ffff, tegra30));
  CHECK_FALSE(addressable(0x1'0000'0000, tegra30));
  CHECK(addressable(0x3'ffff'ffff, tegra210));
  CHECK_FALSE(addressable(0x4'0000'0000, tegra210));
}

TEST_CASE("a client is switched on by its bit, in the fifth register from 128 on") {
  CHECK(enable_register(0x01) == 0x228);
  CHECK(enable_bit(0x01) == 2);
  CHECK(enable_register(0x58) == 0x230);
  CHECK(enable_bit(0x58) == 1u << 24);
  CHECK(enable_register(0x7f) == 0x234);
  CHECK(enable_register(0x88) == 0xb98);
  CHECK(enable_bit(0x88) == 1u << 8);
}

TEST_CASE("ERR_STATUS says what failed, for whom, and what the entry allowed") {
  const ErrorStatus e{ErrorType::invalid_smmu_page, true, false, true, true, 0x58};
  CHECK(encode(e) == 0x6a01'0058);
  CHECK(decode_error_status(encode(e)) == e);
}

}  // namespace
}  // namespace gnomon::tegra
