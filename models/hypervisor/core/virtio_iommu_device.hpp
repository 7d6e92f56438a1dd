// SPDX-License-Identifier: Apache-2.0
// The virtio-iommu device: domains, endpoints, mappings, and what of them is shadowed into host containers.
// Virtio 1.2, section 5.13.6; where it leaves a choice, QEMU 10.2 (hw/virtio/virtio-iommu.c).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "models/base/address.hpp"
#include "models/base/interval_set.hpp"
#include "models/hypervisor/core/shadow_target.hpp"
#include "models/spec/virtio_iommu/requests.hpp"

namespace gnomon::hypervisor {

/// Planted bugs, for tests of the checkers. All off in a correct device.
struct VirtioIommuDeviceFaults {
  bool unmap_first_piece_only = false;  ///< of a mapping's power-of-two pieces only the first leaves the shadow
  bool unmap_past_end = false;          ///< UNMAP also removes the first mapping behind its range
  std::uint64_t swallow_request = 0;    ///< the request of this number, from 1, is taken and never given back; 0: none
};

struct VirtioIommuDeviceConfig {
  virtio_iommu::ConfigSpace space;
  std::vector<virtio_iommu::ReservedMemoryProperty>
      reserved;               ///< told by PROBE, not to be mapped; at most space.probe_size
  bool check_granule = true;  ///< MAP off the granule is RANGE, as the specification wants; QEMU 10.2 does not look
  VirtioIommuDeviceFaults faults;
};

/// What a request came to; time is charged for the counts.
struct VirtioIommuOutcome {
  virtio_iommu::Status status = virtio_iommu::Status::ok;
  bool answered = true;             ///< false: unknown type, the buffer is given back unwritten (5.13.6.2)
  bool given_back = true;           ///< false: a planted fault; the driver will wait for ever
  std::uint32_t mappings = 0;       ///< records inserted, removed or replayed
  std::uint32_t shadow_maps = 0;    ///< calls of ShadowTarget::map, a refused one included
  std::uint32_t shadow_unmaps = 0;  ///< calls of ShadowTarget::unmap
};

/// Executes requests. A request runs to its end within the call: a ShadowTarget that lets time pass must keep
/// others out, as QEMU's big lock does.
class VirtioIommuDevice {
 public:
  struct Mapping {
    Gpa phys;
    std::uint32_t flags = 0;
  };
  struct Translation {
    std::optional<Gpa> gpa;  ///< empty: `fault`
    virtio_iommu::FaultReason fault = virtio_iommu::FaultReason::unknown;
  };

  /// Throws std::invalid_argument for a page_size_mask of 0, or reserved regions that do not fit probe_size <= 512.
  explicit VirtioIommuDevice(const VirtioIommuDeviceConfig& config);

  /// `target`: the endpoint's container, its own alone (std::invalid_argument if shared, or `id` is taken),
  /// outliving the device; null for an emulated endpoint, which asks translate() instead.
  void add_endpoint(std::uint32_t id, ShadowTarget* target);

  /// One request. PROBE writes `properties`, which is probe_size bytes (shorter: INVAL).
  /// MAP: the range must be free (INVAL). It is shadowed in every endpoint of the domain by naturally aligned
  /// powers of
  ///   two of the IOVA; MMIO mappings and those without permission are not. A refused piece undoes the request in
  ///   all endpoints and answers NOMEM (a choice: QEMU logs the error and answers OK).
  /// UNMAP: removes the mappings wholly inside, in ascending order; holes are fine. The first that straddles an
  /// edge
  ///   ends it with RANGE, those before stay removed (as QEMU; the specification would rather remove none).
  /// ATTACH: leaves the former domain first; creates the domain; replays its mappings. A refused replay leaves the
  ///   endpoint without a domain and answers NOMEM. DETACH of the last endpoint drops the domain with its mappings.
  VirtioIommuOutcome execute(const virtio_iommu::Request& request, std::span<std::byte> properties = {});

  /// An emulated endpoint's access, or what the shadow should say. 5.13.6.9 has the reasons.
  Translation translate(std::uint32_t endpoint, Iova iova, DmaAccess access) const;

  /// The driver wrote config.bypass: endpoints without a domain change their view.
  void set_bypass(bool on);
  /// All endpoints without a domain, no domains; shadows are taken down.
  void reset();

  const virtio_iommu::ConfigSpace& config_space() const { return config_.space; }
  std::size_t domain_count() const { return domains_.size(); }
  std::size_t mapping_count(std::uint32_t domain) const;  ///< 0 if there is no such domain
  std::uint64_t granule() const { return config_.space.page_size_mask & (~config_.space.page_size_mask + 1); }

 private:
  using Node = Interval<Mapping>;
  struct Endpoint;
  struct Domain {
    Domain(std::uint32_t id_, bool bypass_, IntervalPool<Mapping>& pool)
        : id(id_), bypass(bypass_), mappings(pool) {}
    std::uint32_t id;
    bool bypass;
    IntervalSet<Mapping> mappings;
    std::vector<Endpoint*> endpoints;  // in the order of their attachment
  };
  struct Endpoint {
    std::uint32_t id;
    ShadowTarget* target;
    Domain* domain = nullptr;
  };

  VirtioIommuOutcome run(const virtio_iommu::Attach& request);
  VirtioIommuOutcome run(const virtio_iommu::Detach& request);
  VirtioIommuOutcome run(const virtio_iommu::Map& request);
  VirtioIommuOutcome run(const virtio_iommu::Unmap& request);
  VirtioIommuOutcome probe(const virtio_iommu::Probe& request, std::span<std::byte> properties) const;

  virtio_iommu::Status check(const virtio_iommu::Map& request, const Domain* domain) const;
  bool shadow_map(Endpoint& endpoint, const Node& mapping, VirtioIommuOutcome& outcome);
  void shadow_unmap(Endpoint& endpoint, const Node& mapping, VirtioIommuOutcome& outcome);
  void remove(Domain& domain, Node* mapping, VirtioIommuOutcome& outcome);
  void leave_domain(Endpoint& endpoint, VirtioIommuOutcome& outcome);
  void set_bypass(const Endpoint& endpoint, bool on);
  Endpoint* find_endpoint(std::uint32_t id);
  Domain* find_domain(std::uint32_t id);

  VirtioIommuDeviceConfig config_;
  std::uint64_t requests_ = 0;
  IntervalPool<Mapping> pool_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;  // few: an id is looked up by going through them
  std::vector<std::unique_ptr<Domain>> domains_;      // never more than endpoints
};

}  // namespace gnomon::hypervisor
