// SPDX-License-Identifier: Apache-2.0
#include "guest/nic/tcp_socket.hpp"

#include <algorithm>
#include <stdexcept>

namespace gnomon::guest {

namespace {

constexpr std::uint32_t frame_bytes = 64 * 1024;     // the largest TSO frame
constexpr std::uint64_t fragment_bytes = 32 * 1024;  // sk_page_frag: order 3
constexpr std::uint32_t quick = 16;                  // TCP_MAX_QUICKACKS
constexpr Time ack_delay = Time::ms(40);             // TCP_DELACK_MIN

constexpr std::uint32_t number_of(std::uint64_t offset) {
  return static_cast<std::uint32_t>(offset + 1);  // the SYN had number 0
}

std::uint8_t scale_for(std::uint64_t window) {
  std::uint8_t scale = 0;
  while (window >> scale > 0xffff && scale < 14) ++scale;
  return scale;
}

}  // namespace

TcpSocket::TcpSocket(const SocketOptions& options, NicQueue& queue, NicDriver& driver, SocketClient& client)
    : options_(options),
      queue_(queue),
      driver_(driver),
      client_(client),
      flow_(nic::flow_tag(options.local_port, options.remote_port)),
      segment_(nic::segment_payload(options.mtu)),
      window_scale_(scale_for(options.receive_buffer)),
      quick_acks_(quick) {
  if (options.mtu < 576 || options.mtu > 9'216) throw std::invalid_argument("the MTU is 576 to 9216 bytes");
  if (options.receive_buffer < 4 * frame_bytes || options.receive_buffer > std::uint64_t{1} << 30)
    throw std::invalid_argument("the receive buffer has 256 KiB to 1 GiB");
  if (options.send_buffer < 2 * frame_bytes) throw std::invalid_argument("the send buffer has at least 128 KiB");
  if (options.ack_every > options.receive_buffer / 2)
    throw std::invalid_argument("ACKs come at least twice a receive buffer");
  queue_.add(*this);
}

TcpSocket::~TcpSocket() {
  queue_.remove(*this);
}

nic::TcpHeader TcpSocket::header(std::uint8_t flags) const {
  nic::TcpHeader h;
  h.source_port = options_.local_port;
  h.destination_port = options_.remote_port;
  h.sequence = number_of(sent_);
  h.acknowledgment = number_of(delivered_);
  h.flags = flags;
  h.window = static_cast<std::uint16_t>(known_window() >> window_scale_);
  return h;
}

void TcpSocket::connect(Cpu& cpu) {
  nic::TcpHeader syn = header(nic::tcp_flag::syn);
  syn.sequence = 0;
  syn.window = 0xffff;
  syn.segment_size = static_cast<std::uint16_t>(options_.mtu - nic::ip_header_bytes - 20);
  syn.window_scale = window_scale_;
  if (!queue_.transmit(cpu, syn, {}, 0, 0)) throw std::runtime_error("nic: a SYN could not be sent");
}

void TcpSocket::abort(Cpu& cpu) {
  aborted_ = true;
  (void)queue_.transmit(cpu, header(nic::tcp_flag::rst), {}, 0, 0);
}

void TcpSocket::release(Cpu& cpu) {
  queue_.remove(*this);
  while (!pieces_.empty()) {
    const std::uint32_t page = pieces_.front().page;
    pieces_.pop_front();
    queue_.pool().put(cpu, page, false);
  }
}

// ---- receiving
// -------------------------------------------------------------------------------------------------------

/// In order? Else its page goes back, and the peer hears of it.
bool TcpSocket::expects(const nic::CompletionEntry& entry) {
  if (!aborted_ && entry.number == number_of(expected_)) return true;
  ++counters_.discarded;
  if (aborted_) return false;
  // A segment that was received before asks for an ACK, but tells of no gap (RFC 9293, 3.10.7.4).
  const bool old = static_cast<std::int32_t>(entry.number - number_of(expected_)) < 0;
  gap_ = gap_ || !old;
  repeated_ = repeated_ || old;
  quick_acks_ = quick;
  return false;
}

void TcpSocket::append(std::uint32_t page, std::uint32_t bytes) {
  if (pieces_.full()) pieces_.set_capacity(std::max<std::size_t>(1024, 2 * pieces_.capacity()));
  pieces_.push_back({page, bytes});
  expected_ += bytes;
}

/// tcp_data_queue and __tcp_ack_snd_check.
void TcpSocket::deliver(Cpu& cpu, std::uint32_t bytes) {
  delivered_ += bytes;
  ++aggregates_;
  const bool enough = options_.ack_every != 0 ? delivered_ - told_ >= options_.ack_every : aggregates_ >= 2;
  if (quick_acks_ != 0) --quick_acks_;
  if (enough || quick_acks_ != 0) {
    offer_window();
    send_ack(cpu);
  } else if (!delayed_ack_.armed()) {
    cpu.arm(delayed_ack_, ack_delay);
  }
  client_.ready(cpu);
}

/// The window's right edge never moves back (tcp_select_window).
void TcpSocket::offer_window() {
  const std::uint64_t free = free_window() >> window_scale_ << window_scale_;
  window_end_ = std::max(window_end_, delivered_ + free);
}

void TcpSocket::send_ack(Cpu& cpu) {
  cpu.work(queue_.costs().acknowledge);
  if (!queue_.transmit(cpu, header(nic::tcp_flag::ack), {}, 0, 0)) return;
  ++counters_.acks_sent;
  told_ = delivered_;
  aggregates_ = 0;
}

void TcpSocket::DelayedAck::expired(Cpu& cpu) {
  if (!socket_.aborted_ && socket_.told_ != socket_.delivered_) {
    socket_.offer_window();
    socket_.send_ack(cpu);
  }
}

void TcpSocket::poll_ended(Cpu& cpu) {
  const bool repeated = std::exchange(repeated_, false);
  if (!std::exchange(gap_, false)) {
    if (repeated && told_ != delivered_) {
      offer_window();
      send_ack(cpu);
    }
    return;
  }
  ++counters_.duplicate_acks_sent;
  send_ack(cpu);  // with the window it had: else it is none (RFC 5681, 2)
}

std::uint64_t TcpSocket::read(Cpu& cpu, std::uint64_t limit) {
  const NicCosts& costs = queue_.costs();
  cpu.work(costs.read_call);
  cpu.sync();  // what arrived until now is there to be read
  const std::uint64_t bytes = std::min(readable(), limit);
  cpu.work(costs.copy_per_kib * bytes / 1024);
  std::uint64_t left = bytes;
  while (left != 0) {
    Piece& piece = pieces_.front();
    const auto here = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, piece.bytes - front_read_));
    front_read_ += here;
    left -= here;
    if (front_read_ != piece.bytes) break;
    const std::uint32_t page = piece.page;
    pieces_.pop_front();
    front_read_ = 0;
    queue_.pool().put(cpu, page, false);
  }
  copied_ += bytes;
  // tcp_cleanup_rbuf: tell the peer when the window it knows has become small and could be twice as large.
  const std::uint64_t known = known_window();
  if (bytes != 0 && 2 * known <= options_.receive_buffer && free_window() >= 2 * known &&
      free_window() >= options_.receive_buffer / 16) {
    offer_window();
    ++counters_.window_updates;
    send_ack(cpu);
  }
  return bytes;
}

// ---- sending
// ---------------------------------------------------------------------------------------------------------

std::uint64_t TcpSocket::writable() const {
  const std::uint64_t under_way = sent_ - acknowledged_;
  const std::uint64_t window = std::min(options_.send_buffer, peer_window_);
  return window > under_way ? window - under_way : 0;
}

bool TcpSocket::write(Cpu& cpu, std::uint64_t bytes) {
  cpu.work(queue_.costs().write_call + queue_.costs().copy_per_kib * bytes / 1024);
  if (frames_.empty()) {
    // As many as are under way at most, and one for a last that is not full.
    const std::uint64_t count = options_.send_buffer / segment_ + 2;
    const std::uint64_t most = std::min<std::uint64_t>(count, 2 * (options_.send_buffer / frame_bytes) + 2);
    for (std::uint64_t i = 0; i < most; ++i) frames_.push_back(driver_.pages().allocate(frame_bytes));
  }
  for (std::uint64_t done = 0; done < bytes;) {
    const auto here = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes - done, frame_bytes));
    if (!send_frame(cpu, here)) return false;
    done += here;
  }
  return true;
}

bool TcpSocket::send_frame(Cpu& cpu, std::uint32_t bytes) {
  cpu.work(queue_.costs().send_frame);
  const Gpa buffer = frames_[(sent_ / frame_bytes) % frames_.size()];
  std::array<Run, frame_bytes / fragment_bytes> runs;
  std::size_t count = 0;
  const std::uint64_t whole = (bytes + page_size - 1) & ~(page_size - 1);
  for (std::uint64_t at = 0; at < whole; at += fragment_bytes) {
    runs[count++] = {buffer + at, std::min(fragment_bytes, whole - at)};
  }
  const nic::TcpHeader h = header(nic::tcp_flag::ack);
  if (!queue_.transmit(cpu, h, {runs.data(), count}, bytes, segment_)) return false;
  sent_ += bytes;
  return true;
}

void TcpSocket::acknowledged(Cpu& cpu, const nic::CompletionEntry& entry) {
  cpu.work(queue_.costs().ack_received);
  if (nic::has(entry, nic::completion_flag::syn)) {
    established_ = true;
    peer_scale_ = static_cast<std::uint8_t>(entry.window);
    peer_window_ = std::uint64_t{0xffff} << peer_scale_;  // as its first ACK would say
    offer_window();
    send_ack(cpu);
  } else {
    acknowledged_ += static_cast<std::uint32_t>(entry.number - number_of(acknowledged_));
    peer_window_ = std::uint64_t{entry.window} << peer_scale_;
  }
  client_.ready(cpu);
}

}  // namespace gnomon::guest
