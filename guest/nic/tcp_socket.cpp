// SPDX-License-Identifier: Apache-2.0
#include "guest/nic/tcp_socket.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <utility>

namespace gnomon::guest {

namespace {

constexpr std::uint32_t frame_bytes = 64 * 1024;     // the largest TSO frame
constexpr std::uint64_t fragment_bytes = 32 * 1024;  // sk_page_frag: order 3
constexpr std::uint32_t quick = 16;                  // TCP_MAX_QUICKACKS
constexpr std::size_t most_selected = 4;             // of tcp_sock
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
  for (const Held& held : held_) queue_.pool().put(cpu, held.page, false);
  held_.clear();
  while (!pieces_.empty()) {
    const std::uint32_t page = pieces_.front().page;
    pieces_.pop_front();
    queue_.pool().put(cpu, page, false);
  }
}

// ---- receiving
// -------------------------------------------------------------------------------------------------------

TcpSocket::Arrival TcpSocket::take(const nic::CompletionEntry& entry, std::uint32_t page) {
  if (aborted_) return Arrival::unwanted;
  const auto ahead = static_cast<std::int32_t>(entry.number - number_of(expected_));
  if (ahead == 0) {
    push_piece(page, entry.bytes);
    expected_ += entry.bytes;
    return Arrival::in_order;
  }
  const bool new_bytes = ahead > 0 && hold(expected_ + static_cast<std::uint32_t>(ahead), page, entry.bytes);
  if (!new_bytes) {
    ++counters_.discarded;
    repeated_ = true;  // it asks for an ACK, but tells of no gap (RFC 9293, 3.10.7.4)
    quick_acks_ = quick;
    return Arrival::unwanted;
  }
  ++counters_.out_of_order;
  gap_ = true;
  return Arrival::behind_a_gap;
}

void TcpSocket::push_piece(std::uint32_t page, std::uint32_t bytes) {
  if (pieces_.full()) pieces_.set_capacity(std::max<std::size_t>(1024, 2 * pieces_.capacity()));
  pieces_.push_back({page, bytes});
}

/// tcp_data_queue_ofo. False: it is held already.
bool TcpSocket::hold(std::uint64_t first, std::uint32_t page, std::uint32_t bytes) {
  auto place = held_.end();
  while (place != held_.begin() && std::prev(place)->first > first) --place;
  if (place != held_.begin() && std::prev(place)->end() > first) return false;
  // The pages of one packet have its first number all: those before the last are kept with no bytes.
  held_.insert(place, {first, bytes, page});
  if (bytes != 0) tell_of(first, first + bytes);
  return true;
}

/// tcp_sack_new_ofo_skb: the range grows, and is told of first.
void TcpSocket::tell_of(std::uint64_t first, std::uint64_t end) {
  Range grown{first, end};
  for (std::size_t i = 0; i < selected_.size();) {
    const Range& range = selected_[i];
    if (range.first > grown.end || range.end < grown.first) {
      ++i;
      continue;
    }
    grown = {std::min(range.first, grown.first), std::max(range.end, grown.end)};
    selected_.erase(selected_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  selected_.insert(selected_.begin(), grown);
  if (selected_.size() > most_selected) selected_.pop_back();
}

/// tcp_ofo_queue, tcp_sack_remove: what is in order now.
void TcpSocket::release_held(Cpu& cpu) {
  auto held = held_.begin();
  for (; held != held_.end() && held->first <= delivered_; ++held) {
    if (held->first == delivered_) {
      push_piece(held->page, held->bytes);
      delivered_ = held->end();
    } else {
      queue_.pool().put(cpu, held->page, false);  // it came again meanwhile
    }
  }
  held_.erase(held_.begin(), held);
  expected_ = std::max(expected_, delivered_);
  std::erase_if(selected_, [this](const Range& range) { return range.end <= delivered_; });
}

/// tcp_data_queue and __tcp_ack_snd_check: more than a segment, and a window at least that of the last ACK. So a
/// reader that keeps up has its ACKs here, one that does not has them as it reads.
void TcpSocket::deliver(Cpu& cpu, std::uint32_t bytes) {
  delivered_ += bytes;
  const bool gap = !held_.empty();  // what fills it, or a part of it, is acknowledged at once (RFC 5681, 4.2)
  if (gap) release_held(cpu);
  const std::uint64_t unacknowledged = delivered_ - told_;
  const bool enough = options_.ack_every != 0 ? unacknowledged >= options_.ack_every
                                              : unacknowledged > segment_ && scaled(free_window()) >= last_window_;
  if (quick_acks_ != 0) --quick_acks_;
  if (enough || gap || quick_acks_ != 0) {
    offer_window();
    send_ack(cpu);
  } else if (!delayed_ack_.armed()) {
    cpu.arm(delayed_ack_, ack_delay);
  }
  client_.ready(cpu);
}

/// The window's right edge never moves back (tcp_select_window).
void TcpSocket::offer_window() {
  window_end_ = std::max(window_end_, delivered_ + scaled(free_window()));
  last_window_ = known_window();
}

void TcpSocket::send_ack(Cpu& cpu) {
  cpu.work(queue_.costs().acknowledge);
  nic::TcpHeader ack = header(nic::tcp_flag::ack);
  for (const Range& range : std::span(selected_).first(std::min<std::size_t>(selected_.size(), ack.sack.size()))) {
    ack.sack[ack.sack_blocks++] = {number_of(range.first), number_of(range.end)};
  }
  if (!queue_.transmit(cpu, ack, {}, 0, 0)) return;
  ++counters_.acks_sent;
  told_ = delivered_;
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
  send_ack(cpu);  // one for all of the poll: GRO, and tcp_comp_sack_nr
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
  if (bytes != 0) acknowledge_what_was_read(cpu);
  return bytes;
}

/// tcp_cleanup_rbuf: an ACK that is due anyway goes now; else the peer is told when the window it knows has become
/// small and could be twice as large.
void TcpSocket::acknowledge_what_was_read(Cpu& cpu) {
  const bool due = options_.ack_every == 0 && delivered_ - told_ > segment_;
  const std::uint64_t known = known_window();
  const bool opens = 2 * known <= options_.receive_buffer && free_window() >= 2 * known &&
                     free_window() >= options_.receive_buffer / 16;
  if (!due && !opens) return;
  if (!due) ++counters_.window_updates;
  offer_window();
  send_ack(cpu);
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
