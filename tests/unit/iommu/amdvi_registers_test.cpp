// SPDX-License-Identifier: Apache-2.0
// Registers and event log of an AMD-Vi unit.
#include <catch2/catch.hpp>

#include "tests/unit/iommu/amdvi_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::AmdviHost;
namespace reg = amdvi::reg;
namespace control = amdvi::control;
namespace status = amdvi::status;

namespace {

constexpr std::uint64_t ones = ~std::uint64_t{0};

struct Bare {
  PhysicalMemory memory{1 << 20};
  AmdviUnit unit{IommuConfig{}, memory};
  std::uint64_t set(std::uint32_t offset, std::uint64_t value) {
    unit.write(offset, value, 8);
    return unit.read(offset, 8);
  }
};

}  // namespace

TEST_CASE_METHOD(Bare, "AMD-Vi registers keep their writable bits") {
  for (std::uint32_t offset = 0; offset < amdvi::register_space_bytes; offset += 8) {
    if (offset != reg::extended_features) CHECK(unit.read(offset, 8) == 0);
  }
  CHECK(set(reg::device_table, ones) == 0x000f'ffff'ffff'f1ff);
  CHECK(set(reg::command_buffer, ones) == 0x0f0f'ffff'ffff'f000);
  CHECK(set(reg::event_log, ones) == 0x0f0f'ffff'ffff'f000);
  CHECK(set(reg::command_head, ones) == 0x7'fff0);
  CHECK(set(reg::command_tail, ones) == 0x7'fff0);
  CHECK(set(reg::event_head, ones) == 0x7'fff0);
  CHECK(set(reg::event_tail, ones) == 0x7'fff0);
  CHECK(set(reg::extended_features, ones) == 0x840);
  CHECK(set(reg::status, ones) == 0);
  CHECK(set(reg::exclusion_base, ones) == 0);
  CHECK(set(0x3ff8, ones) == 0);
  CHECK(set(reg::control, ones) == 0x1fff);
  CHECK(set(reg::command_buffer, 0) == 0);
  CHECK(unit.read(reg::command_tail, 8) == 0);  // a new base starts at 0
  CHECK(set(reg::event_log, 0) == 0);
  CHECK(unit.read(reg::event_head, 8) == 0);
  CHECK(unit.read(reg::event_tail, 8) == 0);
}

TEST_CASE_METHOD(Bare, "AMD-Vi registers work by halves") {
  unit.write(reg::device_table, 0x1234'5007, 4);
  unit.write(reg::device_table + 4, 0x000a'bcde, 4);
  CHECK(unit.read(reg::device_table, 8) == 0x000a'bcde'1234'5007);
  CHECK(unit.read(reg::device_table, 4) == 0x1234'5007);
  CHECK(unit.read(reg::device_table + 4, 4) == 0x000a'bcde);
  unit.write(reg::device_table, 0x1000, 4);
  CHECK(unit.read(reg::device_table, 8) == 0x000a'bcde'0000'1000);
}

TEST_CASE_METHOD(Bare, "AMD-Vi: commands run with IommuEn, CmdBufEn and a length") {
  const auto runs = [&] { return (unit.read(reg::status, 8) & status::cmd_buf_run) != 0; };
  set(reg::control, control::iommu_en | control::cmd_buf_en);
  CHECK_FALSE(runs());  // the length is reserved
  set(reg::control, 0);
  set(reg::command_buffer, amdvi::ring_register(Hpa{0x1000}, 8));
  set(reg::control, control::cmd_buf_en);
  CHECK_FALSE(runs());
  set(reg::command_tail, 32);
  CHECK(unit.queued() == 0);
  CHECK(unit.write(reg::control, control::cmd_buf_en | control::iommu_en, 8).queue_pending);
  CHECK(runs());
  CHECK(unit.queued() == 2);
  CHECK(set(reg::command_head, 16) == 0);  // not while it runs
  set(reg::control, control::iommu_en);
  CHECK_FALSE(runs());
  CHECK(set(reg::command_head, 16) == 16);
  // Pointers beyond the ring wrap with it.
  set(reg::command_tail, 4096 + 32);
  set(reg::control, control::cmd_buf_en | control::iommu_en);
  CHECK(unit.queued() == 1);
}

TEST_CASE("AMD-Vi: the event log fills, overflows and starts anew") {
  AmdviHost h;
  CHECK((h.get(reg::status) & status::event_log_run) != 0);
  for (unsigned i = 0; i < 255; ++i) CHECK(h.read(i << 12).recorded);
  CHECK(h.get(reg::event_tail) == 255 * 16);
  CHECK_FALSE(h.read(0xff'f000).recorded);
  CHECK((h.get(reg::status) & (status::event_overflow | status::event_log_run)) == status::event_overflow);
  for (unsigned i = 0; i < 255; ++i) {
    CHECK(std::get<amdvi::IoPageFault>(h.take_event()).address == Iova{std::uint64_t{i} << 12});
  }
  CHECK_FALSE(h.read(0).recorded);  // there is room, but it stands still
  h.set(reg::control, AmdviHost::running & ~control::event_log_en);
  h.set(reg::status, status::event_overflow);
  h.set(reg::control, AmdviHost::running);
  CHECK(h.read(0x5000).recorded);  // the last slot, then the tail wraps
  CHECK(h.get(reg::event_tail) == 0);
  CHECK(std::get<amdvi::IoPageFault>(h.take_event()).address == Iova{0x5000});
  CHECK(h.get(reg::event_head) == 0);
  CHECK(h.read(0x6000).recorded);
  CHECK(std::get<amdvi::IoPageFault>(h.take_event()).address == Iova{0x6000});
}

TEST_CASE("AMD-Vi: the event interrupt, once until its status is cleared") {
  AmdviHost h;
  CHECK_FALSE(h.read(0x1000).fault_event);  // EventIntEn is 0
  CHECK((h.get(reg::status) & status::event_log_int) != 0);
  CHECK(h.set(reg::control, AmdviHost::running | control::event_int_en).fault_event);
  CHECK_FALSE(h.set(reg::control, AmdviHost::running | control::event_int_en).fault_event);
  CHECK_FALSE(h.read(0x1000).fault_event);
  h.set(reg::status, status::event_log_int);
  CHECK((h.get(reg::status) & status::event_log_int) == 0);
  CHECK(h.read(0x1000).fault_event);
  for (unsigned i = 3; i < 255; ++i) CHECK_FALSE(h.read(0x1000).fault_event);
  CHECK(h.read(0x1000).fault_event);  // overflow is another condition
  CHECK_FALSE(h.read(0x1000).fault_event);
}

TEST_CASE("AMD-Vi: without a log an event is lost, in a log outside memory too") {
  AmdviHost h;
  h.set(reg::control, control::iommu_en);
  const Translation t = h.read(0x1000);
  CHECK(t.kind == Translation::Kind::fault);
  CHECK_FALSE(t.recorded);
  h.set(reg::event_log, amdvi::ring_register(Hpa{AmdviHost::memory_bytes}, 8));
  h.set(reg::control, AmdviHost::running);
  CHECK_FALSE(h.read(0x1000).recorded);
  CHECK(h.no_event());
}
