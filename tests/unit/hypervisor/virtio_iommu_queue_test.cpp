// SPDX-License-Identifier: Apache-2.0
// Requests through the ring: driver, queue, device, container.
#include "models/hypervisor/core/virtio_iommu_queue.hpp"

#include <catch2/catch.hpp>

#include "guest/virtio/virtqueue_driver.hpp"
#include "tests/support/recording_shadow.hpp"

using namespace gnomon;
using hypervisor::QueueError;
using hypervisor::VirtioIommuDevice;
using hypervisor::VirtqueueDevice;
using virtio_iommu::Status;
using virtio_iommu::Tail;

namespace {

struct Machine {
  Machine() { iommu.add_endpoint(8, &shadow); }

  template <class R>
  std::uint16_t add(const R& request, std::uint32_t writable = sizeof(Tail)) {
    const auto bytes = virtio_iommu::encode(request);
    const auto head = driver.add(bytes, writable);
    REQUIRE(head);
    return *head;
  }
  std::uint16_t map(std::uint64_t first, std::uint64_t last, std::uint64_t phys) {
    virtio_iommu::Map request;
    request.domain = 1;
    request.virt_start = first << page_shift;
    request.virt_end = ((last + 1) << page_shift) - 1;
    request.phys_start = phys << page_shift;
    request.flags = virtio_iommu::map_read | virtio_iommu::map_write;
    return add(request);
  }
  std::uint16_t unmap(std::uint64_t first, std::uint64_t last) {
    virtio_iommu::Unmap request;
    request.domain = 1;
    request.virt_start = first << page_shift;
    request.virt_end = ((last + 1) << page_shift) - 1;
    return add(request);
  }
  void attach() {
    virtio_iommu::Attach request;
    request.domain = 1;
    request.endpoint = 8;
    add(request);
    REQUIRE(sync() == 1);
  }
  // As the guest's sync: kick if needed, the device drains in the exit, all answers are taken. Returns exits.
  unsigned sync() {
    unsigned exits = 0;
    if (driver.kick_needed()) {
      ++exits;
      while (hypervisor::serve_request(queue, iommu)) {
      }
    }
    while (const auto used = driver.pop_used()) {
      last_status = ram.read<Tail>(driver.writable(used->head)).status;
      written = used->written;
    }
    CHECK(driver.in_flight() == 0);
    return exits;
  }

  PhysicalMemory memory{4 << 20};
  GuestRam ram{memory, Hpa{0}, 4 << 20, Backing::pages_4k, 1};
  virtio::SplitQueueLayout layout = virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, 256);
  guest::VirtqueueDriver driver{ram, layout, {Gpa{0x100000}, 72, 516}, {true, true, false}};
  VirtqueueDevice queue{ram, layout, {true, true}};
  test::RecordingShadow shadow;
  VirtioIommuDevice iommu{hypervisor::VirtioIommuDeviceConfig{}};
  Status last_status = Status::ok;
  std::uint32_t written = 0;
};

}  // namespace

TEST_CASE_METHOD(Machine, "the reference buffer: one exit to map it, one to unmap it") {
  attach();
  map(0xfffe0, 0xfffe9, 0x100);
  map(0xfffea, 0xfffef, 0x203);
  CHECK(sync() == 1);
  CHECK(shadow.calls.size() == 4);
  CHECK(shadow.pages.size() == 16);
  CHECK(sync() == 0);  // nothing was added: EVENT_IDX keeps the driver from leaving the guest
  unmap(0xfffe0, 0xfffef);
  CHECK(sync() == 1);
  CHECK(shadow.calls.size() == 8);
  CHECK(shadow.pages.empty());
}

TEST_CASE_METHOD(Machine, "a lazy UNMAP rides on the next map's kick") {
  attach();
  map(16, 16, 100);
  sync();
  unmap(16, 16);
  CHECK(shadow.pages.size() == 1);
  map(17, 17, 101);
  CHECK(sync() == 1);
  CHECK(shadow.pages == std::map<std::uint64_t, std::uint64_t>{{17, 101}});
}

TEST_CASE_METHOD(Machine, "each answer is its request's") {
  attach();
  const auto good = map(1, 1, 100);
  const auto overlapping = map(1, 2, 100);
  const auto unmapped = unmap(1, 1);
  virtio_iommu::Unmap other;
  other.domain = 9;
  other.virt_end = 0xfff;
  const auto stray = add(other);
  REQUIRE(driver.kick_needed());
  while (hypervisor::serve_request(queue, iommu)) {
  }
  const auto status = [this](std::uint16_t head) { return ram.read<Tail>(driver.writable(head)).status; };
  CHECK(status(good) == Status::ok);
  CHECK(status(overlapping) == Status::inval);
  CHECK(status(unmapped) == Status::ok);
  CHECK(status(stray) == Status::noent);
}

TEST_CASE_METHOD(Machine, "PROBE fills its list, and its tail is behind it") {
  virtio_iommu::Probe probe;
  probe.endpoint = 8;
  SECTION("whole") {
    const auto head = add(probe, 516);
    sync();
    CHECK(written == 516);
    CHECK(ram.read<Tail>(driver.writable(head) + 512).status == Status::ok);
  }
  SECTION("list too short") {
    const auto head = add(probe, 100);
    sync();
    CHECK(ram.read<Tail>(driver.writable(head) + 96).status == Status::inval);
  }
  SECTION("no such endpoint") {
    probe.endpoint = 5;
    const auto head = add(probe, 516);
    sync();
    CHECK(ram.read<Tail>(driver.writable(head) + 512).status == Status::noent);
  }
}

TEST_CASE_METHOD(Machine, "an unknown type is given back unwritten") {
  const std::array<std::byte, 4> head{std::byte{9}};
  const auto added = driver.add(head, 4);
  REQUIRE(added);
  ram.write(driver.writable(*added), std::uint32_t{0xdeadbeef});
  written = 77;
  sync();
  CHECK(written == 0);
  CHECK(ram.read<std::uint32_t>(driver.writable(*added)) == 0xdeadbeef);
}

TEST_CASE_METHOD(Machine, "a request cut short is INVAL") {
  const std::array<std::byte, 20> start_of_map{std::byte{3}};
  REQUIRE(driver.add(start_of_map, 4));
  sync();
  CHECK(last_status == Status::inval);
}

TEST_CASE_METHOD(Machine, "no room for an answer, or no head, breaks the queue") {
  const std::array<std::byte, 28> request{std::byte{4}};
  SECTION("answer") {
    REQUIRE(driver.add(request, 3));
  }
  SECTION("no answer at all") {
    REQUIRE(driver.add(request, 0));
  }
  SECTION("head") {
    REQUIRE(driver.add(std::span(request).first(3), 4));
  }
  CHECK_FALSE(hypervisor::serve_request(queue, iommu));
  CHECK(queue.error() == QueueError::bad_request_frame);
}

TEST_CASE_METHOD(Machine, "faults go out while the driver has given buffers") {
  const auto event_layout = virtio::SplitQueueLayout::contiguous(Gpa{0x40000}, 4);
  guest::VirtqueueDriver events(ram, event_layout, {Gpa{0x50000}, 0, sizeof(virtio_iommu::Fault)},
                                {true, true, true});
  VirtqueueDevice event_queue(ram, event_layout, {true, true});
  virtio_iommu::Fault fault;
  fault.reason = virtio_iommu::FaultReason::mapping;
  fault.address = 0x1234;
  CHECK_FALSE(hypervisor::report_fault(event_queue, fault));
  REQUIRE(events.add({}, sizeof(fault)));
  CHECK(hypervisor::report_fault(event_queue, fault));
  CHECK(event_queue.should_interrupt());
  const auto used = events.pop_used();
  REQUIRE(used);
  CHECK(used->written == sizeof(fault));
  CHECK(ram.read<virtio_iommu::Fault>(events.writable(used->head)).address == 0x1234);
}
