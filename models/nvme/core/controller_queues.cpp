// SPDX-License-Identifier: Apache-2.0
// Fetch and arbitration (NVM Express Base Specification 1.4, 4.13), completion (4.6), interrupts (7.5).
#include <algorithm>
#include <cstring>

#include "models/nvme/core/controller_core.hpp"

namespace gnomon::nvme {

/// Gives the queue a turn, last in line, when it has work and neither has a turn nor waits for one.
void ControllerCore::list(std::uint32_t queue) {
  if (!submission_[queue].has_work() || submission_[queue].fetching || in_turns_[queue] != 0) return;
  in_turns_[queue] = 1;
  turns_[(turns_first_ + turns_count_++) % turns_.size()] = static_cast<std::uint16_t>(queue);
}

void ControllerCore::wake_fetch(Time at) {
  if (fetch_woken_ || turns_count_ == 0 || fetches_ == config_.fetches_in_flight || slots_.free_count() == 0)
    return;
  fetch_woken_ = true;
  actions_.push(at, Step::fetch);
}

void ControllerCore::fetch(Time at) {
  fetch_woken_ = false;
  while (turns_count_ != 0 && fetches_ < config_.fetches_in_flight && slots_.free_count() != 0) {
    const std::uint16_t queue = turns_[turns_first_];
    turns_first_ = (turns_first_ + 1) % static_cast<std::uint32_t>(turns_.size());
    --turns_count_;
    in_turns_[queue] = 0;
    if (!submission_[queue].has_work()) continue;  // deleted while it waited
    submission_[queue].credit = arbitration_burst_;
    fetch_from(at, queue);
  }
}

/// Reads as many entries as the burst, the turn, the page, the end of the ring and the free commands allow.
void ControllerCore::fetch_from(Time at, std::uint32_t queue) {
  SubmissionQueue& sq = submission_[queue];
  const Iova address = sq.base + std::uint64_t{sq.fetched} * sizeof(SubmissionEntry);
  const auto in_page = static_cast<std::uint32_t>((page_size - address.offset_in_page()) / sizeof(SubmissionEntry));
  const std::uint32_t in_ring = (sq.tail > sq.fetched ? sq.tail : sq.entries) - sq.fetched;
  const std::uint32_t count = std::min({config_.fetch_burst, sq.credit, in_page, in_ring, slots_.free_count()});
  const std::span bytes = std::span(page_).first(count * sizeof(SubmissionEntry));
  const DmaResult dma = bus_.read(at, address, bytes);
  if (!dma.ok) return actions_.push(dma.done, Step::break_down);

  std::uint32_t first = no_command;
  for (std::uint32_t i = count; i-- > 0;) {  // backwards, so that the chain runs forwards
    const std::uint32_t index = slots_.take();
    Command& command = slots_[index];
    std::memcpy(&command.entry, bytes.data() + i * sizeof(SubmissionEntry), sizeof(SubmissionEntry));
    command.queue = static_cast<std::uint16_t>(queue);
    command.status = Status::success;
    command.result = 0;
    command.next = first;
    // A fetch on its way takes what is rung until it leaves; such an entry waited for nothing.
    const Time rung = sq.rung_at[(sq.fetched + i) % sq.entries];
    command.times = {at > rung ? at - rung : Time{}, {}, {}};
    command.times.add(dma);
    first = index;
  }
  sq.fetched = (sq.fetched + count) % sq.entries;
  sq.credit -= count;
  sq.outstanding += count;
  sq.fetching = true;
  ++fetches_;
  actions_.push(dma.done, Step::entries_landed, queue, first);
}

void ControllerCore::entries_landed(Time at, std::uint32_t queue, std::uint32_t first) {
  SubmissionQueue& sq = submission_[queue];
  for (std::uint32_t index = first; index != no_command; index = slots_[index].next) {
    sq.head = sq.head + 1 == sq.entries ? 0 : sq.head + 1;
    bus_.on_fetch(at, queue, slots_[index].entry.cid);
    slots_[index].times.media += config_.command_overhead;
    actions_.push(at + config_.command_overhead, Step::execute, index);
  }
  sq.fetching = false;
  --fetches_;
  if (sq.has_work() && sq.credit != 0 && slots_.free_count() != 0) {
    fetch_from(at, queue);  // still its turn
  } else {
    list(queue);
  }
  fetch(at);
}

void ControllerCore::complete(Time at, std::uint32_t command) {
  if (slots_[command].queue != 0 && ++completions_ == faults_.lose_completion) return;
  CompletionQueue& queue = completion_[submission_[slots_[command].queue].completion_queue];
  if (queue.waiting_first == no_command && !queue.full()) return post(at, command, queue);
  slots_[command].next = no_command;
  if (queue.waiting_first == no_command) {
    queue.waiting_first = command;
  } else {
    slots_[queue.waiting_last].next = command;
  }
  queue.waiting_last = command;
}

/// The host made room: those that waited go first.
void ControllerCore::drain(Time at, std::uint32_t queue) {
  CompletionQueue& cq = completion_[queue];
  while (cq.waiting_first != no_command && !cq.full()) {
    const std::uint32_t command = cq.waiting_first;
    cq.waiting_first = slots_[command].next;
    post(at, command, cq);
  }
}

void ControllerCore::post(Time at, std::uint32_t index, CompletionQueue& queue) {
  const Command& command = slots_[index];
  SubmissionQueue& sq = submission_[command.queue];
  // A retry cannot help a command that was malformed; after a DMA fault it may.
  const bool final = command.status != Status::success && command.status != Status::data_transfer_error;
  const CompletionEntry entry{.result = command.result,
                              .sq_head = static_cast<std::uint16_t>(sq.head),
                              .sq_id = command.queue,
                              .cid = command.entry.cid,
                              .status = encode_status(command.status, final, queue.phase)};
  const Iova address = queue.base + std::uint64_t{queue.tail} * sizeof(CompletionEntry);
  const DmaResult dma = bus_.write(at, address, std::as_bytes(std::span(&entry, 1)));
  bus_.on_completion(at, command.queue, command.entry.cid, command.status, command.times);
  if (!dma.ok) {
    actions_.push(dma.done, Step::break_down);
  } else if (queue.interrupts) {
    actions_.push(dma.done, Step::entry_landed, sq.completion_queue, queue.vector);
  }
  if (++queue.tail == queue.entries) {
    queue.tail = 0;
    queue.phase = !queue.phase;
  }
  if (faults_.late_dma) plan_late_read(dma.done, command);
  if (faults_.stray_dma != Time{}) keep_pages(dma.done, command);
  release(at, index);
}

/// The command is the host's again. The last one of a queue being deleted completes the deletion (5.6).
void ControllerCore::release(Time at, std::uint32_t index) {
  SubmissionQueue& sq = submission_[slots_[index].queue];
  slots_.give_back(index);
  if (--sq.outstanding == 0 && sq.deleting) {
    --completion_[sq.completion_queue].users;
    actions_.push(at, Step::complete, sq.deleted_by);
    sq = SubmissionQueue{};
  }
  wake_fetch(at);
}

/// 7.5, 5.21.1.8: coalescing joins completions of a vector; it never applies to the admin queue.
void ControllerCore::entry_landed(Time at, std::uint32_t queue, std::uint32_t vector) {
  if (queue == 0 || aggregation_threshold_ <= 1 || aggregation_time_ == Time{}) return bus_.interrupt(at, vector);
  Aggregation& waiting = aggregation_[vector];
  if (++waiting.pending >= aggregation_threshold_) {
    waiting.pending = 0;
    ++waiting.wait;
    bus_.interrupt(at, vector);
  } else if (waiting.pending == 1) {
    actions_.push(at + aggregation_time_, Step::aggregation_due, vector, waiting.wait);
  }
}

void ControllerCore::aggregation_due(Time at, std::uint32_t vector, std::uint32_t wait) {
  Aggregation& waiting = aggregation_[vector];
  if (waiting.wait != wait) return;  // its completions were signalled when they had become enough
  waiting.pending = 0;
  ++waiting.wait;
  bus_.interrupt(at, vector);
}

void ControllerCore::plan_late_read(Time landed, const Command& command) {
  if (command.queue == 0 || command.direction() != Direction::from_host || command.status != Status::success)
    return;
  std::uint32_t index;
  if (late_free_.empty()) {
    index = static_cast<std::uint32_t>(late_.size());
    late_.push_back(command.segments.back());
  } else {
    index = late_free_.back();
    late_free_.pop_back();
    late_[index] = command.segments.back();
  }
  actions_.push(landed + faults_.late_dma_delay, Step::late_read, index);
}

void ControllerCore::late_read(Time at, std::uint32_t index) {
  const Segment page = late_[index];
  late_free_.push_back(index);
  (void)bus_.transfer(at, {&page, 1}, Direction::from_host);  // the command is over: nobody hears of a fault
}

void ControllerCore::keep_pages(Time at, const Command& command) {
  if (command.queue == 0 || command.status != Status::success) return;
  if (stray_.empty() && !command.segments.empty()) actions_.push(at + faults_.stray_dma, Step::stray);
  stray_.remember(command.segments);
}

void ControllerCore::stray(Time at) {
  const StrayDma::Access access = stray_.next();
  const DmaResult dma = bus_.transfer(at, {&access.page, 1}, access.direction);
  bus_.on_stray(at, access.page, access.direction, dma.ok);
  actions_.push(at + faults_.stray_dma, Step::stray);
}

}  // namespace gnomon::nvme
