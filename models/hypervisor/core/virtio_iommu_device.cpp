// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/virtio_iommu_device.hpp"

#include <algorithm>
#include <stdexcept>
#include <type_traits>

#include "models/base/natural_split.hpp"

namespace gnomon::hypervisor {

using virtio_iommu::FaultReason;
using virtio_iommu::Request;
using virtio_iommu::Status;

namespace {

constexpr std::uint32_t max_probe_size = 512;

DmaAccess access_of(std::uint32_t flags) {
  return static_cast<DmaAccess>(flags & (virtio_iommu::map_read | virtio_iommu::map_write));
}
static_assert(virtio_iommu::map_read == static_cast<unsigned>(DmaAccess::read) &&
              virtio_iommu::map_write == static_cast<unsigned>(DmaAccess::write));

// QEMU keeps doorbells and mappings without permission from the container.
bool shadowed(std::uint32_t flags) {
  return (flags & virtio_iommu::map_mmio) == 0 && access_of(flags) != DmaAccess::none;
}

VirtioIommuOutcome rejected(Status status) {
  VirtioIommuOutcome outcome;
  outcome.status = status;
  return outcome;
}

bool overlap(std::uint64_t a_first, std::uint64_t a_last, std::uint64_t b_first, std::uint64_t b_last) {
  return a_first <= b_last && b_first <= a_last;
}

}  // namespace

VirtioIommuDevice::VirtioIommuDevice(const VirtioIommuDeviceConfig& config) : config_(config) {
  if (config.space.page_size_mask == 0) throw std::invalid_argument("virtio-iommu without a page size");
  if (config.space.probe_size > max_probe_size ||
      config.reserved.size() * sizeof(virtio_iommu::ReservedMemoryProperty) > config.space.probe_size) {
    throw std::invalid_argument("virtio-iommu's reserved regions do not fit its probe buffer");
  }
}

void VirtioIommuDevice::add_endpoint(std::uint32_t id, ShadowTarget* target) {
  for (const auto& other : endpoints_) {
    if (other->id == id || (target != nullptr && other->target == target)) {
      throw std::invalid_argument("virtio-iommu endpoint or its container is already there");
    }
  }
  endpoints_.push_back(std::make_unique<Endpoint>(Endpoint{id, target}));
  if (config_.space.bypass != 0) set_bypass(*endpoints_.back(), true);
}

VirtioIommuOutcome VirtioIommuDevice::execute(const Request& request, std::span<std::byte> properties) {
  if (++requests_ == config_.faults.swallow_request) {
    VirtioIommuOutcome outcome;
    outcome.answered = outcome.given_back = false;
    return outcome;
  }
  return std::visit(
      [&](const auto& r) -> VirtioIommuOutcome {
        using R = std::decay_t<decltype(r)>;
        if constexpr (std::is_same_v<R, virtio_iommu::Probe>) {
          return probe(r, properties);
        } else if constexpr (std::is_same_v<R, virtio_iommu::Truncated>) {
          return rejected(Status::inval);
        } else if constexpr (std::is_same_v<R, virtio_iommu::Unrecognised>) {
          VirtioIommuOutcome outcome = rejected(Status::unsupp);
          outcome.answered = false;
          return outcome;
        } else {
          return run(r);
        }
      },
      request);
}

VirtioIommuOutcome VirtioIommuDevice::run(const virtio_iommu::Attach& request) {
  const bool bypass = (request.flags & virtio_iommu::attach_bypass) != 0;
  if ((request.flags & ~virtio_iommu::attach_bypass) != 0) return rejected(Status::inval);
  if (request.reserved != decltype(request.reserved){}) return rejected(Status::inval);
  const auto& range = config_.space.domain_range;
  if (request.domain < range.start || request.domain > range.end) return rejected(Status::range);
  Endpoint* endpoint = find_endpoint(request.endpoint);
  if (endpoint == nullptr) return rejected(Status::noent);

  VirtioIommuOutcome outcome;
  if (endpoint->domain != nullptr) {
    leave_domain(*endpoint, outcome);
  } else if (config_.space.bypass != 0) {
    set_bypass(*endpoint, false);
  }
  Domain* domain = find_domain(request.domain);
  if (domain == nullptr) {
    domains_.push_back(std::make_unique<Domain>(request.domain, bypass, pool_));
    domain = domains_.back().get();
  } else if (domain->bypass != bypass) {
    if (config_.space.bypass != 0) set_bypass(*endpoint, true);
    outcome.status = Status::inval;
    return outcome;
  }
  domain->endpoints.push_back(endpoint);
  endpoint->domain = domain;
  if (bypass) set_bypass(*endpoint, true);
  for (const Node& mapping : domain->mappings) {
    ++outcome.mappings;
    if (shadow_map(*endpoint, mapping, outcome)) continue;
    for (const Node& replayed : domain->mappings) {
      if (&replayed == &mapping) break;
      shadow_unmap(*endpoint, replayed, outcome);
    }
    domain->endpoints.pop_back();  // others are attached: an empty domain has nothing to replay
    endpoint->domain = nullptr;
    if (config_.space.bypass != 0) set_bypass(*endpoint, true);
    outcome.status = Status::nomem;
    break;
  }
  return outcome;
}

VirtioIommuOutcome VirtioIommuDevice::run(const virtio_iommu::Detach& request) {
  Endpoint* endpoint = find_endpoint(request.endpoint);
  if (endpoint == nullptr) return rejected(Status::noent);
  if (endpoint->domain == nullptr || endpoint->domain->id != request.domain) return rejected(Status::inval);
  VirtioIommuOutcome outcome;
  leave_domain(*endpoint, outcome);
  if (config_.space.bypass != 0) set_bypass(*endpoint, true);
  return outcome;
}

Status VirtioIommuDevice::check(const virtio_iommu::Map& request, const Domain* domain) const {
  if ((request.flags & ~virtio_iommu::map_flags) != 0) return Status::inval;
  if (domain == nullptr) return Status::noent;
  if (domain->bypass || request.virt_end < request.virt_start) return Status::inval;
  const std::uint64_t length = request.virt_end - request.virt_start;
  const std::uint64_t off_granule =
      (request.virt_start | (request.virt_end + 1) | request.phys_start) & (granule() - 1);
  if (config_.check_granule && off_granule != 0) return Status::range;
  const auto& range = config_.space.input_range;
  if (request.virt_start < range.start || request.virt_end > range.end) return Status::range;
  if (request.phys_start > ~std::uint64_t{0} - length) return Status::range;
  for (const auto& region : config_.reserved) {
    if (overlap(request.virt_start, request.virt_end, region.start, region.end)) return Status::inval;
  }
  if (domain->mappings.first_overlap(request.virt_start, request.virt_end) != nullptr) return Status::inval;
  return Status::ok;
}

VirtioIommuOutcome VirtioIommuDevice::run(const virtio_iommu::Map& request) {
  Domain* domain = find_domain(request.domain);
  if (const Status status = check(request, domain); status != Status::ok) return rejected(status);
  VirtioIommuOutcome outcome;
  outcome.mappings = 1;
  Node* mapping = domain->mappings.insert(request.virt_start, request.virt_end,
                                          Mapping{Gpa{request.phys_start}, request.flags});
  for (Endpoint* endpoint : domain->endpoints) {
    if (shadow_map(*endpoint, *mapping, outcome)) continue;
    for (Endpoint* done : domain->endpoints) {
      if (done == endpoint) break;
      shadow_unmap(*done, *mapping, outcome);
    }
    domain->mappings.erase(mapping);
    outcome.status = Status::nomem;
    break;
  }
  return outcome;
}

VirtioIommuOutcome VirtioIommuDevice::run(const virtio_iommu::Unmap& request) {
  Domain* domain = find_domain(request.domain);
  if (domain == nullptr) return rejected(Status::noent);
  if (domain->bypass || request.virt_end < request.virt_start) return rejected(Status::inval);
  VirtioIommuOutcome outcome;
  while (Node* mapping = domain->mappings.first_overlap(request.virt_start, request.virt_end)) {
    if (mapping->first < request.virt_start || mapping->last > request.virt_end) {
      outcome.status = Status::range;
      return outcome;
    }
    remove(*domain, mapping, outcome);
  }
  if (config_.faults.unmap_past_end) {
    if (Node* next = domain->mappings.first_above(request.virt_end)) remove(*domain, next, outcome);
  }
  return outcome;
}

VirtioIommuOutcome VirtioIommuDevice::probe(const virtio_iommu::Probe& request,
                                            std::span<std::byte> properties) const {
  const auto known = [&](const auto& endpoint) { return endpoint->id == request.endpoint; };
  if (std::none_of(endpoints_.begin(), endpoints_.end(), known)) return rejected(Status::noent);
  if (properties.size() < config_.space.probe_size) return rejected(Status::inval);
  std::fill(properties.begin(), properties.end(), std::byte{0});
  std::size_t at = 0;
  for (const auto& region : config_.reserved) {
    std::memcpy(properties.data() + at, &region, sizeof(region));
    at += sizeof(region);
  }
  return {};
}

// False: a piece was refused, and the pieces before it are unmapped again.
bool VirtioIommuDevice::shadow_map(Endpoint& endpoint, const Node& mapping, VirtioIommuOutcome& outcome) {
  if (endpoint.target == nullptr || !shadowed(mapping.payload.flags)) return true;
  for (const auto piece : NaturalSplit(mapping.first, mapping.last)) {
    ++outcome.shadow_maps;
    const Gpa gpa = mapping.payload.phys + (piece.base - mapping.first);
    if (endpoint.target->map(Iova{piece.base}, gpa, piece.size, access_of(mapping.payload.flags))) continue;
    for (const auto done : NaturalSplit(mapping.first, mapping.last)) {
      if (done.base == piece.base) break;
      ++outcome.shadow_unmaps;
      endpoint.target->unmap(Iova{done.base}, done.size);
    }
    return false;
  }
  return true;
}

// The notifier does not know what was shadowed: it unmaps doorbells too, which VFIO finds nothing of.
void VirtioIommuDevice::shadow_unmap(Endpoint& endpoint, const Node& mapping, VirtioIommuOutcome& outcome) {
  if (endpoint.target == nullptr) return;
  for (const auto piece : NaturalSplit(mapping.first, mapping.last)) {
    ++outcome.shadow_unmaps;
    endpoint.target->unmap(Iova{piece.base}, piece.size);
    if (config_.faults.unmap_first_piece_only) return;
  }
}

void VirtioIommuDevice::remove(Domain& domain, Node* mapping, VirtioIommuOutcome& outcome) {
  ++outcome.mappings;
  for (Endpoint* endpoint : domain.endpoints) shadow_unmap(*endpoint, *mapping, outcome);
  domain.mappings.erase(mapping);
}

// Takes the endpoint's shadow down and drops the domain behind its last endpoint.
void VirtioIommuDevice::leave_domain(Endpoint& endpoint, VirtioIommuOutcome& outcome) {
  Domain& domain = *endpoint.domain;
  for (const Node& mapping : domain.mappings) {
    ++outcome.mappings;
    shadow_unmap(endpoint, mapping, outcome);
  }
  if (domain.bypass) set_bypass(endpoint, false);
  endpoint.domain = nullptr;
  std::erase(domain.endpoints, &endpoint);
  if (domain.endpoints.empty()) std::erase_if(domains_, [&](const auto& d) { return d.get() == &domain; });
}

VirtioIommuDevice::Translation VirtioIommuDevice::translate(std::uint32_t id, Iova iova, DmaAccess access) const {
  const auto found =
      std::find_if(endpoints_.begin(), endpoints_.end(), [id](const auto& e) { return e->id == id; });
  if (found == endpoints_.end()) return {std::nullopt, FaultReason::unknown};
  for (const auto& region : config_.reserved) {
    if (iova.value < region.start || iova.value > region.end) continue;
    // A doorbell is not translated; any other reserved address is nobody's.
    const bool doorbell = region.subtype == virtio_iommu::ReservedMemoryProperty::Subtype::msi;
    return {doorbell ? std::optional(Gpa{iova.value}) : std::nullopt, FaultReason::mapping};
  }
  const Domain* domain = (*found)->domain;
  const bool bypass = domain == nullptr ? config_.space.bypass != 0 : domain->bypass;
  if (bypass) return {Gpa{iova.value}, FaultReason::unknown};
  if (domain == nullptr) return {std::nullopt, FaultReason::domain};
  const Node* mapping = domain->mappings.first_overlap(iova.value, iova.value);
  if (mapping == nullptr || !permits(access_of(mapping->payload.flags), access)) {
    return {std::nullopt, FaultReason::mapping};
  }
  return {mapping->payload.phys + (iova.value - mapping->first), FaultReason::unknown};
}

void VirtioIommuDevice::set_bypass(bool on) {
  const std::uint8_t value = on ? 1 : 0;
  if (config_.space.bypass == value) return;
  config_.space.bypass = value;
  for (const auto& endpoint : endpoints_) {
    if (endpoint->domain == nullptr) set_bypass(*endpoint, on);
  }
}

void VirtioIommuDevice::set_bypass(const Endpoint& endpoint, bool on) {
  if (endpoint.target != nullptr) endpoint.target->set_bypass(on);
}

void VirtioIommuDevice::reset() {
  VirtioIommuOutcome discarded;
  for (const auto& endpoint : endpoints_) {
    if (endpoint->domain == nullptr) continue;
    leave_domain(*endpoint, discarded);
    if (config_.space.bypass != 0) set_bypass(*endpoint, true);
  }
}

std::size_t VirtioIommuDevice::mapping_count(std::uint32_t id) const {
  for (const auto& domain : domains_) {
    if (domain->id == id) return domain->mappings.size();
  }
  return 0;
}

VirtioIommuDevice::Endpoint* VirtioIommuDevice::find_endpoint(std::uint32_t id) {
  for (const auto& endpoint : endpoints_) {
    if (endpoint->id == id) return endpoint.get();
  }
  return nullptr;
}

VirtioIommuDevice::Domain* VirtioIommuDevice::find_domain(std::uint32_t id) {
  for (const auto& domain : domains_) {
    if (domain->id == id) return domain.get();
  }
  return nullptr;
}

}  // namespace gnomon::hypervisor
