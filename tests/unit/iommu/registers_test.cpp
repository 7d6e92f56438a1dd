// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "models/spec/vtd/capabilities.hpp"
#include "tests/unit/iommu/host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using namespace gnomon::vtd;
using test::Host;

TEST_CASE("capabilities say what the configuration says") {
  IommuConfig config;
  config.sagaw = 0b01100;
  config.address_width = 57;
  config.large_pages = 0b01;
  config.fault_records = 256;
  config.max_address_mask = 9;
  config.snoop_control = config.device_tlb = false;
  const Host h(config);
  const Capability cap = decode_capability(h.core.read64(reg::cap));
  CHECK(cap.nd == 6);
  CHECK(cap.sagaw == 0b01100);
  CHECK(cap.mgaw == 56);
  CHECK(cap.sslps == 0b01);
  CHECK(cap.nfr == 255);
  CHECK(cap.mamv == 9);
  CHECK(cap.psi);
  CHECK_FALSE(cap.cm);
  CHECK(cap.fro * 16 == reg::frcd);
  const ExtendedCapability ecap = decode_extended_capability(h.core.read64(reg::ecap));
  CHECK(ecap.qi);
  CHECK(ecap.pt);
  CHECK_FALSE(ecap.dt);
  CHECK_FALSE(ecap.sc);
  CHECK(reg::frcd + 256 * 16 <= VtdUnit::register_bytes);
}

TEST_CASE("commands show in the status") {
  PhysicalMemory memory{1 << 20};
  VtdUnit core(IommuConfig{}, memory);
  CHECK(core.read32(reg::gsts) == 0);
  core.write32(reg::gcmd, gcmd::srtp);
  CHECK(core.read32(reg::gsts) == gcmd::srtp);
  core.write32(reg::gcmd, gcmd::qie | gcmd::wbf);
  CHECK(core.read32(reg::gsts) == (gcmd::srtp | gcmd::qie));
  core.write32(reg::gcmd, gcmd::qie | gcmd::te | gcmd::ire | gcmd::sirtp);
  CHECK(core.read32(reg::gsts) == (gcmd::srtp | gcmd::sirtp | gcmd::qie | gcmd::te | gcmd::ire));
  core.write32(reg::gcmd, gcmd::qie);
  CHECK(core.read32(reg::gsts) == (gcmd::srtp | gcmd::sirtp | gcmd::qie));
  CHECK(core.read32(reg::gcmd) == 0);  // write only
}

TEST_CASE("disabling the queue resets its head") {
  Host h;
  h.submit(InvalidationWait{});
  CHECK(h.core.queue_pending());
  h.core.step();
  CHECK(h.core.read64(reg::iqh) == 16);
  h.core.write32(reg::gcmd, gcmd::te);
  CHECK(h.core.read64(reg::iqh) == 0);
  CHECK_FALSE(h.core.queue_pending());
  CHECK(std::holds_alternative<QueueIdle>(h.core.step()));
}

TEST_CASE("64-bit registers can be written by halves") {
  PhysicalMemory memory{1 << 20};
  VtdUnit core(IommuConfig{}, memory);
  core.write32(reg::rtaddr, 0x1234'5000);
  core.write32(reg::rtaddr + 4, 0x9);
  CHECK(core.read64(reg::rtaddr) == 0x9'1234'5000);
  CHECK(core.read32(reg::rtaddr + 4) == 9);
  core.write32(reg::rtaddr, 0x5000);
  CHECK(core.read64(reg::rtaddr) == 0x9'0000'5000);
  core.write64(reg::iqa, ~std::uint64_t{0});
  CHECK(core.read64(reg::iqa) == 0xffff'ffff'ffff'f807);
  core.write64(reg::iqt, ~std::uint64_t{0});
  CHECK(core.read64(reg::iqt) == 0x7'fff0);
  core.write64(reg::iqh, 0x40);
  CHECK(core.read64(reg::iqh) == 0);  // read only
  core.write64(0xff8, 1);
  CHECK(core.read64(0x1ff8) == 0);
}

TEST_CASE("event messages") {
  PhysicalMemory memory{1 << 20};
  VtdUnit core(IommuConfig{}, memory);
  core.write32(reg::fedata, 0x31);
  core.write32(reg::feaddr, 0xfee0'1000);
  core.write32(reg::feuaddr, 2);
  CHECK(core.fault_message().address == 0x2'fee0'1000);
  CHECK(core.fault_message().data == 0x31);
  core.write64(reg::ieaddr, 0x3'fee0'2003);
  core.write32(reg::iedata, 0x32);
  CHECK(core.completion_message().address == 0x3'fee0'2000);
  CHECK(core.completion_message().data == 0x32);
  CHECK(core.read32(reg::ieuaddr) == 3);
}

TEST_CASE("software serves faults as Linux does: read the record, write F, write the status") {
  Host h;
  h.core.write32(reg::fectl, 0);
  CHECK(h.read(0x1000).fault_event);
  CHECK_FALSE(h.write(0x2000).fault_event);
  CHECK((h.core.read32(reg::fsts) & fsts::ppf) != 0);
  std::uint32_t index = h.core.read32(reg::fsts) >> fsts::fri_shift & 0xffu;
  for (unsigned served = 0;; ++served) {
    const std::uint32_t at = reg::frcd + index * 16;
    if ((h.core.read32(at + 12) & 1u << 31) == 0) {
      CHECK(served == 2);
      break;
    }
    CHECK(h.core.read64(at) == 0x1000 * (served + 1));
    CHECK((h.core.read32(at + 8) & 0xffff) == Host::device.value);
    h.core.write32(at + 12, 1u << 31);
    index = (index + 1) % 8;
  }
  CHECK((h.core.read32(reg::fsts) & fsts::ppf) == 0);
  CHECK(h.read(0x1000).fault_event);
}

TEST_CASE("a pending fault event goes out when unmasked") {
  Host h;
  h.read(0x1000);
  CHECK(h.core.read32(reg::fectl) == (event_control::im | event_control::ip));
  CHECK(h.core.write32(reg::fectl, 0).fault_event);
}
