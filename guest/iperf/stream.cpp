// SPDX-License-Identifier: Apache-2.0
#include "guest/iperf/stream.hpp"

#include "guest/iperf/workload.hpp"
#include "models/trace/events.hpp"

namespace gnomon::guest {

namespace {

constexpr std::uint16_t first_port = 5201;  // iperf's own
constexpr std::uint16_t chargen_port = 19;  // the peer sends without end (RFC 864)
constexpr std::uint16_t discard_port = 9;   // or takes what comes (RFC 863)

SocketOptions socket_options(const iperf::IperfSpec& spec, std::uint32_t number) {
  SocketOptions o;
  o.local_port = static_cast<std::uint16_t>(first_port + number);
  o.remote_port = spec.reverse ? discard_port : chargen_port;
  o.mtu = spec.mtu;
  o.receive_buffer = spec.window;
  o.send_buffer = spec.window;
  o.ack_every = spec.ack_every;
  return o;
}

}  // namespace

IperfStream::IperfStream(IperfWorkload& workload, const iperf::IperfSpec& spec, std::uint32_t number, Cpu& cpu,
                         NicQueue& queue, NicDriver& driver)
    : workload_(workload),
      spec_(spec),
      number_(number),
      home_(cpu),
      socket_(socket_options(spec, number), queue, driver, *this),
      statistics_(spec.interval, spec.time) {}

void IperfStream::stop(Cpu& from) {
  stopping_ = true;
  home_.wake(*this, from);
}

bool IperfStream::turn(Cpu& cpu) {
  if (state_ == State::finished) return false;
  if (state_ == State::created) {
    state_ = State::connecting;
    socket_.connect(cpu);
    return false;
  }
  if (stopping_) {
    state_ = State::finished;
    socket_.abort(cpu);
    workload_.stream_finished(cpu);
    return false;
  }
  if (state_ == State::connecting && !socket_.established()) return false;
  state_ = State::running;
  return spec_.reverse ? send(cpu) : receive(cpu);
}

bool IperfStream::receive(Cpu& cpu) {
  if (socket_.readable() == 0) return false;
  const std::uint64_t bytes = socket_.read(cpu, spec_.length);
  account(cpu, bytes);
  return true;
}

bool IperfStream::send(Cpu& cpu) {
  if (const std::uint64_t acknowledged = socket_.acknowledged_bytes(); acknowledged != accounted_) {
    const std::uint64_t bytes = acknowledged - accounted_;
    accounted_ = acknowledged;
    account(cpu, bytes);
  }
  if (not_before_ > cpu.now()) {
    if (!armed()) cpu.arm_at(*this, not_before_);
    return false;
  }
  if (socket_.writable() < spec_.length) return false;
  if (spec_.bitrate != 0) {
    not_before_ = std::max(not_before_, cpu.now()) + transfer_time(8 * spec_.length, spec_.bitrate);
  }
  return socket_.write(cpu, spec_.length);
}

void IperfStream::account(Cpu& cpu, std::uint64_t bytes) {
  const auto direction = spec_.reverse ? trace::Direction::write : trace::Direction::read;
  cpu.emit(trace::StreamMoved{bytes, number_, cpu.id(), direction, 0});
  statistics_.moved(cpu.now(), bytes);
}

}  // namespace gnomon::guest
