// SPDX-License-Identifier: Apache-2.0
// The translation sanitizer: holds every DMA, map and unmap against what the guest means at that instant.
//
// It follows three views of each I/O page: what the guest's own table says, what the hypervisor's shadow says, and what
// the device was served. A disagreement is only a bug once its deadline has passed; the deadlines are:
//   strict unmap   the return of the unmap
//   deferred unmap the end of the flush-queue flush that began after it; until then the window is measured (exposure)
//   map            the return of the map: the device must see it, or nothing of it where the map failed
//   a request      its completion by the vIOMMU (a quiescent point of its range)
// One defect raises one verdict: what follows from a range already reported is not reported again.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/base/address.hpp"
#include "models/base/wide.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon::observe {

inline constexpr std::size_t verdict_kinds = 7;

/// The verdict's name as metrics and reports spell it: "stale_dma" and so on.
const char* verdict_name(trace::Verdict verdict);

/// One verdict with the events that explain it.
struct Finding {
  Time at;
  trace::Verdict verdict;
  std::uint32_t domain;
  Iova iova;
  std::uint64_t bytes;
  std::string explanation;  ///< one sentence with times and addresses
};

/// How long unmapped memory stayed reachable in declared lazy mode.
struct Exposure {
  Time longest;
  Wide byte_picoseconds = 0;
  std::uint64_t dma_beats = 0;  ///< DMA bursts that landed inside a window
  std::uint64_t beats_with_new_owner = 0;  ///< of those, in memory that had been mapped again, for another transfer
  /// 4 KiB pages by how long they stayed reachable: bucket n ends below bucket_end_ns(n), and starts where n-1 ends.
  std::array<std::uint64_t, 42> pages{};

  static constexpr std::uint64_t bucket_end_ns(std::size_t n) { return std::uint64_t{1} << n; }
  void add(Time window);  ///< of one page
};

struct SanitizerOptions {
  bool shadowed = false;  ///< a hypervisor keeps a shadow of the guest's mappings
  /// Memory that devices reach for the whole run, as their addresses are guest-physical: bytes.
  std::uint64_t unprotected = 0;
  bool follow_owners = false;  ///< who owns memory is followed, for beats_with_new_owner
  bool mappings = true;   ///< false: no device and no shadow will ever use them, so they are not followed; pins are
  /// Where a guest-physical page lies in host memory.
  std::function<Hpa(Gpa)> to_hpa;
  /// The guest's domain of a device; 0 where the device's addresses are guest-physical (no vIOMMU, or bare metal).
  std::function<std::uint32_t(SourceId)> domain_of;
  std::size_t keep_findings = 16;  ///< findings kept with their explanation; all are counted
};

class Sanitizer final : public trace::Sink {
 public:
  /// Verdicts go back into `tracer` so that every other observer sees them in order.
  Sanitizer(SanitizerOptions options, trace::Tracer& tracer);
  ~Sanitizer() override;

  trace::KindSet wants() const override;
  void on_event(Time at, const trace::Event& event) override;

  std::uint64_t count(trace::Verdict verdict) const { return counts_[static_cast<std::size_t>(verdict)]; }
  std::uint64_t total() const;
  const std::vector<Finding>& findings() const { return findings_; }
  const Exposure& exposure() const { return exposure_; }
  /// After teardown: pins that nobody took back. Exposures still open end here.
  void check_teardown(Time at);

 private:
  struct Page;
  class Domain;
  class Owners;
  struct Deferred {
    Time since;
    std::uint64_t page;
    std::uint64_t pages;
  };

  /// A burst to what is not mapped, as far as is known yet.
  struct Early {
    Time at;
    std::uint32_t domain;
    std::uint64_t iova;
    std::uint64_t bytes;
    std::uint64_t page_hpa;
    Time unmapped_at;
  };

  Domain& domain(std::uint32_t id) {
    return id < domains_.size() && domains_[id] ? *domains_[id] : make_domain(id);
  }
  Domain& make_domain(std::uint32_t id);
  template <class F>
  void for_pages(std::uint32_t domain_id, std::uint64_t iova, std::uint64_t bytes, F&& visit);
  void raise(Time at, trace::Verdict verdict, std::uint32_t domain_id, std::uint64_t iova, std::uint64_t bytes,
             std::string explanation);

  void judge_early(Time at, const trace::MappingAdded* mapping);
  void report_stale(Time at, const Early& early);
  void on(Time at, const trace::MappingAdded& e);
  void on(Time at, const trace::MappingRemoved& e);
  void on(Time at, const trace::MapReturned& e);
  void on(Time at, const trace::UnmapReturned& e);
  void on(Time at, const trace::FlushQueueFlushed& e);
  void on(Time at, const trace::GuestRequest& e);
  void on(Time at, const trace::RequestServed& e);
  void on(Time at, const trace::ShadowMapped& e);
  void on(Time at, const trace::ShadowUnmapped& e);
  void on(Time at, const trace::DmaBurst& e);
  void on(Time at, const trace::DmaFault& e);
  void on(Time at, const trace::PagesPinned& e);
  void on(Time at, const trace::PagesUnpinned& e);
  void on(Time at, const trace::StrayAccess& e);
  template <class E>
  void on(Time, const E&) {}

  void settle(Time at, std::uint32_t domain_id, std::uint64_t iova, std::uint64_t bytes, const char* call);
  void end_exposure(Time at, Page& page);
  bool has_new_owner(const Page& page) const;
  void note_touched(std::uint32_t domain_id, std::uint64_t iova, std::uint64_t bytes);

  SanitizerOptions options_;
  trace::Tracer& tracer_;
  std::vector<std::unique_ptr<Domain>> domains_;
  struct Touched { std::uint32_t domain; std::uint64_t iova, bytes; };
  std::vector<Touched> touched_;  // by the shadow operations of the request in service
  std::array<std::uint64_t, verdict_kinds> counts_{};
  std::vector<Finding> findings_;
  Exposure exposure_;
  std::unique_ptr<Owners> owners_;
  std::vector<Early> early_;
  std::uint64_t pinned_ = 0;
};

}  // namespace gnomon::observe
