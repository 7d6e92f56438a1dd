// SPDX-License-Identifier: Apache-2.0
// An SMMUv3's command queues: what each command drops and what it leaves, errors, virtual queues.
#include <catch2/catch.hpp>

#include "tests/unit/iommu/smmuv3_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using namespace gnomon::iommu::test;
using namespace gnomon::smmuv3;
namespace vq = gnomon::smmuv3::virtual_queue;

TEST_CASE("TLBI by address, ASID, VMID: what goes and what stays") {
  SmmuHost h;
  for (std::uint64_t page = 0; page != 40; ++page)
    h.map(0x10'0000 + page * page_size, 0x4000'0000 + page * page_size);
  const auto fill = [&] {
    for (std::uint64_t page = 0; page != 40; ++page) h.read(0x10'0000 + page * page_size);
    REQUIRE(h.unit.iotlb().size() == 40);
  };
  fill();
  CHECK(h.invalidate(0x10'5000).iotlb_dropped == 1);
  CHECK(h.unit.walk_cache().size() == 3);
  CHECK(h.invalidate(0x10'5000, false).walk_cache_dropped == 3);
  fill();
  // 33 pages are two commands: 1 << 0, then 1 << 5.
  CHECK(h.run<IotlbInvalidated>(TlbiNhVa{0, SmmuHost::asid, {0x10'0000, true, 1, 0, 0, 3}}).iotlb_dropped == 1);
  const auto range = h.run<IotlbInvalidated>(TlbiNhVa{0, SmmuHost::asid, {0x10'1000, true, 1, 0, 5, 3}});
  CHECK(range.iotlb_dropped == 32);
  CHECK(range.bytes == 32 * page_size);
  CHECK(range.domain == DomainId{SmmuHost::asid});
  CHECK(h.unit.iotlb().size() == 7);
  fill();
  CHECK(h.run<IotlbInvalidated>(TlbiNhVa{0, 6, {0x10'0000, false, 1, 0, 6, 3}}).iotlb_dropped ==
        0);  // another ASID
  CHECK(h.run<IotlbInvalidated>(TlbiNhVa{1, 5, {0x10'0000, false, 1, 0, 6, 3}}).iotlb_dropped ==
        0);  // another VMID
  CHECK(h.run<IotlbInvalidated>(TlbiNhVaa{1, {0x10'0000, true, 1, 0, 0, 3}}).iotlb_dropped == 0);
  CHECK(h.run<IotlbInvalidated>(TlbiNhVaa{0, {0x10'0000, true, 1, 0, 0, 3}}).iotlb_dropped == 1);
  h.read(0x10'0000);
  CHECK(h.run<IotlbInvalidated>(TlbiNhAsid{0, 6}).iotlb_dropped == 0);
  CHECK(h.run<IotlbInvalidated>(TlbiNhAsid{0, 5}).iotlb_dropped == 40);
  fill();
  CHECK(h.run<IotlbInvalidated>(TlbiNhAll{1}).iotlb_dropped == 0);
  CHECK(h.run<IotlbInvalidated>(TlbiNhAll{0}).iotlb_dropped == 40);
  fill();
  CHECK(h.run<IotlbInvalidated>(TlbiNsnhAll{}).iotlb_dropped == 40);
  CHECK(h.unit.walk_cache().size() == 0);
}

TEST_CASE("a unit without range invalidation takes a range for its first address") {
  Smmuv3Config config;
  config.range_invalidation = false;
  SmmuHost h(StreamConfig::stage1, {}, config);
  CHECK(h.get(reg::idr3) == 0);
  h.map(0x1000, 0x5000, page_size, 2);
  h.read(0x1000);
  h.read(0x2000);
  CHECK(h.run<IotlbInvalidated>(TlbiNhVa{0, 5, {0x1000, true, 1, 1, 0, 3}}).iotlb_dropped == 1);
}

TEST_CASE("nested: stage 2's commands and stage 1's drop different things") {
  SmmuHost h(StreamConfig::nested);
  h.map2(0, 0, 1 << 30);
  h.map(0x1000, 0x4000'0000 - 0x1000);
  h.read(0x1000);
  // The combined page, and stage 2's one block that held the context, the tables and the page.
  CHECK(h.unit.iotlb().size() == 2);
  CHECK(h.run<IotlbInvalidated>(TlbiS2Ipa{SmmuHost::vmid, {0, true, 0, 0, 0, 0}}).iotlb_dropped == 1);
  CHECK(h.read(0x1000).iotlb_hit);  // what combines both stays
  CHECK(h.run<IotlbInvalidated>(TlbiNhAll{SmmuHost::vmid}).iotlb_dropped == 1);
  CHECK_FALSE(h.read(0x1000).iotlb_hit);
  CHECK(h.run<IotlbInvalidated>(TlbiNhVa{SmmuHost::vmid, 5, {0x1000, true, 0, 0, 0, 0}}).domain ==
        DomainId{SmmuHost::vmid});
  h.read(0x1000);
  CHECK(h.run<IotlbInvalidated>(TlbiS12Vmall{SmmuHost::vmid}).iotlb_dropped == 2);
}

TEST_CASE("configuration is cached until it is invalidated") {
  SmmuHost h;
  h.map(0x1000, 0x5000);
  h.read(0x1000);
  h.write_stream({});
  h.write_context({});
  CHECK(h.read(0x1000).kind == Translation::Kind::translated);
  CHECK(h.run<ContextCacheInvalidated>(CfgiCd{0x310, 0, true}).dropped == 1);
  CHECK(h.read(0x1000).reason == EventCode::c_bad_cd);
  CHECK(h.run<ContextCacheInvalidated>(CfgiSte{0x310, true}).dropped == 1);
  CHECK(h.read(0x1000).reason == EventCode::c_bad_ste);
  h.write_stream(h.stream(StreamConfig::stage1));
  h.write_context(h.context());
  h.read(0x1000);
  CHECK(h.run<ContextCacheInvalidated>(CfgiSteRange{0x300, 3}).dropped == 0);  // 0x300 to 0x30f
  CHECK(h.run<ContextCacheInvalidated>(CfgiSteRange{0x300, 4}).dropped == 2);
  h.read(0x1000);
  const auto all = h.run<ContextCacheInvalidated>(CfgiSteRange{0, 31});
  CHECK(all.dropped == 2);
  CHECK(all.granularity == Granularity::global);
}

TEST_CASE("CMD_SYNC tells by a write or not at all, and CONS passes it") {
  SmmuHost h;
  const auto polled = h.run<WaitReached>(CmdSync{SyncSignal::sev, 3, 0xf, 0, 0});
  CHECK_FALSE(polled.status_write);
  CHECK(h.get(reg::cmdq_cons) == 1);
  const auto message = h.run<WaitReached>(CmdSync{SyncSignal::irq, 3, 0xf, 7, 0x1234});
  CHECK(message.status_write);
  CHECK(message.status_address == Hpa{0x1234});
  CHECK(message.status_data == 7);
  CHECK(message.status_bytes == 4);
}

TEST_CASE("the queue wraps, fills and empties") {
  SmmuHost h;
  for (int round = 0; round != 5; ++round) {
    for (int i = 0; i != 50; ++i) h.submit(TlbiNsnhAll{});
    CHECK(h.unit.queued() == 50);
    for (int i = 0; i != 50; ++i) CHECK(std::holds_alternative<IotlbInvalidated>(h.unit.step()));
    CHECK(std::holds_alternative<QueueIdle>(h.unit.step()));
  }
  for (int i = 0; i != 64; ++i) h.submit(TlbiNsnhAll{});  // full: indices equal, wrap bits not
  CHECK(h.unit.queued() == 64);
}

TEST_CASE("an illegal command stops the queue until it is acknowledged and replaced") {
  SmmuHost h;
  h.set(reg::irq_ctrl, irq_ctrl::gerror);
  h.submit(TlbiNsnhAll{});
  h.submit_raw({{0x02, 0}});
  h.submit(TlbiNsnhAll{});
  h.unit.step();
  const auto error = std::get<QueueError>(h.unit.step());
  CHECK(error.info == CommandError::illegal);
  CHECK(error.fault_event);
  CHECK(h.get(reg::gerror) == 1);
  CHECK(h.get(reg::cmdq_cons) == 0x0100'0001);
  CHECK(h.unit.queued() == 0);
  CHECK(std::holds_alternative<QueueStopped>(h.unit.step()));
  h.memory.write(Hpa{SmmuHost::commands + 16}, encode(CmdSync{}));
  CHECK(h.set(reg::gerrorn, 1).queue_pending);
  CHECK(std::holds_alternative<WaitReached>(h.unit.step()));
  CHECK(std::holds_alternative<IotlbInvalidated>(h.unit.step()));
  CHECK(h.get(reg::cmdq_cons) == 3);
}

TEST_CASE("commands the unit does not have are illegal: ATS, stage 2; memory that is not there aborts") {
  IommuConfig no_ats;
  no_ats.device_tlb = false;
  Smmuv3Config one;
  one.stage2 = false;
  SmmuHost h(StreamConfig::stage1, no_ats, one);
  CHECK(decode_idr0(static_cast<std::uint32_t>(h.get(reg::idr0))).s2p == false);
  CHECK(h.run<QueueError>(AtcInv{}).info == CommandError::illegal);
  h.set(reg::cr0, 0);
  h.set(reg::cmdq_base, queue_register(SmmuHost::memory_bytes, 6), 8);
  h.set(reg::cmdq_cons, 0);
  h.set(reg::cr0, cr0::cmdqen);
  h.set(reg::gerrorn, 1);
  CHECK(std::get<QueueError>(h.unit.step()).info == CommandError::abort);

  SmmuHost with;
  const auto atc = with.run<DeviceTlbInvalidation>(AtcInv{0x310, false, 0, false, 0x1'2000, 1});
  CHECK(atc.iova == Iova{0x1'2000});
  CHECK(atc.bytes == 8192);
  CHECK(with.run<DeviceTlbInvalidation>(AtcInv{0x310, false, 0, false, 0, 52}).bytes == 0);
}

TEST_CASE("a virtual queue: the guest's invalidations under the hypervisor's VMID and StreamID") {
  Smmuv3Config config;
  config.virtual_queues = true;
  SmmuHost h(StreamConfig::nested, {}, config);
  h.map2(0, 0, 1 << 30);
  h.map(0x1000, 0x2000);
  h.read(0x1000);
  const std::uint64_t ring = 0x91'0000;
  const auto put = [&](std::uint32_t slot, const Command& c) { h.memory.write(Hpa{ring + slot * 16}, encode(c)); };
  h.set(vq::page1 + vq::base, queue_register(ring, 6), 8);
  h.set(vq::page0 + vq::queue_config, 1);
  CHECK(h.get(vq::page0 + vq::queue_status) == 0);  // the interface is off
  h.set(vq::interface_page + vq::config, vq::interface_config(SmmuHost::vmid, true));
  h.set(vq::interface_page + vq::sid_match, 0x20 << 1 | 1);
  h.set(vq::interface_page + vq::sid_replace, 0x310);
  h.set(vq::page0 + vq::queue_config, 1);
  CHECK(h.get(vq::page0 + vq::queue_status) == 1);

  put(0, TlbiNhVa{77, 5, {0x1000, true, 0, 0, 0, 0}});
  put(1, AtcInv{0x20, false, 0, false, 0, 52});
  put(2, CmdSync{});
  put(3, TlbiNsnhAll{});
  CHECK(h.set(vq::page0 + vq::prod, 4).queue_pending);
  CHECK(h.unit.queued() == 4);
  CHECK(std::get<IotlbInvalidated>(h.unit.step()).iotlb_dropped == 1);
  CHECK(std::get<DeviceTlbInvalidation>(h.unit.step()).source == SmmuHost::device);
  CHECK(std::holds_alternative<WaitReached>(h.unit.step()));
  CHECK(std::get<QueueError>(h.unit.step()).info == CommandError::illegal);  // not a guest's to ask
  CHECK(h.get(vq::page0 + vq::cons) == (3 | cons_error(CommandError::illegal)));
  CHECK(h.get(vq::page0 + vq::queue_gerror) == 1);
  CHECK(h.get(reg::gerror) == 0);
  CHECK(std::holds_alternative<IotlbInvalidated>(
      (h.submit(TlbiNsnhAll{}), h.unit.step())));  // the SMMU's own goes on
}
