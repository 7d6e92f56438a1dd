// SPDX-License-Identifier: Apache-2.0
// QEMU's events of the NVMe controller, virtqueues and device memory.
#include "platform/trace_import/qemu_log.hpp"

namespace gnomon::trace_import {
namespace {

using gtrace::EventKind;
using gtrace::Operation;

bool decimal_after(Cursor& in, std::string_view text, std::uint64_t& value) {
  return in.literal(text) && in.decimal(value);
}
bool hexadecimal_after(Cursor& in, std::string_view text, std::uint64_t& value) {
  return in.literal(text) && in.hexadecimal_0x(value);
}

const char* doorbell(QemuText& t, const char* name, std::string_view queue, std::string_view position) {
  auto& e = t.parsed.event;
  e.kind = EventKind::doorbell;
  e.name = t.strings.intern(name);
  if (!decimal_after(t.cursor, queue, e.queue)) return "sqid or cqid, and NUMBER";
  return decimal_after(t.cursor, position, e.value) ? nullptr : "new_tail or new_head, and NUMBER";
}
const char* submission_doorbell(QemuText& t) {
  return doorbell(t, "sq", "sqid ", " new_tail ");
}
const char* completion_doorbell(QemuText& t) {
  return doorbell(t, "cq", "cqid ", " new_head ");
}

void name_the_device(QemuText& t) {
  t.parsed.event.device = t.knowledge.device.empty() ? 0 : t.strings.intern(t.knowledge.device);
}

// cid %u nsid 0x%x sqid %u opc 0x%x opname '%s': reads and writes have an event of their own after it.
const char* command(QemuText& t) {
  auto& e = t.parsed.event;
  std::uint64_t nsid = 0, opcode = 0;
  if (!decimal_after(t.cursor, "cid ", e.command)) return "cid NUMBER";
  if (!hexadecimal_after(t.cursor, " nsid ", nsid)) return "nsid 0x...";
  if (!decimal_after(t.cursor, " sqid ", e.queue)) return "sqid NUMBER";
  if (!hexadecimal_after(t.cursor, " opc ", opcode)) return "opc 0x...";
  if (!t.cursor.literal(" opname '") || !t.cursor.rest().ends_with('\'')) return "opname '...'";
  t.cursor.move_to(t.cursor.position() + t.cursor.rest().size());
  t.in_flight = {e.lane, e.command, e.queue};
  constexpr std::uint64_t flush = 0x00, write = 0x01, read = 0x02, dataset_management = 0x09;  // NVMe 1.4, 6
  if (opcode == read || opcode == write) {
    t.parsed.outcome = Outcome::part;
    return nullptr;
  }
  e.kind = EventKind::io_submit;
  e.operation = opcode == flush                ? Operation::flush
                : opcode == dataset_management ? Operation::trim
                                               : Operation::other;
  name_the_device(t);
  return nullptr;
}

// nsid %u nlb %u count %u lba 0x%x: count is of bytes.
const char* blocks(QemuText& t, Operation operation) {
  auto& e = t.parsed.event;
  std::uint64_t nsid = 0, bytes = 0;
  if (!decimal_after(t.cursor, " nsid ", nsid)) return "nsid NUMBER";
  if (!decimal_after(t.cursor, " nlb ", e.blocks)) return "nlb NUMBER";
  if (!decimal_after(t.cursor, " count ", bytes)) return "count BYTES";
  if (e.blocks == 0 || bytes % e.blocks != 0) return "count, a multiple of nlb";
  if (!hexadecimal_after(t.cursor, " lba ", e.lba)) return "lba 0x...";
  e.kind = EventKind::io_submit;
  e.operation = operation;
  e.block_bytes = bytes / e.blocks;
  const bool known = t.in_flight.thread == e.lane && t.in_flight.command == e.command;
  e.queue = known ? t.in_flight.queue : gtrace::unknown;
  name_the_device(t);
  return nullptr;
}

const char* read_blocks(QemuText& t) {
  if (!decimal_after(t.cursor, "cid ", t.parsed.event.command)) return "cid NUMBER";
  return blocks(t, Operation::read);
}

const char* write_blocks(QemuText& t) {
  std::string_view name;
  if (!decimal_after(t.cursor, "cid ", t.parsed.event.command)) return "cid NUMBER";
  if (!t.cursor.literal(" opname '") || !t.cursor.before('\'', name) || !t.cursor.literal("'"))
    return "opname '...'";
  return blocks(t, Operation::write);
}

const char* interrupt(QemuText& t) {
  auto& e = t.parsed.event;
  e.kind = EventKind::interrupt;
  return decimal_after(t.cursor, "raising MSI-X IRQ vector ", e.value) ? nullptr
                                                                       : "raising MSI-X IRQ vector NUMBER";
}

const char* notify(QemuText& t) {
  auto& e = t.parsed.event;
  std::string_view device, queue;
  e.kind = EventKind::kick;
  e.value = gtrace::unknown;
  if (!t.cursor.literal("vdev ") || !t.cursor.word(device)) return "vdev POINTER";
  if (!decimal_after(t.cursor, " n ", e.queue)) return "n NUMBER";
  if (!t.cursor.literal(" vq ") || !t.cursor.word(queue)) return "vq POINTER";
  e.device = t.strings.intern(device);
  return nullptr;
}

// cpu %d mr %p addr 0x%x value 0x%x size %u name '%s'
const char* memory_access(QemuText& t, Operation operation) {
  auto& e = t.parsed.event;
  std::string_view region;
  e.kind = EventKind::mmio;
  e.operation = operation;
  const bool by_device = t.cursor.literal("cpu -1");  // no vCPU: a device's own access
  if (by_device)
    e.vcpu = gtrace::unknown;
  else if (!decimal_after(t.cursor, "cpu ", e.vcpu))
    return "cpu NUMBER";
  if (!t.cursor.literal(" mr ") || !t.cursor.word(region)) return "mr POINTER";
  if (!hexadecimal_after(t.cursor, " addr ", e.address)) return "addr 0x...";
  if (!hexadecimal_after(t.cursor, " value ", e.value)) return "value 0x...";
  if (!decimal_after(t.cursor, " size ", e.bytes)) return "size BYTES";
  std::string_view name;
  if (!t.cursor.literal(" name '") || !t.cursor.rest().ends_with('\'')) return "name '...'";
  name = t.cursor.rest();
  name.remove_suffix(1);
  e.name = t.strings.intern(name);
  t.cursor.move_to(t.cursor.position() + name.size() + 1);
  return nullptr;
}
const char* memory_write(QemuText& t) {
  return memory_access(t, Operation::write);
}
const char* memory_read(QemuText& t) {
  return memory_access(t, Operation::read);
}

}  // namespace

void know_qemu_device_events(EventNames<QemuHandler>& names) {
  names.know("pci_nvme_mmio_doorbell_sq", submission_doorbell);
  names.know("pci_nvme_mmio_doorbell_cq", completion_doorbell);
  names.know("pci_nvme_io_cmd", command);
  names.know("pci_nvme_read", read_blocks);
  names.know("pci_nvme_write", write_blocks);
  names.know("pci_nvme_irq_msix", interrupt);
  names.know("virtio_queue_notify", notify);
  names.know("memory_region_ops_write", memory_write);
  names.know("memory_region_ops_read", memory_read);
  for (const char* name : {"pci_nvme_map_prp", "pci_nvme_map_sgl", "pci_nvme_map_addr", "pci_nvme_rw_cb",
                           "pci_nvme_rw_complete_cb", "pci_nvme_enqueue_req_completion"})
    names.know(name, nullptr, "QEMU at work on a command that has its own event");
  names.know("pci_nvme_admin_cmd", nullptr, "an admin command moves no data of a workload");
  names.know("virtio_notify", nullptr, "an interrupt of another device than the NVMe controller");
}

}  // namespace gnomon::trace_import
