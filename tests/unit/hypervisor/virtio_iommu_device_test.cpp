// SPDX-License-Identifier: Apache-2.0
// The device's answers, request by request, and what they leave in the shadows.
#include "models/hypervisor/core/virtio_iommu_device.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "tests/support/recording_shadow.hpp"

using namespace gnomon;
using hypervisor::DmaAccess;
using hypervisor::VirtioIommuDevice;
using hypervisor::VirtioIommuDeviceConfig;
using test::RecordingShadow;
using virtio_iommu::FaultReason;
using virtio_iommu::Status;
using Call = RecordingShadow::Call;

namespace {

constexpr std::uint32_t rw = virtio_iommu::map_read | virtio_iommu::map_write;

struct Iommu {
  explicit Iommu(const VirtioIommuDeviceConfig& config = {}) : device(config) {
    device.add_endpoint(8, &a);
    device.add_endpoint(16, &b);
    device.add_endpoint(24, nullptr);
  }
  hypervisor::VirtioIommuOutcome attach(std::uint32_t domain, std::uint32_t endpoint, std::uint32_t flags = 0) {
    virtio_iommu::Attach request;
    request.domain = domain;
    request.endpoint = endpoint;
    request.flags = flags;
    return device.execute(request);
  }
  hypervisor::VirtioIommuOutcome detach(std::uint32_t domain, std::uint32_t endpoint) {
    virtio_iommu::Detach request;
    request.domain = domain;
    request.endpoint = endpoint;
    return device.execute(request);
  }
  // In pages, last page inclusive.
  hypervisor::VirtioIommuOutcome map(std::uint32_t domain, std::uint64_t first, std::uint64_t last,
                                     std::uint64_t phys, std::uint32_t flags = rw) {
    virtio_iommu::Map request;
    request.domain = domain;
    request.virt_start = first << page_shift;
    request.virt_end = ((last + 1) << page_shift) - 1;
    request.phys_start = phys << page_shift;
    request.flags = flags;
    return device.execute(request);
  }
  hypervisor::VirtioIommuOutcome unmap(std::uint32_t domain, std::uint64_t first, std::uint64_t last) {
    virtio_iommu::Unmap request;
    request.domain = domain;
    request.virt_start = first << page_shift;
    request.virt_end = ((last + 1) << page_shift) - 1;
    return device.execute(request);
  }

  RecordingShadow a, b;
  VirtioIommuDevice device;
};

VirtioIommuDeviceConfig with_faults(bool first_piece_only, bool past_end) {
  VirtioIommuDeviceConfig config;
  config.faults = {first_piece_only, past_end};
  return config;
}

}  // namespace

TEST_CASE("MAP is shadowed by naturally aligned powers of two of the IOVA") {
  Iommu iommu;
  iommu.attach(1, 8);
  const auto outcome = iommu.map(1, 1, 7, 0x100);
  CHECK(outcome.status == Status::ok);
  CHECK(outcome.shadow_maps == 3);
  CHECK(iommu.a.calls == std::vector<Call>{{true, 0x1000, 0x100000, 0x1000},
                                           {true, 0x2000, 0x101000, 0x2000},
                                           {true, 0x4000, 0x103000, 0x4000}});
  iommu.a.calls.clear();
  CHECK(iommu.unmap(1, 1, 7).shadow_unmaps == 3);
  CHECK(iommu.a.calls ==
        std::vector<Call>{{false, 0x1000, 0, 0x1000}, {false, 0x2000, 0, 0x2000}, {false, 0x4000, 0, 0x4000}});
  CHECK(iommu.b.calls.empty());
}

TEST_CASE("a 64 KiB buffer of two runs: four ioctls to map it, four to unmap it") {
  Iommu iommu;
  iommu.attach(1, 8);
  SECTION("two requests, of 10 and 6 pages") {
    CHECK(iommu.map(1, 0xfffe0, 0xfffe9, 0x1000).shadow_maps == 2);
    CHECK(iommu.map(1, 0xfffea, 0xfffef, 0x2003).shadow_maps == 2);
  }
  SECTION("three requests, of 8, 2 and 6 pages") {
    CHECK(iommu.map(1, 0xfffe0, 0xfffe7, 0x1000).shadow_maps == 1);
    CHECK(iommu.map(1, 0xfffe8, 0xfffe9, 0x1008).shadow_maps == 1);
    CHECK(iommu.map(1, 0xfffea, 0xfffef, 0x2003).shadow_maps == 2);
  }
  std::vector<std::uint64_t> pages;
  for (const Call& call : iommu.a.calls) pages.push_back(call.bytes >> page_shift);
  CHECK(pages == std::vector<std::uint64_t>{8, 2, 2, 4});
  CHECK(iommu.unmap(1, 0xfffe0, 0xfffef).shadow_unmaps == 4);
  CHECK(iommu.a.pages.empty());
}

TEST_CASE("UNMAP by the examples of 5.13.6.6") {
  Iommu iommu;
  iommu.attach(1, 8);
  SECTION("1: nothing there") {
    CHECK(iommu.unmap(1, 0, 4).status == Status::ok);
  }
  SECTION("2: one mapping") {
    iommu.map(1, 0, 9, 100);
    CHECK(iommu.unmap(1, 0, 9).mappings == 1);
  }
  SECTION("3: two mappings") {
    iommu.map(1, 0, 4, 100);
    iommu.map(1, 5, 9, 200);
    CHECK(iommu.unmap(1, 0, 9).mappings == 2);
  }
  SECTION("4: a part") {
    iommu.map(1, 0, 9, 100);
    CHECK(iommu.unmap(1, 0, 4).status == Status::range);
    CHECK(iommu.a.pages.size() == 10);
    CHECK(iommu.unmap(1, 5, 20).status == Status::range);
    CHECK(iommu.unmap(1, 3, 3).status == Status::range);
    CHECK(iommu.unmap(1, 0, 9).status == Status::ok);
  }
  SECTION("5: one of two") {
    iommu.map(1, 0, 4, 100);
    iommu.map(1, 5, 9, 200);
    CHECK(iommu.unmap(1, 0, 4).mappings == 1);
    CHECK(iommu.a.pages.size() == 5);
    CHECK(iommu.a.pages.at(5) == 200);
    iommu.unmap(1, 5, 9);
  }
  SECTION("6: more than is there") {
    iommu.map(1, 0, 4, 100);
    CHECK(iommu.unmap(1, 0, 9).status == Status::ok);
  }
  SECTION("7: over a hole") {
    iommu.map(1, 0, 4, 100);
    iommu.map(1, 10, 14, 200);
    CHECK(iommu.unmap(1, 0, 14).mappings == 2);
  }
  CHECK(iommu.a.pages.empty());
  CHECK(iommu.device.mapping_count(1) == 0);
}

TEST_CASE("UNMAP that straddles removes what came before, and says RANGE") {
  Iommu iommu;
  iommu.attach(1, 8);
  iommu.map(1, 0, 3, 100);
  iommu.map(1, 4, 7, 200);
  iommu.map(1, 8, 8, 300);
  const auto outcome = iommu.unmap(1, 0, 5);
  CHECK(outcome.status == Status::range);
  CHECK(outcome.mappings == 1);
  CHECK(iommu.device.mapping_count(1) == 2);
  CHECK(iommu.a.pages.size() == 5);
  CHECK(iommu.a.pages.count(0) == 0);
}

TEST_CASE("what MAP refuses") {
  VirtioIommuDeviceConfig config;
  config.space.input_range.start = 0x1000;
  config.space.input_range.end = (std::uint64_t{1} << 48) - 1;
  virtio_iommu::ReservedMemoryProperty msi;
  msi.subtype = virtio_iommu::ReservedMemoryProperty::Subtype::msi;
  msi.start = 0xfee00000;
  msi.end = 0xfeefffff;
  config.reserved = {msi};
  Iommu iommu(config);
  iommu.attach(1, 8);
  iommu.attach(2, 16, virtio_iommu::attach_bypass);
  REQUIRE(iommu.map(1, 10, 19, 100).status == Status::ok);
  iommu.a.calls.clear();
  CHECK(iommu.map(7, 30, 31, 100).status == Status::noent);
  CHECK(iommu.map(2, 30, 31, 100).status == Status::inval);
  CHECK(iommu.map(1, 30, 31, 100, 8).status == Status::inval);
  CHECK(iommu.map(1, 5, 10, 100).status == Status::inval);
  CHECK(iommu.map(1, 19, 25, 100).status == Status::inval);
  CHECK(iommu.map(1, 12, 13, 100).status == Status::inval);
  CHECK(iommu.map(1, 5, 25, 100).status == Status::inval);
  CHECK(iommu.map(1, 31, 29, 100).status == Status::inval);
  CHECK(iommu.map(1, 0, 1, 100).status == Status::range);
  CHECK(iommu.map(1, std::uint64_t{1} << 36, std::uint64_t{1} << 36, 100).status == Status::range);
  CHECK(iommu.map(1, 0xfee00, 0xfee00, 100).status == Status::inval);
  CHECK(iommu.map(1, 30, 31, (std::uint64_t{1} << 52) - 1).status == Status::range);
  CHECK(iommu.a.calls.empty());
  CHECK(iommu.device.mapping_count(1) == 1);
  CHECK(iommu.map(1, 1, 9, 300).status == Status::ok);
  CHECK(iommu.map(1, 20, 20, 300).status == Status::ok);
}

TEST_CASE("MAP off the granule is RANGE, unless the device is as lax as QEMU") {
  virtio_iommu::Map request;
  request.domain = 1;
  request.virt_end = 0xfff;
  request.flags = rw;
  VirtioIommuDeviceConfig config;
  config.check_granule = GENERATE(true, false);
  Iommu iommu(config);
  iommu.attach(1, 24);
  const Status expected = config.check_granule ? Status::range : Status::ok;
  SECTION("start") {
    request.virt_start = 0x800;
  }
  SECTION("end") {
    request.virt_end = 0x17ff;
  }
  SECTION("phys") {
    request.phys_start = 0x800;
  }
  CHECK(iommu.device.execute(request).status == expected);
}

TEST_CASE("doorbells and mappings without permission are not shadowed") {
  Iommu iommu;
  iommu.attach(1, 8);
  CHECK(iommu.map(1, 1, 1, 100, rw | virtio_iommu::map_mmio).shadow_maps == 0);
  CHECK(iommu.map(1, 2, 2, 100, 0).shadow_maps == 0);
  CHECK(iommu.device.mapping_count(1) == 2);
  CHECK(iommu.a.calls.empty());
}

TEST_CASE("all endpoints of a domain see its mappings, those that come later too") {
  Iommu iommu;
  iommu.attach(1, 8);
  iommu.map(1, 0, 2, 100);
  iommu.map(1, 8, 8, 200);
  const auto outcome = iommu.attach(1, 16);
  CHECK(outcome.mappings == 2);
  CHECK(outcome.shadow_maps == 3);
  CHECK(iommu.b.pages == iommu.a.pages);
  CHECK(iommu.map(1, 16, 16, 300).shadow_maps == 2);
  CHECK(iommu.b.pages == iommu.a.pages);
  CHECK(iommu.unmap(1, 0, 2).shadow_unmaps == 4);
  CHECK(iommu.detach(1, 8).status == Status::ok);
  CHECK(iommu.a.pages.empty());
  CHECK(iommu.b.pages.size() == 2);
  CHECK(iommu.device.mapping_count(1) == 2);
}

TEST_CASE("the last endpoint takes its domain with it") {
  Iommu iommu;
  iommu.attach(1, 8);
  iommu.map(1, 0, 2, 100);
  SECTION("by DETACH") {
    CHECK(iommu.detach(1, 8).shadow_unmaps == 2);
  }
  SECTION("by ATTACH to another") {
    CHECK(iommu.attach(2, 8).shadow_unmaps == 2);
    CHECK(iommu.device.domain_count() == 1);
    iommu.detach(2, 8);
  }
  SECTION("by reset") {
    iommu.device.reset();
  }
  CHECK(iommu.a.pages.empty());
  CHECK(iommu.device.domain_count() == 0);
  CHECK(iommu.map(1, 0, 2, 100).status == Status::noent);
  CHECK(iommu.unmap(1, 0, 2).status == Status::noent);
  iommu.attach(1, 8);
  CHECK(iommu.device.mapping_count(1) == 0);
}

TEST_CASE("what ATTACH and DETACH refuse") {
  VirtioIommuDeviceConfig config;
  config.space.domain_range.start = 1;
  config.space.domain_range.end = 100;
  Iommu iommu(config);
  CHECK(iommu.attach(1, 9).status == Status::noent);
  CHECK(iommu.attach(0, 8).status == Status::range);
  CHECK(iommu.attach(101, 8).status == Status::range);
  CHECK(iommu.attach(1, 8, 2).status == Status::inval);
  virtio_iommu::Attach reserved;
  reserved.domain = 1;
  reserved.endpoint = 8;
  reserved.reserved[3] = 1;
  CHECK(iommu.device.execute(reserved).status == Status::inval);
  CHECK(iommu.device.domain_count() == 0);
  CHECK(iommu.detach(1, 9).status == Status::noent);
  CHECK(iommu.detach(1, 8).status == Status::inval);
  iommu.attach(1, 8);
  CHECK(iommu.detach(2, 8).status == Status::inval);
  CHECK(iommu.attach(1, 16, virtio_iommu::attach_bypass).status == Status::inval);
  CHECK(iommu.detach(1, 8).status == Status::ok);
}

TEST_CASE("a refused piece undoes its request everywhere") {
  Iommu iommu;
  iommu.attach(1, 8);
  iommu.attach(1, 16);
  iommu.map(1, 0, 0, 50);
  iommu.b.refuse_after = 1;  // the second of three pieces
  const auto outcome = iommu.map(1, 1, 7, 100);
  CHECK(outcome.status == Status::nomem);
  CHECK(outcome.shadow_maps == 5);
  CHECK(outcome.shadow_unmaps == 4);
  CHECK(iommu.a.pages.size() == 1);
  CHECK(iommu.b.pages.size() == 1);
  CHECK(iommu.device.mapping_count(1) == 1);
  CHECK(iommu.map(1, 1, 7, 100).status == Status::ok);
}

TEST_CASE("a refused replay leaves the endpoint without a domain") {
  Iommu iommu;
  iommu.attach(1, 8);
  iommu.map(1, 0, 0, 50);
  iommu.map(1, 2, 2, 60);
  iommu.b.refuse_after = 1;
  const auto outcome = iommu.attach(1, 16);
  CHECK(outcome.status == Status::nomem);
  CHECK(outcome.shadow_maps == 2);
  CHECK(outcome.shadow_unmaps == 1);  // only what was replayed
  CHECK(iommu.b.pages.empty());
  CHECK(iommu.detach(1, 16).status == Status::inval);
  CHECK(iommu.device.translate(16, Iova{0}, DmaAccess::read).fault == FaultReason::domain);
  CHECK(iommu.a.pages.size() == 2);
}

TEST_CASE("bypass: of the device, and of a domain") {
  Iommu iommu;
  CHECK_FALSE(iommu.a.bypass);
  iommu.device.set_bypass(true);
  CHECK(iommu.a.bypass);
  CHECK(iommu.device.config_space().bypass == 1);
  iommu.attach(1, 8);
  CHECK_FALSE(iommu.a.bypass);
  CHECK(iommu.b.bypass);
  CHECK(iommu.device.translate(16, Iova{0x5123}, DmaAccess::write).gpa == Gpa{0x5123});
  iommu.device.set_bypass(false);
  CHECK_FALSE(iommu.b.bypass);
  iommu.attach(2, 16, virtio_iommu::attach_bypass);
  CHECK(iommu.b.bypass);
  CHECK(iommu.unmap(2, 0, 1).status == Status::inval);
  iommu.detach(2, 16);
  CHECK_FALSE(iommu.b.bypass);
}

TEST_CASE("translation of an access, or why not") {
  VirtioIommuDeviceConfig config;
  virtio_iommu::ReservedMemoryProperty region;
  region.start = 0xa000000;
  region.end = 0xa0fffff;
  auto msi = region;
  msi.subtype = virtio_iommu::ReservedMemoryProperty::Subtype::msi;
  msi.start = 0xfee00000;
  msi.end = 0xfeefffff;
  config.reserved = {region, msi};
  Iommu iommu(config);
  CHECK(iommu.device.translate(24, Iova{0x1000}, DmaAccess::read).fault == FaultReason::domain);
  CHECK(iommu.device.translate(99, Iova{0x1000}, DmaAccess::read).fault == FaultReason::unknown);
  iommu.attach(1, 24);
  iommu.map(1, 1, 2, 100, virtio_iommu::map_read);
  CHECK(iommu.device.translate(24, Iova{0x2345}, DmaAccess::read).gpa == Gpa{0x65345});
  const auto denied = iommu.device.translate(24, Iova{0x2345}, DmaAccess::write);
  CHECK_FALSE(denied.gpa);
  CHECK(denied.fault == FaultReason::mapping);
  CHECK(iommu.device.translate(24, Iova{0x3000}, DmaAccess::read).fault == FaultReason::mapping);
  CHECK(iommu.device.translate(24, Iova{0xfee00010}, DmaAccess::write).gpa == Gpa{0xfee00010});
  CHECK_FALSE(iommu.device.translate(24, Iova{0xa000010}, DmaAccess::write).gpa);
}

TEST_CASE("PROBE tells the reserved regions and zeroes the rest") {
  VirtioIommuDeviceConfig config;
  virtio_iommu::ReservedMemoryProperty msi;
  msi.start = 0xfee00000;
  msi.end = 0xfeefffff;
  config.reserved = {msi};
  Iommu iommu(config);
  std::vector<std::byte> properties(512, std::byte{0xff});
  virtio_iommu::Probe request;
  request.endpoint = 8;
  CHECK(iommu.device.execute(request, properties).status == Status::ok);
  CHECK(std::memcmp(properties.data(), &msi, sizeof(msi)) == 0);
  for (std::size_t i = sizeof(msi); i < properties.size(); ++i) REQUIRE(properties[i] == std::byte{0});
  CHECK(iommu.device.execute(request, std::span(properties).first(511)).status == Status::inval);
  request.endpoint = 9;
  CHECK(iommu.device.execute(request, properties).status == Status::noent);
}

TEST_CASE("what is no request") {
  Iommu iommu;
  CHECK(iommu.device.execute(virtio_iommu::Truncated{}).status == Status::inval);
  CHECK_FALSE(iommu.device.execute(virtio_iommu::Unrecognised{}).answered);
}

TEST_CASE("the whole address space is one mapping of two pieces") {
  VirtioIommuDeviceConfig config;
  Iommu iommu(config);
  iommu.attach(1, 24);
  virtio_iommu::Map all;
  all.domain = 1;
  all.virt_end = ~std::uint64_t{0};
  all.flags = rw;
  CHECK(iommu.device.execute(all).status == Status::ok);
  CHECK(iommu.device.translate(24, Iova{~std::uint64_t{0}}, DmaAccess::read).gpa == Gpa{~std::uint64_t{0}});
  virtio_iommu::Unmap none;
  none.domain = 1;
  none.virt_end = ~std::uint64_t{0} - 1;
  CHECK(iommu.device.execute(none).status == Status::range);
  none.virt_end = ~std::uint64_t{0};
  CHECK(iommu.device.execute(none).mappings == 1);
}

TEST_CASE("virtio-iommu: planted bugs do what they say") {
  SECTION("unmap_first_piece_only") {
    Iommu iommu(with_faults(true, false));
    iommu.attach(1, 8);
    iommu.map(1, 1, 7, 100);
    CHECK(iommu.unmap(1, 1, 7).status == Status::ok);
    CHECK(iommu.a.pages.size() == 6);
    CHECK(iommu.device.mapping_count(1) == 0);
  }
  SECTION("unmap_past_end") {
    Iommu iommu(with_faults(false, true));
    iommu.attach(1, 8);
    iommu.map(1, 0, 0, 100);
    iommu.map(1, 5, 6, 200);
    iommu.map(1, 9, 9, 300);
    CHECK(iommu.unmap(1, 0, 0).mappings == 2);
    CHECK(iommu.a.pages.size() == 1);
    CHECK(iommu.a.pages.count(9) == 1);
  }
}

TEST_CASE("endpoints and containers are one to one") {
  Iommu iommu;
  RecordingShadow other;
  CHECK_THROWS_AS(iommu.device.add_endpoint(8, &other), std::invalid_argument);
  CHECK_THROWS_AS(iommu.device.add_endpoint(9, &iommu.a), std::invalid_argument);
  CHECK_NOTHROW(iommu.device.add_endpoint(9, nullptr));
  VirtioIommuDeviceConfig config;
  config.space.page_size_mask = 0;
  CHECK_THROWS_AS(VirtioIommuDevice(config), std::invalid_argument);
  config = {};
  config.space.probe_size = 24;
  config.reserved.resize(2);
  CHECK_THROWS_AS(VirtioIommuDevice(config), std::invalid_argument);
}
