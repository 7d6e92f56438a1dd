// SPDX-License-Identifier: Apache-2.0
// Admin commands (NVM Express Base Specification 1.4, section 5).
#include <algorithm>
#include <bit>

#include "models/nvme/core/controller_core.hpp"
#include "models/nvme/core/identify_pages.hpp"
#include "models/spec/nvme/prp.hpp"

namespace gnomon::nvme {

namespace {

std::uint16_t queue_id(const SubmissionEntry& e) {
  return static_cast<std::uint16_t>(e.cdw10);
}
std::uint32_t queue_entries(const SubmissionEntry& e) {
  return (e.cdw10 >> 16) + 1;
}
bool contiguous(const SubmissionEntry& e) {
  return (e.cdw11 & 1) != 0;
}
std::uint16_t upper_half(std::uint32_t dword) {
  return static_cast<std::uint16_t>(dword >> 16);
}
/// The unit of Interrupt Coalescing's aggregation time.
constexpr Time aggregation_unit = Time::us(100);

}  // namespace

void ControllerCore::execute_admin(Time at, std::uint32_t index) {
  Command& command = slots_[index];
  if ((command.entry.flags & 0xc3) != 0) return fail(at, index, Status::invalid_field);
  switch (static_cast<AdminOpcode>(command.entry.opcode)) {
    case AdminOpcode::create_io_cq: return fail(at, index, create_completion_queue(command.entry));
    case AdminOpcode::create_io_sq: return fail(at, index, create_submission_queue(command.entry));
    case AdminOpcode::delete_io_cq: return fail(at, index, delete_completion_queue(command.entry));
    case AdminOpcode::delete_io_sq: return delete_submission_queue(at, index);
    case AdminOpcode::set_features: return fail(at, index, set_features(command));
    case AdminOpcode::get_features: return fail(at, index, get_features(command));
    case AdminOpcode::identify: return identify(at, index);
  }
  fail(at, index, Status::invalid_opcode);
}

/// 5.3.
Status ControllerCore::create_completion_queue(const SubmissionEntry& entry) {
  const std::uint16_t id = queue_id(entry);
  const std::uint16_t vector = upper_half(entry.cdw11);
  if (id == 0 || id > completion_granted_ || completion_[id].live) return Status::invalid_queue_identifier;
  if (queue_entries(entry) < 2 || queue_entries(entry) > config_.queue_entries) return Status::invalid_queue_size;
  if (vector >= config_.vectors) return Status::invalid_interrupt_vector;
  if (!contiguous(entry)) return Status::invalid_field;  // CAP.CQR
  if (!valid_prp_entry(entry.prp1)) return Status::prp_offset_invalid;
  CompletionQueue& queue = completion_[id];
  queue = {};
  queue.live = true;
  queue.interrupts = (entry.cdw11 & 2) != 0;
  queue.vector = vector;
  queue.base = {entry.prp1};
  queue.entries = queue_entries(entry);
  return Status::success;
}

/// 5.4.
Status ControllerCore::create_submission_queue(const SubmissionEntry& entry) {
  const std::uint16_t id = queue_id(entry);
  const std::uint16_t completes_in = upper_half(entry.cdw11);
  if (id == 0 || id > submission_granted_ || submission_[id].live) return Status::invalid_queue_identifier;
  if (completes_in == 0 || completes_in > completion_granted_) return Status::invalid_queue_identifier;
  if (!completion_[completes_in].live) return Status::completion_queue_invalid;
  if (queue_entries(entry) < 2 || queue_entries(entry) > config_.queue_entries) return Status::invalid_queue_size;
  if (!contiguous(entry)) return Status::invalid_field;
  if (!valid_prp_entry(entry.prp1)) return Status::prp_offset_invalid;
  SubmissionQueue& queue = submission_[id];
  queue = {};
  queue.live = true;
  queue.completion_queue = completes_in;
  queue.base = {entry.prp1};
  queue.entries = queue_entries(entry);
  ++completion_[completes_in].users;
  return Status::success;
}

/// 5.5.
Status ControllerCore::delete_completion_queue(const SubmissionEntry& entry) {
  const std::uint16_t id = queue_id(entry);
  if (id == 0 || id > completion_granted_ || !completion_[id].live) return Status::invalid_queue_identifier;
  if (completion_[id].users != 0) return Status::invalid_queue_deletion;
  completion_[id] = {};
  return Status::success;
}

/// 5.6: what was fetched completes first; what was not is implicitly completed by the deletion.
void ControllerCore::delete_submission_queue(Time at, std::uint32_t index) {
  const std::uint16_t id = queue_id(slots_[index].entry);
  if (id == 0 || id > submission_granted_ || !submission_[id].live || submission_[id].deleting) {
    return fail(at, index, Status::invalid_queue_identifier);
  }
  SubmissionQueue& queue = submission_[id];
  if (queue.outstanding != 0) {
    queue.deleting = true;
    queue.deleted_by = index;
    return;
  }
  --completion_[queue.completion_queue].users;
  queue = {};
  complete(at, index);
}

/// 5.21.
Status ControllerCore::set_features(Command& command) {
  const std::uint32_t value = command.entry.cdw11;
  switch (static_cast<Feature>(command.entry.cdw10 & 0xff)) {
    case Feature::arbitration:
      arbitration_burst_ = (value & 7) == 7 ? ~std::uint32_t{0} : 1u << (value & 7);  // 111b: no limit
      return Status::success;
    case Feature::number_of_queues: {
      const auto created = [](const auto& queue) { return queue.live; };
      if (std::any_of(submission_.begin() + 1, submission_.end(), created) ||
          std::any_of(completion_.begin() + 1, completion_.end(), created)) {
        return Status::command_sequence_error;
      }
      if ((value & 0xffff) == 0xffff || value >> 16 == 0xffff) return Status::invalid_field;
      submission_granted_ = std::min((value & 0xffff) + 1, config_.max_queue_pairs);
      completion_granted_ = std::min((value >> 16) + 1, config_.max_queue_pairs);
      return get_features(command);
    }
    case Feature::interrupt_coalescing:
      aggregation_threshold_ = (value & 0xff) + 1;
      aggregation_time_ = aggregation_unit * ((value >> 8) & 0xff);
      return Status::success;
  }
  return Status::invalid_field;
}

/// 5.9.
Status ControllerCore::get_features(Command& command) const {
  switch (static_cast<Feature>(command.entry.cdw10 & 0xff)) {
    case Feature::arbitration:
      command.result =
          arbitration_burst_ > 64 ? 7 : static_cast<std::uint32_t>(std::countr_zero(arbitration_burst_));
      return Status::success;
    case Feature::number_of_queues:
      command.result = (submission_granted_ - 1) | (completion_granted_ - 1) << 16;
      return Status::success;
    case Feature::interrupt_coalescing: {
      const std::uint64_t units = std::min<std::uint64_t>(255, aggregation_time_ / aggregation_unit);
      command.result = (aggregation_threshold_ - 1) | static_cast<std::uint32_t>(units) << 8;
      return Status::success;
    }
  }
  return Status::invalid_field;
}

/// 5.15. The page goes to PRP1 and, from PRP1's page end on, to PRP2.
void ControllerCore::identify(Time at, std::uint32_t index) {
  Command& command = slots_[index];
  const SubmissionEntry& entry = command.entry;
  const auto page = static_cast<IdentifyPage>(entry.cdw10 & 0xff);
  if (page == IdentifyPage::identify_namespace && entry.nsid != 1)
    return fail(at, index, Status::invalid_namespace);
  if (page == IdentifyPage::active_namespaces && entry.nsid >= 0xffff'fffe) {
    return fail(at, index, Status::invalid_namespace);
  }
  if (!build_identify_page(config_, page, entry.nsid, page_)) return fail(at, index, Status::invalid_field);
  const std::uint32_t first = prp1_bytes(entry.prp1, identify_bytes);
  if (!valid_prp1(entry.prp1) || (first < identify_bytes && !valid_prp_entry(entry.prp2))) {
    return fail(at, index, Status::prp_offset_invalid);
  }
  const std::span<const std::byte> bytes = page_;
  DmaResult dma = bus_.write(at, {entry.prp1}, bytes.first(first));
  if (dma.ok && first < identify_bytes) {
    const DmaResult rest = bus_.write(at, {entry.prp2}, bytes.subspan(first));
    dma = {rest.ok, std::max(dma.done, rest.done)};
  }
  if (!dma.ok) command.status = Status::data_transfer_error;
  actions_.push(dma.done, Step::complete, index);
}

}  // namespace gnomon::nvme
