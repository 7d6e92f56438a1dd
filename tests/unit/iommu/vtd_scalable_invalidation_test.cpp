// SPDX-License-Identifier: Apache-2.0
// PASID-based invalidation, and the queue of 256-bit descriptors at its edges.
#include <catch2/catch.hpp>

#include "tests/unit/iommu/scalable_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::scalable_config;
using test::ScalableHost;
using Kind = Translation::Kind;
using Pgtt = ScalableHost::Pgtt;
using pgtable::read_write;
using pgtable::size_4k;

namespace {

constexpr std::uint64_t gib = 1 << 30;

/// Sixteen pages of guest memory at IOVA 0, nested, all cached.
struct Warm : ScalableHost {
  explicit Warm(const IommuConfig& config = scalable_config()) : ScalableHost(config) {
    second.map(Iova{0}, Hpa{gib}, 0x10'0000, read_write, size_4k, unlinked);
    guest.map(Iova{0}, Gpa{0x8000}, 0x1'0000, read_write, size_4k, guest_unlinked);
    use(Pgtt::nested);
    for (std::uint64_t page = 0; page < 16; ++page) read(page << 12);
  }
};
vtd::PasidIotlbInvalidate all_of(Pasid pasid, DomainId domain = ScalableHost::domain) {
  return {vtd::PasidGranularity::pasid, domain, pasid.value, 0, false, {}};
}
vtd::InvalidationWait wait(std::uint32_t data) {
  return {false, true, false, false, data, Hpa{0x8000}};
}

}  // namespace

TEST_CASE("page-selective within a PASID") {
  Warm h;
  IotlbInvalidated r = h.invalidate_pages(0x7000, 1, true);
  CHECK(r.granularity == iommu::Granularity::pages);
  CHECK(r.pasid == ScalableHost::pasid);
  CHECK(r.domain == ScalableHost::domain);
  CHECK(r.iova == Iova{0x6000});
  CHECK(r.bytes == 0x2000);
  CHECK(r.iotlb_dropped == 2);
  CHECK(r.walk_cache_dropped == 0);
  CHECK(r.invalidation_hint);
  CHECK(h.read(0x8000).iotlb_hit);
  CHECK(h.read(0x6000).walk_reads == 2);  // the place of the leaf table is still known
  CHECK(h.invalidate_pages(0, 4, true, Pasid{ScalableHost::pasid.value + 1}).iotlb_dropped == 0);
  r = h.invalidate_pages(0x7000, 0, false);
  CHECK(r.iotlb_dropped == 0);
  CHECK(r.walk_cache_dropped == 3);
  // From the root again, but what leads to the tables in the second stage is still known.
  CHECK(h.read(0x7000).walk_reads == 4 + 4 + 1);
}

TEST_CASE("PASID-selective") {
  Warm h;
  CHECK(h.run<IotlbInvalidated>(all_of(Pasid{1})).iotlb_dropped == 0);
  CHECK(h.run<IotlbInvalidated>(all_of(ScalableHost::pasid, DomainId{8})).iotlb_dropped == 0);
  const auto r = h.run<IotlbInvalidated>(all_of(ScalableHost::pasid));
  CHECK(r.granularity == iommu::Granularity::pasid);
  CHECK(r.iotlb_dropped == 16);
  CHECK(r.walk_cache_dropped == 3);
  CHECK(h.core.iotlb().size() == 0);
  CHECK(h.core.scalable_mode().first_stage_cache().size() == 0);
  CHECK(h.core.walk_cache().size() != 0);
}

TEST_CASE("PASID-based descriptors leave second-stage translations of the same domain") {
  ScalableHost h;
  h.second.map(Iova{0}, Hpa{gib}, 0x4000, read_write, size_4k, h.unlinked);
  h.use(Pgtt::second_stage);
  h.read(0);
  CHECK(h.run<IotlbInvalidated>(all_of(ScalableHost::pasid)).iotlb_dropped == 0);
  CHECK(h.invalidate_pages(0, 0).iotlb_dropped == 0);
  CHECK(h.read(0).iotlb_hit);
  CHECK(h.invalidate_second_stage(0, 0).iotlb_dropped == 1);
}

TEST_CASE("a second-stage invalidation takes all nested translations of the domain along") {
  Warm h;
  SECTION("of a page") {
    h.second.unmap(Iova{0x8000}, 0x1000, h.unlinked);
    const auto r = h.invalidate_second_stage(0x8000, 0, true);
    CHECK(r.iotlb_dropped == 16);      // under whatever IOVA
    CHECK(r.walk_cache_dropped == 3);  // and the places of the tables, hint or not
    CHECK(h.read(0).kind == Kind::fault);
    CHECK(h.read(0x1000).kind == Kind::translated);
  }
  SECTION("of a first-stage table's page: it lies elsewhere now") {
    const Gpa leaf_table{h.next - page_size};
    const Hpa moved = h.allocator.allocate();
    for (std::uint64_t at = 0; at < page_size; at += 8) {
      h.memory.write(moved + at, h.memory.read<std::uint64_t>(h.pages[leaf_table.value] + at));
    }
    h.memory.write(moved, h.memory.read<std::uint64_t>(moved) + 0x1000);  // and says something else
    h.second.unmap(Iova{leaf_table.value}, page_size, h.unlinked);
    h.second.map(Iova{leaf_table.value}, moved, page_size, read_write, size_4k, h.unlinked);
    h.invalidate_second_stage(leaf_table.value, 0, true);
    CHECK(h.read(0).hpa == Hpa{gib + 0x9000});
  }
  SECTION("of the domain") {
    const auto r = h.run<IotlbInvalidated>(
        vtd::IotlbInvalidate{vtd::Granularity::domain, false, false, ScalableHost::domain, 0, false, {}});
    CHECK(r.iotlb_dropped == 16);
    CHECK(h.core.walk_cache().size() + h.core.scalable_mode().first_stage_cache().size() == 0);
  }
  SECTION("global") {
    h.run<IotlbInvalidated>(vtd::IotlbInvalidate{});
    CHECK(h.core.iotlb().size() + h.core.walk_cache().size() + h.core.scalable_mode().first_stage_cache().size() ==
          0);
  }
}

TEST_CASE("PASID-cache invalidation") {
  using G = vtd::PasidCacheGranularity;
  Warm h;
  vtd::PasidTableEntry moved = h.entry;
  moved.pgtt = Pgtt::pass_through;
  h.write_entry(moved);
  CHECK(h.read(0).kind == Kind::translated);
  const auto dropped = [&](G g, DomainId domain, Pasid pasid) {
    return h.run<PasidCacheInvalidated>(vtd::PasidCacheInvalidate{g, domain, pasid.value}).dropped;
  };
  CHECK(dropped(G::domain, DomainId{8}, {}) == 0);
  CHECK(dropped(G::pasid, ScalableHost::domain, Pasid{1}) == 0);
  CHECK(dropped(G::pasid, DomainId{8}, ScalableHost::pasid) == 0);
  CHECK(h.read(0).kind == Kind::translated);
  SECTION("PASID") {
    CHECK(dropped(G::pasid, ScalableHost::domain, ScalableHost::pasid) == 1);
  }
  SECTION("domain") {
    CHECK(dropped(G::domain, ScalableHost::domain, {}) == 1);
  }
  SECTION("global") {
    CHECK(dropped(G::global, {}, {}) == 1);
  }
  const Translation t = h.read(0);
  CHECK(t.kind == Kind::pass_through);
  CHECK(t.context_reads == 2);  // the context entry was not touched
  CHECK(h.core.iotlb().size() == 16);
}

TEST_CASE("context-cache invalidation in scalable mode") {
  Warm h;
  h.context.rid_pasid = ScalableHost::pasid.value + 1;
  h.attach(ScalableHost::device, h.context);
  CHECK(h.read(0).iotlb_hit);
  using G = vtd::Granularity;
  const auto dropped = [&](G g, SourceId sid, std::uint8_t fm = 0) {
    return h.run<ContextCacheInvalidated>(vtd::ContextCacheInvalidate{g, DomainId{9}, sid, fm}).dropped;
  };
  CHECK(dropped(G::device_or_page, SourceId{0x0391}) == 0);
  CHECK(h.read(0).iotlb_hit);
  SECTION("the device: entries name no domain to differ in") {
    CHECK(dropped(G::device_or_page, ScalableHost::device) == 1);
  }
  SECTION("under a function mask") {
    CHECK(dropped(G::device_or_page, SourceId{0x0394}, 1) == 1);
  }
  SECTION("a domain is all of them") {
    CHECK(dropped(G::domain, {}) == 1);
  }
  SECTION("global") {
    CHECK(dropped(G::global, {}) == 1);
  }
  CHECK(h.read(0).reason == vtd::FaultReason::pasid_entry_not_present);
}

TEST_CASE("device-TLB descriptors with PASID are handed on") {
  ScalableHost h;
  const auto d = h.run<DeviceTlbInvalidation>(
      vtd::PasidDeviceTlbInvalidate{16, ScalableHost::device, {}, 0x1234, false, true, Iova{0x7000}});
  CHECK(d.source == ScalableHost::device);
  CHECK(d.pasid == Pasid{0x1234});
  CHECK_FALSE(d.all_pasids);
  CHECK(d.max_pending == 16);
  CHECK(d.iova == Iova{0});
  CHECK(d.bytes == 0x1'0000);
  CHECK(h.run<DeviceTlbInvalidation>(vtd::PasidDeviceTlbInvalidate{0, {}, {}, 0, true, false, {}}).all_pasids);
  CHECK(h.run<DeviceTlbInvalidation>(vtd::DeviceTlbInvalidate{}).pasid == no_pasid);
}

TEST_CASE("the wide queue goes round, 128 descriptors to a page") {
  ScalableHost h;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    h.submit(wait(i));
    REQUIRE(h.core.queued() == 1);
    REQUIRE(std::get<WaitReached>(h.core.step()).status_data == i);
    REQUIRE(h.core.read64(vtd::reg::iqh) == (i + 1) % 128 * 32);
  }
  for (std::uint32_t i = 0; i < 127; ++i) h.submit(wait(i));  // full, over the end
  CHECK(h.core.queued() == 127);
  for (std::uint32_t i = 0; i < 127; ++i) REQUIRE(std::get<WaitReached>(h.core.step()).status_data == i);
  CHECK(std::holds_alternative<QueueIdle>(h.core.step()));
}

TEST_CASE("an illegal descriptor stops the wide queue at itself; nothing behind it is lost") {
  Warm h;
  h.core.write32(vtd::reg::fectl, 0);
  const std::uint64_t at = h.tail;
  const vtd::Bits256 illegal = GENERATE(vtd::Bits256{{0x9, 0, 0, 0}}, vtd::Bits256{{0x26, 0, 0, 1}},
                                        vtd::Bits256{{0x16, 0, 0, 0}}, vtd::Bits256{{0x27, 0, 0, 0}});
  h.submit_raw(illegal);
  h.submit(all_of(ScalableHost::pasid));
  h.submit(wait(3));
  const auto e = std::get<QueueError>(h.core.step());
  CHECK(e.info == (illegal.word[0] == 9 ? vtd::QueueErrorInfo::invalid_descriptor_type
                                        : vtd::QueueErrorInfo::reserved_field));
  CHECK(e.fault_event);
  CHECK(h.core.read32(vtd::reg::fsts) == vtd::fsts::iqe);
  CHECK(h.core.read64(vtd::reg::iqh) == at);
  CHECK(std::holds_alternative<QueueStopped>(h.core.step()));
  CHECK(h.core.queued() == 0);
  h.submit(wait(4));
  CHECK(std::holds_alternative<QueueStopped>(h.core.step()));
  CHECK(h.read(0).iotlb_hit);  // nothing behind it has been executed

  h.memory.write(h.queue + at, vtd::encode_wide(wait(2)));
  CHECK(h.core.write32(vtd::reg::fsts, vtd::fsts::iqe).queue_pending);
  CHECK(std::get<WaitReached>(h.core.step()).status_data == 2);
  CHECK(std::get<IotlbInvalidated>(h.core.step()).iotlb_dropped == 16);
  CHECK(std::get<WaitReached>(h.core.step()).status_data == 3);
  CHECK(std::get<WaitReached>(h.core.step()).status_data == 4);
}

TEST_CASE("the other ways the wide queue fails") {
  ScalableHost h;
  const auto info = [&] { return std::get<QueueError>(h.core.step()).info; };
  SECTION("AM beyond MAMV") {
    h.submit(vtd::PasidIotlbInvalidate{vtd::PasidGranularity::pages, {}, 0, 19, false, {}});
    CHECK(info() == vtd::QueueErrorInfo::reserved_field);
  }
  SECTION("a tail that is no multiple of 32 bytes") {
    h.core.write32(vtd::reg::fectl, 0);
    CHECK(h.core.write64(vtd::reg::iqt, 16).fault_event);
    CHECK((h.core.read64(vtd::reg::iqercd) & 0xf) == 6);
    CHECK(h.core.read64(vtd::reg::iqt) == 0);
    CHECK(std::holds_alternative<QueueStopped>(h.core.step()));
  }
  SECTION("such a tail, from before the width was set") {
    h.core.write64(vtd::reg::iqa, h.queue.value);
    h.core.write64(vtd::reg::iqt, 16);
    h.core.write64(vtd::reg::iqa, h.queue.value | vtd::iqa_dw);
    CHECK(info() == vtd::QueueErrorInfo::tail_not_aligned);
  }
  SECTION("a tail outside the queue") {
    h.core.write64(vtd::reg::iqt, 0x1000);
    CHECK(info() == vtd::QueueErrorInfo::invalid_tail);
  }
  SECTION("a queue that ends outside memory") {
    h.core.write64(vtd::reg::iqa, ScalableHost::memory_bytes | vtd::iqa_dw);
    h.core.write64(vtd::reg::iqt, 32);
    CHECK(info() == vtd::QueueErrorInfo::fetch_error);
  }
  SECTION("PASID-based descriptors in 128 bits") {
    h.core.write64(vtd::reg::iqa, h.queue.value);
    h.memory.write(h.queue, vtd::encode(all_of(Pasid{})));
    h.core.write64(vtd::reg::iqt, 16);
    CHECK(info() == vtd::QueueErrorInfo::invalid_descriptor_type);
  }
  CHECK((h.core.read32(vtd::reg::fsts) & vtd::fsts::iqe) != 0);
}

TEST_CASE("no device TLB: descriptors for it, with PASID too, are illegal") {
  IommuConfig config = scalable_config();
  config.device_tlb = false;
  ScalableHost h(config);
  h.submit(vtd::PasidDeviceTlbInvalidate{});
  CHECK(std::get<QueueError>(h.core.step()).info == vtd::QueueErrorInfo::invalid_descriptor_type);
}

TEST_CASE("planted bugs of scalable mode do what they say") {
  IommuConfig config = scalable_config();
  SECTION("ignore_pasid_invalidation") {
    config.faults.ignore_pasid_invalidation = true;
    Warm h(config);
    CHECK(h.run<IotlbInvalidated>(all_of(ScalableHost::pasid)).iotlb_dropped == 0);
    CHECK(h.read(0).iotlb_hit);
    CHECK(h.invalidate_pages(0, 0).iotlb_dropped == 1);
  }
  SECTION("ignore_psi_mask") {
    config.faults.ignore_psi_mask = true;
    Warm h(config);
    const auto r = h.invalidate_pages(0x1000, 2, true);
    CHECK(r.bytes == 0x4000);
    CHECK(r.iotlb_dropped == 1);
    CHECK(h.read(0x1000).iotlb_hit);
  }
  SECTION("keep_nested_walk_cache") {
    config.faults.keep_nested_walk_cache = true;
    Warm h(config);
    CHECK(h.invalidate_pages(0, 4, false).walk_cache_dropped == 0);
    CHECK(h.run<IotlbInvalidated>(all_of(ScalableHost::pasid)).walk_cache_dropped == 0);
    CHECK(h.read(0).walk_reads == 2);
    CHECK(h.run<IotlbInvalidated>(vtd::IotlbInvalidate{}).walk_cache_dropped != 0);
  }
  SECTION("keep_nested_entries") {
    config.faults.keep_nested_entries = true;
    Warm h(config);
    CHECK(h.invalidate_second_stage(0x10'0000, 0).iotlb_dropped == 0);
    CHECK(h.read(0).iotlb_hit);
  }
  SECTION("keep_pasid_cache") {
    config.faults.keep_pasid_cache = true;
    Warm h(config);
    CHECK(h.run<PasidCacheInvalidated>(vtd::PasidCacheInvalidate{}).dropped == 0);
    CHECK(h.read(0).context_hit);
  }
}
