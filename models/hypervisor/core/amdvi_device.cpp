// SPDX-License-Identifier: Apache-2.0
// The registers and the command buffer. The shadow is in amdvi_shadow.cpp.
#include "models/hypervisor/core/amdvi_device.hpp"

#include <variant>

#include "models/spec/amdvi/registers.hpp"

namespace gnomon::hypervisor {

using amdvi::Bits128;

namespace {

namespace control = amdvi::control;
namespace reg = amdvi::reg;
namespace status = amdvi::status;

constexpr std::uint32_t every_domain = ~std::uint32_t{0};
constexpr std::uint64_t whole_domain = ~std::uint64_t{0};

// What software may change. The rest reads as it was.
constexpr std::uint64_t writable(std::uint32_t offset) {
  switch (offset) {
    case reg::device_table: return amdvi::device_table_writable;
    case reg::command_buffer:
    case reg::event_log: return amdvi::ring_writable;
    case reg::command_head:
    case reg::command_tail:
    case reg::event_head:
    case reg::event_tail: return amdvi::ring_pointer_mask;
    default: return ~std::uint64_t{0};
  }
}

ServedCommand configured() {
  return {ServedCommand::Kind::configure, 0, {}, 0};
}

}  // namespace

std::uint64_t* AmdviDevice::register_at(std::uint32_t offset) {
  switch (offset) {
    case reg::device_table: return &registers_.device_table;
    case reg::command_buffer: return &registers_.command_buffer;
    case reg::event_log: return &registers_.event_log;
    case reg::control: return &registers_.control;
    case reg::exclusion_base: return &registers_.exclusion_base;
    case reg::exclusion_limit: return &registers_.exclusion_limit;
    case reg::command_head: return &registers_.command_head;
    case reg::command_tail: return &registers_.command_tail;
    case reg::event_head: return &registers_.event_head;
    case reg::event_tail: return &registers_.event_tail;
    default: return nullptr;
  }
}

bool AmdviDevice::running() const {
  constexpr std::uint64_t both = control::iommu_en | control::cmd_buf_en;
  return (registers_.control & both) == both && !stopped_;
}

bool AmdviDevice::logging() const {
  constexpr std::uint64_t both = control::iommu_en | control::event_log_en;
  return (registers_.control & both) == both && (registers_.status & status::event_overflow) == 0;
}

std::uint64_t AmdviDevice::value_of(std::uint32_t offset) {
  if (offset == reg::extended_features) return encode(features());
  if (offset == reg::status) {
    return registers_.status | (running() ? status::cmd_buf_run : 0) | (logging() ? status::event_log_run : 0);
  }
  const std::uint64_t* known = register_at(offset);
  return known == nullptr ? 0 : *known;
}

std::uint64_t AmdviDevice::read_register(std::uint32_t offset, unsigned bytes) {
  if (offset + bytes > amdvi::register_space_bytes) return ~std::uint64_t{0};
  const std::uint64_t value = value_of(offset & ~7u);
  return bytes == 8 ? value : static_cast<std::uint32_t>(value >> (offset & 4) * 8);
}

void AmdviDevice::write_register(std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  if (offset + bytes > amdvi::register_space_bytes) return;
  const std::uint32_t base = offset & ~7u;
  const unsigned shift = bytes == 8 ? 0 : (offset & 4) * 8;
  const std::uint64_t written = bytes == 8 ? ~std::uint64_t{0} : std::uint64_t{0xffff'ffff} << shift;
  value <<= shift;
  if (base == reg::status) {
    registers_.status &= ~(value & written & status::write_1_to_clear);
    return;
  }
  std::uint64_t* known = register_at(base);
  if (known == nullptr) return;
  const std::uint64_t changes = written & writable(base);
  *known = (*known & ~changes) | (value & changes);
  if (base == reg::command_buffer) registers_.command_head = registers_.command_tail = 0;
  if (base == reg::event_log) registers_.event_head = registers_.event_tail = 0;
  if ((registers_.control & control::cmd_buf_en) == 0) stopped_ = false;
}

bool AmdviDevice::pending() const {
  const std::uint64_t in_ring = amdvi::ring_bytes(registers_.command_buffer) - 1;
  return running() && ((registers_.command_head ^ registers_.command_tail) & in_ring) != 0;
}

void AmdviDevice::log(const amdvi::Event& event, VmmPort& port) {
  if (!logging()) return;
  const std::uint64_t in_ring = amdvi::ring_bytes(registers_.event_log) - 1;
  const std::uint64_t next = (registers_.event_tail + amdvi::event_bytes) & in_ring;
  if (next == (registers_.event_head & in_ring)) {
    registers_.status |= status::event_overflow;
    return;
  }
  const Gpa at = Gpa{amdvi::ring_base(registers_.event_log).value} + (registers_.event_tail & in_ring);
  const Bits128 raw = encode(event);
  port.write_guest(at + 8, raw.hi, 8);  // the code, in the low word, comes last
  port.write_guest(at, raw.lo, 8);
  registers_.event_tail = next;
  registers_.status |= status::event_log_int;
}

ServedCommand AmdviDevice::serve(VmmPort& port) {
  if (!pending()) return {};
  const std::uint64_t in_ring = amdvi::ring_bytes(registers_.command_buffer) - 1;
  const Gpa at = Gpa{amdvi::ring_base(registers_.command_buffer).value} + (registers_.command_head & in_ring);
  ServedCommand served{ServedCommand::Kind::illegal, 0, {}, 0};
  if (ram_.contains(at, sizeof(Bits128))) {
    const amdvi::Command command = amdvi::decode_command(ram_.read<Bits128>(at));
    served = std::visit([&](const auto& c) { return run(c, port); }, command);
    if (served.kind == ServedCommand::Kind::illegal) log(amdvi::IllegalCommandError{Hpa{at.value}}, port);
  } else {
    log(amdvi::CommandHardwareError{amdvi::HardwareErrorType::master_abort, Hpa{at.value}}, port);
  }
  if (served.kind == ServedCommand::Kind::illegal && config_.illegal_stops) {
    stopped_ = true;  // the head stays at the command
  } else {
    registers_.command_head = (registers_.command_head + amdvi::command_bytes) & in_ring;
  }
  return served;
}

ServedCommand AmdviDevice::run(const amdvi::CompletionWait& command, VmmPort& port) {
  if (command.s) port.write_guest(Gpa{command.store_address.value}, command.store_data, 8);
  if (command.i) registers_.status |= status::com_wait_int;
  return {ServedCommand::Kind::wait, every_domain, {}, 0};
}

ServedCommand AmdviDevice::run(const amdvi::InvalidateIommuPages& command, VmmPort& port) {
  constexpr std::uint64_t largest = std::uint64_t{1} << 51;  // QEMU takes larger blocks for everything
  amdvi::RangeOperand operand = command.range;
  const amdvi::CoveredRange said = amdvi::decode_range(operand);
  if (config_.faults.ignore_size_bit) operand.s = false;
  const amdvi::CoveredRange covered = amdvi::decode_range(operand);
  const bool all = covered.everything() || covered.bytes > largest;
  const Iova first = all ? Iova{0} : covered.base;
  const Iova last = all ? Iova{whole_domain} : covered.base + (covered.bytes - 1);
  for (Endpoint& endpoint : endpoints_) {
    if (!endpoint.translating || !config_.shadow) continue;
    bool readable = false;
    const amdvi::DeviceTableEntry entry = read_device_entry(endpoint.source, port, readable);
    if (readable && entry.v && entry.tv && entry.domain == command.domain) {
      synchronise(endpoint, entry, first, last, port);
    }
  }
  const bool everything = said.everything() || said.bytes > largest;
  return {ServedCommand::Kind::invalidate, command.domain.value, everything ? Iova{0} : said.base,
          everything ? whole_domain : said.bytes};
}

ServedCommand AmdviDevice::run(const amdvi::InvalidateIommuAll&, VmmPort& port) {
  for (Endpoint& endpoint : endpoints_) {
    if (!endpoint.translating || !config_.shadow) continue;
    bool readable = false;
    const amdvi::DeviceTableEntry entry = read_device_entry(endpoint.source, port, readable);
    if (readable && entry.v && entry.tv) synchronise(endpoint, entry, Iova{0}, Iova{whole_domain}, port);
  }
  return {ServedCommand::Kind::invalidate, every_domain, {}, whole_domain};
}

ServedCommand AmdviDevice::run(const amdvi::InvalidateDevtabEntry& command, VmmPort& port) {
  for (Endpoint& endpoint : endpoints_) {
    if (endpoint.source != command.device || !config_.shadow) continue;
    bool readable = false;
    const amdvi::DeviceTableEntry entry = read_device_entry(endpoint.source, port, readable);
    if (readable && (!entry.v || (entry.tv && entry.mode == 0))) {
      pass_through(endpoint);
    } else if (readable && entry.tv && entry.mode <= amdvi::max_levels) {
      translate(endpoint, entry, port);
    } else {
      isolate(endpoint);
    }
  }
  return configured();
}

// No device behind this unit has an IOTLB of its own, interrupts are not remapped, and there are no page requests.
ServedCommand AmdviDevice::run(const amdvi::InvalidateIotlbPages&, VmmPort&) {
  return configured();
}
ServedCommand AmdviDevice::run(const amdvi::InvalidateInterruptTable&, VmmPort&) {
  return configured();
}
ServedCommand AmdviDevice::run(const amdvi::CompletePprRequest&, VmmPort&) {
  return configured();
}

ServedCommand AmdviDevice::run(const amdvi::IllegalCommand&, VmmPort&) {
  return {ServedCommand::Kind::illegal, 0, {}, 0};
}

}  // namespace gnomon::hypervisor
