// SPDX-License-Identifier: Apache-2.0
// Events of the groups iommu, dma and intel_iommu.
#include <array>

#include "platform/trace_import/ftrace.hpp"

namespace gnomon::trace_import {
namespace {

using gtrace::Direction;
using gtrace::EventKind;

/// "iova=0xX - 0xY " (the end since Linux 5.13), then what follows.
const char* range(Cursor& in, std::uint64_t& start, std::uint64_t& end) {
  if (!in.literal("IOMMU: iova=") || !in.hexadecimal_0x(start)) return "IOMMU: iova=0x...";
  end = start;
  if (in.literal(" - ") && !in.hexadecimal_0x(end)) return "the end of the range, 0x...";
  return in.literal(" ") ? nullptr : "a space";
}

const char* finish_range(Cursor& in, gtrace::Event& e, std::uint64_t end) {
  if (!in.at_end()) return "the end of the line";
  if (e.bytes == 0 || e.address + e.bytes < e.address) return "a size of at least a byte, within 64 bits";
  if (end != e.address && end != e.address + e.bytes) return "a size that reaches from the start to the end";
  return nullptr;
}

// IOMMU: iova=0x%016llx - 0x%016llx paddr=0x%016llx size=%zu
const char* iommu_map(FtraceText& t) {
  auto& e = t.parsed.event;
  std::uint64_t end = 0, physical = 0;
  if (const char* missing = range(t.cursor, e.address, end)) return missing;
  if (!t.cursor.literal("paddr=") || !t.cursor.hexadecimal_0x(physical)) return "paddr=0x...";
  if (!t.cursor.literal(" size=") || !t.cursor.decimal(e.bytes)) return "size=BYTES";
  e.kind = EventKind::map;
  e.flags = gtrace::seen_by_iommu;
  e.runs.push_back({physical, e.bytes});
  t.parsed.piece = Piece::iommu_run;
  t.parsed.repeatable = false;
  return finish_range(t.cursor, e, end);
}

// IOMMU: iova=0x%016llx - 0x%016llx size=%zu unmapped_size=%zu
const char* iommu_unmap(FtraceText& t) {
  auto& e = t.parsed.event;
  std::uint64_t end = 0;
  if (const char* missing = range(t.cursor, e.address, end)) return missing;
  if (!t.cursor.literal("size=") || !t.cursor.decimal(e.bytes)) return "size=BYTES";
  if (!t.cursor.literal(" unmapped_size=") || !t.cursor.decimal(e.value)) return "unmapped_size=BYTES";
  e.kind = EventKind::unmap;
  e.flags = gtrace::seen_by_iommu;
  t.parsed.piece = Piece::iommu_unmap;
  t.parsed.repeatable = false;
  return finish_range(t.cursor, e, end);
}

const char* domain_change(FtraceText& t, EventKind kind) {
  std::string_view device;
  if (!t.cursor.literal("IOMMU: device=") || !t.cursor.word(device)) return "IOMMU: device=NAME";
  t.parsed.event.kind = kind;
  t.parsed.event.device = t.strings.intern(device);
  t.parsed.event.domain = gtrace::unknown;
  return t.cursor.at_end() ? nullptr : "the end of the line";
}
const char* attach(FtraceText& t) {
  return domain_change(t, EventKind::attach);
}
const char* detach(FtraceText& t) {
  return domain_change(t, EventKind::detach);
}

// %s %s: 0x%llx 0x%llx 0x%llx 0x%llx: type, unit, the descriptor.
const char* qi_submit(FtraceText& t) {
  std::string_view type, unit;
  if (!t.cursor.before(' ', type)) return "the type of the descriptor";
  t.cursor.spaces();
  if (!t.cursor.before(':', unit)) return "the name of the IOMMU and ':'";
  static_cast<void>(t.cursor.literal(":"));
  for (auto& word : t.parsed.event.word)
    if (!t.cursor.literal(" ") || !t.cursor.hexadecimal_0x(word)) return "four words of the descriptor, 0x...";
  t.parsed.event.kind = EventKind::command;
  t.parsed.event.name = t.strings.intern(type);
  t.parsed.event.device = t.strings.intern(unit);
  return t.cursor.at_end() ? nullptr : "the end of the line";
}

/// The values of a "{0x1,0x2}" list.
struct Values {
  static constexpr std::size_t most = 512;  // the kernel records 128
  std::array<std::uint64_t, most> value;
  std::size_t count = 0;
};

const char* list(Cursor& in, Values& values) {
  if (!in.literal("{")) return "a list in braces";
  while (!in.literal("}")) {
    if (values.count == Values::most || (values.count != 0 && !in.literal(",")) ||
        !in.hexadecimal_0x(values.value[values.count]))
      return "0x..., up to 512 of them, and '}'";
    ++values.count;
  }
  return nullptr;
}

bool direction_of(std::string_view word, Direction& direction) {
  if (word == "TO_DEVICE")
    direction = Direction::to_device;
  else if (word == "FROM_DEVICE")
    direction = Direction::from_device;
  else if (word == "BIDIRECTIONAL")
    direction = Direction::bidirectional;
  else if (word == "NONE")
    direction = Direction::none;
  else
    return false;
  return true;
}

/// DEVICE key=value ...: the fields of the group's events by name; their order and number changed with the kernels.
struct DmaFields {
  bool has_address = false, has_size = false, has_physical = false, truncated = false;
  std::uint64_t address = 0, size = 0, physical = 0;
  Values addresses, sizes, physicals;
};

const char* dma_value(FtraceText& t, std::string_view key, DmaFields& f) {
  Cursor& in = t.cursor;
  std::string_view word;
  if (key == "dir") {
    const std::size_t at = in.position();
    if (in.word(word) && direction_of(word, t.parsed.event.direction)) return nullptr;
    return in.move_to(at), "TO_DEVICE, FROM_DEVICE, BIDIRECTIONAL or NONE";
  }
  if (key == "dma_addr") return (f.has_address = in.hexadecimal(f.address)) ? nullptr : "hexadecimal digits";
  if (key == "phys_addr") return (f.has_physical = in.hexadecimal(f.physical)) ? nullptr : "hexadecimal digits";
  if (key == "size") return (f.has_size = in.decimal(f.size)) ? nullptr : "decimal digits";
  if (key == "dma_addrs") return list(in, f.addresses);
  if (key == "sizes") return list(in, f.sizes);
  if (key == "phys_addrs") return list(in, f.physicals);
  static_cast<void>(in.word(word));  // nents, ents, attrs, flags, virt_addr: nothing of a workload
  return nullptr;
}

const char* dma_fields(FtraceText& t, DmaFields& f) {
  Cursor& in = t.cursor;
  std::string_view device;
  if (!in.before(' ', device) || device.find('=') != std::string_view::npos) return "the device and its fields";
  t.parsed.event.device = t.strings.intern(device);
  bool attributes = false;  // the last field: without it the line was cut
  for (in.spaces(); !in.at_end(); in.spaces()) {
    if (in.literal("[TRUNCATED]")) {
      f.truncated = true;
      continue;
    }
    std::string_view key;
    if (!in.before('=', key)) return "FIELD=VALUE";
    static_cast<void>(in.literal("="));
    attributes = key == "attrs";
    if (const char* missing = dma_value(t, key, f)) return missing;
    if (!in.at_end() && in.peek() != ' ') return "a space";
  }
  return attributes ? nullptr : "attrs=";
}

const char* dma_map_one(FtraceText& t) {
  DmaFields f;
  if (const char* missing = dma_fields(t, f)) return missing;
  if (!f.has_address || !f.has_size) return "dma_addr= and size=";
  auto& e = t.parsed.event;
  e.kind = EventKind::map;
  e.flags = gtrace::seen_by_dma;
  e.address = f.address;
  e.bytes = f.size;
  if (f.has_physical)
    e.runs.push_back({f.physical, f.size});
  else
    e.flags |= gtrace::runs_unknown;
  t.parsed.piece = Piece::dma_map;
  t.parsed.repeatable = false;
  return nullptr;
}

const char* dma_alloc(FtraceText& t) {
  const char* missing = dma_map_one(t);
  t.parsed.event.flags |= gtrace::coherent;
  return missing;
}

// A list entry's physical address comes without its length: the runs are known only where each has its segment.
const char* dma_map_sg(FtraceText& t) {
  DmaFields f;
  if (const char* missing = dma_fields(t, f)) return missing;
  if (f.addresses.count == 0 || f.addresses.count != f.sizes.count) return "dma_addrs= and as many sizes=";
  auto& e = t.parsed.event;
  e.kind = EventKind::map;
  e.flags = gtrace::seen_by_dma;
  e.address = f.addresses.value[0];
  for (std::size_t i = 0; i < f.sizes.count; ++i) {
    e.bytes += f.sizes.value[i];
    if (f.physicals.count == f.sizes.count) e.runs.push_back({f.physicals.value[i], f.sizes.value[i]});
  }
  if (e.runs.empty() || f.truncated) {
    e.runs.clear();
    e.flags |= gtrace::runs_unknown;
  }
  t.parsed.piece = Piece::dma_map;
  t.parsed.repeatable = false;
  return nullptr;
}

const char* dma_unmap_one(FtraceText& t) {
  DmaFields f;
  if (const char* missing = dma_fields(t, f)) return missing;
  if (!f.has_address || !f.has_size) return "dma_addr= and size=";
  auto& e = t.parsed.event;
  e.kind = EventKind::unmap;
  e.flags = gtrace::seen_by_dma;
  e.address = f.address;
  e.bytes = e.value = f.size;
  t.parsed.piece = Piece::dma_unmap;
  t.parsed.repeatable = false;
  return nullptr;
}

// dma_free and dma_unmap_sg are traced before the work is done, the others after (kernel/dma/mapping.c, 6.12).
const char* dma_free(FtraceText& t) {
  const char* missing = dma_unmap_one(t);
  t.parsed.event.flags |= gtrace::coherent;
  t.parsed.piece = Piece::dma_unmapping;
  return missing;
}

const char* dma_unmap_sg(FtraceText& t) {
  DmaFields f;
  if (const char* missing = dma_fields(t, f)) return missing;
  t.parsed.event.kind = EventKind::unmap;
  t.parsed.event.flags = gtrace::seen_by_dma;
  t.parsed.piece = Piece::dma_unmapping;
  t.parsed.repeatable = false;
  return nullptr;
}

}  // namespace

void know_iommu_events(EventNames<FtraceHandler>& names) {
  names.know("map", iommu_map);
  names.know("unmap", iommu_unmap);
  names.know("attach_device_to_domain", attach);
  names.know("detach_device_from_domain", detach);
  names.know("qi_submit", qi_submit);
  for (const char* name : {"dma_map_page", "dma_map_phys", "dma_map_resource"}) names.know(name, dma_map_one);
  for (const char* name : {"dma_unmap_page", "dma_unmap_phys", "dma_unmap_resource"})
    names.know(name, dma_unmap_one);
  names.know("dma_map_sg", dma_map_sg);
  names.know("dma_unmap_sg", dma_unmap_sg);
  for (const char* name : {"dma_alloc", "dma_alloc_pages"}) names.know(name, dma_alloc);
  for (const char* name : {"dma_free", "dma_free_pages"}) names.know(name, dma_free);
  for (const char* name :
       {"dma_sync_single_for_cpu", "dma_sync_single_for_device", "dma_sync_sg_for_cpu", "dma_sync_sg_for_device"})
    names.know(name, nullptr, "moves no translation");
  for (const char* name : {"dma_map_sg_err", "dma_alloc_sgt_err"}) names.know(name, nullptr, "maps nothing");
  for (const char* name : {"add_device_to_group", "remove_device_from_group"})
    names.know(name, nullptr, "a group is not a domain");
  names.know("io_page_fault", nullptr, "a fault is a result, not a workload");
  for (const char* name : {"cache_tag_assign", "cache_tag_unassign", "cache_tag_flush_all", "cache_tag_flush_range",
                           "cache_tag_flush_range_np"})
    names.know(name, nullptr, "qi_submit shows the same");
}

}  // namespace gnomon::trace_import
