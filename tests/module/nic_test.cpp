// SPDX-License-Identifier: Apache-2.0
// The NIC through its sockets: registers in, DMA and messages out, and the time line of a packet.
#include "models/nic/nic.hpp"

#include "tests/support/isolated.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/test_bench.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::test {
namespace {

using Times = std::vector<Time>;
using nic::QueueRegister;
namespace reg = nic::reg;

constexpr std::uint64_t receive_ring = 0x1000, transmit_ring = 0x2000, completion_ring = 0x3000,
                        header_page = 0x4000, buffers = 0x1'0000;
constexpr Time access = Time::ns(100);  // every DMA, there and back
constexpr Time control_wire = Time::ps(nic::wire_bytes(1, 0) * 80);
constexpr Time packet_wire = Time::ps(nic::wire_bytes(1, 1448) * 80);

/// The NIC, flat memory behind it, and the words of a driver.
struct Bench {
  explicit Bench(std::function<void(Script&)> body) : script("script", std::move(body)) {
    tracer.add(recorder);
    cpu.out.bind(device.bar);
    device.dma.bind(root.in);
    root.answer = [this](Target::Access& a, void* data) {
      if (data == nullptr || a.address >= memory.size()) return;
      if (a.write) {
        std::memcpy(memory.data() + a.address, data, a.bytes);
      } else {
        std::memcpy(data, memory.data() + a.address, a.bytes);
      }
    };
  }
  void set(QueueRegister r, std::uint64_t value) {
    if (r == QueueRegister::receive_base || r == QueueRegister::transmit_base ||
        r == QueueRegister::completion_base) {
      cpu.write(nic::offset_of(0, r), value);
    } else {
      cpu.write(nic::offset_of(0, r), static_cast<std::uint32_t>(value));
    }
  }
  std::uint64_t load(std::uint64_t offset) {
    std::uint32_t value = 0;
    cpu.read(offset, &value, 4);
    return value;
  }
  void send(const nic::TcpHeader& header, Time delay = {}) {
    const nic::HeaderBytes bytes = nic::encode(header);
    std::memcpy(memory.data() + header_page + 128 * sent, bytes.data(), bytes.size());
    const nic::Descriptor d{header_page + 128 * sent, nic::encode_length(nic::header_bytes),
                            nic::descriptor_flag::header | nic::descriptor_flag::end_of_frame,
                            static_cast<std::uint16_t>(sent)};
    std::memcpy(memory.data() + transmit_ring + sizeof d * sent, &d, sizeof d);
    ++sent;
    cpu.write(nic::offset_of(0, QueueRegister::transmit_tail), sent, delay);
  }
  /// Enabled, connected, with `count` buffers, on vector 1 which sends 0x31 to CPU 2; at 1 ms.
  void boot(std::uint32_t count) {
    cpu.write(reg::control, std::uint32_t{1});
    script.wait_until(Time::us(200));
    const std::uint64_t entry = pci::msix_table_offset + sizeof(pci::MsixEntry);
    cpu.write(entry, pci::message_address(2));
    cpu.write(entry + 8, pci::message_data(0x31));
    cpu.write(entry + 12, std::uint32_t{0});
    set(QueueRegister::receive_base, receive_ring);
    set(QueueRegister::receive_size, 64);
    set(QueueRegister::transmit_base, transmit_ring);
    set(QueueRegister::transmit_size, 64);
    set(QueueRegister::completion_base, completion_ring);
    set(QueueRegister::completion_size, 128);
    set(QueueRegister::vector, 1);
    set(QueueRegister::buffer_bytes, 4096);
    set(QueueRegister::control, 1);
    for (std::uint32_t i = 0; i < count; ++i) {
      const nic::Descriptor d{buffers + i * page_size, nic::encode_length(4096), 0, static_cast<std::uint16_t>(i)};
      std::memcpy(memory.data() + receive_ring + sizeof d * i, &d, sizeof d);
    }
    set(QueueRegister::receive_tail, count);
    send({5201, nic::chargen_port, 0, 0, nic::tcp_flag::syn, 0xffff, 1460, 0});
    script.wait_until(Time::ms(1));
    root.seen.clear();
    recorder.events.clear();
  }
  void ack(std::uint16_t window, Time delay = {}) {
    send({5201, nic::chargen_port, 1, 1, nic::tcp_flag::ack, window, 0, 0}, delay);
  }

  std::vector<unsigned char> memory = std::vector<unsigned char>(1 << 20);
  std::uint32_t sent = 0;
  trace::Tracer tracer;
  Recorder recorder;
  std::uint64_t activations = 0;
  Initiator cpu{"cpu"};
  Nic device{"nic", 4, SourceId{0x200}, nic::NicConfig{}, tracer, activations};
  Target root{"root", access};
  Script script;
};

template <class F>
Times nic_times_of(F body) {
  return isolated_list<Time>([&body] {
    Times out;
    Bench* self = nullptr;
    Bench bench([&](Script& script) {
      body(*self, script, out);
      sc_core::sc_stop();  // the peer would send again for ever
    });
    self = &bench;
    sc_core::sc_start();
    return out;
  });
}

TEST_CASE("NIC: status.ready is set when it is ready, and not a picosecond before") {
  const Times t = nic_times_of([](Bench& b, Script& script, Times& out) {
    b.cpu.write(reg::control, std::uint32_t{1}, Time::ns(10));
    script.wait_until(Time::us(100) + Time::ns(10) - Time::ps(1));
    out.push_back(Time::ps(b.load(reg::status)));
    script.wait_until(Time::us(100) + Time::ns(10) + Time::ps(1));
    out.push_back(Time::ps(b.load(reg::status)));
    out.push_back(Time::ps(b.load(reg::link_speed)));
  });
  CHECK(t == Times{Time{}, Time::ps(nic::status::ready), Time::ps(100'000)});
}

TEST_CASE("NIC: the time line of one packet, from the ACK that allows it to the message") {
  const Times t = nic_times_of([](Bench& b, Script& script, Times& out) {
    b.boot(8);
    b.ack(1448, Time::ns(25));
    script.wait_until(Time::ms(1) + Time::us(10));  // the ACK is out, the packet not here
    b.set(QueueRegister::completion_head, nic::encode(nic::CompletionDoorbell{3, true}));
    script.wait_until(Time::ms(2));
    for (const auto& a : b.root.seen) out.insert(out.end(), {a.at, Time::ps(a.address)});
  });
  const Time rung = Time::ms(1) + Time::ns(25);
  const Time sent = rung + 2 * access + control_wire;
  const Time arrived = sent + Time::us(20) + packet_wire;
  CHECK(t == Times{rung, Time::ps(transmit_ring + 16),                // the descriptor
                   rung + access, Time::ps(header_page + 128),        // the headers
                   sent, Time::ps(completion_ring + 32),              // sent
                   arrived, Time::ps(buffers + page_size),            // the packet
                   arrived + access, Time::ps(completion_ring + 48),  // its completion
                   arrived + 2 * access, Time::ps(0xfee02000)});      // and the message behind that
}

TEST_CASE("NIC: a masked vector sends no message") {
  const Times t = nic_times_of([](Bench& b, Script& script, Times& out) {
    b.boot(8);
    b.cpu.write(pci::msix_table_offset + sizeof(pci::MsixEntry) + 12, std::uint32_t{1});
    b.set(QueueRegister::completion_head, nic::encode(nic::CompletionDoorbell{0, true}));
    script.wait_until(Time::ms(2));
    out = {Time::ps(b.root.seen.size())};
  });
  CHECK(t == Times{Time{}});
}

TEST_CASE("NIC: packets without a buffer are told as events, to the last of them") {
  const Times t = nic_times_of([](Bench& b, Script& script, Times& out) {
    b.boot(2);  // one for the SYN-ACK
    b.ack(10 * 1448);
    script.wait_until(Time::ms(2));
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t device = 0;
    for (const auto& [at, e] : of_kind<trace::PacketsDropped>(b.recorder.events)) {
      packets += e.packets;
      bytes += e.bytes;
      device = e.device;
    }
    out = {Time::ps(packets), Time::ps(bytes), Time::ps(device), Time::ps(b.device.counters().packets_dropped)};
  });
  CHECK(t == Times{Time::ps(8), Time::ps(8 * 1448), Time::ps(4), Time::ps(8)});
}

TEST_CASE("NIC: the MSI-X table ends where it ends") {
  const Times t = nic_times_of([](Bench& b, Script&, Times& out) {
    const std::uint64_t end = pci::msix_table_offset + 64 * sizeof(pci::MsixEntry);
    out.push_back(Time::ps(b.load(end - 4)));  // masked at reset
    out.push_back(Time::ps(b.cpu.write(end - 4, std::uint32_t{0}).ok));
    out.push_back(Time::ps(b.cpu.write(end, std::uint32_t{0}).ok));
  });
  CHECK(t == Times{Time::ps(1), Time::ps(1), Time{}});
}

}  // namespace
}  // namespace gnomon::test
