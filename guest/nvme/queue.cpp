// SPDX-License-Identifier: Apache-2.0
#include "guest/nvme/queue.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "models/spec/nvme/prp.hpp"
#include "models/spec/nvme/registers.hpp"

namespace gnomon::guest {

namespace {

/// dma_alloc_coherent: contiguous pages, mapped once for both directions.
Iova map_coherent(Cpu& cpu, DmaDevice& dma, Gpa gpa, std::uint64_t bytes) {
  const Run run{gpa, (bytes + page_size - 1) & ~(page_size - 1)};
  DmaMapping mapping;
  if (dma.map_coherent(cpu, run, mapping) != 0)
    throw std::runtime_error("nvme: the DMA API refuses to map a queue's memory");
  return mapping.segments.front().address;
}

constexpr Time resource_delay = Time::ms(3);  // BLK_MQ_RESOURCE_DELAY

}  // namespace

NvmeDriver::Queue::Queue(NvmeDriver& driver, Cpu& cpu, std::uint16_t id, unsigned depth)
    : driver_(driver), id_(id), depth_(depth) {
  sq_ = driver.pages_.allocate(sizeof(nvme::SubmissionEntry) * depth);
  cq_ = driver.pages_.allocate(sizeof(nvme::CompletionEntry) * depth);
  sq_iova_ = map_coherent(cpu, driver.dma_, sq_, sizeof(nvme::SubmissionEntry) * depth);
  cq_iova_ = map_coherent(cpu, driver.dma_, cq_, sizeof(nvme::CompletionEntry) * depth);
  if (id == 0) return;
  // One PRP list a tag, from coherent memory: never mapped per I/O (dma_pool). 256 bytes hold 32 entries.
  const std::uint64_t list_bytes = driver.options_.max_transfer / page_size * nvme::prp_entry_bytes;
  prp_lists_ = driver.pages_.allocate(list_bytes * depth);
  prp_lists_iova_ = map_coherent(cpu, driver.dma_, prp_lists_, list_bytes * depth);
  tags_.reserve(depth - 1);  // address space; what no I/O ever needed is never touched
  free_tags_.reserve(depth - 1);
}

/// The tag given back last, else the lowest that was never used.
std::uint16_t NvmeDriver::Queue::take_tag() {
  if (free_tags_.empty()) {
    const std::uint64_t offset = tags_.size() * (driver_.options_.max_transfer / page_size * nvme::prp_entry_bytes);
    Tag& tag = tags_.emplace_back();
    tag.prp_list = prp_lists_ + offset;
    tag.prp_list_iova = prp_lists_iova_ + offset;
    tag.mapping.segments.reserve(16);
    return static_cast<std::uint16_t>(tags_.size() - 1);
  }
  const std::uint16_t tag = free_tags_.back();
  free_tags_.pop_back();
  return tag;
}

void NvmeDriver::Queue::submit(Cpu& cpu, BlockRequest& request) {
  const std::uint64_t limit = driver_.options_.max_transfer;
  request.status = 0;
  request.parts_left = static_cast<std::uint32_t>((request.bytes + limit - 1) / limit);
  for (std::uint64_t begin = 0; begin < request.bytes; begin += limit) {
    const Part part{&request, begin, std::min(limit, request.bytes - begin), 0};
    if (!waiting_.empty() || !start(cpu, part)) waiting_.push_back(part);
  }
}

std::span<const Run> NvmeDriver::Queue::runs_of(const Part& part, std::vector<Run>& storage) {
  std::uint64_t whole = 0;
  for (const Run& run : part.request->buffer) whole += run.bytes;
  if (part.bytes == whole) return part.request->buffer;  // a buffer may be larger than its request
  storage.clear();
  std::uint64_t skip = part.begin;
  std::uint64_t left = part.bytes;
  for (const Run& run : part.request->buffer) {
    if (skip >= run.bytes) {
      skip -= run.bytes;
      continue;
    }
    const std::uint64_t bytes = std::min(run.bytes - skip, left);
    storage.push_back({run.start + skip, bytes});
    skip = 0;
    left -= bytes;
    if (left == 0) break;
  }
  return storage;
}

bool NvmeDriver::Queue::start(Cpu& cpu, const Part& part) {
  if (free_tags_.empty() && tags_.size() + 1 == depth_) return false;
  const std::uint16_t cid = take_tag();  // before the map, which may let this CPU's interrupts run
  Tag& tag = tags_[cid];
  cpu.work(cpu.costs().nvme_submit);
  const bool write = part.request->direction == trace::Direction::write;
  if (const int error = driver_.dma_.map(cpu, runs_of(part, tag.runs), DmaAccess{write, !write}, tag.mapping); error != 0) {
    free_tags_.push_back(cid);
    hold_back(cpu, part, error);
    return false;
  }
  tag.part = part;
  ++in_flight_;
  std::uint64_t prp1 = 0;
  const std::uint64_t prp2 = build_prps(tag, prp1);
  const unsigned shift = driver_.options_.lba_shift;
  ring(cpu, nvme::io_command(write ? nvme::IoOpcode::write : nvme::IoOpcode::read, cid,
                             (part.request->offset + part.begin) >> shift,
                             static_cast<std::uint32_t>(part.bytes >> shift), prp1, prp2));
  return true;
}

/// NVM Express 1.4, 4.3. Returns PRP2.
std::uint64_t NvmeDriver::Queue::build_prps(Tag& tag, std::uint64_t& prp1) {
  const std::uint64_t pages = (tag.part.bytes + page_size - 1) >> page_shift;
  std::uint64_t index = 0;
  std::uint64_t second = 0;
  for (const DmaSegment& segment : tag.mapping.segments) {
    for (std::uint64_t at = 0; at < segment.bytes && index < pages; at += page_size, ++index) {
      const std::uint64_t address = segment.address.value + at;
      if (index == 0) {
        prp1 = address;
      } else if (pages <= 2) {
        second = address;
      } else {
        driver_.ram_.write(tag.prp_list + (index - 1) * nvme::prp_entry_bytes, address);
      }
    }
  }
  return pages <= 2 ? second : tag.prp_list_iova.value;
}

void NvmeDriver::Queue::ring(Cpu& cpu, const nvme::SubmissionEntry& command) {
  driver_.ram_.write(sq_ + sizeof(command) * tail_, command);
  tail_ = static_cast<std::uint16_t>((tail_ + 1) % depth_);
  if (id_ != 0) {
    const Part& part = tags_[command.cid].part;
    cpu.emit(trace::IoDispatched{part.request->io, cpu.id(), driver_.options_.device, id_, command.cid});
  }
  cpu.work(cpu.costs().nvme_doorbell);
  cpu.processor().write_mmio(driver_.options_.bar + nvme::doorbell_offset({id_, false}, 0), tail_, 4);
}

const nvme::CompletionEntry* NvmeDriver::Queue::peek(nvme::CompletionEntry& entry) const {
  entry = driver_.ram_.read<nvme::CompletionEntry>(cq_ + sizeof(entry) * head_);
  return nvme::phase_of(entry) == phase_ ? &entry : nullptr;
}

void NvmeDriver::Queue::advance_head() {
  if (++head_ == depth_) {
    head_ = 0;
    phase_ = !phase_;
  }
}

void NvmeDriver::Queue::ring_completion(Cpu& cpu) {
  cpu.work(cpu.costs().nvme_doorbell);
  cpu.processor().write_mmio(driver_.options_.bar + nvme::doorbell_offset({id_, true}, 0), head_, 4);
}

void NvmeDriver::Queue::interrupt(Cpu& cpu, unsigned /*vector*/) {
  nvme::CompletionEntry entry;
  bool any = false;
  while (peek(entry) != nullptr) {
    advance_head();
    any = true;
    finish(cpu, entry);
    cpu.processor().sync();  // what completed meanwhile belongs to this batch
  }
  if (any) ring_completion(cpu);
  if (!waiting_.empty()) restart(cpu);
}

void NvmeDriver::Queue::finish(Cpu& cpu, const nvme::CompletionEntry& entry) {
  cpu.work(cpu.costs().nvme_complete);
  Tag& tag = tags_.at(entry.cid);
  driver_.dma_.unmap(cpu, tag.mapping);
  Part part = tag.part;
  tag.part.request = nullptr;
  free_tags_.push_back(entry.cid);
  --in_flight_;
  const bool failed = nvme::status_of(entry) != nvme::Status::success;
  if (failed && !nvme::do_not_retry(entry) && part.retries < driver_.options_.max_retries) {
    ++part.retries;
    waiting_.push_back(part);
    return;
  }
  end_part(cpu, part, failed ? EIO : 0);
}

void NvmeDriver::Queue::end_part(Cpu& cpu, const Part& part, int status) {
  BlockRequest& request = *part.request;
  if (request.status == 0) request.status = status;
  if (--request.parts_left > 0) return;
  cpu.work(cpu.costs().block_complete);
  request.client->completed(cpu, request);
}

void NvmeDriver::Queue::hold_back(Cpu& cpu, const Part& part, int error) {
  cpu.emit(trace::IoRequeued{part.request->io, cpu.id(), static_cast<std::uint32_t>(error)});
  // A completion restarts the queue; with none to come, the block layer tries again by itself.
  if (in_flight_ == 0 && !armed()) cpu.arm(*this, resource_delay);
}

void NvmeDriver::Queue::restart(Cpu& cpu) {
  while (!waiting_.empty()) {
    const Part part = waiting_.front();
    waiting_.pop_front();
    if (start(cpu, part)) continue;
    waiting_.push_front(part);
    return;
  }
}

nvme::CompletionEntry NvmeDriver::Queue::execute(Cpu& cpu, nvme::SubmissionEntry command) {
  ring(cpu, command);
  nvme::CompletionEntry entry;
  do {
    cpu.processor().spend(Time::us(1));
    cpu.processor().sync();
  } while (peek(entry) == nullptr);
  advance_head();
  ring_completion(cpu);
  return entry;
}

}  // namespace gnomon::guest
