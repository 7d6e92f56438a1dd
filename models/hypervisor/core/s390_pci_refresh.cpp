// SPDX-License-Identifier: Apache-2.0
// RPCIT's service: the walk of a guest's tables against the record of what the host maps, a segment at a time.
#include <algorithm>
#include <cstring>

#include "models/base/natural_split.hpp"
#include "models/hypervisor/core/s390_pci_device.hpp"
#include "models/spec/s390_pci/dma_table.hpp"

namespace gnomon::hypervisor {

namespace s390 = s390_pci;
using s390::ConditionCode;
using s390::EventCode;

/// One walk of [first, end) and what it changes.
class S390PciDevice::Pass {
 public:
  Pass(const S390PciDevice& device, Function& function, RefreshPort& port, RefreshServed& served)
      : ram_(device.ram_), faults_(device.config_.faults), function_(function), port_(port), served_(served) {}

  /// False: an event ended it.
  bool run(std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t at = first; at < end && served_.event == EventCode::none;) at = step(at, end);
    charge();
    flush_run();
    return served_.event == EventCode::none;
  }
  bool again() const { return again_; }

 private:
  static constexpr std::uint64_t compared = s390::page_frame_mask | s390::protected_bit;

  std::uint64_t read(std::uint64_t table, unsigned index) {
    ++reads_;
    const Gpa at{table + std::uint64_t{index} * sizeof(std::uint64_t)};
    return ram_.contains(at, sizeof(std::uint64_t)) ? s390::big_endian(ram_.read<std::uint64_t>(at)) : ~0ULL;
  }
  std::uint64_t event(EventCode code, std::uint64_t at) {
    served_.event = code;
    return at;
  }
  void charge() {
    if (reads_ == 0 && look_ups_ == 0) return;
    served_.reads += reads_;
    served_.look_ups += look_ups_;
    port_.walked(reads_, look_ups_);
    reads_ = look_ups_ = 0;
  }
  bool slot_free() const { return !function_.slots || *function_.slots > 0; }

  std::uint64_t step(std::uint64_t at, std::uint64_t end);
  void absent(std::uint64_t at, std::uint64_t end);
  std::uint64_t frame(std::uint64_t at, std::uint64_t end, std::uint64_t entry, std::uint64_t above);
  std::uint64_t page_table(std::uint64_t at, std::uint64_t end, std::uint64_t table, std::uint64_t above);
  void invalid_pages(MappedPages::Segment* segment, std::uint64_t base, unsigned from, unsigned to);
  void valid_page(std::uint64_t iova, std::uint64_t entry);
  void flush_run();
  void unmap(std::uint64_t iova, std::uint64_t bytes);

  GuestRam& ram_;
  const S390PciFaults& faults_;
  Function& function_;
  RefreshPort& port_;
  RefreshServed& served_;
  std::uint64_t run_first_ = 0;  // invalid page table entries not unmapped yet
  std::uint64_t run_end_ = 0;
  std::uint64_t reads_ = 0;  // not charged yet
  std::uint64_t look_ups_ = 0;
  bool again_ = false;
};

std::uint64_t S390PciDevice::Pass::step(std::uint64_t at, std::uint64_t end) {
  const std::uint64_t region = read(s390::anchor_origin(function_.iota), s390::region_index(Iova{at}));
  if (region == 0) return event(EventCode::invalid_table_entry, at);
  if (!s390::directory_valid(region)) {
    const std::uint64_t to = std::min(end, (at | (s390::region_bytes - 1)) + 1);
    absent(at, to);
    return to;
  }
  if (!s390::region_full_length(region)) return event(EventCode::invalid_table_length, at);
  const std::uint64_t segments = region & s390::region_origin_mask;
  if (segments == 0) return event(EventCode::translation_type, at);

  const std::uint64_t segment = read(segments, s390::segment_index(Iova{at}));
  if (segment == 0) return event(EventCode::invalid_table_entry, at);
  const std::uint64_t to = std::min(end, (at | (s390::segment_bytes - 1)) + 1);
  if (!s390::directory_valid(segment)) {
    absent(at, to);
    return to;
  }
  const std::uint64_t above = function_.iota | region | segment;  // protection of any level holds
  if ((segment & s390::segment_frame_bit) != 0) return frame(at, to, segment, above);
  const std::uint64_t pages = segment & s390::segment_origin_mask;
  if (pages == 0) return event(EventCode::translation_type, at);
  return page_table(at, to, pages, above);
}

/// Nothing is mapped below an invalid directory entry: such a step does not gather in the run.
void S390PciDevice::Pass::absent(std::uint64_t at, std::uint64_t end) {
  look_ups_ += (end - at) >> page_shift;
  if (run_first_ != run_end_) {
    charge();
    flush_run();
  }
  for (std::uint64_t number = at >> s390::segment_shift; number < function_.mapped.end(); ++number) {
    const std::uint64_t base = number << s390::segment_shift;
    if (base >= end) break;
    MappedPages::Segment* segment = function_.mapped.find(number);
    if (segment == nullptr || segment->pages == 0) continue;
    const unsigned from = base < at ? s390::page_index(Iova{at}) : 0;
    const unsigned to = end - base < s390::segment_bytes ? s390::page_index(Iova{end}) : SegmentBits::size;
    for (unsigned i = segment->present.next(from, to); i < to; i = segment->present.next(i, to)) {
      const unsigned past = segment->present.next_clear(i, to);
      invalid_pages(segment, base, i, past);
      flush_run();
    }
  }
}

/// A frame of 1 MiB is mapped page by page.
std::uint64_t S390PciDevice::Pass::frame(std::uint64_t at, std::uint64_t end, std::uint64_t entry,
                                         std::uint64_t above) {
  flush_run();
  for (; at < end; at += page_size) {
    if (!slot_free()) {
      again_ = true;
      return end;
    }
    ++look_ups_;
    charge();
    const std::uint64_t target = (entry & s390::segment_frame_mask) + (at & (s390::segment_bytes - 1));
    valid_page(at, target | (above & s390::protected_bit));
  }
  return end;
}

std::uint64_t S390PciDevice::Pass::page_table(std::uint64_t at, std::uint64_t end, std::uint64_t table,
                                              std::uint64_t above) {
  const unsigned from = s390::page_index(Iova{at});
  const unsigned to = from + static_cast<unsigned>((end - at) >> page_shift);
  std::array<std::uint64_t, SegmentBits::size> raw;  // as memory has it; a table lies within a page
  if (ram_.contains(Gpa{table}, s390::page_table_bytes)) {
    std::memcpy(raw.data(), ram_.memory().at(ram_.to_hpa(Gpa{table}), s390::page_table_bytes), sizeof(raw));
  } else {
    raw.fill(~0ULL);
  }
  constexpr std::uint64_t invalid = s390::big_endian(s390::page_invalid_bit);
  SegmentBits valid;
  unsigned zero = to;
  for (unsigned i = from; i < to; ++i) {
    valid.word(i / 64) |= std::uint64_t{(raw[i] & invalid) == 0} << (i % 64);
    if (raw[i] == 0 && zero == to) zero = i;
  }
  // Each page is a walk from the root; the first two reads of the first are counted already.
  reads_ += 3 * std::uint64_t{std::min(zero + 1, to) - from} - 2;
  look_ups_ += zero - from;
  charge();

  const std::uint64_t base = at & ~(s390::segment_bytes - 1);
  MappedPages::Segment* segment = function_.mapped.find(base >> s390::segment_shift);
  for (unsigned i = from; i < zero;) {
    const unsigned next_valid = valid.next(i, zero);
    if (next_valid > i) {
      if (run_first_ == run_end_) run_first_ = base + (std::uint64_t{i} << page_shift);
      run_end_ = base + (std::uint64_t{next_valid} << page_shift);
      invalid_pages(segment, base, i, next_valid);
    }
    if (next_valid == zero) break;
    flush_run();
    const std::uint64_t iova = base + (std::uint64_t{next_valid} << page_shift);
    if (slot_free()) {
      valid_page(iova, (s390::big_endian(raw[next_valid]) & compared) | (above & s390::protected_bit));
      segment = function_.mapped.find(base >> s390::segment_shift);
    } else {
      again_ = true;
    }
    i = next_valid + 1;
  }
  return zero < to ? event(EventCode::invalid_table_entry, base + (std::uint64_t{zero} << page_shift)) : end;
}

void S390PciDevice::Pass::invalid_pages(MappedPages::Segment* segment, std::uint64_t base, unsigned from,
                                        unsigned to) {
  if (segment == nullptr || segment->pages == 0) return;
  const std::uint64_t first = base + (std::uint64_t{from} << page_shift);
  const std::uint64_t end = base + (std::uint64_t{to} << page_shift);
  for (unsigned i = segment->present.next(from, to); i < to; i = segment->present.next(i + 1, to)) {
    function_.mapped.remove(*segment, i);
    if (function_.slots) ++*function_.slots;
  }
  if (run_first_ == run_end_) {  // below a directory entry: these alone
    run_first_ = first;
    run_end_ = end;
  }
}

void S390PciDevice::Pass::valid_page(std::uint64_t iova, std::uint64_t entry) {
  MappedPages::Segment& segment = function_.mapped.at(iova >> s390::segment_shift);
  const unsigned page = s390::page_index(Iova{iova});
  if (segment.present.test(page)) {
    if (segment.entries[page] == entry) return;
    unmap(iova, page_size);
    function_.mapped.remove(segment, page);
    if (function_.slots) ++*function_.slots;
  }
  function_.mapped.add(segment, page, entry);
  if (function_.slots) --*function_.slots;
  ++served_.maps;
  function_.target->map(Iova{iova}, Gpa{entry & s390::page_frame_mask}, page_size,
                        s390::writable(entry) ? DmaAccess::read_write : DmaAccess::read);
}

void S390PciDevice::Pass::flush_run() {
  if (run_first_ == run_end_) return;
  for (const auto [base, size] : NaturalSplit(run_first_, run_end_ - 1)) unmap(base, size);
  run_first_ = run_end_ = 0;
}

void S390PciDevice::Pass::unmap(std::uint64_t iova, std::uint64_t bytes) {
  if (faults_.skip_unmap_events) return;
  ++served_.unmaps;
  function_.target->unmap(Iova{iova}, bytes);
}

RefreshServed S390PciDevice::refresh(std::uint64_t function, Iova address, std::uint64_t bytes, RefreshPort& port) {
  RefreshServed served;
  Function* f = find(function);
  if (f == nullptr) {
    served.outcome = {ConditionCode::invalid_handle, s390::status::none};
    return served;
  }
  if (f->in_error) {
    served.outcome = {ConditionCode::error, s390::status::error_recovery};
    return served;
  }
  const std::uint64_t end = address.value + bytes;
  if (!f->registered) {
    served.event = EventCode::invalid_address_space;
  } else if (end < f->first.value || address > f->last) {
    served.event = EventCode::out_of_range;
  } else {
    const std::uint64_t from = std::max(address.value & ~(page_size - 1), f->first.value);
    const std::uint64_t to = std::min((end + (page_size - 1)) & ~(page_size - 1), f->last.value + 1);
    for (bool again = true; again;) {
      ++served.passes;
      Pass pass(*this, *f, port, served);
      if (!pass.run(from, to)) break;
      again = pass.again() && (!f->slots || *f->slots > 0);
    }
  }
  if (served.event != EventCode::none) {
    f->in_error = true;
    served.outcome = {ConditionCode::error, s390::status::function_in_error};
  } else if (f->slots && *f->slots == 0) {
    served.outcome = {ConditionCode::error, s390::status::insufficient_resources};
  }
  return served;
}

}  // namespace gnomon::hypervisor
