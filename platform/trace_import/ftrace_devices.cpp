// SPDX-License-Identifier: Apache-2.0
// Events of the groups nvme and kvm.
#include "platform/trace_import/ftrace.hpp"

namespace gnomon::trace_import {
namespace {

using gtrace::EventKind;
using gtrace::Operation;

// nvme%d: disk=%s, qid=%d, cmdid=%u, : an admin queue has no disk.
const char* request(FtraceText& t) {
  Cursor& in = t.cursor;
  auto& e = t.parsed.event;
  std::string_view controller, disk;
  if (!in.before(':', controller)) return "the controller and ':'";
  static_cast<void>(in.literal(": "));
  if (in.literal("disk=") && (!in.before(',', disk) || !in.literal(", "))) return "the disk's name and ','";
  if (!in.literal("qid=") || !in.decimal(e.queue)) return "qid=";
  if (!in.literal(", cmdid=") || !in.decimal(e.command)) return "cmdid=";
  e.device = t.strings.intern(disk.empty() ? controller : disk);
  e.block_bytes = t.knowledge.block_bytes;
  t.parsed.repeatable = false;
  return nullptr;
}

struct NvmeCommand {
  std::string_view name;
  Operation operation;
};
constexpr NvmeCommand nvme_commands[] = {
    {"nvme_cmd_read", Operation::read},          {"nvme_cmd_write", Operation::write},
    {"nvme_cmd_flush", Operation::flush},        {"nvme_cmd_dsm", Operation::trim},
    {"nvme_cmd_write_zeroes", Operation::other}, {"nvme_cmd_zone_append", Operation::other},
};

Operation operation_of(std::string_view name) {
  for (const NvmeCommand& command : nvme_commands)
    if (command.name == name) return command.operation;
  return Operation::other;
}

// ..., nsid=%u, flags=0x%x, meta=0x%x, cmd=(NAME FIELDS)
const char* nvme_setup(FtraceText& t) {
  Cursor& in = t.cursor;
  if (const char* missing = request(t)) return missing;
  auto& e = t.parsed.event;
  e.kind = EventKind::io_submit;
  const std::size_t cmd = in.rest().find("cmd=(");
  if (cmd == std::string_view::npos || !in.rest().ends_with(')')) return "cmd=( and ')' at the line's end";
  in.move_to(in.position() + cmd + 5);
  std::string_view name;
  if (!in.before(' ', name) && !in.before(')', name)) return "the command's name";
  e.operation = operation_of(name);
  if (e.operation != Operation::read && e.operation != Operation::write) return nullptr;
  std::uint64_t blocks = 0;
  if (!in.literal(" slba=") || !in.decimal(e.lba)) return "slba=";
  if (!in.literal(", len=") || !in.decimal(blocks) || blocks > 0xffff) return "len=, 0 to 65535";
  e.blocks = blocks + 1;  // NLB counts from zero
  return nullptr;
}

// ..., res=0x%llx, retries=%u, flags=0x%x, status=0x%x
const char* nvme_complete(FtraceText& t) {
  Cursor& in = t.cursor;
  if (const char* missing = request(t)) return missing;
  t.parsed.event.kind = EventKind::io_complete;
  const std::size_t status = in.rest().find("status=");
  if (status == std::string_view::npos) return "status=";
  in.move_to(in.position() + status + 7);
  if (!in.hexadecimal_0x(t.parsed.event.status)) return "0x...";
  return in.at_end() ? nullptr : "the end of the line";
}

// vcpu %u reason %s rip ...; before Linux 5.16 and in trace-cmd's plugin without the vCPU; arm64: TRAP: HSR_EC: ...
const char* kvm_exit(FtraceText& t) {
  Cursor& in = t.cursor;
  auto& e = t.parsed.event;
  e.kind = EventKind::vm_exit;
  e.vcpu = gtrace::unknown;
  std::string_view reason;
  if (in.literal("vcpu ")) {
    if (!in.decimal(e.vcpu) || !in.literal(" ")) return "the vCPU's number";
  }
  if (in.literal("reason ")) {
    if (!in.word(reason)) return "the reason of the exit";
  } else {
    if (!in.before(':', reason)) return "reason NAME";
    if (reason == "TRAP") {
      if (!in.before('(', reason) || !in.literal("(") || !in.before(')', reason)) return "the exception class";
    }
  }
  e.name = t.strings.intern(reason);
  return nullptr;
}

// vcpu %u, rip 0x%lx; arm64: PC: 0x...
const char* kvm_entry(FtraceText& t) {
  auto& e = t.parsed.event;
  e.kind = EventKind::vm_entry;
  e.vcpu = gtrace::unknown;
  if (t.cursor.literal("PC: ")) return nullptr;
  return t.cursor.literal("vcpu ") && t.cursor.decimal(e.vcpu) ? nullptr : "vcpu NUMBER";
}

// mmio %s len %u gpa 0x%llx val 0x%llx
const char* kvm_mmio(FtraceText& t) {
  Cursor& in = t.cursor;
  auto& e = t.parsed.event;
  e.kind = EventKind::mmio;
  e.vcpu = gtrace::unknown;
  if (!in.literal("mmio ")) return "mmio";
  if (in.literal("write "))
    e.operation = Operation::write;
  else if (in.literal("read "))
    e.operation = Operation::read;
  else if (in.literal("unsatisfied-read "))
    e.operation = Operation::unknown;
  else
    return "write, read or unsatisfied-read";
  if (!in.literal("len ") || !in.decimal(e.bytes)) return "len BYTES";
  if (!in.literal(" gpa ") || !in.hexadecimal_0x(e.address)) return "gpa 0x...";
  if (!in.literal(" val ") || !in.hexadecimal_0x(e.value)) return "val 0x...";
  if (e.operation == Operation::unknown) t.parsed.outcome = Outcome::part;  // its "read" follows
  return in.at_end() ? nullptr : "the end of the line";
}

// fast mmio at gpa 0x%llx: a write that an eventfd took; its value is not told.
const char* kvm_fast_mmio(FtraceText& t) {
  auto& e = t.parsed.event;
  e.kind = EventKind::mmio;
  e.vcpu = e.value = gtrace::unknown;
  e.operation = Operation::write;
  if (!t.cursor.literal("fast mmio at gpa ") || !t.cursor.hexadecimal_0x(e.address))
    return "fast mmio at gpa 0x...";
  return t.cursor.at_end() ? nullptr : "the end of the line";
}

}  // namespace

void know_device_events(EventNames<FtraceHandler>& names) {
  names.know("nvme_setup_cmd", nvme_setup);
  names.know("nvme_complete_rq", nvme_complete);
  names.know("nvme_sq", nullptr, "the queue's heads are no request");
  names.know("nvme_async_event", nullptr, "no request");
  names.know("kvm_exit", kvm_exit);
  names.know("kvm_entry", kvm_entry);
  names.know("kvm_mmio", kvm_mmio);
  names.know("kvm_fast_mmio", kvm_fast_mmio);
  for (const char* name : {"kvm_msr", "kvm_pio", "kvm_cpuid", "kvm_apic", "kvm_inj_virq", "kvm_hypercall",
                           "kvm_eoi", "kvm_ack_irq", "kvm_set_irq", "kvm_msi_set_irq", "kvm_apic_accept_irq",
                           "kvm_page_fault", "kvm_halt_poll_ns", "kvm_vcpu_wakeup", "kvm_userspace_exit"})
    names.know(name, nullptr, "kvm_exit names the reason");
}

}  // namespace gnomon::trace_import
