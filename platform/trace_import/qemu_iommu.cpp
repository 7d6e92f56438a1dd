// SPDX-License-Identifier: Apache-2.0
// QEMU's events of its emulated IOMMUs.
#include "platform/trace_import/qemu_log.hpp"

namespace gnomon::trace_import {
namespace {

using gtrace::EventKind;
using gtrace::Operation;

/// Text before a number, and the number.
bool decimal_after(Cursor& in, std::string_view text, std::uint64_t& value) {
  return in.literal(text) && in.decimal(value);
}
bool hexadecimal_after(Cursor& in, std::string_view text, std::uint64_t& value) {
  return in.literal(text) && in.hexadecimal_0x(value);
}

void skip_rest(Cursor& in) {
  in.move_to(in.position() + in.rest().size());
}

// The name says all that is known.
const char* named_invalidation(QemuText& t) {
  auto& e = t.parsed.event;
  e.kind = EventKind::invalidation;
  e.domain = e.mask = gtrace::unknown;
  return nullptr;
}

gtrace::Event& invalidation(QemuText& t, const char* name) {
  static_cast<void>(named_invalidation(t));
  t.parsed.event.name = t.strings.intern(name);
  return t.parsed.event;
}

const char* vtd_descriptor(QemuText& t) {
  auto& e = t.parsed.event;
  std::string_view type;
  e.kind = EventKind::command;
  if (!t.cursor.literal("invalidate desc type ")) return "invalidate desc type";
  const std::size_t end = t.cursor.rest().find(" high ");
  if (end == std::string_view::npos || end == 0) return "the type, and high";
  type = t.cursor.rest().substr(0, end);
  t.cursor.move_to(t.cursor.position() + end);
  if (!hexadecimal_after(t.cursor, " high ", e.word[1])) return "high 0x...";
  if (!hexadecimal_after(t.cursor, " low ", e.word[0])) return "low 0x...";
  e.name = t.strings.intern(type);
  e.device = t.strings.intern("intel-iommu");
  return nullptr;
}

const char* vtd_pages(QemuText& t) {
  auto& e = invalidation(t, "iotlb pages");
  if (!hexadecimal_after(t.cursor, "iotlb invalidate domain ", e.domain)) return "iotlb invalidate domain 0x...";
  if (!hexadecimal_after(t.cursor, " addr ", e.address)) return "addr 0x...";
  return hexadecimal_after(t.cursor, " mask ", e.mask) ? nullptr : "mask 0x...";
}

const char* vtd_domain(QemuText& t) {
  auto& e = invalidation(t, "iotlb domain");
  return hexadecimal_after(t.cursor, "iotlb invalidate whole domain ", e.domain)
             ? nullptr
             : "iotlb invalidate whole domain 0x...";
}

const char* vtd_global(QemuText& t) {
  static_cast<void>(invalidation(t, "iotlb global"));
  return t.cursor.literal("iotlb invalidate global") ? nullptr : "iotlb invalidate global";
}

const char* vtd_context_domain(QemuText& t) {
  auto& e = invalidation(t, "context domain");
  return hexadecimal_after(t.cursor, "context invalidate domain ", e.domain) ? nullptr
                                                                             : "context invalidate domain 0x...";
}

const char* vtd_context_global(QemuText& t) {
  static_cast<void>(invalidation(t, "context global"));
  return t.cursor.literal("context invalidate globally") ? nullptr : "context invalidate globally";
}

const char* vtd_context_device(QemuText& t) {
  static_cast<void>(invalidation(t, "context device"));
  if (!t.cursor.literal("context invalidate device ")) return "context invalidate device";
  skip_rest(t.cursor);
  return nullptr;
}

const char* vtd_wait(QemuText& t) {
  auto& e = t.parsed.event;
  e.kind = EventKind::wait;
  if (!hexadecimal_after(t.cursor, "wait invalidate status write addr ", e.address))
    return "wait invalidate status write addr 0x...";
  return hexadecimal_after(t.cursor, " data ", e.value) ? nullptr : "data 0x...";
}

const char* vtd_tail(QemuText& t) {
  auto& e = t.parsed.event;
  e.kind = EventKind::kick;
  e.device = t.strings.intern("intel-iommu");
  return decimal_after(t.cursor, "write tail ", e.value) ? nullptr : "write tail NUMBER";
}

const char* vtd_register(QemuText& t, Operation operation) {
  auto& e = t.parsed.event;
  e.kind = EventKind::register_access;
  e.operation = operation;
  e.name = t.strings.intern("intel-iommu");
  if (!hexadecimal_after(t.cursor, "addr ", e.address)) return "addr 0x...";
  if (!hexadecimal_after(t.cursor, " size ", e.bytes)) return "size 0x...";
  if (operation == Operation::write)
    return hexadecimal_after(t.cursor, " value ", e.value) ? nullptr : "value 0x...";
  e.value = gtrace::unknown;
  return nullptr;
}
const char* vtd_write(QemuText& t) {
  return vtd_register(t, Operation::write);
}
const char* vtd_read(QemuText& t) {
  return vtd_register(t, Operation::read);
}

const char* amd_pages(QemuText& t) {
  auto& e = invalidation(t, "amdvi pages");
  if (!hexadecimal_after(t.cursor, "AMD-Vi pages for domain ", e.domain)) return "AMD-Vi pages for domain 0x...";
  return t.cursor.literal(" invalidated") ? nullptr : "invalidated";
}

template <int which>
const char* amd_named(QemuText& t) {
  constexpr const char* names[] = {"amdvi all", "amdvi devtab", "amdvi domain", "amdvi interrupts", "amdvi iotlb"};
  static_cast<void>(invalidation(t, names[which]));
  skip_rest(t.cursor);
  return nullptr;
}

const char* amd_wait(QemuText& t) {
  auto& e = t.parsed.event;
  e.kind = EventKind::wait;
  if (!hexadecimal_after(t.cursor, "completion wait requested with store address ", e.address))
    return "completion wait requested with store address 0x...";
  return hexadecimal_after(t.cursor, " and store data ", e.value) ? nullptr : "and store data 0x...";
}

// QEMU 7.2 prints amdvi_mmio_read for writes as well: only amdvi_mmio_write says what it was.
const char* amd_register(QemuText& t, Operation operation) {
  auto& e = t.parsed.event;
  std::string_view name;
  e.kind = EventKind::register_access;
  e.operation = operation;
  e.value = gtrace::unknown;
  if (!t.cursor.word(name)) return "the register's name";
  if (!hexadecimal_after(t.cursor, operation == Operation::write ? " write addr " : " read addr ", e.address))
    return "read or write, and addr 0x...";
  if (!decimal_after(t.cursor, ", size ", e.bytes)) return ", size BYTES";
  if (operation == Operation::write && !hexadecimal_after(t.cursor, ", val ", e.value)) return ", val 0x...";
  static_cast<void>(t.cursor.literal(","));
  std::uint64_t offset = 0;
  if (!hexadecimal_after(t.cursor, " offset ", offset)) return "offset 0x...";
  e.name = t.strings.intern(name);
  return nullptr;
}
const char* amd_write(QemuText& t) {
  return amd_register(t, Operation::write);
}
const char* amd_read(QemuText& t) {
  return amd_register(t, Operation::unknown);
}

// domain=%d virt_start=0x%x virt_end=0x%x: the end is the last byte.
const char* virtio_range(QemuText& t) {
  auto& e = t.parsed.event;
  std::uint64_t last = 0;
  if (!decimal_after(t.cursor, "domain=", e.domain)) return "domain=NUMBER";
  if (!hexadecimal_after(t.cursor, " virt_start=", e.address)) return "virt_start=0x...";
  const std::size_t at = t.cursor.position();
  if (!hexadecimal_after(t.cursor, " virt_end=", last)) return "virt_end=0x...";
  if (last < e.address || (e.bytes = last - e.address + 1) == 0) {
    t.cursor.move_to(at);
    return "virt_end= of at least virt_start, and fewer than 2^64 bytes";
  }
  return nullptr;
}

const char* virtio_map(QemuText& t) {
  auto& e = t.parsed.event;
  e.kind = EventKind::map_request;
  if (const char* missing = virtio_range(t)) return missing;
  if (!hexadecimal_after(t.cursor, " phys_start=", e.target)) return "phys_start=0x...";
  return decimal_after(t.cursor, " flags=", e.flags) ? nullptr : "flags=NUMBER";
}

const char* virtio_unmap(QemuText& t) {
  t.parsed.event.kind = EventKind::unmap_request;
  return virtio_range(t);
}

const char* virtio_domain(QemuText& t, EventKind kind) {
  auto& e = t.parsed.event;
  std::uint64_t endpoint = 0;
  e.kind = kind;
  if (!decimal_after(t.cursor, "domain=", e.domain)) return "domain=NUMBER";
  if (!decimal_after(t.cursor, " endpoint=", endpoint)) return "endpoint=NUMBER";
  e.device = t.strings.intern("endpoint " + std::to_string(endpoint));
  return nullptr;
}
const char* virtio_attach(QemuText& t) {
  return virtio_domain(t, EventKind::attach);
}
const char* virtio_detach(QemuText& t) {
  return virtio_domain(t, EventKind::detach);
}

}  // namespace

void know_qemu_iommu_events(EventNames<QemuHandler>& names) {
  names.know("vtd_inv_desc", vtd_descriptor);
  names.know("vtd_inv_desc_iotlb_pages", vtd_pages);
  names.know("vtd_inv_desc_iotlb_domain", vtd_domain);
  names.know("vtd_inv_desc_iotlb_global", vtd_global);
  names.know("vtd_inv_desc_cc_domain", vtd_context_domain);
  names.know("vtd_inv_desc_cc_global", vtd_context_global);
  names.know("vtd_inv_desc_cc_device", vtd_context_device);
  names.know("vtd_inv_desc_wait_sw", vtd_wait);
  names.know("vtd_inv_qi_tail", vtd_tail);
  names.know("vtd_reg_write", vtd_write);
  names.know("vtd_reg_read", vtd_read);
  names.know("amdvi_pages_inval", amd_pages);
  names.know("amdvi_all_inval", amd_named<0>);
  names.know("amdvi_devtab_inval", amd_named<1>);
  names.know("amdvi_domain_inval", amd_named<2>);
  names.know("amdvi_intr_inval", amd_named<3>);
  names.know("amdvi_iotlb_inval", amd_named<4>);
  names.know("amdvi_completion_wait", amd_wait);
  names.know("amdvi_mmio_write", amd_write);
  names.know("amdvi_mmio_read", amd_read);
  names.know("virtio_iommu_map", virtio_map);
  names.know("virtio_iommu_unmap", virtio_unmap);
  names.know("virtio_iommu_attach", virtio_attach);
  names.know("virtio_iommu_detach", virtio_detach);
  for (const char* name : {"vtd_inv_qi_head", "vtd_inv_qi_fetch", "amdvi_command_exec", "virtio_iommu_unmap_done"})
    names.know(name, nullptr, "QEMU at work on a command that has its own event");
  for (const char* name :
       {"vtd_iotlb_page_update", "vtd_iotlb_page_hit", "vtd_iotlb_reset", "vtd_context_cache_reset",
        "vtd_iotlb_cc_hit", "vtd_iotlb_cc_update", "amdvi_cache_update", "amdvi_iotlb_hit",
        "amdvi_translation_result", "virtio_iommu_translate", "virtio_iommu_translate_out"})
    names.know(name, nullptr, "translation, a result of the workload");
  for (const char* name :
       {"amdvi_mem_ir_write_req", "amdvi_mem_ir_write", "amdvi_ir_remap_msi_req", "amdvi_ir_remap_msi",
        "amdvi_ir_irte_ga_val", "amdvi_ir_irte", "amdvi_ir_intctl", "amdvi_ir_delivery_mode"})
    names.know(name, nullptr, "interrupt remapping");
  for (const char* name : {"vtd_switch_address_space", "virtio_iommu_device_status", "amdvi_control_status"})
    names.know(name, nullptr, "set-up of the IOMMU");
}

}  // namespace gnomon::trace_import
