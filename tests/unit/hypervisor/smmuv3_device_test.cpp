// SPDX-License-Identifier: Apache-2.0
// The emulated SMMUv3 of a guest whose stage 1 hardware walks: what is handed to the host, and what is refused.
#include <catch2/catch.hpp>
#include <vector>

#include "models/hypervisor/core/smmuv3_device.hpp"
#include "models/spec/smmuv3/context_descriptor.hpp"

using namespace gnomon;
using namespace gnomon::hypervisor;
using namespace gnomon::smmuv3;
using Kind = ServedCommand::Kind;
namespace vq = gnomon::smmuv3::virtual_queue;

namespace {

struct Target final : ShadowTarget {
  struct Call {
    char what;
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;
    bool leaf = false;
    bool operator==(const Call&) const = default;
  };
  bool map(Iova, Gpa, std::uint64_t, DmaAccess) override { return false; }
  void unmap(Iova, std::uint64_t) override {}
  void set_bypass(bool) override { calls.push_back({'p'}); }
  void nest(Gpa root, unsigned) override { calls.push_back({'n', root.value}); }
  void block() override { calls.push_back({'b'}); }
  void forward_invalidation(Iova iova, std::uint64_t bytes, bool leaf) override {
    calls.push_back({'f', iova.value, bytes, leaf});
  }
  std::vector<Call> calls;
};

struct Port final : VmmPort {
  explicit Port(GuestRam& r) : ram(r) {}
  std::uint64_t read_entry(Gpa address) override {
    ++reads;
    return ram.contains(address, 8) ? ram.read<std::uint64_t>(address) : ~std::uint64_t{0};
  }
  void look_up() override {}
  void write_guest(Gpa address, std::uint64_t value, unsigned bytes) override {
    ram.write_bytes(address, &value, bytes);
  }
  GuestRam& ram;
  unsigned reads = 0;
};

struct Queues final : GuestQueueHost {
  void give_queue(unsigned queue, Gpa base, unsigned log2) override { given.push_back({queue, base.value, log2}); }
  struct Given {
    unsigned queue;
    std::uint64_t base;
    unsigned log2;
    bool operator==(const Given&) const = default;
  };
  std::vector<Given> given;
};

struct Bench {
  static constexpr std::uint64_t ring = 0x10000, streams = 0x20000, contexts = 0x30000;
  explicit Bench(const Smmuv3DeviceConfig& config = {}) : device(ram, config, &queues) {
    device.add_endpoint(SourceId{0x10}, target);
    device.add_endpoint(SourceId{0x18}, other);
    device.write_register(reg::strtab_base, streams, 8);
    device.write_register(reg::strtab_base_cfg, encode(StreamTableConfig{8, 8, false}), 4);
    device.write_register(reg::cmdq_base, queue_register(ring, 7), 8);
    device.write_register(reg::cr0, cr0::cmdqen | cr0::smmuen, 4);
    target.calls.clear();
    other.calls.clear();
  }
  void stream(std::uint32_t sid, StreamConfig config, std::uint16_t asid, std::uint64_t context = contexts) {
    StreamTableEntry e;
    e.v = true;
    e.config = config;
    e.s1_context_ptr = context;
    ram.write(Gpa{streams + sid * 64}, encode(e));
    ContextDescriptor c;
    c.v = true;
    c.asid = asid;
    ram.write(Gpa{context}, encode(c));
  }
  ServedCommand serve(const Command& c) {
    ram.write(Gpa{ring + queue::index(prod, 7) * 16}, encode(c));
    prod = queue::advance(prod, 1, 7);
    device.write_register(reg::cmdq_prod, prod, 4);
    return device.serve(port);
  }
  PhysicalMemory memory{16 << 20};
  GuestRam ram = GuestRam::identity(memory, 16 << 20);
  Target target, other;
  Port port{ram};
  Queues queues;
  Smmuv3Device device;
  std::uint32_t prod = 0;
};

}  // namespace

TEST_CASE("emulated SMMUv3: stage 1 only, no MSI, by range") {
  Bench b;
  const Idr0 idr0 = decode_idr0(static_cast<std::uint32_t>(b.device.read_register(reg::idr0, 4)));
  CHECK(idr0.s1p);
  CHECK_FALSE(idr0.s2p);
  CHECK_FALSE(idr0.msi);
  CHECK(idr0.cohacc);
  CHECK(b.device.read_register(reg::idr3, 4) == idr3::ril);
  CHECK(decode_idr1(static_cast<std::uint32_t>(b.device.read_register(reg::idr1, 4))).cmdqs == 19);
  CHECK(b.device.read_register(reg::cr0ack, 4) == (cr0::cmdqen | cr0::smmuen));
  CHECK_THROWS_AS(b.device.add_endpoint(SourceId{0x10}, b.target), std::invalid_argument);
}

TEST_CASE("emulated SMMUv3: a stream's entry decides between stage 1, bypass and nothing") {
  Bench b;
  b.stream(0x10, StreamConfig::stage1, 7);
  CHECK(b.serve(CfgiSte{0x10, true}).kind == Kind::configure);
  CHECK(b.target.calls == std::vector<Target::Call>{{'n', Bench::contexts}});
  CHECK(b.port.reads == 9);  // eight words of the entry, one of the descriptor
  b.serve(CfgiCd{0x10, 0, true});
  CHECK(b.target.calls.back() == Target::Call{'n', Bench::contexts});
  b.stream(0x10, StreamConfig::bypass, 7);
  b.serve(CfgiSte{0x10, true});
  CHECK(b.target.calls.back().what == 'p');
  b.stream(0x10, StreamConfig::abort, 7);
  b.serve(CfgiSte{0x10, true});
  CHECK(b.target.calls.back().what == 'b');
  CHECK(b.other.calls.empty());
  b.serve(CfgiSteRange{0, 31});
  CHECK(b.other.calls.back().what == 'b');  // its entry was never made
  const auto before = b.other.calls.size();
  b.serve(CfgiSteRange{0x10, 2});  // 0x10 to 0x17
  CHECK(b.other.calls.size() == before);
}

TEST_CASE("emulated SMMUv3: invalidations go to whom they concern, CMD_SYNC follows them") {
  Bench b;
  b.stream(0x10, StreamConfig::stage1, 7);
  b.stream(0x18, StreamConfig::stage1, 8, 0x31000);
  b.serve(CfgiSteRange{0, 31});
  b.target.calls.clear();
  b.other.calls.clear();
  const ServedCommand served = b.serve(TlbiNhVa{0, 7, {0x4000, true, 1, 0, 2, 3}});
  CHECK(served.kind == Kind::invalidate);
  CHECK(served.domain == 7);
  CHECK(served.iova == Iova{0x4000});
  CHECK(served.bytes == 0x4000);
  CHECK(b.target.calls == std::vector<Target::Call>{{'f', 0x4000, 0x4000, true}});
  CHECK(b.other.calls.empty());
  b.serve(TlbiNhAsid{0, 8});
  CHECK(b.other.calls == std::vector<Target::Call>{{'f', 0, ~0ull, false}});
  b.serve(TlbiNsnhAll{});
  b.serve(TlbiNhVaa{0, {0x4000, false, 0, 0, 0, 0}});
  CHECK(b.target.calls.size() == 3);
  CHECK(b.other.calls.size() == 3);
  CHECK(b.serve(CmdSync{}).kind == Kind::wait);
  CHECK(b.device.read_register(reg::cmdq_cons, 4) == 6);
  CHECK(b.device.forwarded() == 6);
  CHECK_FALSE(b.device.pending());
}

TEST_CASE("emulated SMMUv3: what is not the guest's to ask stops the queue") {
  for (const Command& c : {Command{TlbiS12Vmall{0}}, Command{TlbiS2Ipa{0, {}}}, Command{AtcInv{}},
                           Command{IllegalCommand{{{0xff, 0}}}}}) {
    Bench b;
    CHECK(b.serve(c).kind == Kind::illegal);
    CHECK(b.device.read_register(reg::gerror, 4) == 1);
    CHECK(cons_error_of(static_cast<std::uint32_t>(b.device.read_register(reg::cmdq_cons, 4))) ==
          CommandError::illegal);
    CHECK_FALSE(b.device.pending());
    b.device.write_register(reg::gerrorn, 1, 4);
    CHECK(b.device.pending());
  }
}

TEST_CASE("emulated SMMUv3: MSI of CMD_SYNC where the unit says it has it; queues of the guest's own") {
  Smmuv3DeviceConfig config;
  config.msi = true;
  Bench b(config);
  b.ram.write(Gpa{0x5000}, std::uint64_t{~0ull});
  b.serve(CmdSync{SyncSignal::irq, 3, 0xf, 0, 0x5000});
  CHECK(b.ram.read<std::uint64_t>(Gpa{0x5000}) == 0xffff'ffff'0000'0000);
  b.device.write_register(vq::page1 + vq::stride + vq::base, queue_register(0x40000, 8), 8);
  CHECK(b.queues.given == std::vector<Queues::Given>{{1, 0x40000, 8}});
  b.device.write_register(vq::page1 + vq::base, queue_register(0x00ff'f000, 9), 8);  // beyond the guest's memory
  CHECK(b.queues.given.size() == 1);
}
