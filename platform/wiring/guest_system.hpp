// SPDX-License-Identifier: Apache-2.0
// The guest's kernel put together for one machine: CPUs, vIOMMU driver, DMA, NVMe drivers, the workload.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "guest/dma/dma_device.hpp"
#include "guest/fio/fio_workload.hpp"
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/nvme/driver.hpp"
#include "guest/virtio_iommu/driver.hpp"
#include "platform/scenario/configuration.hpp"
#include "platform/wiring/lock_table.hpp"

namespace gnomon::wiring {

/// Where the devices answer, in guest-physical addresses above any memory.
inline constexpr Gpa viommu_window{std::uint64_t{1} << 40};
inline constexpr std::uint64_t viommu_window_bytes = page_size;
constexpr Gpa nvme_bar(unsigned device) {
  return Gpa{(std::uint64_t{1} << 40) + (std::uint64_t{device} + 1) * (std::uint64_t{2} << 20)};
}
/// PCI requester ids: 01:00.0, 02:00.0, …
constexpr SourceId nvme_source(unsigned device) { return SourceId{static_cast<std::uint16_t>((device + 1) << 8)}; }

class GuestSystem {
 public:
  /// `configuration` must outlive the guest.
  GuestSystem(const scenario::Configuration& configuration, GuestRam& ram, LineMonitor& monitor, LockTable& locks,
              trace::Tracer& tracer, std::vector<Processor*> processors);

  /// The program of CPU `index`: CPU 0 boots and starts the workload; `on_done`, with
  /// the CPU that saw it, when it has finished.
  void run_cpu(unsigned index, const std::function<void(unsigned)>& on_done);

  const virtio::SplitQueueLayout& viommu_queue() const { return viommu_layout_; }
  const guest::FioWorkload* workload() const { return workload_.get(); }
  /// fio threads to be, in order: the name of each one's job.
  static std::vector<std::string> thread_names(const std::vector<fio::JobSpec>& jobs);
  const std::string& failure() const { return failure_; }  ///< why the boot failed; empty if it did not

 private:
  struct Device {
    std::unique_ptr<guest::ViommuDomain> driver;
    std::unique_ptr<guest::IommuDomain> domain;
    std::unique_ptr<guest::DmaDevice> dma;
    std::unique_ptr<guest::NvmeDriver> nvme;
    std::vector<Lock> queue_locks;
  };

  void set_up_viommu(LineMonitor& monitor, LockTable& locks);
  void boot(guest::Cpu& cpu, const std::function<void(unsigned)>& on_done);
  std::unique_ptr<Device> make_device(unsigned index);

  const scenario::Configuration& configuration_;
  GuestRam& ram_;
  LockTable& locks_;
  guest::GuestPages pages_;
  std::vector<std::unique_ptr<guest::Cpu>> cpus_;
  std::vector<guest::Cpu*> cpu_pointers_;
  virtio::SplitQueueLayout viommu_layout_;
  std::unique_ptr<guest::VirtqueueDriver> viommu_ring_;
  std::unique_ptr<guest::ViommuRequestQueue> viommu_queue_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::unique_ptr<guest::FioWorkload> workload_;
  std::string failure_;
};

}  // namespace gnomon::wiring
