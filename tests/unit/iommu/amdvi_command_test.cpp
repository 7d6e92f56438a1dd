// SPDX-License-Identifier: Apache-2.0
// The command buffer of an AMD-Vi unit: ring, every command, errors, and the planted bugs.
#include <catch2/catch.hpp>

#include "tests/unit/iommu/amdvi_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::AmdviHost;
namespace reg = amdvi::reg;

namespace {

constexpr std::uint64_t kib = 1024;

struct Warm : AmdviHost {
  explicit Warm(const IommuFaults& faults = {}) : AmdviHost(with(faults)) {
    map(0, 0x5000'0000, 4 * kib, 16);
    for (std::uint64_t page = 0; page < 16; ++page) read(page * 4 * kib);
  }
  static IommuConfig with(const IommuFaults& faults) {
    IommuConfig config;
    config.faults = faults;
    return config;
  }
  bool cached(std::uint64_t page) { return read(page * 4 * kib).iotlb_hit; }
};

}  // namespace

TEST_CASE("AMD-Vi: the ring wraps, and empties at its tail") {
  AmdviHost h;
  CHECK(std::holds_alternative<QueueIdle>(h.unit.step()));
  for (unsigned i = 0; i < 1100; ++i) {
    CHECK(h.submit(amdvi::CompletionWait{true, false, false, Hpa{0x8000}, i}).queue_pending);
    CHECK(h.unit.queued() == 1);
    CHECK(std::get<WaitReached>(h.unit.step()).status_data == i);
  }
  CHECK(h.get(reg::command_head) == 1100 % 512 * 16);
  CHECK(h.get(reg::command_tail) == 1100 % 512 * 16);
  CHECK(std::holds_alternative<QueueIdle>(h.unit.step()));
  for (unsigned i = 0; i < 511; ++i) h.submit(amdvi::CompletionWait{});  // one slot stays free
  CHECK(h.unit.queued() == 511);
  for (unsigned i = 0; i < 511; ++i) CHECK(std::holds_alternative<WaitReached>(h.unit.step()));
  CHECK(h.unit.queued() == 0);
}

TEST_CASE("AMD-Vi: COMPLETION_WAIT") {
  AmdviHost h;
  const auto stored =
      h.run<WaitReached>(amdvi::CompletionWait{true, false, true, Hpa{0x12'3458}, 0x1122'3344'5566'7788});
  CHECK(stored.status_write);
  CHECK(stored.status_bytes == 8);
  CHECK(stored.status_address == Hpa{0x12'3458});
  CHECK(stored.status_data == 0x1122'3344'5566'7788);
  CHECK(stored.fence);
  CHECK_FALSE(stored.completion_event);
  CHECK((h.get(reg::status) & amdvi::status::com_wait_int) == 0);

  const amdvi::CompletionWait interrupt{false, true, false, {}, 0};
  CHECK_FALSE(h.run<WaitReached>(interrupt).completion_event);  // not enabled: the status bit alone
  CHECK((h.get(reg::status) & amdvi::status::com_wait_int) != 0);
  CHECK(h.set(reg::control, AmdviHost::running | amdvi::control::com_wait_int_en).completion_event);
  CHECK_FALSE(h.run<WaitReached>(interrupt).completion_event);  // it stands
  h.set(reg::status, amdvi::status::com_wait_int);
  CHECK((h.get(reg::status) & amdvi::status::com_wait_int) == 0);
  CHECK(h.run<WaitReached>(interrupt).completion_event);
  CHECK_FALSE(h.run<WaitReached>(amdvi::CompletionWait{}).status_write);
}

TEST_CASE("AMD-Vi: INVALIDATE_IOMMU_PAGES") {
  Warm h;
  SECTION("S clear: one page") {
    const IotlbInvalidated done = h.invalidate(0x3000, 4 * kib);
    CHECK(done.granularity == Granularity::pages);
    CHECK(done.domain == AmdviHost::domain);
    CHECK(done.iova == Iova{0x3000});
    CHECK(done.bytes == 4 * kib);
    CHECK(done.iotlb_dropped == 1);
    CHECK(done.walk_cache_dropped == 2);  // the two tables on the way to it
    CHECK_FALSE(done.invalidation_hint);
    CHECK(h.cached(2));
    CHECK_FALSE(h.cached(3));
    CHECK(h.cached(4));
  }
  SECTION("S set: the block around {3, 4} is eight pages") {
    const IotlbInvalidated done = h.invalidate(0x3000, 8 * kib);
    CHECK(done.iova == Iova{0});
    CHECK(done.bytes == 32 * kib);
    CHECK(done.iotlb_dropped == 8);
    CHECK(h.cached(8));
  }
  SECTION("without PDE the directory entries stay") {
    const IotlbInvalidated done = h.invalidate(0, 64 * kib, false);
    CHECK(done.invalidation_hint);
    CHECK(done.iotlb_dropped == 16);
    CHECK(done.walk_cache_dropped == 0);
    CHECK(h.read(0).walk_reads == 1);
  }
  SECTION("the whole domain") {
    const IotlbInvalidated done = h.invalidate_domain();
    CHECK(done.granularity == Granularity::domain);
    CHECK(done.iova == Iova{0});
    CHECK(done.bytes == ~std::uint64_t{0});
    CHECK(done.iotlb_dropped == 16);
    CHECK(done.walk_cache_dropped == 2);
    CHECK(h.read(0).walk_reads == 3);
  }
  SECTION("the whole domain without PDE") {
    CHECK(h.invalidate_domain(false).walk_cache_dropped == 0);
    CHECK(h.read(0).walk_reads == 1);
  }
  SECTION("another domain") {
    CHECK(h.invalidate(0, 64 * kib, true, DomainId{8}).iotlb_dropped == 0);
    CHECK(h.cached(0));
  }
  SECTION("one page takes the whole leaf around it") {
    h.map(0x10'0000, 0x600'0000, 1024 * kib);
    h.read(0x10'0000);
    CHECK(h.invalidate(0x1f'f000, 4 * kib).iotlb_dropped == 1);
    CHECK_FALSE(h.read(0x10'0000).iotlb_hit);
  }
}

TEST_CASE("AMD-Vi: the other commands") {
  Warm h;
  SECTION("INVALIDATE_IOMMU_ALL") {
    const auto done = h.run<IotlbInvalidated>(amdvi::InvalidateIommuAll{});
    CHECK(done.granularity == Granularity::global);
    CHECK(done.iotlb_dropped == 16);
    CHECK(done.walk_cache_dropped == 2);
    CHECK(h.unit.device_table_cache().size() == 0);
    CHECK_FALSE(h.read(0).context_hit);
  }
  SECTION("INVALIDATE_IOTLB_PAGES goes to the device") {
    const auto done = h.run<DeviceTlbInvalidation>(amdvi::InvalidateIotlbPages{
        SourceId{0x0418}, 32, 0, amdvi::encode_range(Iova{0x3000}, 8 * kib), false, 0, 0});
    CHECK(done.source == SourceId{0x0418});
    CHECK(done.max_pending == 32);
    CHECK(done.iova == Iova{0});
    CHECK(done.bytes == 32 * kib);
    CHECK(h.cached(3));
    CHECK(
        h.run<DeviceTlbInvalidation>(amdvi::InvalidateIotlbPages{{}, 0, 0, amdvi::every_page, false, 0, 0}).bytes ==
        0);
  }
  SECTION("INVALIDATE_INTERRUPT_TABLE") {
    CHECK(h.run<InterruptEntriesInvalidated>(amdvi::InvalidateInterruptTable{AmdviHost::device}).global);
    CHECK(h.cached(3));
  }
}

TEST_CASE("AMD-Vi: an illegal command stops the unit until its commands are turned off and on") {
  AmdviHost h;
  const amdvi::Command illegal[] = {
      amdvi::IllegalCommand{{0x6000'0000'0000'0000, 0}},                                // PREFETCH_IOMMU_PAGES
      amdvi::IllegalCommand{{0x8000'0000'0000'0001, 0}},                                // a reserved bit
      amdvi::CompletePprRequest{AmdviHost::device, false, 0, 0},                        // no PPRSup
      amdvi::InvalidateIommuPages{AmdviHost::domain, {Iova{0}, false}, true, true, 1},  // no GTSup
      amdvi::InvalidateIotlbPages{AmdviHost::device, 0, 0, {Iova{0}, false}, true, 1, 0},
  };
  for (const amdvi::Command& command : illegal) {
    const std::uint64_t head = h.get(reg::command_head);
    h.submit(command);
    h.submit(amdvi::CompletionWait{true, false, false, Hpa{0x8000}, 5});
    const auto error = std::get<QueueError>(h.unit.step());
    CHECK(error.info == amdvi::EventCode::illegal_command_error);
    CHECK_FALSE(error.fault_event);
    CHECK(h.take_event() == amdvi::Event{amdvi::IllegalCommandError{AmdviHost::commands + head}});
    CHECK((h.get(reg::status) & amdvi::status::cmd_buf_run) == 0);
    CHECK(h.get(reg::command_head) == head);
    CHECK(h.unit.queued() == 0);
    CHECK(std::holds_alternative<QueueStopped>(h.unit.step()));
    CHECK_FALSE(h.set(reg::command_tail, h.get(reg::command_tail)).queue_pending);

    // Software steps over it, as Linux's reset of the buffer does.
    h.set(reg::control, AmdviHost::running & ~amdvi::control::cmd_buf_en);
    CHECK(std::holds_alternative<QueueIdle>(h.unit.step()));
    h.set(reg::command_head, head + 16);
    CHECK(h.set(reg::control, AmdviHost::running).queue_pending);
    CHECK(std::get<WaitReached>(h.unit.step()).status_data == 5);
  }
}

TEST_CASE("AMD-Vi: a device TLB that is not supported makes its command illegal") {
  IommuConfig config;
  config.device_tlb = false;
  AmdviHost h(config);
  CHECK_FALSE(h.unit.capability().iotlb_sup);
  h.submit(amdvi::InvalidateIotlbPages{});
  CHECK(std::holds_alternative<QueueError>(h.unit.step()));
}

TEST_CASE("AMD-Vi: a command that memory does not give is a hardware error") {
  AmdviHost h;
  h.set(reg::control, 0);
  h.set(reg::command_buffer, amdvi::ring_register(Hpa{AmdviHost::memory_bytes}, 9));
  h.set(reg::control, AmdviHost::running | amdvi::control::event_int_en);
  CHECK(h.set(reg::command_tail, 16).queue_pending);
  const auto error = std::get<QueueError>(h.unit.step());
  CHECK(error.info == amdvi::EventCode::command_hardware_error);
  CHECK(error.fault_event);
  CHECK(h.take_event() == amdvi::Event{amdvi::CommandHardwareError{amdvi::HardwareErrorType::master_abort,
                                                                   Hpa{AmdviHost::memory_bytes}}});
  CHECK(std::holds_alternative<QueueStopped>(h.unit.step()));
}

TEST_CASE("AMD-Vi: planted bugs do what they say") {
  SECTION("the S bit is ignored") {
    IommuFaults faults;
    faults.ignore_psi_mask = true;
    Warm h(faults);
    CHECK(h.invalidate(0, 64 * kib).iotlb_dropped == 1);
    CHECK(h.cached(1));
    CHECK(h.invalidate_domain().iotlb_dropped == 15);  // all but page 0, which is gone
  }
  SECTION("the whole-domain form is ignored") {
    IommuFaults faults;
    faults.ignore_domain_invalidation = true;
    Warm h(faults);
    CHECK(h.invalidate_domain().iotlb_dropped == 0);
    CHECK(h.cached(0));
    CHECK(h.invalidate(0, 64 * kib).iotlb_dropped == 16);
  }
  SECTION("the walk cache stays") {
    IommuFaults faults;
    faults.keep_walk_cache = true;
    Warm h(faults);
    CHECK(h.invalidate(0, 64 * kib).walk_cache_dropped == 0);
    CHECK(h.invalidate_domain().walk_cache_dropped == 0);
    CHECK(h.run<IotlbInvalidated>(amdvi::InvalidateIommuAll{}).walk_cache_dropped == 0);
    CHECK(h.read(0).walk_reads == 1);
  }
}
