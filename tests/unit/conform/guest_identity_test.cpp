// SPDX-License-Identifier: Apache-2.0
// Which guest a recording is of.
#include "platform/conform/guest_identity.hpp"

#include <catch2/catch.hpp>

using namespace gnomon::conform;

TEST_CASE("QEMU's command line and the console tell the guest") {
  const GuestIdentity id = identify(
      "qemu-system-x86_64 -M q35 -smp 2 -m 1024 -append 'quiet intel_iommu=on iommu.strict=0 wl=x' "
      "-device intel-iommu,caching-mode=on,intremap=off -device nvme,drive=n\n",
      "noise\nvirtio_iommu virtio0: page mask: 0x40201000\n@@INFO kernel=6.12.95+deb12-amd64 cmdline=x\n@@GROUP 0 "
      "type=DMA devs=a\n@@GROUP 1 type=DMA-FQ "
      "devs=b\n");
  CHECK(id.kernel == "6.12.95+deb12-amd64");
  CHECK(id.unit == Unit::intel_iommu);
  CHECK(id.caching_mode == true);
  CHECK(id.lazy == true);
  CHECK(id.page_sizes == 0x40201000);
  CHECK(id.vcpus == 2);
  CHECK(id.memory == std::uint64_t{1} << 30);
  CHECK(id.cmdline == "intel_iommu=on iommu.strict=0");
}

TEST_CASE("nothing is made up where nothing is told") {
  const GuestIdentity id = identify("", "");
  CHECK(id.kernel.empty());
  CHECK_FALSE(id.unit);
  CHECK_FALSE(id.lazy);
  CHECK_FALSE(id.caching_mode);
  CHECK(id.vcpus == 0);
}

TEST_CASE("a kernel is simulated as the last known one before it") {
  const std::vector<std::string> known{"3.10", "6.1", "6.12", "6.5-rfc", "6.7", "7.2"};
  CHECK(nearest_kernel("6.12.95+deb12-amd64", known) == "6.12");
  CHECK(nearest_kernel("6.1.0-56-amd64", known) == "6.1");
  CHECK(nearest_kernel("6.9.1", known) == "6.7");
  CHECK(nearest_kernel("6.6", known) == "6.1");
  CHECK(nearest_kernel("2.6.32", known).empty());
}
