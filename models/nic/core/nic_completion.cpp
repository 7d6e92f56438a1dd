// SPDX-License-Identifier: Apache-2.0
// Completion entries, gathered into bursts, and the interrupts they make.
#include <algorithm>
#include <span>
#include <utility>

#include "models/nic/core/nic_core.hpp"

namespace gnomon::nic {

/// The entry is due. It waits for others of its burst only while there are payloads of the queue pair under way.
void NicCore::append(Time at, unsigned queue, CompletionEntry entry) {
  QueuePair& q = queues_[queue];
  CompletionRing& ring = q.completion;
  const std::uint32_t place = ring.written + ring.gathered;
  if ((place & ring.size) == 0) entry.flags |= completion_flag::phase;  // of every other pass
  ring.burst[ring.gathered++] = entry;
  if (((place + 1) & (config_.completion_burst - 1)) == 0 || q.landing == 0) flush(at, queue);
}

void NicCore::flush(Time at, unsigned queue) {
  QueuePair& q = queues_[queue];
  CompletionRing& ring = q.completion;
  const std::uint64_t place = ring.written & (ring.size - 1);
  const auto entries = std::as_bytes(std::span(ring.burst).first(ring.gathered));
  const DmaResult dma = bus_.write(at, ring.base + place * sizeof(CompletionEntry), entries);
  const std::uint32_t count = std::exchange(ring.gathered, 0);
  if (!dma.ok) {
    // A ring that cannot be written: nothing more happens here until software starts anew.
    return actions_.push(dma.done, Step::fetch_failed, queue, q.generation);
  }
  ring.written += count;
  q.unsignalled += count;
  ring.landed = std::max(ring.landed, dma.done);
  if (q.armed) signal(ring.landed, queue);
}

/// Software has seen the entries before the doorbell's head.
void NicCore::see(Time at, unsigned queue, CompletionDoorbell doorbell) {
  QueuePair& q = queues_[queue];
  CompletionRing& ring = q.completion;
  const std::uint32_t seen = (doorbell.head - ring.head) & (ring.size - 1);
  if (seen > ring.unseen()) return;  // of what was never written
  ring.head = doorbell.head;
  ring.reserved -= seen;
  if (seen != 0 && q.transmit.cached() != 0) actions_.push(at, Step::room_made, queue, q.generation);
  if (!doorbell.arm) return;
  q.armed = true;
  q.waiting = false;
  ++q.wait;
  q.unsignalled = ring.unseen();
  if (q.unsignalled != 0) signal(std::max(at, ring.landed), queue);
}

/// Armed, and there is something to tell from `at` on: at once when it is enough, else when the wait is over.
void NicCore::signal(Time at, unsigned queue) {
  QueuePair& q = queues_[queue];
  if (q.unsignalled >= q.moderation_count || q.moderation_time == Time{}) return fire(at, queue);
  if (q.waiting) return;
  q.waiting = true;
  actions_.push(at + q.moderation_time, Step::moderation_due, queue, q.wait);
}

void NicCore::fire(Time at, unsigned queue) {
  QueuePair& q = queues_[queue];
  q.armed = q.waiting = false;
  ++q.wait;
  q.unsignalled = 0;
  actions_.push(at, Step::interrupt, queue, q.generation);
}

void NicCore::moderation_due(Time at, unsigned queue, std::uint32_t wait) {
  const QueuePair& q = queues_[queue];
  if (q.enabled && q.waiting && q.wait == wait) fire(at, queue);
}

}  // namespace gnomon::nic
