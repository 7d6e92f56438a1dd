// SPDX-License-Identifier: Apache-2.0
// Registers, reset, and the dispatch of actions. Sections: NVM Express Base Specification 1.4.
#include "models/nvme/core/controller_core.hpp"

#include <algorithm>

namespace gnomon::nvme {

namespace {

const NvmeConfig& validated(const NvmeConfig& config) {
  validate(config);
  return config;
}

}  // namespace

ControllerCore::ControllerCore(const NvmeConfig& config, const NvmeFaults& faults, RandomStream random, Bus& bus)
    : config_(validated(config)),
      faults_(faults),
      bus_(bus),
      media_(config.media, random),
      actions_(2 * std::size_t{config.command_slots}),
      slots_(config.command_slots),
      submission_(config.max_queue_pairs + 1),
      completion_(config.max_queue_pairs + 1),
      turns_(config.max_queue_pairs + 1),
      in_turns_(config.max_queue_pairs + 1),
      aggregation_(config.vectors) {
  stop();
}

std::uint64_t ControllerCore::mmio_read(std::uint64_t offset, unsigned size) const {
  if ((size != 4 && size != 8) || offset % size != 0) return 0;
  const std::uint64_t low = read_register(offset);
  return size == 4 ? low : low | std::uint64_t{read_register(offset + 4)} << 32;
}

void ControllerCore::mmio_write(Time now, std::uint64_t offset, std::uint64_t value, unsigned size) {
  if ((size != 4 && size != 8) || offset % size != 0) return;
  if (offset >= reg::doorbells) {
    if (size != 4) return;  // a doorbell is a dword
    if (const auto doorbell = doorbell_at(offset, config_.doorbell_stride)) {
      ring(now, *doorbell, static_cast<std::uint32_t>(value));
    }
  } else {
    write_register(now, offset, static_cast<std::uint32_t>(value));
    if (size == 8) write_register(now, offset + 4, static_cast<std::uint32_t>(value >> 32));
  }
}

std::uint32_t ControllerCore::read_register(std::uint64_t offset) const {
  const auto timeout = std::min<std::uint64_t>(255, config_.ready_delay / Time::ms(500) + 1);
  const std::uint64_t cap = encode(Capabilities{.mqes = static_cast<std::uint16_t>(config_.queue_entries - 1),
                                                .to = static_cast<std::uint8_t>(timeout),
                                                .dstrd = static_cast<std::uint8_t>(config_.doorbell_stride)});
  switch (offset) {
    case reg::cap: return static_cast<std::uint32_t>(cap);
    case reg::cap + 4: return static_cast<std::uint32_t>(cap >> 32);
    case reg::vs: return version_1_4;
    case reg::cc: return encode(cc_);
    case reg::csts: return csts_;
    case reg::aqa: return aqa_;
    case reg::asq: return static_cast<std::uint32_t>(asq_);
    case reg::asq + 4: return static_cast<std::uint32_t>(asq_ >> 32);
    case reg::acq: return static_cast<std::uint32_t>(acq_);
    case reg::acq + 4: return static_cast<std::uint32_t>(acq_ >> 32);
    default: return 0;
  }
}

void ControllerCore::write_register(Time now, std::uint64_t offset, std::uint32_t value) {
  const auto low = [value](std::uint64_t old) { return (old >> 32 << 32) | (value & ~0xfffu); };
  const auto high = [value](std::uint64_t old) { return std::uint64_t{value} << 32 | (old & 0xffff'ffff); };
  if (offset == reg::cc) return write_configuration(now, value);
  if (cc_.en) return;  // 3.1.8 to 3.1.10: the admin queue's registers change only while disabled
  switch (offset) {
    case reg::aqa: aqa_ = value & 0x0fff'0fff; break;
    case reg::asq: asq_ = low(asq_); break;
    case reg::asq + 4: asq_ = high(asq_); break;
    case reg::acq: acq_ = low(acq_); break;
    case reg::acq + 4: acq_ = high(acq_); break;
    default: break;
  }
}

void ControllerCore::write_configuration(Time now, std::uint32_t value) {
  const Configuration before = cc_;
  cc_ = decode_configuration(value);
  if (before.en && !cc_.en) {
    stop();
    csts_ = 0;
  } else if (!before.en && cc_.en) {
    enable(now);
  }
  if (before.shn == 0 && cc_.shn != 0) csts_ |= csts::shst_complete;  // nothing volatile to write back
}

void ControllerCore::enable(Time now) {
  const bool supported = cc_.css == 0 && cc_.mps == 0 && cc_.ams == 0 && cc_.iosqes == 6 && cc_.iocqes == 4;
  const std::uint32_t submission_entries = aqa_submission_entries(aqa_);
  const std::uint32_t completion_entries = aqa_completion_entries(aqa_);
  if (!supported || submission_entries < 2 || completion_entries < 2) return break_down();
  submission_[0].live = true;
  submission_[0].base = {asq_};
  submission_[0].entries = submission_entries;
  completion_[0].live = true;
  completion_[0].interrupts = true;  // 5.3: the admin queue's vector is 0, and always enabled
  completion_[0].base = {acq_};
  completion_[0].entries = completion_entries;
  completion_[0].users = 1;
  actions_.push(now + config_.ready_delay, Step::become_ready);
}

void ControllerCore::stop() {
  actions_.clear();
  slots_.reset();
  std::fill(submission_.begin(), submission_.end(), SubmissionQueue{});
  std::fill(completion_.begin(), completion_.end(), CompletionQueue{});
  std::fill(aggregation_.begin(), aggregation_.end(), Aggregation{});
  late_.clear();
  late_free_.clear();
  stray_.clear();
  std::fill(in_turns_.begin(), in_turns_.end(), std::uint8_t{0});
  turns_first_ = turns_count_ = 0;
  fetches_ = 0;
  fetch_woken_ = false;
  submission_granted_ = completion_granted_ = config_.max_queue_pairs;
  arbitration_burst_ = config_.arbitration_burst;
  aggregation_threshold_ = config_.aggregation_threshold;
  aggregation_time_ = config_.aggregation_time;
}

void ControllerCore::break_down() {
  stop();
  csts_ |= csts::cfs;
}

void ControllerCore::ring(Time now, Doorbell doorbell, std::uint32_t value) {
  if ((csts_ & csts::rdy) == 0 || doorbell.queue >= submission_.size()) return;
  if (doorbell.completion) {
    CompletionQueue& queue = completion_[doorbell.queue];
    if (!queue.live || value >= queue.entries) return;
    bus_.on_doorbell(now, doorbell.queue, true, value);
    queue.head = value;
    if (queue.waiting_first != no_command) actions_.push(now, Step::drain, doorbell.queue);
    return;
  }
  SubmissionQueue& queue = submission_[doorbell.queue];
  if (!queue.live || value >= queue.entries) return;
  bus_.on_doorbell(now, doorbell.queue, false, value);
  queue.rung_at.resize(queue.entries);
  for (std::uint32_t entry = queue.tail; entry != value; entry = entry + 1 == queue.entries ? 0 : entry + 1)
    queue.rung_at[entry] = now;
  queue.tail = value;
  list(doorbell.queue);
  wake_fetch(now);
}

void ControllerCore::advance(Time now) {
  while (!actions_.empty() && actions_.next() <= now) perform(actions_.pop());
}

void ControllerCore::perform(const Action& action) {
  const auto [at, order, step, a, b] = action;
  switch (step) {
    case Step::become_ready: csts_ |= csts::rdy; break;
    case Step::break_down: break_down(); break;
    case Step::fetch: fetch(at); break;
    case Step::entries_landed: entries_landed(at, a, b); break;
    case Step::execute: execute(at, a); break;
    case Step::list_landed: list_landed(at, a); break;
    case Step::payload_landed: payload_landed(at, a); break;
    case Step::enter_channel: enter_channel(at, a); break;
    case Step::media_done: media_done(at, a); break;
    case Step::complete: complete(at, a); break;
    case Step::drain: drain(at, a); break;
    case Step::entry_landed: entry_landed(at, a, b); break;
    case Step::aggregation_due: aggregation_due(at, a, b); break;
    case Step::late_read: late_read(at, a); break;
    case Step::stray: stray(at); break;
  }
}

}  // namespace gnomon::nvme
