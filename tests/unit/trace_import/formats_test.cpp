// SPDX-License-Identifier: Apache-2.0
// What the parsers make of excerpts of real recordings, and of the logs of block requests.
#include <catch2/catch.hpp>

#include "tests/unit/trace_import/import_fixture.hpp"

using namespace gnomon;
using namespace gnomon::trace_import::test;
using gtrace::Direction;
using gtrace::Event;
using gtrace::EventKind;
using gtrace::Operation;

namespace {

const Event& first_of(const Imported& trace, EventKind kind) {
  for (const Event& event : trace.events)
    if (event.kind == kind) return event;
  throw std::out_of_range{"no event of the kind"};
}

}  // namespace

TEST_CASE("ftrace of a 6.1 guest on intel-iommu") {
  const Imported t = import_text(excerpt("intel-6.1.ftrace"));
  REQUIRE(t.findings.empty());
  CHECK(t.streams[0].lines == 60);
  CHECK(t.tally("header lines").ignored == 12);
  CHECK(t.tally("map").used == 6);
  CHECK(t.tally("k_qisubmit").ignored == 6);
  CHECK(t.tally("k_qisubmit").why == "not an event gnomon knows");
  const Event& map = first_of(t, EventKind::map);
  CHECK(map.time_ns == 6'488'345'000);
  CHECK(map.lane == 0);
  CHECK(map.task == 145);
  CHECK(map.address == 0xfffbf000);
  CHECK(map.bytes == 4096);
  CHECK(map.runs == std::vector<gtrace::Run>{{0xb356000, 4096}});
  CHECK(map.device == 0);
  CHECK(map.flags == gtrace::seen_by_iommu);
  const Event& submit = first_of(t, EventKind::io_submit);
  CHECK(t.string(submit.device) == "nvme0n1");
  CHECK(submit.operation == Operation::write);
  CHECK(submit.queue == 1);
  CHECK(submit.command == 13120);
  CHECK(submit.lba == 126480);
  CHECK(submit.blocks == 8);
  CHECK(submit.block_bytes == 0);
  const Event& command = first_of(t, EventKind::command);
  CHECK(t.string(command.name) == "iotlb_inv");
  CHECK(t.string(command.device) == "dmar0");
  CHECK(command.word == std::array<std::uint64_t, 4>{0x400f2, 0xfffbf000, 0, 0});
}

TEST_CASE("a list of two runs in a 6.12 guest is one mapping of one device") {
  const Imported t = import_text(excerpt("virtio-lists-6.12.ftrace"));
  REQUIRE(t.findings.empty());
  CHECK_FALSE(t.again);
  std::size_t lists = 0;
  for (const Event& e : t.events) {
    if (e.kind != EventKind::map && e.kind != EventKind::unmap) continue;
    if (e.kind == EventKind::map && e.runs.size() == 2) {
      ++lists;
      CHECK(e.runs[0].bytes + e.runs[1].bytes == 65536);
    }
    CHECK(e.bytes == 65536);
    CHECK(e.flags == (gtrace::seen_by_iommu | gtrace::seen_by_dma));
    CHECK(t.string(e.device) == "0000:00:03.0");
    CHECK(e.direction == Direction::to_device);
  }
  CHECK(lists == 1);
  CHECK(t.tally("dma_map_sg").used == 1);
}

TEST_CASE("QEMU's log of intel-iommu with caching mode") {
  const Imported t = import_text(excerpt("intel-cm-6.12.qtrace"));
  REQUIRE(t.findings.empty());
  const Event& write = first_of(t, EventKind::register_access);
  CHECK(write.address == 0x88);
  CHECK(write.operation == Operation::write);
  CHECK(write.value == 0x660);
  CHECK(first_of(t, EventKind::kick).value == 102);
  const Event& descriptor = first_of(t, EventKind::command);
  CHECK(t.string(descriptor.name) == "iotlb");
  CHECK(descriptor.word[0] == 0x400f2);
  CHECK(descriptor.word[1] == 0xfffbc000);
  const Event& pages = first_of(t, EventKind::invalidation);
  CHECK(pages.domain == 4);
  CHECK(pages.mask == 0);
  CHECK(first_of(t, EventKind::wait).address == 0x4c0f194);
  const Event& submit = first_of(t, EventKind::io_submit);
  CHECK(submit.queue == 1);
  CHECK(submit.command == 960);
  CHECK(submit.lba == 0x1ee10);
  CHECK(submit.block_bytes == 512);
  CHECK(submit.time_ns == 1'795'213'001'325'271'000);
  CHECK(submit.lane == 22991);
  CHECK(t.streams[0].lane == "thread");
}

TEST_CASE("QEMU's log of intel-iommu, lazy: a whole domain at a time") {
  const Imported t = import_text(excerpt("intel-lazy-6.12.qtrace"));
  REQUIRE(t.findings.empty());
  const Event& domain = first_of(t, EventKind::invalidation);
  CHECK(t.string(domain.name) == "iotlb domain");
  CHECK(domain.domain == 4);
  CHECK(domain.mask == gtrace::unknown);
}

TEST_CASE("QEMU's log of amd-iommu does not tell a write from a read") {
  const Imported t = import_text(excerpt("amd-6.12.qtrace"));
  REQUIRE(t.findings.empty());
  const Event& access = first_of(t, EventKind::register_access);
  CHECK(t.string(access.name) == "AMDVI_MMIO_COMMAND_TAIL");
  CHECK(access.operation == Operation::unknown);
  CHECK(access.address == 0x2008);
  CHECK(access.value == gtrace::unknown);
  CHECK(first_of(t, EventKind::invalidation).domain == 3);
  CHECK(t.count(EventKind::invalidation) == t.count(EventKind::wait));
}

TEST_CASE("QEMU's log of virtio-iommu: ends are inclusive") {
  const Imported t = import_text(excerpt("virtio-lazy-6.12.qtrace"));
  REQUIRE(t.findings.empty());
  const Event& map = first_of(t, EventKind::map_request);
  CHECK(map.domain == 2);
  CHECK(map.bytes == 4096);
  CHECK(map.flags == 1);
  CHECK(t.count(EventKind::kick) > 0);
  CHECK(t.tally("virtio_iommu_translate").ignored > 0);
}

TEST_CASE("without times QEMU's log keeps its order") {
  const Imported t = import_text(
      "virtio_iommu_map domain=2 virt_start=0x1000 virt_end=0x2fff phys_start=0x5000 flags=2\n"
      "vtd_inv_qi_fetch \n"
      "virtio_iommu_unmap domain=2 virt_start=0x1000 virt_end=0x2fff\n");
  REQUIRE(t.findings.empty());
  CHECK(t.streams[0].lane == "none");
  REQUIRE(t.events.size() == 2);
  CHECK(t.events[0].bytes == 8192);
  CHECK(t.events[1].kind == EventKind::unmap_request);
}

TEST_CASE("fio's logs, version 2 and 3") {
  const Imported v2 = import_text(excerpt("fio-v2.log"));
  REQUIRE(v2.findings.empty());
  REQUIRE(v2.events.size() == 5);
  CHECK(v2.events[0].operation == Operation::read);
  CHECK(v2.events[0].lba == 4096);
  CHECK(v2.events[0].blocks == 8192);
  CHECK(v2.events[0].block_bytes == 1);
  CHECK(v2.events[0].time_ns == 0);
  CHECK(v2.events[1].time_ns == 250'000);
  CHECK(v2.events[2].operation == Operation::flush);
  CHECK(v2.events[3].operation == Operation::trim);
  const Imported v3 = import_text(excerpt("fio-v3.log"));
  REQUIRE(v3.findings.empty());
  CHECK(v3.events.size() == 20);
  CHECK(v3.events[0].time_ns == 59'000);
  CHECK(v3.string(v3.events[0].device) == "a.0.0");
}

TEST_CASE("blkparse's text") {
  const Imported t = import_text(excerpt("blkparse.txt"));
  REQUIRE(t.findings.empty());
  CHECK(t.count(EventKind::io_queue) == 3);
  CHECK(t.count(EventKind::io_submit) == 2);
  CHECK(t.count(EventKind::io_complete) == 2);
  CHECK(t.events[0].lba == 126480);
  CHECK(t.events[0].blocks == 8);
  CHECK(t.events[0].block_bytes == 512);
  CHECK(t.events[2].operation == Operation::write);  // a flush before a write
  CHECK(t.events[2].blocks == 0);
  CHECK(t.events[5].status == 5);
  CHECK(t.events[6].operation == Operation::trim);
  CHECK(t.tally("summary lines").ignored == 8);
}

TEST_CASE("exits of KVM's host") {
  const Imported t = import_text(
      ftrace_line("d....", 1, "kvm_exit: vcpu 1 reason EPT_MISCONFIG rip 0xffffffff810 info1 0x0 info2 0x0") +
      ftrace_line("d....", 2, "kvm_mmio: mmio unsatisfied-read len 4 gpa 0xfed90034 val 0x0") +
      ftrace_line("d....", 3, "kvm_mmio: mmio read len 4 gpa 0xfed90034 val 0x7") +
      ftrace_line("d....", 4, "kvm_fast_mmio: fast mmio at gpa 0xfe003000") +
      ftrace_line("d....", 5, "kvm_entry: vcpu 1, rip 0xffffffff810") +
      ftrace_line("d....", 6, "kvm_exit: TRAP: HSR_EC: 0x0024 (DABT_LOW), PC: 0x1"));
  REQUIRE(t.findings.empty());
  REQUIRE(t.events.size() == 5);
  CHECK(t.string(t.events[0].name) == "EPT_MISCONFIG");
  CHECK(t.events[0].vcpu == 1);
  CHECK(t.events[1].value == 7);
  CHECK(t.events[2].value == gtrace::unknown);
  CHECK(t.string(t.events[4].name) == "DABT_LOW");
  CHECK(t.events[4].vcpu == gtrace::unknown);
}

TEST_CASE("the columns before an event, as other programs print them") {
  const std::string event =
      "unmap: IOMMU: iova=0x0000000000001000 - 0x0000000000002000 size=4096 unmapped_size=4096\n";
  const Imported t =
      import_text("  Web [3] x-7-12      [001] d.h1.     1.000001: " + event +         // odd name
                  "             fio-13   ( 13)  [001] .....     1.000002: " + event +  // thread group
                  "             fio-14      [001]     1.000003123: " + event +         // trace-cmd -t
                  "             fio    15 [001]     1.000004:      iommu:" + event);   // perf script
  REQUIRE(t.findings.empty());
  REQUIRE(t.events.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(t.events[i].task == 12 + i);
    CHECK(t.events[i].lane == 1);
  }
  CHECK(t.events[2].time_ns == 1'000'003'123);
}

TEST_CASE("what the user knows and the trace does not") {
  trace_import::ImportOptions options;
  options.knowledge = {"0000:00:04.0", 4096, {"k_fqtimeout"}};
  const Imported t = import_text(map_line(1, 0x1000, 4096, 0x9000) +
                                     ftrace_line("..s1.", 2, "k_fqtimeout: (fq_flush_timeout+0x0/0xb0)") +
                                     ftrace_line(".....", 3,
                                                 "nvme_setup_cmd: nvme0: disk=nvme0n1, qid=1, cmdid=3, nsid=1, "
                                                 "flags=0x0, meta=0x0, cmd=(nvme_cmd_flush nsid=1)"),
                                 options);
  REQUIRE(t.findings.empty());
  REQUIRE(t.events.size() == 3);
  CHECK(t.string(t.events[0].device) == "0000:00:04.0");
  CHECK(t.string(t.events[1].name) == "k_fqtimeout");
  CHECK(t.events[1].kind == EventKind::mark);
  CHECK(t.events[2].block_bytes == 4096);
  CHECK(t.events[2].operation == Operation::flush);
}
