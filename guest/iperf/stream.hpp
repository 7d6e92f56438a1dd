// SPDX-License-Identifier: Apache-2.0
// One iperf stream: a thread that reads, or writes, `length` bytes a call.
#pragma once

#include "guest/iperf/spec.hpp"
#include "guest/iperf/statistics.hpp"
#include "guest/kernel/cpu.hpp"
#include "guest/nic/tcp_socket.hpp"

namespace gnomon::guest {

class IperfWorkload;

class IperfStream final : public Thread, private SocketClient, private Timer {
 public:
  /// Lives on `cpu`, whose queue pair is `queue`.
  IperfStream(IperfWorkload& workload, const iperf::IperfSpec& spec, std::uint32_t number, Cpu& cpu,
              NicQueue& queue, NicDriver& driver);

  void start(Cpu& from) { home_.wake(*this, from); }
  void stop(Cpu& from);  ///< the thread ends the connection and finishes
  bool turn(Cpu& cpu) override;
  void open(Time at) { statistics_.open(at); }
  void release(Cpu& cpu) { socket_.release(cpu); }

  std::uint32_t number() const { return number_; }
  const TcpSocket& socket() const { return socket_; }
  const iperf::StreamStatistics& statistics() const { return statistics_; }

 private:
  enum class State { created, connecting, running, finished };

  void ready(Cpu& cpu) override { home_.wake(*this, cpu); }
  void expired(Cpu& cpu) override { home_.wake(*this, cpu); }
  bool receive(Cpu& cpu);
  bool send(Cpu& cpu);
  void account(Cpu& cpu, std::uint64_t bytes);

  IperfWorkload& workload_;
  const iperf::IperfSpec& spec_;
  const std::uint32_t number_;
  Cpu& home_;
  TcpSocket socket_;
  iperf::StreamStatistics statistics_;
  State state_ = State::created;
  bool stopping_ = false;
  std::uint64_t accounted_ = 0;  // of what was sent: acknowledged and counted
  Time not_before_;              // --bitrate
};

}  // namespace gnomon::guest
