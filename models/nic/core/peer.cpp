// SPDX-License-Identifier: Apache-2.0
#include "models/nic/core/peer.hpp"

#include <algorithm>
#include <utility>

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
  const std::uint64_t limit = acknowledged + std::min(advertised, congestion);
  return limit > next ? limit - next : 0;
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
  if (offset_near(flow->acknowledged, header.acknowledgment) < flow->acknowledged)
    return;  // overtaken (RFC 9293, 3.10.7.4)
  const std::uint64_t window = std::uint64_t{header.window} << flow->scale;
  const bool same_window = window == std::exchange(flow->advertised, window);
  if (flow->sends) {
    acknowledge(at, *flow, header, same_window && payload == 0);
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

/// `nothing_new`: no data, and the window it had; with the old number too, a duplicate (RFC 5681, 2).
void Peer::acknowledge(Time at, Flow& flow, const TcpHeader& header, bool nothing_new) {
  const std::uint64_t acknowledged = offset_near(flow.acknowledged, header.acknowledgment);
  if (acknowledged > flow.next && acknowledged > flow.recover) return;  // of what was never sent
  if (acknowledged > flow.acknowledged) {
    const std::uint64_t bytes = acknowledged - flow.acknowledged;
    flow.acknowledged = acknowledged;
    flow.probes = 0;
    flow.probe_due = false;
    flow.next = std::max(flow.next, acknowledged);
    flow.progress = at;
    const std::uint64_t growth = flow.congestion < flow.threshold ? bytes : bytes * flow.segment / flow.congestion;
    flow.congestion = std::min(flow.congestion + growth, config_.window);
  } else if (nothing_new && acknowledged == flow.acknowledged && flow.next > acknowledged &&
             acknowledged >= flow.recover) {
    go_back(at, flow);
  }
}

void Peer::go_back(Time at, Flow& flow) {
  ++counters_.retransmissions;
  flow.recover = flow.acknowledged + 1;  // what follows of the flight that was lost repeats the same number
  flow.probes = 0;
  flow.probe_due = false;
  flow.threshold = std::max<std::uint64_t>(flow.congestion / 2, 2 * std::uint64_t{flow.segment});
  flow.congestion = flow.threshold;
  flow.next = flow.acknowledged;
  flow.progress = at;
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
  if (!flow.sends || !flow.established || next_payload(flow) == 0) return Time::max();
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
  return flow.probe_due ? probe(flow) : data(at, flow);
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
  Train train;
  train.flow = flow.tag;
  train.queue = flow.queue;
  train.number = number_of(flow.next);
  train.payload = next_payload(flow);
  const std::uint64_t end = flow.next + train.payload;
  train.packets = static_cast<std::uint32_t>(end / flow.segment - flow.next / flow.segment);  // that end in it
  train.stored = train.payload + (packing_.coalesce ? 0 : train.packets * header_bytes);
  train.buffers = static_cast<std::uint16_t>((train.stored + flow.buffer_bytes - 1) / flow.buffer_bytes);
  train.wire = wire_bytes(train.packets, train.payload);
  if (flow.next == flow.acknowledged) flow.progress = at;  // nothing was under way
  flow.next = end;
  if (config_.rate != 0)
    flow.not_before = std::max(flow.not_before, at) + transfer_time(train.payload, config_.rate);
  return train;
}

/// The last segment under way once more.
Train Peer::probe(Flow& flow) {
  flow.probe_due = false;
  Train train;
  train.flow = flow.tag;
  train.queue = flow.queue;
  train.payload = static_cast<std::uint32_t>(std::min<std::uint64_t>(flow.segment, flow.next - flow.acknowledged));
  train.number = number_of(flow.next - train.payload);
  train.stored = train.payload + (packing_.coalesce ? 0 : header_bytes);
  train.wire = wire_bytes(1, train.payload);
  return train;
}

Time Peer::retry_losses(Time at) {
  Time next = Time::max();
  for (Flow& flow : flows_) {
    if (flow.closed || !flow.sends || flow.next == flow.acknowledged) continue;
    if (at - flow.progress >= config_.loss_timeout) {
      go_back(at, flow);
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
