// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/plain_iommu.hpp"

#include "guest/iommu/plain_driver.hpp"

namespace gnomon::wiring {

using scenario::PlainKind;

namespace {

/// Tells the event stream what a plain driver does.
class PlainDomain final : public guest::IommuDriver, private guest::InvalidationTarget {
 public:
  PlainDomain(const scenario::GuestConfiguration& g, std::uint32_t id) : id_(id) {
    guest::InvalidationTarget& target = *this;
    if (g.plain == PlainKind::amd_2013) {
      driver_ = std::make_unique<guest::Amd2013Driver>(target, guest::PlainDriverCosts{}, id);
    } else {
      driver_ = std::make_unique<guest::PlainDriver>(options(g.plain), *g.plain_policy, target, id);
    }
  }

  std::uint32_t domain() const override { return id_; }
  guest::PageSizeBitmap page_sizes() const override { return driver_->page_sizes(); }
  std::optional<Gpa> iova_to_phys(Iova iova) const override { return driver_->iova_to_phys(iova); }

  MapOutcome map_pages(guest::Cpu& cpu, Iova iova, Gpa gpa, guest::PageChoice pages, guest::DmaAccess access) override {
    cpu_ = &cpu;
    const MapOutcome done = driver_->map_pages(cpu, iova, gpa, pages, access);
    if (done.mapped > 0) {
      cpu.emit(trace::MappingAdded{iova.value, gpa.value, done.mapped, id_, cpu.id(), access.read, access.write});
    }
    return done;
  }
  std::uint64_t unmap_pages(guest::Cpu& cpu, Iova iova, guest::PageChoice pages, guest::IotlbGather& gather) override {
    cpu_ = &cpu;
    const std::uint64_t done = driver_->unmap_pages(cpu, iova, pages, gather);
    if (done > 0) cpu.emit(trace::MappingRemoved{iova.value, done, id_, cpu.id()});
    return done;
  }
  void iotlb_sync(guest::Cpu& cpu, guest::IotlbGather& gather) override {
    sync(cpu, trace::Sync::unmap, [&] { driver_->iotlb_sync(cpu, gather); });
  }
  int iotlb_sync_map(guest::Cpu& cpu, Iova iova, std::uint64_t bytes) override {
    cpu_ = &cpu;
    return driver_->iotlb_sync_map(cpu, iova, bytes);
  }
  void flush_iotlb_all(guest::Cpu& cpu) override {
    sync(cpu, trace::Sync::all, [&] { driver_->flush_iotlb_all(cpu); });
  }
  void free_tables(guest::Cpu& cpu, guest::FreelistHandle tables) override { driver_->free_tables(cpu, tables); }

 private:
  static guest::PlainDriverOptions options(PlainKind kind) {
    switch (kind) {
      case PlainKind::vtd_claims_all: return guest::plain_vtd_claims_all;
      case PlainKind::vtd: return guest::plain_vtd;
      case PlainKind::amd_v1:
      case PlainKind::amd_2013: return guest::plain_amd_v1;
      case PlainKind::pages_4k: return guest::plain_4k;
    }
    return guest::plain_vtd;
  }

  template <class F>
  void sync(guest::Cpu& cpu, trace::Sync kind, F&& run) {
    cpu_ = &cpu;
    cpu.processor().sync();
    const Time began = cpu.now();
    run();
    cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), kind, 0});
  }

  void invalidate(guest::FlushBlock block, bool /*leaf_only*/) override {
    const std::uint64_t bytes = block.whole_domain() ? trace::whole_domain : block.last() - block.base + 1;
    cpu_->emit(trace::GuestRequest{block.base, bytes, 0, id_, cpu_->id(), trace::RequestType::invalidate, 0});
  }

  const std::uint32_t id_;
  std::unique_ptr<guest::PlainDriver> driver_;
  guest::Cpu* cpu_ = nullptr;  // in the call under way
};

class PlainInstance final : public guest::IommuInstance {
 public:
  explicit PlainInstance(const scenario::GuestConfiguration& guest) : guest_(guest) {}
  void probe(guest::Cpu& /*cpu*/) override {}
  std::unique_ptr<guest::IommuDriver> make_domain(guest::Cpu& /*cpu*/, std::uint32_t id) override {
    return std::make_unique<PlainDomain>(guest_, id);
  }
  int attach(guest::Cpu& /*cpu*/, guest::IommuDriver& /*domain*/, SourceId /*device*/) override { return 0; }

 private:
  const scenario::GuestConfiguration& guest_;
};

}  // namespace

std::unique_ptr<guest::IommuInstance> make_plain_iommu(const scenario::GuestConfiguration& guest) {
  return std::make_unique<PlainInstance>(guest);
}

}  // namespace gnomon::wiring
