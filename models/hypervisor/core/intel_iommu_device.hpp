// SPDX-License-Identifier: Apache-2.0
// A VT-d unit as a VMM emulates it for assigned devices: QEMU 10's intel-iommu (hw/i386/intel_iommu.c), and two
// ways that do without the guest's telling of its maps. Encodings: Intel VT-d specification rev 4.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "models/base/interval_set.hpp"
#include "models/hypervisor/core/emulated_iommu.hpp"
#include "models/hypervisor/core/intel_iommu_config.hpp"
#include "models/hypervisor/core/intel_iommu_registers.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/spec/vtd/pasid_table_entry.hpp"

namespace gnomon::hypervisor {

class IntelIommuDevice final : public EmulatedIommu {
 public:
  static constexpr std::uint8_t max_address_mask = 18;  ///< CAP.MAMV: 1 GiB

  /// `ram` must outlive the device. Throws std::invalid_argument: an address width QEMU has not; nested and
  /// write-protect without scalable mode.
  explicit IntelIommuDevice(GuestRam& ram, const IntelIommuDeviceConfig& config = {});

  static vtd::Capability capability(const IntelIommuDeviceConfig& config);
  static vtd::ExtendedCapability extended_capability(const IntelIommuDeviceConfig& config);

  /// The endpoint sees guest memory untranslated until translation is enabled. Throws std::invalid_argument where
  /// the source or the target is there already.
  void add_endpoint(SourceId source, ShadowTarget& target) override;

  std::uint64_t read_register(std::uint32_t offset, unsigned bytes) override {
    return registers_.read(offset, bytes);
  }
  void write_register(std::uint32_t offset, std::uint64_t value, unsigned bytes) override {
    registers_.write(offset, value, bytes);
  }

  /// Descriptors wait and no error stops the queue; or translation was switched, which serve() follows first.
  bool pending() const override { return registers_.switched() || registers_.queue_pending(); }
  /// Caching mode. IOTLB and PASID-based IOTLB invalidations: for each endpoint of the domain the guest's table is
  /// walked, in the block's range, or everywhere where more than a block is invalidated. Each leaf and each absent
  /// entry is an event of the entry's whole span, beyond the range too:
  ///   a leaf recorded as it is: none;  a leaf: what is recorded in its span is unmapped, once, then it is mapped;
  ///   absent: where anything is recorded in its span, it is unmapped, once.
  /// Context-cache invalidations: the endpoints' contexts are read again, then their tables as above.
  /// An illegal descriptor sets FSTS.IQE and the head stays at it.
  ServedCommand serve(VmmPort& port) override;
  void table_written(Gpa entry, VmmPort& port) override;

  std::size_t mapping_count(SourceId source) const;  ///< records of what was mapped; 0 of an unknown source
  std::size_t protected_tables() const { return protected_.size(); }
  std::uint64_t replaced() const { return replaced_; }  ///< leaves that contradicted a record
  std::uint64_t refused() const { return refused_; }    ///< maps the host refused; the record stays, as in QEMU

 private:
  struct Mapping {
    Gpa gpa;
    DmaAccess access = DmaAccess::none;
    bool operator==(const Mapping&) const = default;
  };
  /// What context and PASID entry say of an endpoint.
  struct Translation {
    enum class Kind : std::uint8_t { none, pass_through, second_level, first_level };
    Kind kind = Kind::none;
    DomainId did{};
    Gpa root{};
    unsigned levels = 0;
    std::uint32_t rid_pasid = 0;
    bool operator==(const Translation&) const = default;
    bool has_table() const { return kind == Kind::second_level || kind == Kind::first_level; }
  };
  /// Whose translations an invalidation is of.
  struct Scope {
    bool global = false;
    DomainId did{};
    std::optional<std::uint32_t> pasid{};
    bool covers(const Translation& t) const {
      return t.has_table() && (global || (t.did == did && (!pasid || *pasid == t.rid_pasid)));
    }
  };
  struct Endpoint {
    Endpoint(SourceId source_, ShadowTarget& target_, gnomon::IntervalPool<Mapping>& pool)
        : source(source_), target(&target_), mapped(pool) {}
    SourceId source;
    ShadowTarget* target;
    bool bypass = true;
    Translation known{Translation::Kind::pass_through, {}, {}, 0, 0};  // as it was last bound
    IntervalSet<Mapping> mapped;                               // QEMU's IOVA tree
  };
  struct Entry;
  struct Walk;
  /// A write-protected table page.
  struct ProtectedTable {
    Gpa root{};
    unsigned level = 0;
    Iova base{};
    DmaAccess access = DmaAccess::none;  // what the levels above allow
  };

  vtd::InvalidationDescriptor fetch() const;
  ServedCommand refuse(vtd::QueueErrorInfo reason);
  ServedCommand run(const vtd::ContextCacheInvalidate& d, VmmPort& port);
  ServedCommand run(const vtd::IotlbInvalidate& d, VmmPort& port);
  ServedCommand run(const vtd::DeviceTlbInvalidate& d, VmmPort& port);
  ServedCommand run(const vtd::InterruptEntryCacheInvalidate& d, VmmPort& port);
  ServedCommand run(const vtd::InvalidationWait& d, VmmPort& port);
  ServedCommand run(const vtd::PasidIotlbInvalidate& d, VmmPort& port);
  ServedCommand run(const vtd::PasidCacheInvalidate& d, VmmPort& port);
  ServedCommand run(const vtd::PasidDeviceTlbInvalidate& d, VmmPort& port);
  ServedCommand run(const vtd::IllegalDescriptor& d, VmmPort& port);

  bool shadows_by_invalidation() const { return config_.shadowing == IntelShadowing::caching_mode; }
  template <class Descriptor>
  ServedCommand invalidate(const Scope& scope, bool pages, const Descriptor& d, VmmPort& port);
  Translation read_translation(SourceId source, VmmPort& port) const;
  Translation legacy_translation(std::uint64_t low, std::uint64_t high) const;
  Translation scalable_translation(std::uint64_t low, std::uint64_t high, VmmPort& port) const;
  Translation translation_of(const vtd::PasidTableEntry& entry, std::uint32_t pasid) const;
  bool has_width(std::uint8_t aw) const { return aw == 1 || (aw == 2 && config_.address_bits == 48); }
  void bind(Endpoint& endpoint, VmmPort& port);
  void bind_shadow(Endpoint& endpoint, const Translation& translation, VmmPort& port);
  void bind_first_level(Endpoint& endpoint, const Translation& translation, VmmPort& port);
  void set_bypass(Endpoint& endpoint, bool on);
  void synchronise(Endpoint& endpoint, const Translation& translation, Iova first, Iova last, VmmPort& port);
  void synchronise_all(const Scope& scope, Iova first, Iova last, VmmPort& port);
  void forward(const Scope& scope, Iova iova, std::uint64_t bytes, bool leaf_only);

  Entry decode(std::uint64_t raw, unsigned level, bool first_level) const;
  void walk_table(Walk& walk, Gpa table, unsigned level, Iova first, Iova last, DmaAccess allowed);
  void walk_entry(Walk& walk, Gpa at, unsigned level, Iova first, Iova last, DmaAccess allowed);
  void leaf_event(Endpoint& endpoint, Iova first, std::uint64_t bytes, const Mapping& mapping, VmmPort& port);
  void absent_event(Endpoint& endpoint, Iova first, std::uint64_t bytes, VmmPort& port);
  void unmap_span(Endpoint& endpoint, Iova first, std::uint64_t bytes);
  void unmap_all(Endpoint& endpoint);
  void protect(const ProtectedTable& table, Gpa page, VmmPort& port);
  void release_tables(Gpa root, Iova first, Iova last, unsigned below_level, VmmPort& port);
  bool root_in_use(Gpa root) const;

  GuestRam& ram_;
  const IntelIommuDeviceConfig config_;
  IntelIommuRegisters registers_;
  gnomon::IntervalPool<Mapping> pool_;
  std::deque<Endpoint> endpoints_;                     // in the order they were added
  std::map<std::uint64_t, ProtectedTable> protected_;  // by page
  std::uint64_t replaced_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace gnomon::hypervisor
