// SPDX-License-Identifier: Apache-2.0
// The invalidation queue and the unit's descriptors. What follows from an invalidation is in
// intel_iommu_shadow.cpp.
#include "models/hypervisor/core/intel_iommu_device.hpp"

#include <stdexcept>
#include <variant>

#include "models/spec/vtd/registers.hpp"

namespace gnomon::hypervisor {

namespace {

constexpr std::uint32_t every_domain = ~std::uint32_t{0};
constexpr std::uint64_t whole_domain = ~std::uint64_t{0};

ServedCommand configured(std::uint32_t domain) {
  return {ServedCommand::Kind::configure, domain, {}, 0};
}

}  // namespace

IntelIommuDevice::IntelIommuDevice(GuestRam& ram, const IntelIommuDeviceConfig& config)
    : ram_(ram), config_(config), registers_(capability(config), extended_capability(config)) {
  if (config.address_bits != 39 && config.address_bits != 48) {
    throw std::invalid_argument("intel-iommu: aw-bits is 39 or 48");
  }
  if (config.shadowing != IntelShadowing::caching_mode && !config.scalable) {
    throw std::invalid_argument("intel-iommu: a first level needs scalable mode");
  }
}

vtd::Capability IntelIommuDevice::capability(const IntelIommuDeviceConfig& config) {
  vtd::Capability c;
  c.cm = config.caching_mode;
  c.sagaw = config.address_bits == 48 ? 0b110 : 0b010;
  c.mgaw = static_cast<std::uint8_t>(config.address_bits - 1);
  c.fro = vtd::reg::frcd / 16;
  c.sslps = 0b11;
  c.psi = true;
  c.mamv = max_address_mask;
  c.dwd = c.drd = true;
  c.fs1gp = config.shadowing != IntelShadowing::caching_mode && config.first_level_1g;
  return c;
}

vtd::ExtendedCapability IntelIommuDevice::extended_capability(const IntelIommuDeviceConfig& config) {
  const bool second_level = config.shadowing == IntelShadowing::caching_mode;
  vtd::ExtendedCapability e;
  e.qi = true;
  e.c = config.snoops_tables;
  e.smpwcs = config.scalable && config.snoops_tables;
  e.smts = config.scalable;
  e.fsts = config.scalable && !second_level;
  e.ssts = e.srs = config.scalable && second_level;
  return e;
}

ServedCommand IntelIommuDevice::refuse(vtd::QueueErrorInfo reason) {
  registers_.refuse(reason);
  return {ServedCommand::Kind::illegal, 0, {}, 0};
}

// The descriptor at the head. Outside memory or the queue: an illegal one.
vtd::InvalidationDescriptor IntelIommuDevice::fetch() const {
  if (!registers_.tail_in_queue()) {
    return vtd::IllegalDescriptor{vtd::QueueErrorInfo::invalid_tail, {}, {}};
  }
  const Gpa at = registers_.head();
  const bool wide = registers_.descriptor_bytes() == vtd::wide_descriptor_bytes;
  if (!ram_.contains(at, registers_.descriptor_bytes())) {
    return vtd::IllegalDescriptor{vtd::QueueErrorInfo::fetch_error, {}, {}};
  }
  if (wide) return vtd::decode_wide_invalidation_descriptor(ram_.read<vtd::Bits256>(at));
  return vtd::decode_invalidation_descriptor(ram_.read<vtd::Bits128>(at));
}

ServedCommand IntelIommuDevice::serve(VmmPort& port) {
  if (registers_.take_switched()) {
    for (Endpoint& endpoint : endpoints_) bind(endpoint, port);
    return configured(every_domain);
  }
  if (!pending()) return {};
  const vtd::InvalidationDescriptor descriptor = fetch();
  const ServedCommand served = std::visit([&](const auto& d) { return run(d, port); }, descriptor);
  if (served.kind != ServedCommand::Kind::illegal) registers_.advance();
  return served;
}

ServedCommand IntelIommuDevice::run(const vtd::InvalidationWait& d, VmmPort& port) {
  if (!d.sw && !d.if_) return refuse(vtd::QueueErrorInfo::reserved_field);
  if (d.sw) port.write_guest(Gpa{d.status_address.value}, d.status_data, 4);
  if (d.if_) registers_.wait_completed();
  return {ServedCommand::Kind::wait, every_domain, {}, 0};
}

// As QEMU takes it: all devices for a domain.
ServedCommand IntelIommuDevice::run(const vtd::ContextCacheInvalidate& d, VmmPort& port) {
  constexpr std::uint16_t ignored[4] = {0b000, 0b100, 0b110, 0b111};
  const auto compared = static_cast<std::uint16_t>(~ignored[d.fm & 3u]);
  const bool one = d.g == vtd::Granularity::device_or_page;
  for (Endpoint& endpoint : endpoints_) {
    if (!one || ((endpoint.source.value ^ d.sid.value) & compared) == 0) bind(endpoint, port);
  }
  return configured(d.g == vtd::Granularity::global ? every_domain : d.did.value);
}

ServedCommand IntelIommuDevice::run(const vtd::IotlbInvalidate& d, VmmPort& port) {
  const Scope scope{d.g == vtd::Granularity::global, d.did, std::nullopt};
  return invalidate(scope, d.g == vtd::Granularity::device_or_page, d, port);
}

ServedCommand IntelIommuDevice::run(const vtd::PasidIotlbInvalidate& d, VmmPort& port) {
  return invalidate({false, d.did, d.pasid}, d.g == vtd::PasidGranularity::pages, d, port);
}

template <class Descriptor>
ServedCommand IntelIommuDevice::invalidate(const Scope& scope, bool pages, const Descriptor& d, VmmPort& port) {
  if (pages && d.am > max_address_mask) return refuse(vtd::QueueErrorInfo::reserved_field);
  const vtd::PageBlock said = vtd::page_block(d.addr, d.am);
  const Iova first = pages ? said.base : Iova{0};
  const std::uint64_t bytes = pages ? said.bytes : whole_domain;
  if (!shadows_by_invalidation()) {
    forward(scope, first, bytes, pages && d.ih);
  } else if (pages) {
    const vtd::PageBlock block =
        vtd::page_block(d.addr, config_.faults.ignore_address_mask ? std::uint8_t{0} : d.am);
    synchronise_all(scope, block.base, block.base + (block.bytes - 1), port);
  } else {
    synchronise_all(scope, Iova{0}, Iova{whole_domain}, port);
  }
  return {ServedCommand::Kind::invalidate, scope.global ? every_domain : scope.did.value, first, bytes};
}

// QEMU's shadow hears of a PASID entry by the PASID-based IOTLB invalidation that follows.
ServedCommand IntelIommuDevice::run(const vtd::PasidCacheInvalidate& d, VmmPort& port) {
  if (!shadows_by_invalidation()) {
    for (Endpoint& endpoint : endpoints_) bind(endpoint, port);
  }
  return configured(d.g == vtd::PasidCacheGranularity::global ? every_domain : d.did.value);
}

// No device behind this unit has a TLB of its own, and interrupts are not remapped.
ServedCommand IntelIommuDevice::run(const vtd::DeviceTlbInvalidate&, VmmPort&) {
  return configured(every_domain);
}
ServedCommand IntelIommuDevice::run(const vtd::PasidDeviceTlbInvalidate&, VmmPort&) {
  return configured(every_domain);
}
ServedCommand IntelIommuDevice::run(const vtd::InterruptEntryCacheInvalidate&, VmmPort&) {
  return configured(every_domain);
}

ServedCommand IntelIommuDevice::run(const vtd::IllegalDescriptor& d, VmmPort&) {
  return refuse(d.reason);
}

}  // namespace gnomon::hypervisor
