// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/s390_host_iommu.hpp"

#include <algorithm>
#include <stdexcept>

#include "models/pgtable/s390_dma_table.hpp"
#include "models/pgtable/table_memory.hpp"
#include "models/spec/s390_pci/dma_table.hpp"

namespace gnomon::hypervisor {

namespace {

constexpr Time busy_delay = Time::us(1);  // ZPCI_INSN_BUSY_DELAY
constexpr Iova window_first = s390_pci::qemu_dma_window.first;
constexpr Iova window_last{s390_pci::table_span - 1};

}  // namespace

/// Memory for tables, of which region and segment tables are blocks of 16 KiB.
class S390HostIommu::Tables final : public pgtable::TableMemory<HpaSpace> {
 public:
  Tables(PhysicalMemory& memory, PageAllocator& allocator) : memory_(memory), allocator_(allocator) {}
  std::byte* page(Hpa address) const override { return memory_.at(address, page_size); }
  Hpa allocate() override { return allocator_.allocate(); }
  void free(Hpa page) override { allocator_.free(page); }
  /// Pages in a row come one after another: those before the next aligned one go back, for single pages to use.
  Hpa allocate_block(std::uint64_t bytes) override {
    Hpa first = allocator_.allocate_contiguous(1);
    while ((first.value & (bytes - 1)) != 0) {
      allocator_.free(first);
      first = allocator_.allocate_contiguous(1);
    }
    if (bytes > page_size) allocator_.allocate_contiguous(bytes / page_size - 1);
    return first;
  }

 private:
  PhysicalMemory& memory_;
  PageAllocator& allocator_;
};

/// Tables are never freed by an unmap: nothing is ever unlinked.
class S390HostIommu::Table final : public HostTable {
 public:
  explicit Table(Tables& memory) : table_(memory) {}

  Hpa root() const { return table_.root(); }

  bool tables_unlinked() const override { return false; }
  void free_unlinked() override {}
  /// A page can always be read.
  MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, std::uint64_t /*leaf_bytes*/, DmaAccess access) override {
    const auto done = table_.map(iova, hpa, bytes, permits(access, DmaAccess::write));
    return {done.status == pgtable::S390MapStatus::done, done.bytes,
            static_cast<std::uint32_t>(done.entries_written), static_cast<std::uint32_t>(done.tables_allocated)};
  }
  UnmapOutcome unmap(Iova iova, std::uint64_t bytes) override {
    const auto done = table_.unmap(iova, bytes);
    return {done.bytes, static_cast<std::uint32_t>(done.entries_written), 0};
  }
  std::optional<Hpa> iova_to_phys(Iova iova) override {
    const auto mapping = table_.lookup(iova);
    return mapping ? std::optional(mapping->hpa) : std::nullopt;
  }
  std::uint64_t page_sizes() const override { return page_size; }

 private:
  pgtable::S390DmaTable<HpaSpace> table_;
};

S390HostIommu::S390HostIommu(PhysicalMemory& memory, PageAllocator& pages, PciInstructionPort& instructions,
                             RegisterAtBoot register_at_boot, std::vector<S390HostFunction> functions,
                             const HostIommuCosts& costs, trace::Tracer& tracer)
    : tables_(std::make_unique<Tables>(memory, pages)),
      instructions_(instructions),
      register_at_boot_(std::move(register_at_boot)),
      functions_(std::move(functions)),
      costs_(costs),
      tracer_(tracer) {}

S390HostIommu::~S390HostIommu() = default;

std::unique_ptr<HostTable> S390HostIommu::make_table(DomainId /*domain*/) {
  return std::make_unique<Table>(*tables_);
}

void S390HostIommu::attach(SourceId device, DomainId domain, HostTable& table) {
  const auto found = std::find_if(functions_.begin(), functions_.end(),
                                  [&](const S390HostFunction& f) { return f.source == device; });
  if (found == functions_.end()) throw std::logic_error("S390HostIommu: no such function");
  const std::uint64_t iota = s390_pci::anchor(static_cast<Table&>(table).root());
  const auto outcome =
      register_at_boot_(s390_pci::function_operand(found->handle), window_first, window_last, iota);
  if (outcome.code != s390_pci::ConditionCode::done) throw std::logic_error("S390HostIommu: MPCIFC was refused");
  attachments_.push_back({found->handle, domain});
}

void S390HostIommu::invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool /*leaf_only*/) {
  processor.spend(costs_.submit);
  processor.sync();
  for (const Attachment& a : attachments_) {
    if (a.domain != domain) continue;
    tracer_.emit(processor.now(), trace::InvalidationSubmitted{processor.id(), 1});
    const std::uint64_t operand = s390_pci::function_operand(a.handle);
    constexpr auto busy = static_cast<std::uint8_t>(s390_pci::ConditionCode::busy);
    while (instructions_.rpcit(processor, operand, first, last - first + 1).condition_code == busy) {
      processor.spend(busy_delay);
    }
  }
}

}  // namespace gnomon::hypervisor
