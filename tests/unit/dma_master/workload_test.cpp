// SPDX-License-Identifier: Apache-2.0
// The stream's workload: driver, device, and the Tegra SMMU with its driver between them.
#include <catch2/catch.hpp>

#include "guest/dma_master/workload.hpp"
#include "models/dma_master/core/stream_core.hpp"
#include "tests/support/tegra_bench.hpp"

namespace gnomon::guest {
namespace {

using test::TegraBench;

/// A device whose requests go through the SMMU and take a microsecond.
struct Bench final : TegraBench, dma_master::Bus {
  explicit Bench(TegraFlush flush, const DmaMasterSpec& spec)
      : TegraBench(flush), workload(spec, domain, driver_, cpu, pages) {
    beside = [this](bool store, std::uint32_t offset, std::uint64_t value, unsigned n) {
      device.advance(below.now());
      const std::uint32_t at = offset - tegra::register_space_bytes;
      if (store) device.mmio_write(below.now(), at, value, n);
      return store ? value : device.mmio_read(at, n);
    };
    boot();
  }
  dma_master::DmaResult move(Time at, Iova iova, std::uint32_t n, bool write) override {
    const auto t = unit.translate(head, iova, write ? iommu::Access::write : iommu::Access::read);
    (write ? writes : reads) += n;
    return {t.kind == iommu::Translation::Kind::translated, at + Time::us(1)};
  }
  void on_underrun(Iova, Time, Time, bool) override {}
  void run() {
    workload.start(cpu, [this](Cpu&) { done = true; });
    CHECK_THROWS_AS(cpu.run(), test::SoloProcessor::Idle);
  }

  DmaMasterDriver driver_{window + tegra::register_space_bytes};
  dma_master::StreamCore device{{}, *this};
  DmaMasterWorkload workload;
  std::uint64_t reads = 0, writes = 0;
  bool done = false;
};

TEST_CASE("a buffer is mapped, streamed at the rate for the duration, and unmapped") {
  const bool write = GENERATE(false, true);
  DmaMasterSpec spec;
  spec.buffer = 64 * page_size;
  spec.rate = 409'600'000;  // a page in 10 us
  spec.duration = Time::ms(2);
  spec.write = write;
  spec.runs = 4;
  Bench b{TegraFlush::range, spec};
  b.run();
  CHECK(b.done);
  const auto counts = b.workload.counts();
  CHECK(counts.refused == 0);
  CHECK(counts.underruns == 0);
  const std::uint64_t pages = counts.moved / page_size;
  CHECK(pages >= 198);
  CHECK(pages <= 206);
  CHECK((write ? b.reads : b.writes) == 0);
  CHECK_FALSE(b.lands(spec.iova.page()));
  CHECK(test::of_kind<trace::MapReturned>(b.recorder.events).at(0).second.runs == 4);
  CHECK(b.workload.outputs({}).at(0).name == "dma_master.txt");
}

TEST_CASE("another buffer comes and goes beside the stream, which sees nothing of it") {
  DmaMasterSpec spec;
  spec.buffer = 16 * page_size;
  spec.duration = Time::ms(1);
  spec.churn = 4 * page_size;
  for (const TegraFlush flush : {TegraFlush::before, TegraFlush::map_sync_unmap_sync, TegraFlush::coherent}) {
    Bench b{flush, spec};
    b.run();
    CHECK(b.workload.counts().refused == 0);
    CHECK(test::of_kind<trace::MapReturned>(b.recorder.events).size() > 10);
  }
}

TEST_CASE("a buffer that cannot be mapped is said to have failed") {
  DmaMasterSpec spec;
  spec.iova = Iova{std::uint64_t{1} << 32};
  Bench b{TegraFlush::before, spec};
  b.run();
  CHECK(b.done);
  CHECK(b.reads == 0);
  CHECK(b.workload.outputs({}).at(0).text.find("map failed") != std::string::npos);
}

}  // namespace
}  // namespace gnomon::guest
