// SPDX-License-Identifier: Apache-2.0
// The host's SMMUv3 driver against a unit: which commands a flush is made of, and that nothing stale is left.
#include <catch2/catch.hpp>

#include "tests/support/smmu_host_bench.hpp"

using namespace gnomon;
using namespace gnomon::smmuv3;
using gnomon::hypervisor::HostIommu;
using gnomon::test::SmmuHostBench;
using Kind = iommu::Translation::Kind;
namespace vq = gnomon::smmuv3::virtual_queue;

namespace {

constexpr std::uint64_t kib4 = 4096;
constexpr std::uint64_t mib2 = 2 << 20;
constexpr std::uint64_t target = std::uint64_t{128} << 20;

std::size_t syncs(const std::vector<Command>& commands) {
  std::size_t n = 0;
  for (const Command& c : commands) n += std::holds_alternative<CmdSync>(c) ? 1 : 0;
  return n;
}

/// A guest's stage 1 in its memory: one page, and the context descriptor that points to the table.
struct GuestStage1 {
  explicit GuestStage1(SmmuHostBench& b)
      : memory(b.ram, Gpa{1 << 20}, Gpa{8 << 20}), table(memory, Stage::one, 48) {
    ContextDescriptor c;
    c.t0sz = 16;
    c.v = c.aa64 = c.a = c.r = true;
    c.ips = 5;
    c.asid = 1;
    c.ttb0 = table.root().value;
    b.ram.write(context, encode(c));
  }
  void map(std::uint64_t iova, std::uint64_t gpa) { table.map(Iova{iova}, Gpa{gpa}, kib4, 1, pgtable::read_write); }
  void unmap(std::uint64_t iova) { table.unmap(Iova{iova}, kib4, 1, true, freed); }
  static constexpr Gpa context{std::uint64_t{32} << 20};
  pgtable::GuestTableMemory memory;
  pgtable::ArmLpaeTable<GpaSpace> table;
  std::vector<Gpa> freed;
};

void map_all_of_guest(SmmuHostBench& b) {
  for (std::uint64_t at = 0; at != SmmuHostBench::guest_bytes; at += mib2) {
    REQUIRE(b.map(at, b.ram.to_hpa(Gpa{at}).value, mib2, mib2));
  }
}

}  // namespace

TEST_CASE("a flush by range is one TLBI_S2_IPA and one CMD_SYNC, and the IOTLB forgets") {
  SmmuHostBench b;
  REQUIRE(b.map(0x10000, target, 16 * kib4, kib4));
  CHECK(b.translate(0x12345).hpa == Hpa{target + 0x2345});
  b.table->unmap(Iova{0x10000}, 16 * kib4);
  CHECK(b.translate(0x12345).kind == Kind::translated);  // cached
  b.invalidate(0x10000, 16 * kib4);
  REQUIRE(b.commands.size() == 2);
  CHECK(b.commands[0] == Command{TlbiS2Ipa{1, {0x10000, true, 1, 0, 4, 3}}});
  CHECK(b.translate(0x12345).kind == Kind::fault);
  CHECK(b.errors == 0);
}

TEST_CASE("without ranges: a command a leaf, PROD every 64, and the whole VMID from 512 leaves on") {
  SmmuHostBench b(false);
  REQUIRE(b.map(0, target, 256 * kib4, kib4));
  b.table->unmap(Iova{0}, 256 * kib4);
  b.stores.clear();
  b.invalidate(0, 256 * kib4);
  CHECK(b.commands.size() == 257);
  CHECK(syncs(b.commands) == 1);
  CHECK(b.stores.size() == 4);

  constexpr std::uint64_t fresh = 16 * mib2;  // where no empty table is in the way
  REQUIRE(b.map(fresh, target, 8 * mib2, mib2));
  CHECK(b.translate(fresh + 7 * mib2).kind == Kind::translated);
  b.table->unmap(Iova{fresh}, 8 * mib2);
  b.invalidate(fresh, 8 * mib2);
  CHECK(b.commands.size() == 9);  // of 2 MiB each
  CHECK(b.translate(fresh + 7 * mib2).kind == Kind::fault);

  REQUIRE(b.map(0, target, 600 * kib4, kib4));
  CHECK(b.translate(599 * kib4).kind == Kind::translated);
  b.table->unmap(Iova{0}, 600 * kib4);
  b.invalidate(0, 600 * kib4);
  REQUIRE(b.commands.size() == 2);
  CHECK(b.commands[0] == Command{TlbiS12Vmall{1}});
  CHECK(b.translate(599 * kib4).kind == Kind::fault);
}

TEST_CASE("a large leaf where small ones left an empty table: the range is flushed before it is used") {
  SmmuHostBench b;
  REQUIRE(b.map(0, target, 2 * kib4, kib4));
  CHECK(b.translate(0).kind == Kind::translated);  // and the walk is cached down to the last table
  b.table->unmap(Iova{0}, 2 * kib4);
  b.invalidate(0, 2 * kib4);
  CHECK_FALSE(b.table->map_needs_flush());
  REQUIRE(b.map(0, target, mib2, mib2));
  REQUIRE(b.table->map_needs_flush());
  CHECK(b.translate(0x3000).kind == Kind::fault);  // through the table that is out
  b.invalidate(0, mib2);
  CHECK_FALSE(b.table->map_needs_flush());
  CHECK(b.translate(0x3000).hpa == Hpa{target + 0x3000});
}

TEST_CASE("nested: the guest's stage 1 over the host's stage 2, its invalidations, and the end of it") {
  SmmuHostBench b;
  map_all_of_guest(b);
  GuestStage1 guest(b);
  guest.map(0x7000, 0x500000);
  CHECK(b.translate(0x500123).hpa == b.ram.to_hpa(Gpa{0x500123}));  // stage 2 alone
  b.commands.clear();
  b.host.nest(b.processor, b.device, b.vmid, *b.table, {false, GuestStage1::context, 4});
  CHECK(b.commands.front() == Command{CfgiSte{0x0100, true}});
  CHECK(b.translate(0x7123).hpa == b.ram.to_hpa(Gpa{0x500123}));

  guest.unmap(0x7000);
  CHECK(b.translate(0x7123).kind == Kind::translated);
  b.commands.clear();
  b.host.invalidate_nested(b.processor, b.vmid, Iova{0x7000}, kib4, true);
  CHECK(b.commands.front() == Command{TlbiNhVaa{1, {0x7000, true, 0, 0, 0, 0}}});
  CHECK(b.translate(0x7123).kind == Kind::fault);

  guest.map(0x7000, 0x600000);
  guest.map(0x9000, 0x601000);
  CHECK(b.translate(0x9000).kind == Kind::translated);
  guest.unmap(0x9000);
  b.host.invalidate_nested(b.processor, b.vmid, Iova{0}, ~std::uint64_t{0}, false);
  CHECK(b.commands[b.commands.size() - 2] == Command{TlbiNhAll{1}});
  CHECK(b.translate(0x9000).kind == Kind::fault);

  // Stage 2 loses what stage 1 points to: what combines both goes too.
  CHECK(b.translate(0x7123).kind == Kind::translated);
  b.table->unmap(Iova{0x600000}, mib2);
  b.invalidate(0x600000, mib2);
  CHECK(syncs(b.commands) == 2);
  CHECK(b.translate(0x7123).kind == Kind::fault);

  b.host.nest(b.processor, b.device, b.vmid, *b.table, {true, {}, 0});
  CHECK(b.translate(0x7123).kind == Kind::fault);
  b.host.nest(b.processor, b.device, b.vmid, *b.table, {false, {}, 0});
  CHECK(b.translate(0x400123).hpa == b.ram.to_hpa(Gpa{0x400123}));
  CHECK(b.errors == 0);
}

TEST_CASE("a guest's own queue: its VMID and StreamIDs, and no more than it may") {
  SmmuHostBench b;
  map_all_of_guest(b);
  GuestStage1 guest(b);
  guest.map(0x7000, 0x500000);
  b.host.nest(b.processor, b.device, b.vmid, *b.table, {false, GuestStage1::context, 4});
  const Gpa ring{std::uint64_t{16} << 20};
  b.host.give_queue(0, ring, 4);
  CHECK(b.unit.read(vq::interface_page + vq::config, 4) == vq::interface_config(1, true));
  CHECK(b.unit.read(vq::page1 + vq::base, 8) == queue_register(b.ram.to_hpa(ring).value, 4));
  CHECK(b.unit.read(vq::interface_page + vq::sid_match, 4) == (0x0100u << 1 | 1));

  b.unit.write(vq::page0 + vq::queue_config, 1, 4);
  CHECK(b.translate(0x7000).kind == Kind::translated);
  guest.unmap(0x7000);
  b.ram.write(ring,
              encode(Command{TlbiNhVa{77, 1, {0x7000, true, 0, 0, 0, 0}}}));  // the VMID is not the guest's to say
  b.ram.write(ring + 16, encode(Command{CmdSync{}}));
  b.unit.write(vq::page0 + vq::prod, 2, 4);
  CHECK(b.unit.pending(1).commands == 2);
  CHECK(b.unit.pending(1).waits);
  CHECK(b.unit.pending(0).commands == 0);
  b.unit.step_queue(1);
  CHECK(b.translate(0x7000).kind == Kind::fault);
  CHECK(std::holds_alternative<iommu::WaitReached>(b.unit.step_queue(1)));
  b.ram.write(ring + 32, encode(Command{TlbiNsnhAll{}}));
  b.unit.write(vq::page0 + vq::prod, 3, 4);
  CHECK(std::holds_alternative<iommu::QueueError>(b.unit.step_queue(1)));
}
