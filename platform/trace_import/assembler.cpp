// SPDX-License-Identifier: Apache-2.0
// A ring of events; those at its head that cannot change any more leave it.
#include "platform/trace_import/assembler.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "models/base/address.hpp"

namespace gnomon::trace_import {

using gtrace::Event;
using gtrace::EventKind;

namespace {

/// The IOMMU's event covers the whole pages of what the DMA API's tells in bytes.
bool lies_within(const Event& dma, const Event& iommu) {
  return dma.address / page_size * page_size == iommu.address && dma.bytes <= iommu.bytes &&
         dma.address + dma.bytes <= iommu.address + iommu.bytes;
}

}  // namespace

Assembler::Assembler(Sink sink, const RunEvidence* earlier)
    : sink_(std::move(sink)), ring_(window), earlier_(earlier) {
  lanes_.reserve(64);
}

// Lanes are referred to by open events: a new one must not move them while there are any.
Assembler::Lane& Assembler::lane(const Parsed& parsed) {
  const auto cpu = static_cast<std::size_t>(parsed.event.lane);
  if (cpu >= lanes_.size()) {
    finish();
    lanes_.resize(std::max(cpu + 1, lanes_.size() * 2));
  }
  return lanes_[cpu][static_cast<std::size_t>(parsed.context)];
}

bool Assembler::continues(const Event& group, const Event& run, Boundary proven) const {
  if (proven == Boundary::starts || run.address != group.address + group.bytes) return false;
  if (group.runs.size() == gtrace::most_runs) return false;
  if (proven == Boundary::continues) return true;
  if (run.task != group.task) return false;
  const std::uint64_t whole = group.bytes + run.bytes;
  constexpr std::uint64_t largest = std::uint64_t{1} << 62;
  return whole <= largest && group.address % std::bit_ceil(whole) == 0;
}

void Assembler::add(Parsed& parsed) {
  Event& e = parsed.event;
  switch (parsed.piece) {
    case Piece::iommu_run: return add_run(lane(parsed), parsed);
    case Piece::iommu_unmap: return add_unmap(lane(parsed), parsed);
    case Piece::dma_map: return add_dma(lane(parsed).map, parsed);
    case Piece::dma_unmap: return add_dma(lane(parsed).unmap, parsed);
    case Piece::dma_unmapping: {
      Lane& l = lane(parsed);
      close(l.unmap);
      return push(e, &l.unmap);
    }
    case Piece::whole: break;
  }
  // A request that starts has nothing mapped yet; one that is complete is unmapped.
  if (head_ != tail_ && e.lane < lanes_.size()) {
    if (e.kind == EventKind::io_submit) close(lane(parsed).map);
    if (e.kind == EventKind::io_complete) close(lane(parsed).unmap);
  }
  push(e, nullptr);
}

void Assembler::add_run(Lane& l, Parsed& parsed) {
  Event& run = parsed.event;
  const std::size_t number = evidence_.runs();
  const bool known = earlier_ != nullptr && number < earlier_->runs();
  const Boundary proven = known ? earlier_->boundary(number) : Boundary::unproven;
  const bool joined = l.map != none && continues(slot(l.map).event, run, proven);
  evidence_.map(run.address, run.bytes, joined);
  if (joined) {
    Event& group = slot(l.map).event;
    group.bytes += run.bytes;
    group.span_ns = run.time_ns - group.time_ns;
    group.runs.push_back(run.runs.front());
    ++waiting_runs_;
    if (waiting_runs_ > most_waiting_runs) close(l.map);
    return;
  }
  close(l.map);
  push(run, &l.map);
}

// The DMA API may have announced it.
void Assembler::add_unmap(Lane& l, Parsed& parsed) {
  Event& e = parsed.event;
  evidence_.unmap(e.address, e.bytes);
  if (l.unmap != none) {
    Event& announced = slot(l.unmap).event;
    const bool by_dma_alone = (announced.flags & gtrace::seen_by_iommu) == 0;
    if (by_dma_alone && announced.task == e.task && (announced.bytes == 0 || lies_within(announced, e))) {
      announced.address = e.address;
      announced.bytes = e.bytes;
      announced.value = e.value;
      announced.flags |= gtrace::seen_by_iommu;
      return close(l.unmap);
    }
  }
  close(l.unmap);
  push(e, &l.unmap);
}

// The DMA API's event comes last.
void Assembler::add_dma(std::uint64_t& open, Parsed& parsed) {
  Event& e = parsed.event;
  if (open != none) {
    Event& whole = slot(open).event;
    if ((whole.flags & gtrace::seen_by_iommu) != 0 && whole.task == e.task && lies_within(e, whole)) {
      whole.device = e.device;
      whole.direction = e.direction;
      whole.flags |= e.flags & (gtrace::seen_by_dma | gtrace::coherent);
      if (whole.runs.size() > 1) evidence_.confirm(whole.address, whole.bytes);
      return close(open);
    }
  }
  close(open);
  push(e, nullptr);
}

void Assembler::push(Event& event, std::uint64_t* owner) {
  if (owner == nullptr && head_ == tail_) return emit(event);
  if (tail_ - head_ == window) {  // the oldest has waited long enough
    ++forced_;
    close(*slot(head_).owner);
  }
  Slot& s = slot(tail_);
  std::swap(s.event, event);
  waiting_runs_ += s.event.runs.size();
  s.owner = owner;
  if (owner != nullptr) *owner = tail_;
  ++tail_;
}

void Assembler::close(std::uint64_t& open) {
  if (open == none) return;
  slot(open).owner = nullptr;
  open = none;
  drain();
}

void Assembler::drain() {
  for (; head_ != tail_ && slot(head_).owner == nullptr; ++head_) {
    Event& event = slot(head_).event;
    waiting_runs_ -= event.runs.size();
    emit(event);
    if (event.runs.capacity() > 1024) event.runs = {};  // a giant's memory is not kept
  }
}

void Assembler::emit(Event& event) {
  if (event.kind == EventKind::unmap && event.bytes == 0) {
    ++without_address_;
    return;
  }
  live_.add(event);
  if (event.kind == EventKind::map) {
    without_runs_ += (event.flags & gtrace::runs_unknown) != 0;
  }
  sink_(event);
}

void Assembler::finish() {
  while (head_ != tail_) close(*slot(head_).owner);
}

std::vector<gtrace::Note> Assembler::notes() const {
  const LiveMappings::Counts& c = live_.counts();
  std::vector<gtrace::Note> out;
  const auto note = [&](const char* text, std::uint64_t count) {
    if (count != 0) out.push_back({text, count});
  };
  note("runs joined to the one before by task and address alone, which no dma:dma_map_* and no unmap confirms",
       evidence_.unproven_joins());
  note("mappings whose physical runs the trace does not tell", without_runs_);
  note("dma:dma_unmap_sg whose address no iommu:unmap tells, left out", without_address_);
  note("mappings and unmaps that waited for more than 8192 events and were taken as complete", forced_);
  note("mappings at an address that was mapped already", c.mapped_again);
  note("unmaps of another size than the mapping at their address", c.other_size);
  note("unmaps of what was mapped before the trace starts", c.never_mapped);
  note("mappings not held against their unmaps, as too many were live", c.not_held);
  note("mappings that stay at the end of the trace", c.live);
  return out;
}

}  // namespace gnomon::trace_import
