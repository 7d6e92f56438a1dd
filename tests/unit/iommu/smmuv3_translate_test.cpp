// SPDX-License-Identifier: Apache-2.0
// An SMMUv3's translations: what is read, cached, answered and recorded.
#include <catch2/catch.hpp>

#include "tests/unit/iommu/smmuv3_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using namespace gnomon::iommu::test;
using smmuv3::EventClass;
using smmuv3::EventCode;
using smmuv3::StreamConfig;
using Kind = Translation::Kind;

TEST_CASE("SMMUv3 stage 1: cold, then cached tables, then a TLB hit") {
  SmmuHost h;
  h.map(0xffff'f000, 0x1234'5000);
  h.map(0xffff'e000, 0x5000);
  const Translation cold = h.read(0xffff'f123);
  CHECK(cold.kind == Kind::translated);
  CHECK(cold.hpa == Hpa{0x1234'5123});
  CHECK(cold.bytes == 0xedd);
  CHECK(cold.context_reads == 2);
  CHECK(cold.walk_reads == 4);
  CHECK(cold.walk_level == 4);
  CHECK(cold.domain == DomainId{SmmuHost::asid});
  const Translation near = h.read(0xffff'e000);
  CHECK(near.context_hit);
  CHECK(near.context_reads == 0);
  CHECK(near.walk_reads == 1);
  CHECK(near.walk_level == 1);
  const Translation hit = h.write(0xffff'f000);
  CHECK(hit.iotlb_hit);
  CHECK(hit.walk_reads == 0);
}

TEST_CASE("SMMUv3 stage 2 alone") {
  SmmuHost h(StreamConfig::stage2);
  h.map2(0x4000'0000, 0x8000'0000, 1 << 30);
  const Translation t = h.write(0x4012'3456);
  CHECK(t.kind == Kind::translated);
  CHECK(t.hpa == Hpa{0x8012'3456});
  CHECK(t.context_reads == 1);
  CHECK(t.walk_reads == 2);
  CHECK(t.domain == DomainId{SmmuHost::vmid});
}

TEST_CASE("SMMUv3 nested: 24 reads for a page cold, 4 KiB tables in both stages") {
  IommuConfig small;
  small.walk_cache_entries = {0, 0, 0, 0};
  SmmuHost h(StreamConfig::nested, small);
  // Everything the first stage is made of is mapped one to one, page by page, and far apart from each other.
  h.map(0xffff'f000, 0x7000'0000);
  h.map2(0x7000'0000, 0x5'5000);
  h.map2(SmmuHost::contexts, SmmuHost::contexts);
  for (std::uint64_t at = 0x100'0000; at != 0x102'0000; at += page_size) h.map2(at, at);
  const Translation t = h.read(0xffff'f010);
  CHECK(t.kind == Kind::translated);
  CHECK(t.hpa == Hpa{0x5'5010});
  CHECK(t.context_reads == 1 + 4 + 1);
  CHECK(t.walk_reads == 24);
  CHECK(t.domain == DomainId{SmmuHost::vmid});
  CHECK(h.read(0xffff'f010).iotlb_hit);
  CHECK(h.unit.resolve(SmmuHost::device, Iova{0xffff'f010}, Access::read)->hpa == Hpa{0x5'5010});
}

TEST_CASE("SMMUv3 nested: the smaller leaf and the fewer permissions of both stages") {
  SmmuHost h(StreamConfig::nested);
  h.map2(0, 0, 1 << 30, 1, pgtable::read_only);
  h.map(0x4000'0000, 0x20'0000, 2 << 20);
  h.map(0x6000'0000, 0, 1 << 30 >> 9);
  Translation t = h.read(0x4000'1000);
  CHECK(t.hpa == Hpa{0x20'1000});
  CHECK(t.permissions == pgtable::read_only);
  CHECK(t.bytes == (2 << 20) - 0x1000);
  t = h.write(0x4000'1000);
  CHECK(t.kind == Kind::fault);
  CHECK(t.reason == EventCode::f_permission);
  const auto event = h.take_event();
  REQUIRE(event);
  CHECK(*event ==
        smmuv3::Event{EventCode::f_permission, 0x310, false, true, EventClass::in, 0x4000'1000, 0x20'1000});
}

TEST_CASE("SMMUv3 nested: faults of stage 2 say what was looked for") {
  SmmuHost h(StreamConfig::nested);
  CHECK(h.read(0x1000).reason == EventCode::f_translation);
  CHECK(h.take_event() ==
        smmuv3::Event{EventCode::f_translation, 0x310, true, true, EventClass::cd, 0x1000, SmmuHost::contexts});
  h.map2(SmmuHost::contexts, SmmuHost::contexts);
  CHECK(h.read(0x1000).reason == EventCode::f_translation);
  CHECK(h.take_event()->what == EventClass::ttd);
  for (std::uint64_t at = 0x100'0000; at != 0x102'0000; at += page_size) h.map2(at, at);
  h.map(0x1000, 0x7000'0000);
  CHECK(h.read(0x1000).reason == EventCode::f_translation);
  const auto event = h.take_event();
  CHECK(event->what == EventClass::in);
  CHECK(event->address == 0x7000'0000);
}

TEST_CASE("SMMUv3: configuration that blocks, and what is recorded of it") {
  SmmuHost h;
  SECTION("bypass") {
    h.write_stream(h.stream(StreamConfig::bypass));
    CHECK(h.write(0x1234).kind == Kind::pass_through);
    CHECK(h.write(0x1234).hpa == Hpa{0x1234});
  }
  SECTION("abort says nothing") {
    h.write_stream(h.stream(StreamConfig::abort));
    CHECK(h.write(0x1234).kind == Kind::fault);
    CHECK_FALSE(h.take_event());
  }
  SECTION("an entry that is not valid") {
    h.write_stream({});
    CHECK(h.write(0x1234).reason == EventCode::c_bad_ste);
    CHECK(h.take_event()->code == EventCode::c_bad_ste);
  }
  SECTION("a start level that does not fit the width") {
    auto e = h.stream(StreamConfig::stage2);
    e.s2t0sz = 30;
    h.write_stream(e);
    CHECK(h.write(0x1234).reason == EventCode::c_bad_ste);
  }
  SECTION("beyond the stream table") {
    h.set(smmuv3::reg::strtab_base_cfg, smmuv3::encode(smmuv3::StreamTableConfig{8, 8, false}));
    CHECK(h.write(0x1234).reason == EventCode::c_bad_streamid);
  }
  SECTION("a context descriptor that is not valid") {
    h.write_context({});
    CHECK(h.write(0x1234).reason == EventCode::c_bad_cd);
  }
  SECTION("a table beyond memory") {
    auto c = h.context();
    c.ttb0 = SmmuHost::memory_bytes;
    h.write_context(c);
    CHECK(h.write(0x1234).reason == EventCode::f_walk_eabt);
    CHECK(h.take_event()->address == SmmuHost::memory_bytes);
  }
  SECTION("faults that software does not want recorded") {
    auto c = h.context();
    c.r = false;
    h.write_context(c);
    const Translation t = h.write(0x1234);
    CHECK(t.reason == EventCode::f_translation);
    CHECK_FALSE(t.recorded);
    CHECK_FALSE(h.take_event());
  }
  SECTION("an address the table has no bits for") {
    CHECK(h.read(std::uint64_t{1} << 48).reason == EventCode::f_translation);
  }
  SECTION("off, everything passes, or nothing") {
    h.set(smmuv3::reg::cr0, 0);
    CHECK(h.get(smmuv3::reg::cr0ack) == 0);
    CHECK(h.read(0x5000).kind == Kind::pass_through);
    h.set(smmuv3::reg::gbpa, smmuv3::gbpa::update | smmuv3::gbpa::abort);
    CHECK(h.read(0x5000).kind == Kind::fault);
  }
}

TEST_CASE("SMMUv3: permission, access flag and size faults of stage 1") {
  SmmuHost h;
  h.map(0x1000, 0x5000, page_size, 1, pgtable::read_only);
  CHECK(h.read(0x1000).kind == Kind::translated);
  CHECK(h.write(0x1000).reason == EventCode::f_permission);
  h.map(0x2000, 0x6000);
  const Hpa leaf_table{0x100'0000};  // find the leaf and clear its access flag
  for (std::uint64_t at = leaf_table.value; at != 0x101'0000; at += 8) {
    const auto raw = h.memory.read<std::uint64_t>(Hpa{at});
    if ((raw & ~std::uint64_t{0xfff}) == 0x6000) h.memory.write(Hpa{at}, raw & ~std::uint64_t{0x400});
  }
  CHECK(h.read(0x2000).reason == EventCode::f_access);
  auto c = h.context();
  c.affd = true;
  h.write_context(c);
  h.run<ContextCacheInvalidated>(smmuv3::CfgiCd{0x310, 0, true});
  CHECK(h.read(0x2000).kind == Kind::translated);
  c.ips = 0;  // 32 bits
  h.write_context(c);
  h.run<ContextCacheInvalidated>(smmuv3::CfgiCd{0x310, 0, true});
  h.map(0x3000, std::uint64_t{1} << 33);
  CHECK(h.read(0x3000).reason == EventCode::f_addr_size);
}

TEST_CASE("SMMUv3: a two-level stream table") {
  SmmuHost h;
  const std::uint64_t level1 = 0x90'0000;
  const std::uint64_t level2 = 0x90'4000;
  h.set(smmuv3::reg::strtab_base, level1, 8);
  h.set(smmuv3::reg::strtab_base_cfg, smmuv3::encode(smmuv3::StreamTableConfig{16, 8, true}));
  h.map(0x1000, 0x5000);
  CHECK(h.read(0x1000).reason == EventCode::c_bad_streamid);
  h.memory.write(Hpa{level1 + 3 * 8}, smmuv3::encode(smmuv3::StreamTableL1{9, level2}));
  h.memory.write(Hpa{level2 + 0x10 * 64}, smmuv3::encode(h.stream(StreamConfig::stage1)));
  const Translation t = h.read(0x1000);
  CHECK(t.kind == Kind::translated);
  CHECK(t.context_reads == 3);
  h.run<ContextCacheInvalidated>(smmuv3::CfgiSte{0x310, false});
  h.memory.write(Hpa{level1 + 3 * 8}, smmuv3::encode(smmuv3::StreamTableL1{4, level2}));  // 8 entries
  CHECK(h.read(0x1000).reason == EventCode::c_bad_streamid);
}

TEST_CASE("SMMUv3: interrupt messages pass, the event queue overflows once") {
  SmmuHost h;
  CHECK(h.write(0xfee0'1000).kind == Kind::interrupt_request);
  CHECK(h.read(0xfee0'1000).kind == Kind::unsupported_request);
  CHECK(h.read(0x1000).recorded);
  for (int i = 0; i != 7; ++i) CHECK(h.read(0x1000).recorded);
  CHECK_FALSE(h.read(0x1000).recorded);
  CHECK_FALSE(h.read(0x1000).recorded);
  CHECK(h.get(smmuv3::reg::eventq_prod) == (smmuv3::queue_overflow | 8));
  h.set(smmuv3::reg::eventq_cons, smmuv3::queue_overflow | 1);
  CHECK(h.read(0x1000).recorded);
  CHECK(h.get(smmuv3::reg::eventq_prod) == (smmuv3::queue_overflow | 9));
}
