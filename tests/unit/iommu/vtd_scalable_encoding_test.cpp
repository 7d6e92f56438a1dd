// SPDX-License-Identifier: Apache-2.0
// Literal values of the structures of scalable mode, worked out by hand from the specification's bit positions.
#include <catch2/catch.hpp>
#include <cstring>

#include "models/spec/vtd/capabilities.hpp"
#include "models/spec/vtd/fault.hpp"
#include "models/spec/vtd/first_stage.hpp"
#include "models/spec/vtd/invalidation.hpp"
#include "models/spec/vtd/pasid_table_entry.hpp"

using namespace gnomon;
using namespace gnomon::vtd;

TEST_CASE("scalable root entry: two halves") {
  const Bits128 raw{0x0000'0012'3456'7001, 0x0000'000a'bcde'f001};
  CHECK(encode(ScalableRootEntry{true, Hpa{0x12'3456'7000}, true, Hpa{0xa'bcde'f000}}) == raw);
  CHECK(decode_scalable_root_entry(raw) == ScalableRootEntry{true, Hpa{0x12'3456'7000}, true, Hpa{0xa'bcde'f000}});
  CHECK_FALSE(scalable_root_entry_reserved_set(raw, false, 46));
  CHECK(scalable_root_entry_reserved_set({raw.lo | 2, raw.hi}, false, 46));
  CHECK_FALSE(scalable_root_entry_reserved_set({raw.lo | 2, raw.hi}, true, 46));  // the other half is not looked at
  CHECK(scalable_root_entry_reserved_set({raw.lo, raw.hi | 1ull << 46}, true, 46));
}

TEST_CASE("scalable context entry") {
  ScalableContextEntry e;
  e.p = e.fpd = e.dte = e.paside = e.pre = true;
  e.pdts = 7;
  e.pasiddirptr = Hpa{0x1'2345'6000};
  e.rid_pasid = 0xabcde;
  e.rid_priv = true;
  const Bits256 raw{{0x1'2345'6e1f, 0x1a'bcde, 0, 0}};
  CHECK(encode(e) == raw);
  CHECK(decode_scalable_context_entry(raw) == e);
  CHECK_FALSE(scalable_context_entry_reserved_set(raw, 46));
  for (const unsigned bit : {5u, 6u, 7u, 8u, 46u, 63u}) {
    CHECK(scalable_context_entry_reserved_set({{raw.word[0] | 1ull << bit, raw.word[1], 0, 0}}, 46));
  }
  CHECK(scalable_context_entry_reserved_set({{raw.word[0], raw.word[1] | 1ull << 21, 0, 0}}, 46));
  CHECK(scalable_context_entry_reserved_set({{raw.word[0], raw.word[1], 1, 0}}, 46));
  CHECK(scalable_context_entry_reserved_set({{raw.word[0], raw.word[1], 0, 1ull << 63}}, 46));
}

TEST_CASE("PASID directory") {
  CHECK(encode(PasidDirectoryEntry{true, true, Hpa{0x7000}}) == 0x7003);
  CHECK(decode_pasid_directory_entry(0x7003) == PasidDirectoryEntry{true, true, Hpa{0x7000}});
  CHECK_FALSE(pasid_directory_entry_reserved_set(0x7003, 46));
  CHECK(pasid_directory_entry_reserved_set(0x7005, 46));
  CHECK(pasid_directory_entry_reserved_set(0x7001 | 1ull << 46, 46));
  CHECK(pasid_directory_index(0xfffff) == 0x3fff);
  CHECK(pasid_table_index(0xfffc1) == 1);
  CHECK(pasid_directory_entries(0) == 128);
  CHECK(pasid_directory_entries(7) == 16384);
}

TEST_CASE("PASID table entry, field by field") {
  PasidTableEntry e;
  e.pgtt = static_cast<TranslationGranularity>(0);
  const auto only = [&](auto change, unsigned word, std::uint64_t bits) {
    PasidTableEntry changed = e;
    change(changed);
    Bits512 expected;
    expected.word[word] = bits;
    CHECK(encode(changed) == expected);
    CHECK(decode_pasid_table_entry(expected) == changed);
  };
  only([](auto& x) { x.p = true; }, 0, 1);
  only([](auto& x) { x.fpd = true; }, 0, 2);
  only([](auto& x) { x.aw = 3; }, 0, 0xc);
  only([](auto& x) { x.pgtt = TranslationGranularity::first_stage; }, 0, 0x40);
  only([](auto& x) { x.pgtt = TranslationGranularity::second_stage; }, 0, 0x80);
  only([](auto& x) { x.pgtt = TranslationGranularity::nested; }, 0, 0xc0);
  only([](auto& x) { x.pgtt = TranslationGranularity::pass_through; }, 0, 0x100);
  only([](auto& x) { x.ssade = true; }, 0, 0x200);
  only([](auto& x) { x.ssptptr = Hpa{0x1234'5000}; }, 0, 0x1234'5000);
  only([](auto& x) { x.did = DomainId{0xfedc}; }, 1, 0xfedc);
  only([](auto& x) { x.pwsnp = true; }, 1, 0x80'0000);
  only([](auto& x) { x.pgsnp = true; }, 1, 0x100'0000);
  only([](auto& x) { x.sre = true; }, 2, 1);
  only([](auto& x) { x.ere = true; }, 2, 2);
  only([](auto& x) { x.fspm = 1; }, 2, 4);
  only([](auto& x) { x.wpe = true; }, 2, 0x10);
  only([](auto& x) { x.nxe = true; }, 2, 0x20);
  only([](auto& x) { x.smep = true; }, 2, 0x40);
  only([](auto& x) { x.eafe = true; }, 2, 0x80);
  only([](auto& x) { x.fsptptr = 0x9'8765'4000; }, 2, 0x9'8765'4000);
  CHECK(levels_of_fspm(0) == 4);
  CHECK(levels_of_fspm(1) == 5);
  CHECK(levels_of_fspm(2) == 0);
  CHECK(fspm_of_levels(5) == 1);
}

TEST_CASE("PASID table entry, reserved bits by what PGTT makes use of") {
  PasidTableEntry e;
  e.pgtt = TranslationGranularity::nested;
  const auto set = [&](unsigned word, unsigned bit) {
    Bits512 raw = encode(e);
    raw.word[word] |= 1ull << bit;
    return pasid_table_entry_reserved_set(raw, 46);
  };
  CHECK_FALSE(pasid_table_entry_reserved_set(encode(e), 46));
  CHECK(set(0, 5));
  CHECK(set(0, 10));
  CHECK(set(0, 11));
  CHECK(set(0, 46));
  CHECK(set(1, 16));
  CHECK(set(1, 22));
  CHECK(set(2, 8));
  CHECK(set(2, 11));
  CHECK_FALSE(set(2, 47));  // guest-physical: the second stage's business
  for (unsigned word = 3; word < 8; ++word) CHECK(set(word, 17));
  CHECK_FALSE(set(1, 40));  // PAT
  e.pgtt = TranslationGranularity::first_stage;
  CHECK(set(2, 46));
  CHECK_FALSE(set(0, 46));
  e.pgtt = TranslationGranularity::pass_through;
  CHECK_FALSE(set(0, 46));
}

TEST_CASE("first-stage paging entry") {
  CHECK(encode(FirstStagePte{true, true, true, true, true, false, false, false, 0x1000}) == 0x1067);
  CHECK(encode(FirstStagePte{true, false, true, false, false, true, true, true, 0x4000'0000}) ==
        0x8000'0000'4000'0485);
  CHECK(decode_first_stage_pte(0x8000'0000'4000'0485) ==
        FirstStagePte{true, false, true, false, false, true, true, true, 0x4000'0000});
  CHECK(decode_first_stage_pte(0x7ff0'0000'0000'1001).addr == 0x1000);  // 62:52 are ignored
  CHECK(is_canonical(Iova{0x0000'7fff'ffff'ffff}, 4));
  CHECK_FALSE(is_canonical(Iova{0x0000'8000'0000'0000}, 4));
  CHECK_FALSE(is_canonical(Iova{0xffff'7fff'ffff'ffff}, 4));
  CHECK(is_canonical(Iova{0xffff'8000'0000'0000}, 4));
  CHECK(is_canonical(Iova{0x00ff'ffff'ffff'ffff}, 5));
  CHECK_FALSE(is_canonical(Iova{0x0100'0000'0000'0000}, 5));
}

TEST_CASE("256-bit descriptors") {
  const auto same = [](const InvalidationDescriptor& d, std::uint64_t lo, std::uint64_t hi) {
    const Bits256 raw{{lo, hi, 0, 0}};
    CHECK(encode_wide(d) == raw);
    CHECK(decode_wide_invalidation_descriptor(raw) == d);
  };
  same(PasidIotlbInvalidate{PasidGranularity::pasid, DomainId{7}, 0x12345, 0, false, {}}, 0x0001'2345'0007'0026, 0);
  // 64 KiB at page 0xfffe0 of the PASID that stands for a device's requests.
  same(PasidIotlbInvalidate{PasidGranularity::pages, DomainId{7}, 0, 4, true, Iova{0xfffe'0000}},
       0x0000'0000'0007'0036, 0xfffe'0044);
  same(PasidCacheInvalidate{PasidCacheGranularity::domain, DomainId{0x1234}, 0}, 0x1234'0007, 0);
  same(PasidCacheInvalidate{PasidCacheGranularity::pasid, DomainId{0x1234}, 0xfffff}, 0x000f'ffff'1234'0017, 0);
  same(PasidCacheInvalidate{}, 0x37, 0);
  same(PasidDeviceTlbInvalidate{16, SourceId{0x0310}, SourceId{0xabcd}, 0x12345, true, true, Iova{0x7000}},
       0xabc1'2345'0310'd108, 0x7801);
  same(IotlbInvalidate{Granularity::domain, false, false, DomainId{7}, 0, false, {}}, 0x0007'0022, 0);
  same(InvalidationWait{false, true, false, false, 2, Hpa{0x1234'5678}}, 0x0000'0002'0000'0025, 0x1234'5678);
  CHECK(page_block(PasidDeviceTlbInvalidate{0, {}, {}, 0, false, true, Iova{0xb000}}) ==
        PageBlock{Iova{0x8000}, 0x8000});
}

TEST_CASE("what is no legal 256-bit descriptor is refused with its reason, and nothing of it is lost") {
  const auto reason = [](const Bits256& raw) {
    const auto d = decode_wide_invalidation_descriptor(raw);
    CHECK(encode_wide(d) == raw);
    return std::get<IllegalDescriptor>(d).reason;
  };
  CHECK(reason({{0x9, 0, 0, 0}}) == QueueErrorInfo::invalid_descriptor_type);
  CHECK(reason({{0, 0, 5, 6}}) == QueueErrorInfo::invalid_descriptor_type);
  CHECK(reason({{0x0206, 0, 0, 0}}) == QueueErrorInfo::invalid_descriptor_type);  // type 11:9 is not zero
  CHECK(reason({{0x0006, 0, 0, 0}}) == QueueErrorInfo::reserved_field);           // granularity 00b
  CHECK(reason({{0x0016, 0, 0, 0}}) == QueueErrorInfo::reserved_field);           // 01b
  CHECK(reason({{0x0027, 0, 0, 0}}) == QueueErrorInfo::reserved_field);           // 10b
  for (const unsigned bit : {6u, 7u, 8u, 12u, 15u, 52u, 63u}) {
    CHECK(reason({{0x26 | 1ull << bit, 0, 0, 0}}) == QueueErrorInfo::reserved_field);
    CHECK(reason({{0x37 | 1ull << bit, 0, 0, 0}}) == QueueErrorInfo::reserved_field);
  }
  for (const unsigned bit : {7u, 11u}) CHECK(reason({{0x36, 1ull << bit, 0, 0}}) == QueueErrorInfo::reserved_field);
  CHECK(reason({{0x37, 1, 0, 0}}) == QueueErrorInfo::reserved_field);
  for (const unsigned bit : {1u, 10u}) CHECK(reason({{0x08, 1ull << bit, 0, 0}}) == QueueErrorInfo::reserved_field);
  CHECK(reason({{0x26, 0, 1, 0}}) == QueueErrorInfo::reserved_field);
  CHECK(reason({{0x25, 0, 0, 1ull << 63}}) == QueueErrorInfo::reserved_field);  // of every type
  // The narrow decoder knows no PASID-based types.
  CHECK(std::get<IllegalDescriptor>(decode_invalidation_descriptor({0x26, 0})).reason ==
        QueueErrorInfo::invalid_descriptor_type);
}

TEST_CASE("capabilities of scalable mode") {
  Capability c;
  c.nd = 0;
  c.fs1gp = true;
  CHECK(encode(c) == 1ull << 56);
  c.fs5lp = true;
  CHECK(encode(c) == (1ull << 56 | 1ull << 60));
  CHECK(decode_capability(encode(c)) == c);
  const auto only = [](auto change, std::uint64_t bits) {
    ExtendedCapability e;
    change(e);
    CHECK(encode(e) == bits);
    CHECK(decode_extended_capability(bits) == e);
  };
  only([](auto& e) { e.nest = true; }, 1ull << 26);
  only([](auto& e) { e.srs = true; }, 1ull << 31);
  only([](auto& e) { e.eafs = true; }, 1ull << 34);
  only([](auto& e) { e.pss = 19; }, 19ull << 35);
  only([](auto& e) { e.pasid = true; }, 1ull << 40);
  only([](auto& e) { e.smts = true; }, 1ull << 43);
  only([](auto& e) { e.ssts = true; }, 1ull << 46);
  only([](auto& e) { e.fsts = true; }, 1ull << 47);
  only([](auto& e) { e.smpwcs = true; }, 1ull << 48);
  only([](auto& e) { e.rps = true; }, 1ull << 49);
}

TEST_CASE("which scalable-mode faults FPD silences") {
  for (const FaultReason reason :
       {FaultReason::scalable_root_inaccessible, FaultReason::scalable_root_not_present,
        FaultReason::scalable_root_reserved, FaultReason::scalable_context_inaccessible,
        FaultReason::pasid_directory_inaccessible, FaultReason::pasid_entry_inaccessible}) {
    CHECK_FALSE(is_qualified(reason));
  }
  for (const FaultReason reason :
       {FaultReason::scalable_context_not_present, FaultReason::pasid_directory_not_present,
        FaultReason::pasid_entry_invalid, FaultReason::first_stage_not_present, FaultReason::second_stage_reserved,
        FaultReason::address_not_canonical, FaultReason::output_in_interrupt_range}) {
    CHECK(is_qualified(reason));
  }
}
