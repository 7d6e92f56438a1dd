// SPDX-License-Identifier: Apache-2.0
// The virtio-iommu driver's domain. Behaviour of Linux's drivers/iommu/virtio-iommu.c, 6.1 to 7.2.
#pragma once

#include <cstdint>
#include <vector>

#include "guest/iommu/instance.hpp"
#include "guest/virtio_iommu/request_queue.hpp"
#include "models/base/interval_set.hpp"

namespace gnomon::guest {

/// Planted bugs, to prove that a checker sees them. All off in a correct driver.
struct ViommuDriverFaults {
  /// iotlb_sync does nothing, as it did for every driver that leaves the gather empty while the core skipped empty
  /// gathers (before 7.0: "iommu: Always fill in gather when unmapping").
  bool skip_iotlb_sync = false;
};

struct ViommuDriverBehaviour {
  bool sync_map = true;  ///< since 6.8 MAPs are queued and synced once a map; before, each MAP is sent and waited for
  ViommuDriverFaults faults;
};

/// One domain: the tree of its mappings and the requests that keep the device's copy in step.
class ViommuDomain final : public IommuDriver {
 public:
  ViommuDomain(ViommuRequestQueue& queue, const ViommuDriverBehaviour& behaviour, std::uint32_t id,
               PageSizeBitmap page_sizes)
      : queue_(queue), behaviour_(behaviour), id_(id), page_sizes_(page_sizes) {}

  /// ATTACH; the first endpoint replays the mappings made before it. Returns an errno.
  int attach(Cpu& cpu, std::uint32_t endpoint);

  std::uint32_t domain() const override { return id_; }
  PageSizeBitmap page_sizes() const override { return page_sizes_; }
  MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) override;
  std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) override;
  void iotlb_sync(Cpu& cpu, IotlbGather& gather) override;
  int iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) override;
  void flush_iotlb_all(Cpu& cpu) override;
  std::optional<Gpa> iova_to_phys(Iova iova) const override;

 private:
  struct Mapping {
    Gpa gpa;
    std::uint32_t flags = 0;
  };

  virtio_iommu::Map map_request(const Interval<Mapping>& mapping) const;
  void sync(Cpu& cpu, trace::Sync kind);

  ViommuRequestQueue& queue_;
  ViommuDriverBehaviour behaviour_;
  std::uint32_t id_;
  PageSizeBitmap page_sizes_;
  unsigned endpoints_ = 0;
  IntervalPool<Mapping> pool_;
  IntervalSet<Mapping> mappings_{pool_};
};

/// The driver of one virtio-iommu.
class ViommuInstance final : public IommuInstance {
 public:
  ViommuInstance(ViommuRequestQueue& queue, const ViommuDriverBehaviour& behaviour, PageSizeBitmap page_sizes)
      : queue_(queue), behaviour_(behaviour), page_sizes_(page_sizes) {}

  void probe(Cpu& /*cpu*/) override {}  // the virtqueues are set up by the virtio core before the driver is asked
  std::unique_ptr<IommuDriver> make_domain(Cpu& /*cpu*/, std::uint32_t id) override {
    return std::make_unique<ViommuDomain>(queue_, behaviour_, id, page_sizes_);
  }
  int attach(Cpu& cpu, IommuDriver& domain, SourceId device) override {
    return static_cast<ViommuDomain&>(domain).attach(cpu, device.value);
  }

 private:
  ViommuRequestQueue& queue_;
  ViommuDriverBehaviour behaviour_;
  PageSizeBitmap page_sizes_;
};

}  // namespace gnomon::guest
