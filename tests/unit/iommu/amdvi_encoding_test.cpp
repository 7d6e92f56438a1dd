// SPDX-License-Identifier: Apache-2.0
// Literal values of every AMD-Vi structure, worked out by hand from the specification's bit positions.
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "models/base/natural_split.hpp"
#include "models/spec/amdvi/capability.hpp"
#include "models/spec/amdvi/command.hpp"
#include "models/spec/amdvi/device_table.hpp"
#include "models/spec/amdvi/event.hpp"
#include "models/spec/amdvi/page_table.hpp"
#include "models/spec/amdvi/registers.hpp"

using namespace gnomon;
using namespace gnomon::amdvi;

TEST_CASE("capability header and extended features") {
  Capability c;
  CHECK(encode(c) == 0x080b'000f);
  c.np_cache = true;
  CHECK(encode(c) == 0x0c0b'000f);
  CHECK(decode_capability(0x0c0b'000f) == c);
  // What QEMU's amd-iommu shows: type 3 without a revision, all flags 28:24.
  const Capability emulated = decode_capability(0x1f03'000f);
  CHECK(emulated == Capability{0x0f, 0, 3, 0, true, true, true, true, true});
  CHECK(encode(emulated) == 0x1f03'000f);

  CHECK(encode(ExtendedFeatures{}) == 0);
  ExtendedFeatures e;
  e.ia_sup = true;
  e.hats = HostTableLevels::six;
  CHECK(encode(e) == 0x840);
  CHECK(decode_extended_features(0x840) == e);
  const std::uint64_t each[] = {1, 2, 4, 0x10, 0x40, 0x80, 0x100, 0x200, 0x400};
  for (const std::uint64_t raw : each) CHECK(encode(decode_extended_features(raw)) == raw);
}

TEST_CASE("base registers") {
  CHECK(device_table_register(Hpa{0x12'3456'7000}, 0x20'0000) == 0x12'3456'71ff);
  CHECK(device_table_base(0x12'3456'71ff) == Hpa{0x12'3456'7000});
  CHECK(device_table_bytes(0x12'3456'71ff) == 0x20'0000);
  CHECK(device_table_bytes(0) == 0x1000);
  CHECK(ring_register(Hpa{0x7'8000}, 9) == 0x0900'0000'0007'8000);
  CHECK(ring_base(0x0900'0000'0007'8000) == Hpa{0x7'8000});
  CHECK(ring_bytes(0x0900'0000'0007'8000) == 8192);
  CHECK(ring_bytes(ring_register({}, 15)) == 512 * 1024);
  CHECK(ring_length_reserved(ring_register({}, 7)));
  CHECK_FALSE(ring_length_reserved(ring_register({}, 8)));
}

TEST_CASE("device table entry") {
  DeviceTableEntry e;
  e.v = e.tv = e.ir = e.iw = true;
  e.mode = 4;
  e.root = Hpa{0xabc'def1'2000};
  e.domain = DomainId{0x1234};
  CHECK(encode(e) == Bits256{{0x6000'0abc'def1'2803, 0x1234, 0, 0}});
  CHECK(decode_device_table_entry(encode(e)) == e);

  const auto only = [](auto&& set) {
    DeviceTableEntry one;
    set(one);
    CHECK(decode_device_table_entry(encode(one)) == one);
    return encode(one).qw;
  };
  using Qw = std::array<std::uint64_t, 4>;
  const std::uint64_t top = std::uint64_t{1} << 63;
  CHECK(only([](auto& d) { d.mode = 7; }) == Qw{0xe00, 0, 0, 0});
  CHECK(only([](auto& d) { d.ir = true; }) == Qw{std::uint64_t{1} << 61, 0, 0, 0});
  CHECK(only([](auto& d) { d.iw = true; }) == Qw{std::uint64_t{1} << 62, 0, 0, 0});
  CHECK(only([](auto& d) { d.i = true; }) == Qw{0, std::uint64_t{1} << 32, 0, 0});
  CHECK(only([](auto& d) { d.se = true; }) == Qw{0, std::uint64_t{1} << 33, 0, 0});
  CHECK(only([](auto& d) { d.sa = true; }) == Qw{0, std::uint64_t{1} << 34, 0, 0});
  CHECK(only([](auto& d) { d.io_ctl = 3; }) == Qw{0, std::uint64_t{3} << 35, 0, 0});
  CHECK(only([](auto& d) { d.cache = true; }) == Qw{0, std::uint64_t{1} << 37, 0, 0});
  CHECK(only([](auto& d) { d.sd = true; }) == Qw{0, std::uint64_t{1} << 38, 0, 0});
  CHECK(only([](auto& d) { d.ex = true; }) == Qw{0, std::uint64_t{1} << 39, 0, 0});
  CHECK(only([](auto& d) { d.sys_mgt = 2; }) == Qw{0, std::uint64_t{2} << 40, 0, 0});
  CHECK(only([](auto& d) { d.iv = true; }) == Qw{0, 0, 1, 0});
  CHECK(only([](auto& d) { d.int_tab_len = 9; }) == Qw{0, 0, 18, 0});
  CHECK(only([](auto& d) { d.ig = true; }) == Qw{0, 0, 32, 0});
  CHECK(only([](auto& d) { d.int_table_root = Hpa{0xf'ffff'ffff'ffc0}; })[2] == 0xf'ffff'ffff'ffc0);
  CHECK(only([](auto& d) { d.init_pass = true; }) == Qw{0, 0, std::uint64_t{1} << 56, 0});
  CHECK(only([](auto& d) { d.eint_pass = true; }) == Qw{0, 0, std::uint64_t{1} << 57, 0});
  CHECK(only([](auto& d) { d.nmi_pass = true; }) == Qw{0, 0, std::uint64_t{1} << 58, 0});
  CHECK(only([](auto& d) { d.int_ctl = InterruptControl::remapped; }) == Qw{0, 0, std::uint64_t{2} << 60, 0});
  CHECK(only([](auto& d) { d.lint0_pass = true; }) == Qw{0, 0, std::uint64_t{1} << 62, 0});
  CHECK(only([](auto& d) { d.lint1_pass = true; }) == Qw{0, 0, top, 0});
}

TEST_CASE("device table entry: every bit is a field, reserved or ignored") {
  for (unsigned n = 0; n < 256; ++n) {
    Bits256 raw;
    raw.qw[n / 64] = std::uint64_t{1} << (n % 64);
    const bool field = encode(decode_device_table_entry(raw)) == raw;
    INFO("bit " << n);
    CHECK(field + device_table_entry_reserved_set(raw) == (n >= 246 ? 0 : 1));
  }
}

TEST_CASE("page table entries") {
  CHECK(encode(PageTableEntry{true, 2, Hpa{0x1234'5000}, false, true, true}) == 0x6000'0000'1234'5401);
  CHECK(encode(PageTableEntry{true, 0, Hpa{0x1000}, true, true, false}) == 0x3000'0000'0000'1001);
  CHECK(decode_page_table_entry(0x6000'0000'1234'5401).next_level == 2);
  CHECK_FALSE(decode_page_table_entry(0x6000'0000'1234'5401).leaf());
  CHECK(decode_page_table_entry(0x7000'0000'0000'1e01).leaf());
  CHECK_FALSE(decode_page_table_entry(0x7000'0000'0000'1e00).pr);
  for (unsigned n = 52; n <= 58; ++n) CHECK(page_table_entry_reserved_set(std::uint64_t{1} << n));
  CHECK_FALSE(page_table_entry_reserved_set(0xf00f'ffff'ffff'f1ff));  // a leaf may have FC and U
  CHECK(page_table_entry_reserved_set(0x1000'0000'0000'0200));        // a pointer may not
  CHECK(page_table_entry_reserved_set(0x0800'0000'0000'0200));

  CHECK(level_shift(1) == 12);
  CHECK(level_bytes(3) == 0x4000'0000);
  CHECK(level_shift(6) == 57);
  CHECK(input_bits(3) == 39);
  CHECK(input_bits(5) == 57);
  CHECK(input_bits(6) == 64);
  CHECK(in_span(Iova{0x7f'ffff'ffff}, 3));
  CHECK_FALSE(in_span(Iova{0x80'0000'0000}, 3));
  CHECK(in_span(Iova{~std::uint64_t{0}}, 6));
  CHECK(table_index(Iova{0x8040'2010'0fff}, 4) == 0x100);
  CHECK(table_index(Iova{~std::uint64_t{0}}, 6) == 0x7f);
}

TEST_CASE("leaves of any power of two: level, replicas, encoded address") {
  struct Row {
    std::uint64_t bytes;
    unsigned level, replicas;
    std::uint64_t raw;  // at 2^51, read and write
  };
  const Row rows[] = {
      {0x1000, 1, 1, 0x7008'0000'0000'0001},
      {0x2000, 1, 2, 0x7008'0000'0000'0e01},
      {0x4000, 1, 4, 0x7008'0000'0000'1e01},
      {0x1'0000, 1, 16, 0x7008'0000'0000'7e01},
      {0x10'0000, 1, 256, 0x7008'0000'0007'fe01},
      {0x20'0000, 2, 1, 0x7008'0000'0000'0001},
      {0x40'0000, 2, 2, 0x7008'0000'001f'fe01},
      {0x4000'0000, 3, 1, 0x7008'0000'0000'0001},
      {0x8000'0000, 3, 2, 0x7008'0000'3fff'fe01},
      {std::uint64_t{1} << 38, 3, 256, 0x7008'001f'ffff'fe01},
      {std::uint64_t{1} << 48, 5, 1, 0x7008'0000'0000'0001},
  };
  for (const Row& row : rows) {
    INFO("bytes " << row.bytes);
    const PageTableEntry leaf = make_leaf(Hpa{std::uint64_t{1} << 51}, row.bytes, true, true);
    CHECK(level_of_leaf(row.bytes) == row.level);
    CHECK(leaf_replicas(row.bytes) == row.replicas);
    CHECK(encode(leaf) == row.raw);
    CHECK(leaf_bytes(decode_page_table_entry(row.raw), row.level) == row.bytes);
    CHECK(leaf_base(leaf, row.level) == Hpa{std::uint64_t{1} << 51});
  }
}

namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;

struct GoldenRange {
  std::uint64_t iova, bytes, field, base, covered;
};
constexpr GoldenRange golden_ranges[] = {
    {0xffff'f000, 4 * kib, 0xffff'f000, 0xffff'f000, 4 * kib},
    {0xfffe'0000, 8 * kib, 0xfffe'0001, 0xfffe'0000, 8 * kib},
    {0xfffe'0000, 20 * kib, 0xfffe'3001, 0xfffe'0000, 32 * kib},
    {0xfffe'0000, 64 * kib, 0xfffe'7001, 0xfffe'0000, 64 * kib},
    {0x3000, 8 * kib, 0x3001, 0, 32 * kib},
    {0xf'f000, 8 * kib, 0xf'f001, 0, 2 * mib},
    {0, 2 * mib, 0xf'f001, 0, 2 * mib},
    {0xfff, 1, 0, 0, 4 * kib},
    {0xfff, 2, 1, 0, 8 * kib},
    {0, std::uint64_t{1} << 52, 0x7'ffff'ffff'f001, 0, std::uint64_t{1} << 52},
    {0, (std::uint64_t{1} << 52) + 1, 0x7fff'ffff'ffff'f001, 0, 0},  // everything
    {0, ~std::uint64_t{0}, 0x7fff'ffff'ffff'f001, 0, 0},
};

}  // namespace

TEST_CASE("the range operand of invalidations") {
  for (const GoldenRange& g : golden_ranges) {
    INFO(std::hex << g.iova << " + " << g.bytes);
    const RangeOperand operand = encode_range(Iova{g.iova}, g.bytes);
    CHECK(operand.raw() == g.field);
    CHECK(decode_range(operand) == CoveredRange{Iova{g.base}, g.covered});
    CHECK(decode_range(operand).everything() == (g.covered == 0));
  }
  static_assert(encode_range(Iova{0xff000}, 0x2000).raw() == 0xff001);
  static_assert(decode_range(every_page).everything());
  CHECK(every_page.raw() == 0x7fff'ffff'ffff'f001);
  CHECK(decode_range({Iova{~std::uint64_t{0}}, true}).everything());
  CHECK(decode_range({Iova{0x3fff'ffff'ffff'f000}, true}) == CoveredRange{Iova{0}, std::uint64_t{1} << 63});
}

TEST_CASE("a range split at its natural boundaries needs no operand that covers more") {
  struct Row {
    std::uint64_t iova, bytes;
    std::vector<std::uint64_t> fields;
  };
  const Row rows[] = {
      {0xfffe'0000, 20 * kib, {0xfffe'1001, 0xfffe'4000}},
      {0x3000, 8 * kib, {0x3000, 0x4000}},
      {0xf'f000, 8 * kib, {0xf'f000, 0x10'0000}},
      {0x1000, 64 * kib, {0x1000, 0x2001, 0x4001 | 0x1000, 0x8001 | 0x3000, 0x1'0000}},
  };
  for (const Row& row : rows) {
    std::vector<std::uint64_t> fields;
    for (const auto piece : NaturalSplit(row.iova, row.iova + row.bytes - 1)) {
      fields.push_back(encode_range(Iova{piece.base}, piece.size).raw());
    }
    CHECK(fields == row.fields);
  }
}

TEST_CASE("commands") {
  const auto same = [](const Command& c, Bits128 raw) {
    CHECK(encode(c) == raw);
    CHECK(decode_command(raw) == c);
  };
  same(CompletionWait{true, false, false, Hpa{0xabc'def1'2348}, 0x1122'3344'5566'7788},
       {0x1000'0abc'def1'2349, 0x1122'3344'5566'7788});
  same(CompletionWait{false, true, false, {}, 0}, {0x1000'0000'0000'0002, 0});
  same(CompletionWait{false, false, true, {}, 0}, {0x1000'0000'0000'0004, 0});
  same(InvalidateDevtabEntry{SourceId{0x0310}}, {0x2000'0000'0000'0310, 0});
  same(InvalidateIommuPages{DomainId{0x1234}, encode_range(Iova{0xfffe'0000}, 0x1'0000), true, false, 0},
       {0x3000'1234'0000'0000, 0xfffe'7003});
  same(InvalidateIommuPages{DomainId{7}, every_page, true, false, 0},
       {0x3000'0007'0000'0000, 0x7fff'ffff'ffff'f003});
  same(InvalidateIommuPages{DomainId{7}, {Iova{0x5000}, false}, false, true, 0xabcde},
       {0x3000'0007'000a'bcde, 0x5004});
  same(InvalidateIotlbPages{SourceId{0x0310}, 32, 0x55aa, {Iova{0x7000}, true}, true, 0xa'bbcc, 0},
       {0x4acc'55aa'20bb'0310, 0x7005});
  same(InvalidateIotlbPages{{}, 0, 0, {}, false, 0, 3}, {0x4000'0000'0000'0000, 0x30});
  same(InvalidateInterruptTable{SourceId{0xffff}}, {0x5000'0000'0000'ffff, 0});
  same(CompletePprRequest{SourceId{0x0310}, true, 0xabcde, 0xf1ff}, {0x700a'bcde'0000'0310, 0x0000'f1ff'0000'0004});
  same(InvalidateIommuAll{}, {0x8000'0000'0000'0000, 0});
}

TEST_CASE("an unknown opcode or a reserved bit makes a command illegal") {
  const auto illegal = [](Bits128 raw) {
    return std::holds_alternative<IllegalCommand>(decode_command(raw)) && encode(decode_command(raw)) == raw;
  };
  for (const std::uint64_t opcode : {0u, 6u, 9u, 10u, 11u, 12u, 13u, 14u, 15u}) CHECK(illegal({opcode << 60, 0}));
  struct Fields {
    std::uint64_t opcode;
    Bits128 all;  // every bit that is a field
  };
  const Fields known[] = {
      {1, {0x000f'ffff'ffff'ffff, ~std::uint64_t{0}}},
      {2, {0xffff, 0}},
      {3, {0x0000'ffff'000f'ffff, 0xffff'ffff'ffff'f007}},
      {4, {0x0fff'ffff'ffff'ffff, 0xffff'ffff'ffff'f035}},
      {5, {0xffff, 0}},
      {7, {0x000f'ffff'0000'ffff, 0x0000'ffff'0000'0004}},
      {8, {0, 0}},
  };
  for (const Fields& k : known) {
    for (unsigned n = 0; n < 128; ++n) {
      if (n >= 60 && n < 64) continue;
      const Bits128 one = n < 64 ? Bits128{std::uint64_t{1} << n, 0} : Bits128{0, std::uint64_t{1} << (n - 64)};
      const bool reserved = ((one.lo & k.all.lo) | (one.hi & k.all.hi)) == 0;
      INFO("opcode " << k.opcode << ", bit " << n);
      CHECK(illegal({one.lo | k.opcode << 60, one.hi}) == reserved);
    }
  }
}

TEST_CASE("a command lies in memory little-endian, low quadword first") {
  const Bits128 raw = encode(InvalidateIommuPages{DomainId{0x0a0b}, {Iova{0x1'2345'6000}, true}, true, false, 0});
  const unsigned char expected[16] = {0, 0, 0, 0, 0x0b, 0x0a, 0, 0x30, 0x03, 0x60, 0x45, 0x23, 0x01, 0, 0, 0};
  CHECK(std::memcmp(&raw, expected, sizeof(expected)) == 0);
}

TEST_CASE("events") {
  const auto same = [](const Event& e, Bits128 raw) {
    CHECK(encode(e) == raw);
    CHECK(decode_event(raw) == e);
  };
  const SourceId device{0x0310};
  const DomainId domain{0x1234};
  const Iova iova{0xfffe'0123};
  same(IllegalDevTableEntry{device, true, false, false, false, iova}, {0x1008'0000'0000'0310, 0xfffe'0123});
  same(IllegalDevTableEntry{device, false, true, true, true, iova}, {0x11a0'0000'0000'0310, 0xfffe'0123});
  same(IoPageFault{device, domain, false, false, true, false, false, false, iova},
       {0x2020'1234'0000'0310, 0xfffe'0123});
  same(IoPageFault{device, domain, false, true, false, true, false, false, iova},
       {0x2050'1234'0000'0310, 0xfffe'0123});
  same(IoPageFault{device, domain, true, false, false, false, true, true, iova},
       {0x2188'1234'0000'0310, 0xfffe'0123});
  same(DevTabHardwareError{device, false, true, false, HardwareErrorType::master_abort, Hpa{0x1'0020}},
       {0x3220'0000'0000'0310, 0x1'0020});
  same(PageTabHardwareError{device, domain, false, false, true, HardwareErrorType::data_error, Hpa{0x1'0028}},
       {0x4700'1234'0000'0310, 0x1'0028});
  same(IllegalCommandError{Hpa{0x7'8010}}, {0x5000'0000'0000'0000, 0x7'8010});
  same(CommandHardwareError{HardwareErrorType::target_abort, Hpa{0x7'8010}}, {0x6400'0000'0000'0000, 0x7'8010});
  same(IotlbInvTimeout{device, Hpa{0x7'8010}}, {0x7000'0000'0000'0310, 0x7'8010});
  same(InvalidDeviceRequest{device, false, InvalidRequestType::interrupt_range_write, Iova{0xfee0'0000}},
       {0x8a00'0000'0000'0310, 0xfee0'0000});
  same(OtherEvent{{0x9000'0000'0000'0000, 1}}, {0x9000'0000'0000'0000, 1});
  same(OtherEvent{{0x5000'0000'0000'0001, 0}}, {0x5000'0000'0000'0001, 0});  // a bit that is no field
  CHECK(code_of({0x2050'1234'0000'0310, 0}) == EventCode::io_page_fault);
}
