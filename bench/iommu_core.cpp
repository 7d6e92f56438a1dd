// SPDX-License-Identifier: Apache-2.0
// Host time of the guest's software without a simulation kernel: a page mapped and unmapped again through IOMMU
// core, driver and page table, with its invalidation; and a mix of sizes. Prints; asserts nothing.
#include <fmt/format.h>

#include <array>
#include <chrono>

#include "guest/iommu/domain.hpp"
#include "guest/iommu/plain_driver.hpp"
#include "models/base/random.hpp"
#include "tests/support/solo_processor.hpp"

namespace {

using namespace gnomon;

class Blocks final : public guest::InvalidationTarget {
 public:
  void invalidate(guest::FlushBlock, bool) override { ++seen; }
  std::uint64_t seen = 0;
};

/// One domain of a plain driver, and a CPU that is nobody's.
struct Bench {
  Bench(const guest::PlainDriverOptions& options, const guest::FlushPolicy& policy)
      : driver(options, policy, blocks, 1), domain(driver, {}) {}

  Blocks blocks;
  trace::Tracer tracer;
  test::SoloProcessor processor;
  guest::GuestCosts costs;
  guest::Cpu cpu{processor, costs, {}, tracer};
  guest::PlainDriver driver;
  guest::IommuDomain domain;
};

template <class F>
double seconds(F&& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

void one_page(const char* name, const guest::PlainDriverOptions& options) {
  constexpr unsigned rounds = 2'000'000;
  Bench b(options, *guest::find_flush_policy("natural-split"));
  const double s = seconds([&] {
    for (unsigned i = 0; i < rounds; ++i) {
      const Iova iova = Iova::from_page(0x100 + i % 64);
      b.domain.map(b.cpu, iova, Gpa::from_page(0x4000 + i % 977), page_size, {});
      b.domain.unmap(b.cpu, iova, page_size);
    }
  });
  fmt::print("map and unmap of one page, {:<18} {:7.1f} ns\n", name, s * 1e9 / rounds);
}

/// Up to 64 live mappings of 1 to 256 pages, mapped and unmapped at random.
void mix(std::string_view policy) {
  constexpr unsigned operations = 1'000'000;
  constexpr std::uint64_t slot_pages = 512;
  Bench b(guest::plain_amd_v1, *guest::find_flush_policy(policy));
  RandomStream random(1, "mix");
  std::array<std::uint64_t, 64> mapped{};  // pages, by slot
  const double s = seconds([&] {
    for (unsigned i = 0; i < operations; ++i) {
      const std::size_t slot = random.below(mapped.size());
      const Iova iova = Iova::from_page(slot_pages * (slot + 1) + slot % 7);
      if (mapped[slot] != 0) {
        b.domain.unmap(b.cpu, iova, mapped[slot] * page_size);
        mapped[slot] = 0;
      } else {
        mapped[slot] = 1 + random.below(256);
        b.domain.map(b.cpu, iova, Gpa::from_page(slot_pages * (slot + 1)), mapped[slot] * page_size, {});
      }
    }
  });
  fmt::print("mix of sizes, {:<16} {:7.3f} M operations/s, {} blocks flushed\n", policy, operations / s * 1e-6,
             b.blocks.seen);
}

}  // namespace

int main() {
  one_page("VT-d, all sizes", guest::plain_vtd_claims_all);
  one_page("VT-d", guest::plain_vtd);
  one_page("AMD-Vi v1", guest::plain_amd_v1);
  for (const auto& policy : guest::flush_policies()) mix(policy.name);
}
