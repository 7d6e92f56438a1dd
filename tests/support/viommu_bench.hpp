// SPDX-License-Identifier: Apache-2.0
// The guest's virtio-iommu driver against the real device core over one guest memory. A kick is served within the
// store.
#pragma once

#include <string>
#include <vector>

#include "guest/iommu/domain.hpp"
#include "guest/virtio_iommu/driver.hpp"
#include "models/hypervisor/core/virtio_iommu_queue.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/recording_shadow.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::test {

class ViommuBench {
 public:
  struct Options {
    std::uint16_t ring = 256;
    bool report_errors = false;
    guest::ViommuDriverBehaviour driver;
    guest::PageSizeBitmap page_sizes = guest::page_sizes_4k_2m_1g;
    guest::IommuCoreBehaviour core;
  };
  static constexpr std::uint32_t endpoint = 0x0100;
  static constexpr Gpa notify{0x8000'0000};

  explicit ViommuBench(const Options& options)
      : layout(virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, options.ring)),
        ring(ram, layout, {Gpa{0x10'0000}, virtio_iommu::max_readable_bytes, sizeof(virtio_iommu::Tail)},
             {true, true, false}),
        device_ring(ram, layout, {true, true}),
        tap(ram, layout, {true, false}),
        queue(ring, ram, monitor, lock, ram.to_hpa(layout.used_index()), {notify, options.report_errors}),
        driver(queue, options.driver, 1, options.page_sizes),
        domain(driver, options.core) {
    tracer.add(recorder);
    device.add_endpoint(endpoint, &shadow);
    processor.on_store = [this] { serve(); };
  }

  int attach() { return driver.attach(cpu, endpoint); }
  /// Kicks so far, and what the last one carried.
  std::size_t kicks() const { return processor.stores.size(); }

  void serve() {
    while (const auto* chain = tap.pop()) {
      std::vector<std::byte> bytes(chain->readable_bytes);
      tap.read(*chain, 0, bytes);
      requests.push_back(hex(bytes));
    }
    while (hypervisor::serve_request(device_ring, device)) {
    }
    if (device_ring.error() != hypervisor::QueueError::none) throw std::logic_error("the driver broke the queue");
  }
  static std::string hex(const std::vector<std::byte>& bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (i != 0 && i % 4 == 0) text.push_back(' ');
      text.push_back(digits[std::to_integer<unsigned>(bytes[i]) >> 4]);
      text.push_back(digits[std::to_integer<unsigned>(bytes[i]) & 15]);
    }
    return text;
  }

  PhysicalMemory memory{16 << 20};
  GuestRam ram{memory, Hpa{0}, 16 << 20, Backing::pages_4k, 1};
  trace::Tracer tracer;
  Recorder recorder;
  SoloProcessor processor;
  const guest::GuestCosts costs;
  guest::Cpu cpu{processor, costs, {}, tracer};
  LineMonitor monitor;
  Lock lock{0, LockKind::test_and_set, {Time::ns(20), Time::ns(100)}, RandomStream(1, "lock"), tracer};
  virtio::SplitQueueLayout layout;
  guest::VirtqueueDriver ring;
  hypervisor::VirtqueueDevice device_ring;
  hypervisor::VirtqueueDevice tap;  ///< reads along, changes nothing
  RecordingShadow shadow;
  hypervisor::VirtioIommuDevice device{hypervisor::VirtioIommuDeviceConfig{}};
  guest::ViommuRequestQueue queue;
  guest::ViommuDomain driver;
  guest::IommuDomain domain;
  std::vector<std::string> requests;  ///< as the device found them, in hexadecimal
};

}  // namespace gnomon::test
