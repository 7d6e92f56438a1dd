// SPDX-License-Identifier: Apache-2.0
// Literal values of every VT-d structure, worked out by hand from the specification's bit positions.
#include <catch2/catch.hpp>
#include <cstring>

#include "models/spec/vtd/capabilities.hpp"
#include "models/spec/vtd/fault.hpp"
#include "models/spec/vtd/invalidation.hpp"
#include "models/spec/vtd/translation_tables.hpp"

using namespace gnomon;
using namespace gnomon::vtd;

TEST_CASE("root entry") {
  const Bits128 raw{0x0000'0012'3456'7001, 0};
  CHECK(encode(RootEntry{true, Hpa{0x12'3456'7000}}) == raw);
  CHECK(decode_root_entry(raw) == RootEntry{true, Hpa{0x12'3456'7000}});
  CHECK_FALSE(root_entry_reserved_set(raw, 46));
  CHECK(root_entry_reserved_set({raw.lo | 2, 0}, 46));
  CHECK(root_entry_reserved_set({raw.lo | 1ull << 46, 0}, 46));
  CHECK(root_entry_reserved_set({raw.lo, 1}, 46));
}

TEST_CASE("context entry") {
  const Bits128 raw{0x0000'000a'bcde'f00b, 0x0000'0000'0012'3402};
  const ContextEntry entry{true, true, TranslationType::pass_through, Hpa{0xa'bcde'f000}, 2, DomainId{0x1234}};
  CHECK(encode(entry) == raw);
  CHECK(decode_context_entry(raw) == entry);
  CHECK_FALSE(context_entry_reserved_set(raw, 46));
  CHECK_FALSE(context_entry_reserved_set({raw.lo, raw.hi | 0x78}, 46));  // bits 70:67 are ignored
  CHECK(context_entry_reserved_set({raw.lo | 0x10, raw.hi}, 46));
  CHECK(context_entry_reserved_set({raw.lo, raw.hi | 0x80}, 46));
  CHECK(context_entry_reserved_set({raw.lo, raw.hi | 1ull << 24}, 46));
  CHECK(levels_of_aw(0) == 0);
  CHECK(levels_of_aw(1) == 3);
  CHECK(levels_of_aw(2) == 4);
  CHECK(levels_of_aw(3) == 5);
  CHECK(levels_of_aw(4) == 0);
  CHECK(aw_of_levels(4) == 2);
}

TEST_CASE("second-stage paging entry") {
  CHECK(encode(SecondStagePte{true, true, false, false, Hpa{0x1000}}) == 0x1003);
  CHECK(encode(SecondStagePte{true, false, true, true, Hpa{0x4000'0000}}) == 0x4000'0881);
  CHECK(decode_second_stage_pte(0x4000'0881) == SecondStagePte{true, false, true, true, Hpa{0x4000'0000}});
  CHECK(decode_second_stage_pte(0xfff0'0000'0000'1002).addr == Hpa{0x1000});  // 63:52 are no address
  CHECK_FALSE(decode_second_stage_pte(0x1080).present());
  CHECK(table_index(Iova{0x0000'8040'2010'0fff}, 4) == 0x100);
  CHECK(table_index(Iova{0x0000'0040'2010'0fff}, 3) == 0x100);
  CHECK(table_index(Iova{0x0000'0000'2010'0fff}, 2) == 0x100);
  CHECK(table_index(Iova{0x0000'0000'0010'0fff}, 1) == 0x100);
  CHECK(level_bytes(3) == 0x4000'0000);
}

TEST_CASE("invalidation descriptors") {
  const auto same = [](const InvalidationDescriptor& d, Bits128 raw) {
    CHECK(encode(d) == raw);
    CHECK(decode_invalidation_descriptor(raw) == d);
  };
  same(ContextCacheInvalidate{Granularity::global, {}, {}, 0}, {0x11, 0});
  same(ContextCacheInvalidate{Granularity::device_or_page, DomainId{0x1234}, SourceId{0x0310}, 3},
       {0x0003'0310'1234'0031, 0});
  same(IotlbInvalidate{Granularity::global, true, true, {}, 0, false, {}}, {0xd2, 0});
  same(IotlbInvalidate{Granularity::domain, false, false, DomainId{7}, 0, false, {}}, {0x0007'0022, 0});
  same(IotlbInvalidate{Granularity::device_or_page, true, true, DomainId{7}, 4, true, Iova{0xffff'f000}},
       {0x0007'00f2, 0xffff'f044});
  same(DeviceTlbInvalidate{16, SourceId{0x0310}, SourceId{0xabcd}, true, Iova{0x7000}},
       {0xabc0'0310'0010'd003, 0x7001});
  same(InterruptEntryCacheInvalidate{}, {0x4, 0});
  same(InterruptEntryCacheInvalidate{true, 2, 0x40}, {0x0000'0040'1000'0014, 0});
  same(InvalidationWait{false, true, false, false, 2, Hpa{0x1234'5678}}, {0x0000'0002'0000'0025, 0x1234'5678});
  same(InvalidationWait{true, false, true, true, 0, {}}, {0xd5, 0});
}

TEST_CASE("a descriptor lies in memory little-endian, low quadword first") {
  const Bits128 raw = encode(
      IotlbInvalidate{Granularity::device_or_page, false, false, DomainId{0x0a0b}, 1, false, Iova{0x1'2345'6000}});
  const unsigned char expected[16] = {0x32, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0x01, 0x60, 0x45, 0x23, 0x01, 0, 0, 0};
  CHECK(std::memcmp(&raw, expected, sizeof(expected)) == 0);
}

TEST_CASE("what is no legal descriptor is refused with its reason") {
  const auto reason = [](Bits128 raw) {
    return std::get<IllegalDescriptor>(decode_invalidation_descriptor(raw)).reason;
  };
  CHECK(reason({0, 0}) == QueueErrorInfo::invalid_descriptor_type);
  CHECK(reason({0x6, 0}) == QueueErrorInfo::invalid_descriptor_type);            // PASID-based: 256 bits wide
  CHECK(reason({0x0200 | 0x22, 0}) == QueueErrorInfo::invalid_descriptor_type);  // type 11:9 is not zero
  CHECK(reason({0x02, 0}) == QueueErrorInfo::reserved_field);                    // granularity 00b
  CHECK(reason({0x01, 0}) == QueueErrorInfo::reserved_field);
  CHECK(reason({0x1'0000'0012, 0}) == QueueErrorInfo::reserved_field);
  CHECK(reason({0x12, 0x80}) == QueueErrorInfo::reserved_field);
  CHECK(reason({0x25, 0x1}) == QueueErrorInfo::reserved_field);  // status address not dword aligned
  CHECK(reason({0x11, 1}) == QueueErrorInfo::reserved_field);
  CHECK(reason({0x13, 0}) == QueueErrorInfo::reserved_field);
  CHECK(reason({0x24, 0}) == QueueErrorInfo::reserved_field);
}

TEST_CASE("page blocks: the low AM bits of the page number do not count") {
  CHECK(page_block(Iova{0x7000}, 0) == PageBlock{Iova{0x7000}, 0x1000});
  CHECK(page_block(Iova{0x7000}, 1) == PageBlock{Iova{0x6000}, 0x2000});
  CHECK(page_block(Iova{0x8000}, 3) == PageBlock{Iova{0x8000}, 0x8000});
  CHECK(page_block(Iova{0x1f'f000}, 9) == PageBlock{Iova{0}, 0x20'0000});
  const auto ats = [](std::uint64_t address, bool s) {
    return page_block(DeviceTlbInvalidate{0, {}, {}, s, Iova{address}});
  };
  CHECK(ats(0x5000, false) == PageBlock{Iova{0x5000}, 0x1000});
  CHECK(ats(0x4000, true) == PageBlock{Iova{0x4000}, 0x2000});
  CHECK(ats(0xb000, true) == PageBlock{Iova{0x8000}, 0x8000});  // 1011b: two ones, 2^3 pages
  CHECK(ats(~std::uint64_t{0xfff}, true) == PageBlock{Iova{0}, 0});
}

TEST_CASE("fault record") {
  FaultRecord r;
  r.fi = Iova{0xdead'b000};
  r.sid = SourceId{0x0310};
  r.fr = static_cast<std::uint8_t>(FaultReason::read_not_permitted);
  r.type = RequestType::read;
  r.f = true;
  CHECK(encode(r) == Bits128{0xdead'b000, 0xc000'0006'0000'0310});
  r.type = RequestType::atomic_op;
  r.pp = true;
  r.pv = 0x12345;
  r.exe = true;
  r.priv = true;
  r.at = 2;
  CHECK(encode(r) == Bits128{0xdead'b000, 0xe123'4506'f000'0310});
  CHECK(decode_fault_record(encode(r)) == r);
  CHECK(is_qualified(FaultReason::context_entry_not_present));
  CHECK(is_qualified(FaultReason::write_not_permitted));
  CHECK_FALSE(is_qualified(FaultReason::root_entry_not_present));
  CHECK_FALSE(is_qualified(FaultReason::context_table_inaccessible));
}

TEST_CASE("capabilities") {
  Capability c;
  c.sagaw = 0b100;
  c.mgaw = 47;
  c.fro = 0x20;
  c.sslps = 0b11;
  c.psi = true;
  c.nfr = 7;
  c.mamv = 18;
  c.dwd = c.drd = true;
  CHECK(encode(c) == 0x00d2'078c'202f'0406);
  CHECK(decode_capability(encode(c)) == c);
  const ExtendedCapability e{true, true, true, true, true, true, 0xf, 15};
  CHECK(encode(e) == 0xf0'0fcf);
  CHECK(decode_extended_capability(encode(e)) == e);
}
