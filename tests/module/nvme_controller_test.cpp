// SPDX-License-Identifier: Apache-2.0
// The NVMe controller through its sockets: registers in, DMA and messages out, and the time line of a command.
#include "models/nvme/nvme_controller.hpp"

#include "tests/support/isolated.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/test_bench.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::test {
namespace {

using Times = std::vector<Time>;
namespace reg = nvme::reg;

constexpr std::uint64_t admin_sq = 0x1000, admin_cq = 0x2000, io_sq = 0x3000, io_cq = 0x4000;
constexpr Time access = Time::ns(100);  // every DMA, there and back
constexpr Time overhead = Time::ns(1500);
constexpr Time ready = Time::us(50);

nvme::NvmeConfig config() {
  nvme::NvmeConfig c;
  c.command_overhead = overhead;
  c.ready_delay = ready;
  c.media.read_latency = Time::us(44);
  c.media.write_latency = Time::us(9);
  c.media.read_jitter = c.media.write_jitter = Time{};
  c.media.slow_per_million = 0;
  c.media.read_bandwidth = c.media.write_bandwidth = 4'096'000'000;  // 4 KiB take 1 us
  return c;
}

/// The controller, flat memory behind it, and the words of a driver.
struct Bench {
  explicit Bench(std::function<void(Script&)> body) : script("script", std::move(body)) {
    tracer.add(recorder);
    cpu.out.bind(drive.bar);
    drive.dma.bind(root.in);
    root.answer = [this](Target::Access& a, void* data) {
      if (data == nullptr || a.address >= memory.size()) return;
      if (a.write) {
        std::memcpy(memory.data() + a.address, data, a.bytes);
      } else {
        std::memcpy(data, memory.data() + a.address, a.bytes);
      }
    };
  }
  std::uint64_t load(std::uint64_t offset, std::uint64_t bytes) {
    std::uint64_t value = 0;
    cpu.read(offset, &value, bytes);
    return value;
  }
  void submit(std::uint64_t queue_base, std::uint16_t queue, const nvme::SubmissionEntry& entry, Time delay = {}) {
    std::uint32_t& tail = tails[queue];
    std::memcpy(memory.data() + queue_base + sizeof(entry) * tail, &entry, sizeof entry);
    cpu.write(nvme::doorbell_offset({queue, false}, 0), ++tail, delay);
  }
  nvme::CompletionEntry completion(std::uint64_t base, std::size_t index) const {
    nvme::CompletionEntry entry;
    std::memcpy(&entry, memory.data() + base + sizeof(entry) * index, sizeof entry);
    return entry;
  }
  /// Enabled, with I/O queue 1 on vector 1 which sends 0x31 to CPU 2.
  void boot() {
    cpu.write(reg::aqa, nvme::encode_aqa(16, 16));
    cpu.write(reg::asq, admin_sq);
    cpu.write(reg::acq, admin_cq);
    cpu.write(reg::cc, nvme::encode(nvme::Configuration{.en = true, .iosqes = 6, .iocqes = 4}));
    script.wait_until(global_time() + ready);
    const std::uint64_t entry = pci::msix_table_offset + sizeof(pci::MsixEntry);
    cpu.write(entry, pci::message_address(2));
    cpu.write(entry + 8, pci::message_data(0x31));
    cpu.write(entry + 12, std::uint32_t{0});
    submit(admin_sq, 0, nvme::create_io_cq(1, 1, 16, io_cq, 1));
    submit(admin_sq, 0, nvme::create_io_sq(2, 1, 16, io_sq, 1));
    script.wait_until(Time::us(100));
    root.seen.clear();
    recorder.events.clear();
  }

  std::vector<unsigned char> memory = std::vector<unsigned char>(1 << 20);
  std::uint32_t tails[2] = {};
  trace::Tracer tracer;
  Recorder recorder;
  std::uint64_t activations = 0;
  Initiator cpu{"cpu"};
  NvmeController drive{"drive", 0, SourceId{0x100}, config(), {}, RandomStream(1, "drive"), tracer, activations};
  Target root{"root", access};
  Script script;
};

template <class F>
Times times_of(F body) {
  return isolated_list<Time>([&body] {
    Times out;
    Bench* self = nullptr;
    Bench bench([&](Script& script) { body(*self, script, out); });
    self = &bench;
    sc_core::sc_start();
    return out;
  });
}

TEST_CASE("CSTS.RDY is set when the controller is ready, and not a picosecond before") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.cpu.write(reg::aqa, nvme::encode_aqa(16, 16));
    b.cpu.write(reg::asq, admin_sq);
    b.cpu.write(reg::acq, admin_cq);
    b.cpu.write(reg::cc, nvme::encode(nvme::Configuration{.en = true, .iosqes = 6, .iocqes = 4}), Time::ns(10));
    script.wait_until(ready + Time::ns(10) - Time::ps(1));
    out.push_back(Time::ps(b.load(reg::csts, 4)));
    script.wait_until(ready + Time::ns(10) + Time::ps(1));
    out.push_back(Time::ps(b.load(reg::csts, 4)));
    out.push_back(Time::ps(nvme::decode_capabilities(b.load(reg::cap, 8)).mqes));
  });
  CHECK(t == Times{Time{}, Time::ps(nvme::csts::rdy), Time::ps(16'383)});
}

TEST_CASE("the MSI-X table reads back, and ends where it ends") {
  const Times t = times_of([](Bench& b, Script&, Times& out) {
    const std::uint64_t third = pci::msix_table_offset + 3 * sizeof(pci::MsixEntry);
    out.push_back(Time::ps(b.load(third + 12, 4)));  // masked at reset
    b.cpu.write(third, std::uint64_t{0xfee03000});
    out.push_back(Time::ps(b.load(third, 8)));
    const std::uint64_t end = pci::msix_table_offset + 33 * sizeof(pci::MsixEntry);
    out.push_back(Time::ps(b.cpu.write(end - 4, std::uint32_t{0}).ok));
    out.push_back(Time::ps(b.cpu.write(end, std::uint32_t{0}).ok));
  });
  CHECK(t == Times{Time::ps(1), Time::ps(0xfee03000), Time::ps(1), Time{}});
}

/// Every access of the controller from here on, as time and address.
void accesses(const Bench& b, Times& out) {
  for (const auto& a : b.root.seen) out.insert(out.end(), {a.at, Time::ps(a.address)});
}

TEST_CASE("the time line of a 4 KiB read") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.boot();
    b.submit(io_sq, 1, nvme::io_command(nvme::IoOpcode::read, 7, 0, 8, 0x8000, 0), Time::ns(25));
    script.wait_until(Time::ms(1));
    accesses(b, out);
  });
  const Time rung = Time::us(100) + Time::ns(25);
  const Time executed = rung + access + overhead;
  const Time media = executed + Time::us(1) + Time::us(44);     // bandwidth, then the channel
  CHECK(t == Times{rung, Time::ps(io_sq),                       // the entry
                   media, Time::ps(0x8000),                     // the data
                   media + access, Time::ps(io_cq),             // the completion behind it
                   media + 2 * access, Time::ps(0xfee02000)});  // and the message behind that
}

TEST_CASE("the time line of a 12 KiB write: its list, its data, the flash, its completion") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.boot();
    const std::uint64_t list[2] = {0xa000, 0xc000};
    std::memcpy(b.memory.data() + 0x9000, list, sizeof list);
    b.submit(io_sq, 1, nvme::io_command(nvme::IoOpcode::write, 7, 0, 24, 0x8000, 0x9000));
    script.wait_until(Time::ms(1));
    accesses(b, out);
  });
  const Time executed = Time::us(100) + access + overhead;
  const Time known = executed + access;
  const Time done = known + access + Time::us(3) + Time::us(9);
  CHECK(t == Times{Time::us(100), Time::ps(io_sq), executed, Time::ps(0x9000), known, Time::ps(0x8000), known,
                   Time::ps(0xa000), known, Time::ps(0xc000), done, Time::ps(io_cq), done + access,
                   Time::ps(0xfee02000)});
}

TEST_CASE("the events of a command, and the interrupt's message") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.boot();
    b.submit(io_sq, 1, nvme::io_command(nvme::IoOpcode::read, 7, 8, 8, 0x8000, 0));
    script.wait_until(Time::ms(1));
    out.push_back(of_kind<trace::Doorbell>(b.recorder.events).at(0).first);
    out.push_back(of_kind<trace::CommandFetched>(b.recorder.events).at(0).first);
    const auto [at, media] = of_kind<trace::MediaBusy>(b.recorder.events).at(0);
    out.insert(out.end(), {Time::ps(media.began_ps), Time::ps(media.ends_ps), Time::ps(media.command)});
    out.push_back(of_kind<trace::CommandCompleted>(b.recorder.events).at(0).first);
    out.push_back(Time::ps(b.root.seen.back().data));
    const nvme::CompletionEntry entry = b.completion(io_cq, 0);
    out.insert(out.end(), {Time::ps(entry.cid), Time::ps(entry.status), Time::ps(entry.sq_head)});
  });
  const Time fetched = Time::us(100) + access;
  const Time begins = fetched + overhead + Time::us(1);
  CHECK(t == Times{Time::us(100), fetched, begins, begins + Time::us(44), Time::ps(7),
                   begins + Time::us(44) + access, Time::ps(0x31), Time::ps(7), Time::ps(1), Time::ps(1)});
}

TEST_CASE("a masked vector sends nothing; the completion is there all the same") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.boot();
    b.cpu.write(pci::msix_table_offset + sizeof(pci::MsixEntry) + 12, std::uint32_t{1});
    b.submit(io_sq, 1, nvme::io_command(nvme::IoOpcode::read, 7, 0, 8, 0x8000, 0));
    script.wait_until(Time::ms(1));
    out = {Time::ps(b.root.seen.back().address), Time::ps(b.completion(io_cq, 0).cid)};
  });
  CHECK(t == Times{Time::ps(io_cq), Time::ps(7)});
}

TEST_CASE("data whose DMA faults is an error the host may retry") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.boot();
    b.root.answer = [&b, answer = b.root.answer](Target::Access& a, void* data) {
      b.root.refuses = a.address == 0x8000;
      answer(a, data);
    };
    b.submit(io_sq, 1, nvme::io_command(nvme::IoOpcode::write, 7, 0, 8, 0x8000, 0));
    script.wait_until(Time::ms(1));
    const nvme::CompletionEntry entry = b.completion(io_cq, 0);
    out = {Time::ps(static_cast<std::uint64_t>(nvme::status_of(entry))), Time::ps(nvme::do_not_retry(entry)),
           Time::ps(of_kind<trace::MediaBusy>(b.recorder.events).size())};
  });
  CHECK(t == Times{Time::ps(static_cast<std::uint64_t>(nvme::Status::data_transfer_error)), Time{}, Time{}});
}

TEST_CASE("two reads on one channel follow each other, on two they do not") {
  const std::uint64_t second_lba = GENERATE(0, 8);  // the same stripe, or the next
  const Times t = times_of([second_lba](Bench& b, Script& script, Times& out) {
    b.boot();
    b.submit(io_sq, 1, nvme::io_command(nvme::IoOpcode::read, 1, 0, 8, 0x8000, 0));
    b.submit(io_sq, 1, nvme::io_command(nvme::IoOpcode::read, 2, second_lba, 8, 0x9000, 0));
    script.wait_until(Time::ms(1));
    for (const auto& [at, media] : of_kind<trace::MediaBusy>(b.recorder.events))
      out.push_back(Time::ps(media.ends_ps));
  });
  const Time first = Time::us(100) + access + overhead + Time::us(1) + Time::us(44);
  CHECK(t == Times{first, second_lba == 0 ? first + Time::us(44) : first + Time::us(1)});
}

}  // namespace
}  // namespace gnomon::test
