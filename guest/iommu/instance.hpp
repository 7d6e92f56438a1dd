// SPDX-License-Identifier: Apache-2.0
// One IOMMU as the kernel's driver has probed it: it makes domains and binds devices to them (struct iommu_ops).
#pragma once

#include <cstdint>
#include <memory>

#include "guest/iommu/driver.hpp"
#include "models/base/address.hpp"

namespace gnomon::guest {

class IommuInstance {
 public:
  virtual ~IommuInstance() = default;

  /// Sets the hardware up: tables, queues, translation on. Runs on the boot CPU and takes its time.
  virtual void probe(Cpu& cpu) = 0;
  /// An empty paging domain, `id` from 1 as the event stream names it.
  virtual std::unique_ptr<IommuDriver> make_domain(Cpu& cpu, std::uint32_t id) = 0;
  /// Binds a device to a domain of this instance. Returns an errno.
  virtual int attach(Cpu& cpu, IommuDriver& domain, SourceId device) = 0;
};

}  // namespace gnomon::guest
