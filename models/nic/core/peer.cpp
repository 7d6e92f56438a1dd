// SPDX-License-Identifier: Apache-2.0
#include "models/nic/core/peer.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "models/spec/nic/descriptors.hpp"

namespace gnomon::nic {

namespace {

constexpr std::uint32_t number_of(std::uint64_t offset) {
  return static_cast<std::uint32_t>(offset + 1);  // the SYN had number 0
}

/// The stream offset a 32-bit number means, near `about`.
constexpr std::uint64_t offset_near(std::uint64_t about, std::uint32_t number) {
  const auto ahead = static_cast<std::int32_t>(number - number_of(about));
  return about + static_cast<std::uint64_t>(static_cast<std::int64_t>(ahead));
}

}  // namespace

std::uint64_t Peer::Flow::may_send() const {
  const std::uint64_t edge = board.acknowledged() + advertised;
  const std::uint64_t window = edge > board.next() ? edge - board.next() : 0;
  const std::uint64_t room = congestion > board.under_way() ? congestion - board.under_way() : 0;
  return std::min(window, room);
}

/// A window's worth; the first of a recovery in any case, and one if nothing is under way.
bool Peer::Flow::may_send_again() const {
  return board.has_lost() &&
         (fast_retransmit || board.under_way() == 0 || board.under_way() + board.first_lost()->bytes <= congestion);
}

Peer::Flow* Peer::find(std::uint32_t tag) {
  const auto found = std::find_if(flows_.begin(), flows_.end(), [tag](const Flow& f) { return f.tag == tag; });
  return found == flows_.end() ? nullptr : &*found;
}

void Peer::take(Time at, const TcpHeader& header, std::uint32_t payload, unsigned queue,
                std::uint32_t buffer_bytes) {
  if ((header.flags & tcp_flag::syn) != 0) return open(at, header, queue, buffer_bytes);
  Flow* flow = find(flow_tag(header.source_port, header.destination_port));
  if (flow == nullptr || flow->closed) return;
  if ((header.flags & (tcp_flag::rst | tcp_flag::fin)) != 0) {
    flow->closed = true;
    return;
  }
  if (!flow->established) {
    flow->established = true;
    flow->progress = at;
  }
  flow->queue = static_cast<std::uint16_t>(queue);
  const std::uint64_t acknowledged = flow->board.acknowledged();
  if (offset_near(acknowledged, header.acknowledgment) < acknowledged) return;  // overtaken (RFC 9293, 3.10.7.4)
  flow->advertised = std::uint64_t{header.window} << flow->scale;
  if (flow->sends) {
    acknowledge(at, *flow, header);
  } else if (payload != 0) {
    receive(*flow, header, payload);
  }
}

void Peer::open(Time at, const TcpHeader& header, unsigned queue, std::uint32_t buffer_bytes) {
  const std::uint32_t tag = flow_tag(header.source_port, header.destination_port);
  const bool sends = header.destination_port == chargen_port;
  if (!sends && header.destination_port != discard_port) return;  // nobody listens
  if (header.segment_size <= tcp_header_bytes) return;
  Flow* flow = find(tag);
  if (flow == nullptr) flow = &flows_.emplace_back();
  *flow = Flow{};
  flow->tag = tag;
  flow->queue = static_cast<std::uint16_t>(queue);
  flow->scale = std::min<std::uint16_t>(header.window_scale, 14);
  flow->sends = sends;
  flow->syn_due = true;
  flow->segment = header.segment_size - (tcp_header_bytes - 20);  // the options come out of the MSS (RFC 6691)
  flow->buffer_bytes = buffer_bytes;
  flow->congestion = std::uint64_t{config_.first_window} * flow->segment;
  flow->progress = at;
}

void Peer::acknowledge(Time at, Flow& flow, const TcpHeader& header) {
  const std::uint64_t before = flow.board.acknowledged();
  const std::uint64_t flight = flow.board.flight();
  const std::uint64_t offset = offset_near(before, header.acknowledgment);
  std::array<ByteRange, most_sack_blocks> blocks;
  for (std::size_t i = 0; i < header.sack_blocks; ++i) {
    blocks[i] = {offset_near(offset, header.sack[i].first), offset_near(offset, header.sack[i].end)};
  }
  if (!flow.board.acknowledge(offset, std::span(blocks).first(header.sack_blocks))) return;
  flow.progress = at;
  flow.probes = 0;
  flow.probe_due = false;
  if (flow.board.has_lost() && offset >= flow.recover) {
    flow.fast_retransmit = true;
    return shrink(flow);
  }
  if (offset < flow.recover) return;  // it recovers
  // A window that was not used says nothing of what would be too much (RFC 7661).
  const bool starts = flow.congestion < flow.threshold;
  if (starts ? flow.congestion >= 2 * flight : flow.congestion > flight + flow.segment) return;
  const std::uint64_t bytes = offset - before;
  const std::uint64_t growth = starts ? bytes : bytes * flow.segment / flow.congestion;
  flow.congestion = std::min(flow.congestion + growth, config_.window);
}

/// RFC 5681, 3.2; once for all losses of a flight.
void Peer::shrink(Flow& flow) {
  ++counters_.recoveries;
  flow.recover = flow.board.next();
  flow.threshold = std::max<std::uint64_t>(flow.board.flight() / 2, 2 * std::uint64_t{flow.segment});
  flow.congestion = flow.threshold;
}

void Peer::receive(Flow& flow, const TcpHeader& header, std::uint32_t payload) {
  if (header.sequence != number_of(flow.received)) return;
  flow.received += payload;
  counters_.bytes_taken += payload;
  if (flow.received - flow.told >= config_.ack_every || (header.flags & tcp_flag::psh) != 0) flow.ack_due = true;
}

/// What the next train carries; 0 where the windows allow no whole segment.
std::uint32_t Peer::next_payload(const Flow& flow) const {
  const std::uint64_t allowed = flow.may_send();
  const auto whole = static_cast<std::uint32_t>(std::min<std::uint64_t>(allowed / flow.segment, 64) * flow.segment);
  if (packing_.coalesce) return allowed >= flow.buffer_bytes && whole != 0 ? flow.buffer_bytes : whole;
  const std::uint32_t frame = flow.segment + header_bytes;
  const std::uint32_t strides = (frame + packing_.stride - 1) / packing_.stride;
  const std::uint32_t fit = std::max(1u, flow.buffer_bytes / packing_.stride / strides);
  return std::min(whole, fit * flow.segment);
}

Time Peer::ready(const Flow& flow) const {
  if (flow.closed) return Time::max();
  if (flow.syn_due || flow.ack_due || flow.probe_due) return Time{};
  if (!flow.sends || !flow.established) return Time::max();
  if (flow.board.has_lost() ? !flow.may_send_again() : next_payload(flow) == 0) return Time::max();
  return flow.not_before;
}

Time Peer::next_send() const {
  Time earliest = Time::max();
  for (const Flow& flow : flows_) earliest = std::min(earliest, ready(flow));
  return earliest;
}

Train Peer::send(Time at) {
  while (ready(flows_[turn_]) > at) turn_ = turn_ + 1 == flows_.size() ? 0 : turn_ + 1;
  Flow& flow = flows_[turn_];
  turn_ = turn_ + 1 == flows_.size() ? 0 : turn_ + 1;
  if (flow.syn_due || flow.ack_due) return control(flow);
  return flow.probe_due || flow.board.has_lost() ? again(at, flow) : data(at, flow);
}

Train Peer::control(Flow& flow) {
  Train train;
  train.flow = flow.tag;
  train.queue = flow.queue;
  train.number = number_of(flow.received);
  train.stored = header_bytes;
  train.window = flow.syn_due ? 14 : 0xffff;  // it takes what comes: the largest there is
  train.flags = completion_flag::ack;
  if (flow.syn_due) train.flags |= completion_flag::syn;
  train.wire = wire_bytes(1, 0);
  flow.syn_due = flow.ack_due = false;
  flow.told = flow.received;
  return train;
}

Train Peer::data(Time at, Flow& flow) {
  const Train train = train_of(flow, flow.board.next(), next_payload(flow));
  if (flow.board.empty()) flow.progress = at;  // nothing was under way
  flow.board.sent(at, train.payload);
  if (config_.rate != 0)
    flow.not_before = std::max(flow.not_before, at) + transfer_time(train.payload, config_.rate);
  return train;
}

/// The first that was lost, or the last under way, to ask what became of the rest.
Train Peer::again(Time at, Flow& flow) {
  ++counters_.retransmissions;
  Scoreboard::Piece piece;
  if (flow.board.has_lost()) {
    piece = *flow.board.first_lost();
    flow.board.sent_again(at);
    flow.fast_retransmit = false;
  } else {
    piece = flow.board.probe(at);
  }
  flow.probe_due = false;
  Train train = train_of(flow, piece.offset, piece.bytes);
  train.again = true;
  return train;
}

Train Peer::train_of(const Flow& flow, std::uint64_t offset, std::uint32_t payload) const {
  Train train;
  train.flow = flow.tag;
  train.queue = flow.queue;
  train.number = number_of(offset);
  train.payload = payload;
  const std::uint64_t end = offset + payload;
  train.packets = static_cast<std::uint32_t>(end / flow.segment - offset / flow.segment);  // that end in it
  train.stored = payload + (packing_.coalesce ? 0 : train.packets * header_bytes);
  train.buffers = static_cast<std::uint16_t>((train.stored + flow.buffer_bytes - 1) / flow.buffer_bytes);
  train.wire = wire_bytes(train.packets, payload);
  return train;
}

Time Peer::retry_losses(Time at) {
  Time next = Time::max();
  for (Flow& flow : flows_) {
    if (flow.closed || !flow.sends || flow.board.empty()) continue;
    if (at - flow.progress >= config_.loss_timeout) {
      ++counters_.timeouts;
      shrink(flow);
      flow.congestion = flow.segment;
      flow.board.lose_everything();
      flow.progress = at;
      flow.probes = 0;
      flow.probe_due = false;
      continue;
    }
    // Each probe waits twice as long as the one before: one may be lost too.
    Time due = flow.progress + config_.probe_timeout * (std::uint64_t{1} << flow.probes);
    if (at >= due) {
      flow.probe_due = true;
      ++flow.probes;
      due = flow.progress + config_.probe_timeout * (std::uint64_t{1} << flow.probes);
    }
    next = std::min({next, due, flow.progress + config_.loss_timeout});
  }
  return next;
}

}  // namespace gnomon::nic
