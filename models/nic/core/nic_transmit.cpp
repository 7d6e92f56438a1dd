// SPDX-License-Identifier: Apache-2.0
// Frames from memory to the wire. A large one leaves as segments (TSO).
#include <algorithm>

#include "models/nic/core/nic_core.hpp"

namespace gnomon::nic {

/// Starts to read every frame whose descriptors are all there, within the frames and completions allowed.
void NicCore::start_frames(Time at, unsigned queue) {
  QueuePair& q = queues_[queue];
  while (q.enabled && q.frames < config_.frames_in_flight && q.completion.has_room(1)) {
    std::uint32_t pieces = 0;
    bool whole = false;
    while (!whole && pieces < q.transmit.cached()) {
      whole = has(q.transmit.peek(pieces++), descriptor_flag::end_of_frame);
    }
    if (!whole) {
      if (q.transmit.room() == 0) fail(queue);  // a frame without end
      break;
    }
    if (!start_frame(at, queue, pieces)) return fail(queue);
  }
  if (q.enabled) fetch(at, queue, false);
}

/// False where the descriptors do not make a frame.
bool NicCore::start_frame(Time at, unsigned queue, std::uint32_t pieces) {
  QueuePair& q = queues_[queue];
  const Descriptor& first = q.transmit.peek(0);
  const Iova address{first.address};
  const std::uint32_t length = bytes_of(first);
  const bool valid = has(first, descriptor_flag::header) && length >= header_bytes && length <= most_header_bytes &&
                     address.offset_in_page() + length <= page_size;
  if (!valid) return false;
  const std::uint32_t index = take_frame();
  Frame& frame = frames_[index];
  frame = Frame{};
  frame.queue = static_cast<std::uint16_t>(queue);
  frame.generation = q.generation;
  frame.id = q.transmit.peek(pieces - 1).id;
  HeaderBytes room;
  const std::span header = std::span(room).first(length);
  const DmaResult read = bus_.read(at, address, header);
  segments_.clear();
  for (std::uint32_t i = 1; i < pieces; ++i) {
    const Descriptor& d = q.transmit.peek(i);
    frame.payload += bytes_of(d);
    for (std::uint32_t done = 0; done < bytes_of(d);) {
      const Iova here = Iova{d.address} + done;
      const auto bytes = static_cast<std::uint32_t>(
          std::min<std::uint64_t>(bytes_of(d) - done, page_size - here.offset_in_page()));
      segments_.push_back({here, bytes});
      done += bytes;
    }
  }
  DmaResult payload{true, read.done};
  if (!segments_.empty()) payload = bus_.transfer(at, segments_, Direction::from_host);
  if (const auto decoded = decode_header(header)) frame.header = *decoded;  // else it goes to no port at all
  frame.ok = read.ok && payload.ok;
  const std::uint32_t segment = segment_size_of(first);
  if (segment != 0 && frame.payload != 0) frame.packets = (frame.payload + segment - 1) / segment;
  q.transmit.drop(pieces);
  ++q.completion.reserved;
  ++q.frames;
  q.frame_read = std::max({q.frame_read, read.done, payload.done});  // they leave in order
  actions_.push(q.frame_read, Step::frame_read, index);
  return true;
}

std::uint32_t NicCore::take_frame() {
  if (free_frames_.empty()) {
    frames_.emplace_back();
    return static_cast<std::uint32_t>(frames_.size() - 1);
  }
  const std::uint32_t index = free_frames_.back();
  free_frames_.pop_back();
  return index;
}

void NicCore::frame_read(Time at, std::uint32_t index) {
  const Frame& frame = frames_[index];
  if (!frame.ok) return frame_sent(at, index);
  transmit_free_ =
      std::max(transmit_free_, at) + transfer_time(wire_bytes(frame.packets, frame.payload), config_.wire_rate);
  actions_.push(transmit_free_, Step::frame_sent, index);
}

void NicCore::frame_sent(Time at, std::uint32_t index) {
  const Frame& frame = frames_[index];
  QueuePair& q = queues_[frame.queue];
  if (frame.ok) {
    ++counters_.frames_sent;
    actions_.push(at + config_.peer.round_trip, Step::frame_at_peer, index);
  } else {
    free_frames_.push_back(index);
  }
  if (q.generation != frame.generation) return;
  --q.frames;
  CompletionEntry entry;
  entry.id = frame.id;
  entry.flags = completion_flag::transmit;
  if (!frame.ok) entry.flags |= completion_flag::error;
  append(at, frame.queue, entry);
  start_frames(at, frame.queue);
}

void NicCore::frame_at_peer(Time at, std::uint32_t index) {
  const Frame& frame = frames_[index];
  peer_.take(at, frame.header, frame.payload, frame.queue, queues_[frame.queue].buffer_bytes);
  free_frames_.push_back(index);
  wake_wire(at);
}

}  // namespace gnomon::nic
