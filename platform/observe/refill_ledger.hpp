// SPDX-License-Identifier: Apache-2.0
// Charges every refill of the physical IOTLB to what evicted the entry: the other half of over-invalidation.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "models/base/address.hpp"
#include "models/trace/typed_sink.hpp"
#include "platform/observe/page_map.hpp"

namespace gnomon::observe {

/// Why a DMA had to walk, by 4 KiB page: nobody had used the page before (cold), an invalidation had dropped its
/// entry after the guest had changed the page's mapping (invalidated_modified) or although it had not
/// (invalidated_unmodified: over-invalidation), or nothing had, and the entry had given way to others (capacity).
/// Memory is for the pages used; domains invalidated whole cost nothing a page.
class RefillLedger final
    : public trace::TypedSink<RefillLedger, trace::WindowOpened, trace::WindowClosed, trace::DmaBurst,
                              trace::IotlbInvalidated, trace::MappingAdded, trace::MappingRemoved> {
 public:
  enum class Reason : std::uint8_t { cold, capacity, invalidated_modified, invalidated_unmodified };
  static constexpr std::size_t reasons = 4;

  /// `guest_domain_of`: the guest's domain whose mappings a device of this requester id uses.
  explicit RefillLedger(std::function<std::uint32_t(SourceId)> guest_domain_of);
  void on(Time, const trace::WindowOpened&) { open_ = true; }
  void on(Time, const trace::WindowClosed&) { open_ = false; }
  void on(Time at, const trace::DmaBurst& burst);
  void on(Time at, const trace::IotlbInvalidated& e);
  void on(Time, const trace::MappingAdded& e) { changed(e.domain, e.iova, e.bytes); }
  void on(Time, const trace::MappingRemoved& e) { changed(e.domain, e.iova, e.bytes); }

  /// Of the measured window.
  std::uint64_t count(Reason reason) const { return counts_[static_cast<std::size_t>(reason)]; }
  /// Of those after an invalidation: by its granularity.
  std::uint64_t count(trace::Granularity granularity) const { return by_[static_cast<std::size_t>(granularity)]; }
  std::vector<std::pair<std::string, double>> values() const;

 private:
  /// `epoch`: of the domain when the page was used last. `changed`: its mapping, since then and before it was
  /// dropped.
  struct Page {
    std::uint32_t epoch = 0;   // 0: never used
    std::uint8_t dropped = 0;  // by an invalidation of pages: 1 + its granularity
    bool changed = false;
  };
  struct Block {
    std::array<Page, 512> pages{};
  };
  struct Domain {
    bool used = false;
    std::uint32_t guest = 0;
    std::uint32_t epoch = 1;  // grows with every invalidation of all of it
    PageMap<Block> pages;
    std::array<trace::Granularity, 256> ended_by{};  // the last epochs
  };

  void changed(std::uint32_t guest_domain, std::uint64_t iova, std::uint64_t bytes);
  void charge(const Domain& domain, const Page& page);
  template <class Visit>
  static void for_pages(Domain& domain, std::uint64_t iova, std::uint64_t bytes, Visit&& visit);

  std::function<std::uint32_t(SourceId)> guest_domain_of_;
  std::vector<Domain> domains_;  // of the host, by id
  bool open_ = false;
  std::array<std::uint64_t, reasons> counts_{};
  std::array<std::uint64_t, 4> by_{};
};

}  // namespace gnomon::observe
