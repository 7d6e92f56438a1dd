// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/iommu/host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::Host;
using Kind = Translation::Kind;


namespace {

vtd::IotlbInvalidate domain_selective(DomainId did) {
  return {vtd::Granularity::domain, false, false, did, 0, false, {}};
}
vtd::InvalidationWait wait(std::uint32_t data) {
  return {false, true, false, false, data, Hpa{0x8000}};
}
std::uint8_t queue_error(const Host& h) {
  return static_cast<std::uint8_t>(h.core.read64(vtd::reg::iqercd) & 0xf);
}

}  // namespace

TEST_CASE("a page-selective invalidation drops its aligned block") {
  Host h;
  h.map(0, 0x4000'0000, 0x1'0000);
  for (std::uint64_t page = 0; page < 16; ++page) h.read(page << 12);
  const IotlbInvalidated r = h.invalidate_pages(0x7000, 1, true);
  CHECK(r.granularity == iommu::Granularity::pages);
  CHECK(r.domain == Host::domain);
  CHECK(r.iova == Iova{0x6000});  // page 7 with AM 1 is {6, 7}: page 8 stays
  CHECK(r.bytes == 0x2000);
  CHECK(r.iotlb_dropped == 2);
  CHECK(r.walk_cache_dropped == 0);
  CHECK(r.invalidation_hint);
  CHECK(r.drain_reads);
  CHECK_FALSE(h.read(0x6000).iotlb_hit);
  CHECK_FALSE(h.read(0x7000).iotlb_hit);
  CHECK(h.read(0x8000).iotlb_hit);
}

TEST_CASE("without the hint the paging-structure caches of the range go too") {
  Host h;
  h.map(0, 0x4000'0000, 0x2000);
  h.map(0x4000'0000, 0x4000'0000, 0x1000);
  h.read(0);
  h.read(0x4000'0000);
  REQUIRE(h.core.walk_cache().size() == 5);  // one table of level 3, two of 2, two of 1
  SECTION("IH = 1") {
    CHECK(h.invalidate_pages(0, 0, true).walk_cache_dropped == 0);
    CHECK(h.read(0).walk_reads == 1);
  }
  SECTION("IH = 0") {
    CHECK(h.invalidate_pages(0, 0, false).walk_cache_dropped == 3);
    CHECK(h.read(0).walk_reads == 4);
    CHECK(h.read(0x4000'0000).iotlb_hit);
  }
}

TEST_CASE("a hint that lies leaves the unit reading a table that is gone") {
  Host h;
  h.map(0, 0x4000'0000, 0x20'0000);
  h.read(0);
  h.unmap(0, 0x20'0000);
  REQUIRE(h.unlinked.size() == 1);
  h.invalidate_pages(0, 9, true);
  CHECK(h.read(0x1000).kind == Kind::translated);
  CHECK_FALSE(h.core.resolve(Host::device, Iova{0x1000}, Access::read));
  h.invalidate_pages(0, 9, false);
  CHECK(h.read(0x1000).kind == Kind::fault);
}

TEST_CASE("domain-selective and global") {
  Host h;
  h.map(0, 0x4000'0000, 0x4000);
  for (std::uint64_t page = 0; page < 4; ++page) h.read(page << 12);
  CHECK(h.run<IotlbInvalidated>(domain_selective(DomainId{9})).iotlb_dropped == 0);
  const auto r = h.run<IotlbInvalidated>(domain_selective(Host::domain));
  CHECK(r.iotlb_dropped == 4);
  CHECK(r.walk_cache_dropped == 3);
  CHECK(r.bytes == std::uint64_t{1} << 48);
  h.read(0);
  const auto g = h.run<IotlbInvalidated>(vtd::IotlbInvalidate{});
  CHECK(g.iotlb_dropped == 1);
  CHECK(g.walk_cache_dropped == 3);
  CHECK(h.read(0).context_hit);  // context entries are the business of their own descriptor
}

TEST_CASE("context-cache descriptors drop context entries, and only those") {
  Host h;
  h.map(0, 0x4000'0000, 0x1000);
  h.read(0);
  h.attach(Host::device, {true, false, vtd::TranslationType::pass_through, {}, 2, Host::domain});
  CHECK(h.read(0).kind == Kind::translated);  // cached
  auto r = h.run<ContextCacheInvalidated>(
      vtd::ContextCacheInvalidate{vtd::Granularity::device_or_page, Host::domain, SourceId{0x0399}, 0});
  CHECK(r.dropped == 0);
  r = h.run<ContextCacheInvalidated>(
      vtd::ContextCacheInvalidate{vtd::Granularity::device_or_page, Host::domain, Host::device, 0});
  CHECK(r.dropped == 1);
  CHECK(r.source == Host::device);
  CHECK(h.core.iotlb().size() == 1);
  CHECK(h.read(0).kind == Kind::pass_through);
  CHECK(h.run<ContextCacheInvalidated>(vtd::ContextCacheInvalidate{vtd::Granularity::domain, Host::domain, {}, 0})
            .dropped == 1);
  CHECK(h.run<ContextCacheInvalidated>(vtd::ContextCacheInvalidate{}).dropped == 0);
}

TEST_CASE("a wait says what to write where, and raises the completion event once") {
  Host h;
  auto w = h.run<WaitReached>(wait(2));
  CHECK(w.status_write);
  CHECK(w.status_address == Hpa{0x8000});
  CHECK(w.status_data == 2);
  CHECK_FALSE(w.completion_event);
  const vtd::InvalidationWait interrupt{true, false, true, false, 0, {}};
  h.core.write32(vtd::reg::iectl, 0);
  w = h.run<WaitReached>(interrupt);
  CHECK(w.completion_event);
  CHECK(w.fence);
  CHECK_FALSE(w.status_write);
  CHECK(h.core.read32(vtd::reg::ics) == vtd::ics_iwc);
  CHECK_FALSE(h.run<WaitReached>(interrupt).completion_event);
  h.core.write32(vtd::reg::ics, vtd::ics_iwc);
  h.core.write32(vtd::reg::iectl, vtd::event_control::im);
  CHECK_FALSE(h.run<WaitReached>(interrupt).completion_event);
  CHECK((h.core.read32(vtd::reg::iectl) & vtd::event_control::ip) != 0);
  CHECK(h.core.write32(vtd::reg::iectl, 0).completion_event);
}

TEST_CASE("descriptors for others are handed on") {
  Host h;
  const auto d = h.run<DeviceTlbInvalidation>(vtd::DeviceTlbInvalidate{16, Host::device, {}, true, Iova{0x7000}});
  CHECK(d.source == Host::device);
  CHECK(d.max_pending == 16);
  CHECK(d.iova == Iova{0});
  CHECK(d.bytes == 0x1'0000);
  const auto i = h.run<InterruptEntriesInvalidated>(vtd::InterruptEntryCacheInvalidate{true, 3, 0x45});
  CHECK_FALSE(i.global);
  CHECK(i.first == 0x40);
  CHECK(i.count == 8);
  CHECK(h.run<InterruptEntriesInvalidated>(vtd::InterruptEntryCacheInvalidate{}).global);
}

TEST_CASE("the queue goes round, one descriptor a step") {
  Host h;
  CHECK(std::holds_alternative<QueueIdle>(h.core.step()));
  for (std::uint32_t i = 0; i < 1000; ++i) {
    REQUIRE(h.submit(wait(i)).queue_pending);
    REQUIRE(std::get<WaitReached>(h.core.step()).status_data == i);
    REQUIRE(h.core.read64(vtd::reg::iqh) == (i + 1) % 256 * 16);
    REQUIRE_FALSE(h.core.queue_pending());
  }
}

TEST_CASE("a full queue is all slots but one") {
  Host h;
  for (std::uint32_t i = 0; i < 100; ++i) h.run<WaitReached>(wait(i));  // start in mid-ring
  for (std::uint32_t i = 0; i < 255; ++i) h.submit(wait(i));
  for (std::uint32_t i = 0; i < 255; ++i) REQUIRE(std::get<WaitReached>(h.core.step()).status_data == i);
  CHECK(std::holds_alternative<QueueIdle>(h.core.step()));
}

TEST_CASE("an illegal descriptor stops the queue at itself until software has mended it") {
  Host h;
  h.core.write32(vtd::reg::fectl, 0);
  h.run<WaitReached>(wait(1));
  h.submit_raw({0x02, 0});  // granularity 00b
  h.submit(wait(3));
  const auto e = std::get<QueueError>(h.core.step());
  CHECK(e.info == vtd::QueueErrorInfo::reserved_field);
  CHECK(e.fault_event);
  CHECK(h.core.read32(vtd::reg::fsts) == vtd::fsts::iqe);
  CHECK(queue_error(h) == 4);
  CHECK(h.core.read64(vtd::reg::iqh) == 16);
  CHECK(std::holds_alternative<QueueStopped>(h.core.step()));
  CHECK_FALSE(h.submit(wait(4)).queue_pending);

  h.memory.write(h.queue + 16, vtd::encode(wait(2)));
  CHECK(h.core.write32(vtd::reg::fsts, vtd::fsts::iqe).queue_pending);
  for (std::uint32_t i = 2; i <= 4; ++i) CHECK(std::get<WaitReached>(h.core.step()).status_data == i);
}

TEST_CASE("the other ways a queue fails") {
  IommuConfig config;
  config.device_tlb = false;
  Host h(config);
  const auto info = [&] { return std::get<QueueError>(h.core.step()).info; };
  SECTION("AM beyond MAMV") {
    h.submit(vtd::IotlbInvalidate{vtd::Granularity::device_or_page, false, false, {}, 19, false, {}});
    CHECK(info() == vtd::QueueErrorInfo::reserved_field);
  }
  SECTION("IM beyond MHMV") {
    h.submit(vtd::InterruptEntryCacheInvalidate{true, 16, 0});
    CHECK(info() == vtd::QueueErrorInfo::reserved_field);
  }
  SECTION("device-TLB descriptor without device-TLB support") {
    h.submit(vtd::DeviceTlbInvalidate{});
    CHECK(info() == vtd::QueueErrorInfo::invalid_descriptor_type);
  }
  SECTION("a tail outside the queue") {
    h.core.write64(vtd::reg::iqt, 0x1000);
    CHECK(info() == vtd::QueueErrorInfo::invalid_tail);
  }
  SECTION("a queue outside memory") {
    h.core.write64(vtd::reg::iqa, Host::memory_bytes);
    h.core.write64(vtd::reg::iqt, 16);
    CHECK(info() == vtd::QueueErrorInfo::fetch_error);
  }
  SECTION("256-bit descriptors") {
    h.core.write64(vtd::reg::iqa, h.queue.value | vtd::iqa_dw);
    h.core.write64(vtd::reg::iqt, 32);
    CHECK(info() == vtd::QueueErrorInfo::invalid_descriptor_width);
  }
  CHECK(h.core.read64(vtd::reg::iqh) == 0);
  CHECK((h.core.read32(vtd::reg::fsts) & vtd::fsts::iqe) != 0);
}

TEST_CASE("a larger queue") {
  Host h;
  for (int i = 0; i < 3; ++i) h.allocator.allocate();  // pages that follow the queue's own
  h.core.write64(vtd::reg::iqa, h.queue.value | 2);
  h.memory.write(h.queue + 0x3ff0, vtd::encode(wait(9)));
  for (std::uint64_t at = 0; at < 0x3ff0; at += 16) h.memory.write(h.queue + at, vtd::encode(wait(1)));
  h.core.write64(vtd::reg::iqt, 0x3ff0);
  while (h.core.queue_pending()) REQUIRE(std::get<WaitReached>(h.core.step()).status_data == 1);
  h.core.write64(vtd::reg::iqt, 0);
  CHECK(std::get<WaitReached>(h.core.step()).status_data == 9);
  CHECK(h.core.read64(vtd::reg::iqh) == 0);
}

TEST_CASE("a device that does not answer stops the queue with ITE") {
  Host h;
  h.core.write32(vtd::reg::fectl, 0);
  CHECK(h.core.device_tlb_timed_out(SourceId{0x0310}));
  CHECK_FALSE(h.core.device_tlb_timed_out(SourceId{0x0999}));
  CHECK(h.core.read64(vtd::reg::iqercd) == 0x0000'0310'0000'0000);
  CHECK_FALSE(h.submit(wait(1)).queue_pending);
  CHECK(h.core.write32(vtd::reg::fsts, vtd::fsts::ite).queue_pending);
}

TEST_CASE("planted bugs do what they say") {
  IommuConfig config;
  SECTION("ignore_psi_mask") {
    config.faults.ignore_psi_mask = true;
    Host h(config);
    h.map(0, 0x4000'0000, 0x4000);
    for (std::uint64_t page = 0; page < 4; ++page) h.read(page << 12);
    const IotlbInvalidated r = h.invalidate_pages(0x1000, 2, true);
    CHECK(r.bytes == 0x4000);
    CHECK(r.iotlb_dropped == 1);
    CHECK_FALSE(h.read(0).iotlb_hit);
    CHECK(h.read(0x1000).iotlb_hit);
  }
  SECTION("ignore_domain_invalidation") {
    config.faults.ignore_domain_invalidation = true;
    Host h(config);
    h.map(0, 0x4000'0000, 0x1000);
    h.read(0);
    CHECK(h.run<IotlbInvalidated>(domain_selective(Host::domain)).iotlb_dropped == 0);
    CHECK(h.read(0).iotlb_hit);
    CHECK(h.invalidate_pages(0, 0).iotlb_dropped == 1);
  }
  SECTION("keep_walk_cache") {
    config.faults.keep_walk_cache = true;
    Host h(config);
    h.map(0, 0x4000'0000, 0x1000);
    h.read(0);
    CHECK(h.invalidate_pages(0, 0, false).walk_cache_dropped == 0);
    CHECK(h.run<IotlbInvalidated>(vtd::IotlbInvalidate{}).walk_cache_dropped == 0);
    CHECK(h.read(0).walk_reads == 1);
  }
}
