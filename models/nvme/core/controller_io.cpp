// SPDX-License-Identifier: Apache-2.0
// The NVM command set: Read, Write, Flush (NVM Express Base Specification 1.4, section 6), and PRPs (4.3).
#include <algorithm>
#include <cstring>

#include "models/nvme/core/controller_core.hpp"
#include "models/spec/nvme/prp.hpp"

namespace gnomon::nvme {

void ControllerCore::fail(Time at, std::uint32_t command, Status status) {
  slots_[command].status = status;
  complete(at, command);
}

void ControllerCore::execute(Time at, std::uint32_t index) {
  Command& command = slots_[index];
  if (command.queue == 0) return execute_admin(at, index);
  const auto opcode = static_cast<IoOpcode>(command.entry.opcode);
  const bool flush = opcode == IoOpcode::flush;
  if (!flush && opcode != IoOpcode::read && opcode != IoOpcode::write)
    return fail(at, index, Status::invalid_opcode);
  const bool all_namespaces = flush && command.entry.nsid == 0xffff'ffff;
  if (command.entry.nsid != 1 && !all_namespaces) return fail(at, index, Status::invalid_namespace);
  if ((command.entry.flags & 0xc3) != 0) return fail(at, index, Status::invalid_field);  // fused, or SGLs
  if (flush) return complete(at, index);  // 6.8: without a volatile write cache it has no effect
  if (const Status status = check_io(command); status != Status::success) return fail(at, index, status);
  walk_prps(at, index);
}

Status ControllerCore::check_io(const Command& command) const {
  const std::uint64_t blocks = config_.capacity / config_.block;
  const std::uint64_t lba = starting_lba(command.entry);
  const std::uint64_t count = block_count(command.entry);
  if (count * config_.block > config_.max_transfer) return Status::invalid_field;  // 5.15.2.2, MDTS
  if (count > blocks || lba > blocks - count) return Status::lba_out_of_range;
  return Status::success;
}

void ControllerCore::walk_prps(Time at, std::uint32_t index) {
  Command& command = slots_[index];
  const std::uint64_t prp1 = command.entry.prp1;
  const std::uint64_t prp2 = command.entry.prp2;
  if (!valid_prp1(prp1)) return fail(at, index, Status::prp_offset_invalid);
  command.bytes = block_count(command.entry) * config_.block;
  command.segments.clear();
  command.segments.push_back({{prp1}, prp1_bytes(prp1, command.bytes)});
  command.bytes_left = command.bytes - command.segments.front().bytes;
  switch (prp2_use(prp1, command.bytes)) {
    case Prp2Use::unused: return prps_known(at, index);
    case Prp2Use::page:
      if (!valid_prp_entry(prp2)) return fail(at, index, Status::prp_offset_invalid);
      command.segments.push_back({{prp2}, command.bytes_left});
      return prps_known(at, index);
    case Prp2Use::list:
      if (!valid_prp_list(prp2)) return fail(at, index, Status::prp_offset_invalid);
      command.list = prp2;
      return fetch_list(at, index);
  }
}

/// Reads one page of the list. Its entries are understood at once and acted upon when they have landed.
void ControllerCore::fetch_list(Time at, std::uint32_t index) {
  Command& command = slots_[index];
  const auto pages = static_cast<std::uint32_t>((command.bytes_left + page_size - 1) / page_size);
  const PrpListPage part = prp_list_page(command.list, pages);
  const std::span bytes = std::span(page_).first(std::size_t{part.entries()} * prp_entry_bytes);
  const DmaResult dma = bus_.read(at, {command.list}, bytes);
  command.times.add(dma);
  const auto entry = [&bytes](std::uint32_t i) {
    std::uint64_t prp;
    std::memcpy(&prp, bytes.data() + std::size_t{i} * prp_entry_bytes, sizeof prp);
    return prp;
  };
  if (!dma.ok) {
    command.status = Status::data_transfer_error;
    return actions_.push(dma.done, Step::complete, index);
  }
  for (std::uint32_t i = 0; i < part.entries(); ++i) {
    if (!valid_prp_entry(entry(i))) command.status = Status::prp_offset_invalid;
  }
  for (std::uint32_t i = 0; i < part.data_entries; ++i) {
    const std::uint32_t here = std::min(command.bytes_left, static_cast<std::uint32_t>(page_size));
    command.segments.push_back({{entry(i)}, here});
    command.bytes_left -= here;
  }
  if (part.chained) command.list = entry(part.data_entries);
  actions_.push(dma.done, Step::list_landed, index);
}

void ControllerCore::list_landed(Time at, std::uint32_t index) {
  const Command& command = slots_[index];
  if (command.status != Status::success) return complete(at, index);
  if (command.bytes_left != 0) return fetch_list(at, index);
  prps_known(at, index);
}

void ControllerCore::prps_known(Time at, std::uint32_t index) {
  if (slots_[index].direction() == Direction::from_host) return move_payload(at, index);
  start_media(at, index);
}

void ControllerCore::move_payload(Time at, std::uint32_t index) {
  Command& command = slots_[index];
  const DmaResult dma = bus_.transfer(at, command.segments, command.direction());
  command.times.add(dma);
  if (!dma.ok) command.status = Status::data_transfer_error;
  actions_.push(dma.done, dma.ok ? Step::payload_landed : Step::complete, index);
}

void ControllerCore::payload_landed(Time at, std::uint32_t index) {
  if (slots_[index].direction() == Direction::from_host) return start_media(at, index);
  complete(at, index);
}

void ControllerCore::start_media(Time at, std::uint32_t index) {
  Command& command = slots_[index];
  const Media::Passage passage = media_.pass(command.direction(), at, command.bytes);
  command.times.queued += passage.begin - at;
  command.times.media += passage.end - passage.begin;
  actions_.push(passage.end, Step::enter_channel, index);
}

void ControllerCore::enter_channel(Time at, std::uint32_t index) {
  Command& command = slots_[index];
  const Media::Visit visit = media_.enter(command.direction(), at, starting_lba(command.entry) * config_.block);
  bus_.on_media(command.queue, command.entry.cid, visit.channel, visit.begin, visit.end);
  command.times.queued += visit.begin - at;
  command.times.media += visit.end - visit.begin;
  actions_.push(visit.end, Step::media_done, index);
}

void ControllerCore::media_done(Time at, std::uint32_t index) {
  if (slots_[index].direction() == Direction::to_host) return move_payload(at, index);
  complete(at, index);
}

}  // namespace gnomon::nvme
