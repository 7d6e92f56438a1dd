// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/sanitizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

namespace gnomon::observe {

using trace::Verdict;

const char* verdict_name(Verdict verdict) {
  static constexpr std::array<const char*, verdict_kinds> names = {
      "stale_dma", "missing_invalidation", "shadow_divergence", "map_invisible",
      "early_reuse", "spurious_fault", "pin_leak"};
  return names[static_cast<std::size_t>(verdict)];
}

namespace {
constexpr std::uint64_t none = ~std::uint64_t{0};

double us(Time t) { return static_cast<double>(t.ps()) * 1e-6; }
}  // namespace

void Exposure::add(Time window) {
  longest = std::max(longest, window);
  byte_picoseconds += static_cast<Wide>(page_size) * window.ps();
  const auto bucket = static_cast<std::size_t>(std::bit_width(window.ps() / 1000));
  ++pages[std::min(bucket, pages.size() - 1)];
}

/// What is known of one I/O page.
struct Sanitizer::Page {
  enum class Owed : std::uint8_t { nothing, return_of_unmap, flush };

  std::uint64_t gpa = none;         // the guest's table
  std::uint64_t last_gpa = none;    // what it held before the latest removal
  std::uint64_t shadow_gpa = none;  // the hypervisor's shadow, as the guest page it maps
  std::uint64_t dma_ends_ps = 0;    // last beat of the latest burst served
  Time unmapped_at;                 // of the latest removal from the guest's table
  std::uint16_t requests = 0;       // of the guest's, queued and not yet served
  Owed owed = Owed::nothing;
  bool reported = false;            // of this stale period or mapping
  bool visible = false;             // the map has returned
  bool exposed = false;             // unmapped lazily, still reachable
  bool readable = false;            // by the device, where it is mapped
  bool writable = false;
};

/// Pages of one domain: a two-level table over 36-bit page numbers, filled where touched.
class Sanitizer::Domain {
 public:
  std::deque<Deferred> deferred;  // unmaps that wait for a flush, oldest first

  Page& page(std::uint64_t number) {
    const std::uint64_t index = number / leaf_pages;
    if (index != cached_index_) {
      if (index >= leaves_.size()) leaves_.resize(std::max<std::size_t>(index + 1, 2048));
      if (!leaves_[index]) leaves_[index] = std::make_unique<Leaf>();
      cached_index_ = index;
      cached_ = leaves_[index].get();
    }
    return (*cached_)[number % leaf_pages];
  }

 private:
  static constexpr std::uint64_t leaf_pages = 512;
  using Leaf = std::array<Page, leaf_pages>;
  std::vector<std::unique_ptr<Leaf>> leaves_;
  std::uint64_t cached_index_ = none;
  Leaf* cached_ = nullptr;
};

/// How many mappings each page of guest memory has.
class Sanitizer::Owners {
 public:
  std::uint32_t& of(std::uint64_t gpa) {
    const std::uint64_t number = gpa >> page_shift;
    if (number >= counts_.size()) counts_.resize(number + number / 2 + 1);
    return counts_[number];
  }

 private:
  std::vector<std::uint32_t> counts_;
};

Sanitizer::Sanitizer(SanitizerOptions options, trace::Tracer& tracer) : options_(std::move(options)), tracer_(tracer) {
  if (options_.follow_owners) owners_ = std::make_unique<Owners>();
}
Sanitizer::~Sanitizer() = default;

trace::KindSet Sanitizer::wants() const {
  using namespace trace;
  if (!options_.mappings) return kinds<PagesPinned, PagesUnpinned>();
  return kinds<MappingAdded, MappingRemoved, MapReturned, UnmapReturned, FlushQueueFlushed, GuestRequest, RequestServed,
               ShadowMapped, ShadowUnmapped, DmaBurst, DmaFault, PagesPinned, PagesUnpinned, StrayAccess>();
}

void Sanitizer::on_event(Time at, const trace::Event& event) {
  std::visit([&](const auto& e) { on(at, e); }, event);
}

std::uint64_t Sanitizer::total() const { return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0}); }

Sanitizer::Domain& Sanitizer::make_domain(std::uint32_t id) {
  if (id >= domains_.size()) domains_.resize(id + 1);
  domains_[id] = std::make_unique<Domain>();
  return *domains_[id];
}

template <class F>
void Sanitizer::for_pages(std::uint32_t domain_id, std::uint64_t iova, std::uint64_t bytes, F&& visit) {
  Domain& d = domain(domain_id);
  const std::uint64_t first = iova >> page_shift;
  const std::uint64_t last = (iova + bytes - 1) >> page_shift;
  for (std::uint64_t number = first; number <= last; ++number) visit(number, d.page(number));
}

void Sanitizer::raise(Time at, Verdict verdict, std::uint32_t domain_id, std::uint64_t iova, std::uint64_t bytes,
                      std::string explanation) {
  ++counts_[static_cast<std::size_t>(verdict)];
  if (findings_.size() < options_.keep_findings) {
    findings_.push_back({at, verdict, domain_id, Iova{iova}, bytes, std::move(explanation)});
  }
  tracer_.emit(at, trace::VerdictRaised{iova, bytes, verdict, domain_id});
}

/// A misbehaving device may use a page between the store of its table entry and the event that tells of the mapping.
void Sanitizer::judge_early(Time at, const trace::MappingAdded* mapping) {
  const auto judged = [&](const Early& early) {
    if (mapping == nullptr) {
      report_stale(at, early);
      return true;
    }
    const std::uint64_t page = early.iova & ~(page_size - 1);
    if (early.domain != mapping->domain || page < mapping->iova || page >= mapping->iova + mapping->bytes) return false;
    const Gpa now{mapping->gpa + (page - mapping->iova)};
    if (options_.to_hpa(now).value != early.page_hpa) report_stale(at, early);
    return true;
  };
  early_.erase(std::remove_if(early_.begin(), early_.end(), judged), early_.end());
}

void Sanitizer::report_stale(Time at, const Early& early) {
  raise(at, Verdict::stale_dma, early.domain, early.iova, early.bytes,
        fmt::format("a burst to IOVA {:#x} was served at {:.3f} us from host-physical {:#x}; the guest unmapped it at {:.3f} us "
                    "and its unmap has returned",
                    early.iova, us(early.at), early.page_hpa, us(early.unmapped_at)));
}

void Sanitizer::on(Time at, const trace::MappingAdded& e) {
  if (!early_.empty()) judge_early(at, &e);
  std::uint64_t early = 0;
  std::uint64_t offset = 0;
  Time unmapped_at;
  for_pages(e.domain, e.iova, e.bytes, [&](std::uint64_t, Page& page) {
    if (page.owed != Page::Owed::nothing && !page.reported) {
      ++early;
      unmapped_at = page.unmapped_at;
    }
    end_exposure(at, page);
    page.gpa = e.gpa + offset;
    if (owners_) ++owners_->of(page.gpa);
    page.readable = e.readable != 0;
    page.writable = e.writable != 0;
    page.owed = Page::Owed::nothing;
    page.visible = false;
    page.reported = false;
    offset += page_size;
  });
  if (early == 0) return;
  raise(at, Verdict::early_reuse, e.domain, e.iova, early << page_shift,
        fmt::format("IOVA {:#x} was mapped again at {:.3f} us; it was unmapped at {:.3f} us and its flush has not been done",
                    e.iova, us(at), us(unmapped_at)));
}

void Sanitizer::on(Time at, const trace::MappingRemoved& e) {
  for_pages(e.domain, e.iova, e.bytes, [&](std::uint64_t, Page& page) {
    if (owners_ && page.gpa != none) --owners_->of(page.gpa);
    page.last_gpa = page.gpa;
    page.gpa = none;
    page.owed = Page::Owed::return_of_unmap;
    page.unmapped_at = at;
    page.visible = false;
  });
}

void Sanitizer::on(Time at, const trace::MapReturned& e) {
  if (e.status != 0) return settle(at, e.domain, e.iova, e.bytes, "failed map, undone,");
  std::uint64_t invisible = 0;
  for_pages(e.domain, e.iova, e.bytes, [&](std::uint64_t, Page& page) {
    page.visible = true;
    if (options_.shadowed && page.shadow_gpa != page.gpa && !page.reported) {
      page.reported = true;
      ++invisible;
    }
  });
  if (invisible == 0) return;
  raise(at, Verdict::map_invisible, e.domain, e.iova, invisible << page_shift,
        fmt::format("the map of IOVA {:#x} ({} B) returned success at {:.3f} us, but the hypervisor does not map {} of its "
                    "pages: the refusal was lost",
                    e.iova, e.bytes, us(at), invisible));
}

void Sanitizer::on(Time at, const trace::UnmapReturned& e) {
  if (e.deferred == 0) return settle(at, e.domain, e.iova, e.bytes, "strict unmap");
  for_pages(e.domain, e.iova, e.bytes, [&](std::uint64_t, Page& page) {
    if (page.owed != Page::Owed::return_of_unmap) return;
    page.owed = Page::Owed::flush;
    page.exposed = !options_.shadowed || page.shadow_gpa != none;  // another CPU's kick may have carried it already
  });
  domain(e.domain).deferred.push_back({at, e.iova >> page_shift, e.bytes >> page_shift});
}

/// The call has returned that had to see the removal of its pages through.
void Sanitizer::settle(Time at, std::uint32_t domain_id, std::uint64_t iova, std::uint64_t bytes, const char* call) {
  std::uint64_t missing = 0;
  std::uint64_t late = 0;
  for_pages(domain_id, iova, bytes, [&](std::uint64_t, Page& page) {
    if (page.owed != Page::Owed::return_of_unmap) return;
    // A request served by the vIOMMU has had its own check at that quiescent point.
    if (page.shadow_gpa != none && !page.reported) {
      page.reported = true;
      ++missing;
    } else if (page.dma_ends_ps > at.ps() && !page.reported) {
      page.reported = true;
      ++late;
    }
    if (!page.reported) page.owed = Page::Owed::nothing;
  });
  if (missing != 0) {
    raise(at, Verdict::missing_invalidation, domain_id, iova, missing << page_shift,
          fmt::format("the {} of IOVA {:#x} ({} B) returned at {:.3f} us with {} pages still mapped by the hypervisor: its "
                      "request was queued and never synced",
                      call, iova, bytes, us(at), missing));
  }
  if (late != 0) {
    raise(at, Verdict::stale_dma, domain_id, iova, late << page_shift,
          fmt::format("the {} of IOVA {:#x} returned at {:.3f} us while a burst to it was still landing", call, iova,
                      us(at)));
  }
}

void Sanitizer::on(Time at, const trace::FlushQueueFlushed& e) {
  std::deque<Deferred>& deferred = domain(e.domain).deferred;
  while (!deferred.empty() && deferred.front().since.ps() <= e.began_ps) {
    const Deferred entry = deferred.front();
    deferred.pop_front();
    std::uint64_t missing = 0;
    const std::uint64_t iova = entry.page << page_shift;
    for_pages(e.domain, iova, entry.pages << page_shift, [&](std::uint64_t, Page& page) {
      if (page.owed != Page::Owed::flush || page.unmapped_at > entry.since) return;
      if (options_.shadowed && page.shadow_gpa != none && !page.reported) {
        page.reported = true;
        ++missing;
      }
      end_exposure(at, page);
      page.owed = Page::Owed::nothing;
    });
    if (missing == 0) continue;
    raise(at, Verdict::missing_invalidation, e.domain, iova, missing << page_shift,
          fmt::format("IOVA {:#x}, unmapped at {:.3f} us, is still mapped by the hypervisor after the flush that ended at "
                      "{:.3f} us",
                      iova, us(entry.since), us(at)));
  }
}

void Sanitizer::on(Time, const trace::GuestRequest& e) {
  if (e.type != trace::RequestType::map && e.type != trace::RequestType::unmap) return;
  for_pages(e.domain, e.iova, e.bytes, [](std::uint64_t, Page& page) { ++page.requests; });
}

void Sanitizer::note_touched(std::uint32_t domain_id, std::uint64_t iova, std::uint64_t bytes) {
  touched_.push_back({domain_id, iova, bytes});
}

void Sanitizer::on(Time, const trace::ShadowMapped& e) {
  if (e.status != 0) return;
  std::uint64_t offset = 0;
  for_pages(e.container, e.iova, e.bytes, [&](std::uint64_t, Page& page) {
    page.shadow_gpa = e.gpa + offset;
    offset += page_size;
  });
  note_touched(e.container, e.iova, e.bytes);
}

void Sanitizer::on(Time at, const trace::ShadowUnmapped& e) {
  for_pages(e.container, e.iova, e.bytes, [&](std::uint64_t, Page& page) {
    page.shadow_gpa = none;
    end_exposure(at, page);
  });
  note_touched(e.container, e.iova, e.bytes);
}

void Sanitizer::on(Time at, const trace::RequestServed& e) {
  if (e.type != trace::RequestType::map && e.type != trace::RequestType::unmap) {
    // Where the shadow follows the guest's tables, not its requests, the guest may have changed them again meanwhile:
    // what such a command touched is held against nothing, least of all against a later request.
    using enum trace::RequestType;
    if (e.type == invalidate || e.type == wait || e.type == configure) touched_.clear();
    return;
  }
  for_pages(e.domain, e.iova, e.bytes, [](std::uint64_t, Page& page) {
    if (page.requests > 0) --page.requests;
  });
  if (e.status == 0) note_touched(e.domain, e.iova, e.bytes);
  std::uint64_t differ = 0;
  std::uint64_t where = e.iova;
  for (const Touched& t : touched_) {
    for_pages(t.domain, t.iova, t.bytes, [&](std::uint64_t number, Page& page) {
      const bool settled = page.requests == 0 && !page.reported;
      if (!settled || page.shadow_gpa == page.gpa) return;
      page.reported = true;
      where = number << page_shift;
      ++differ;
    });
  }
  touched_.clear();
  if (differ == 0) return;
  raise(at, Verdict::shadow_divergence, e.domain, where, differ << page_shift,
        fmt::format("after the request for IOVA {:#x} ({} B) was served at {:.3f} us, {} pages of the hypervisor's shadow "
                    "differ from the guest's table, the last at {:#x}",
                    e.iova, e.bytes, us(at), differ, where));
}

void Sanitizer::on(Time at, const trace::DmaBurst& e) {
  const std::uint32_t id = options_.domain_of(SourceId{static_cast<std::uint16_t>(e.source)});
  const std::uint64_t offset = e.iova & (page_size - 1);
  if (id == 0) {
    if (options_.to_hpa(Gpa{e.iova - offset}).value + offset == e.hpa) return;
    raise(at, Verdict::stale_dma, id, e.iova, e.bytes,
          fmt::format("a burst to guest-physical {:#x} landed at host-physical {:#x}", e.iova, e.hpa));
    return;
  }
  Page& page = domain(id).page(e.iova >> page_shift);
  page.dma_ends_ps = std::max(page.dma_ends_ps, e.ends_ps);
  if (page.gpa != none && options_.to_hpa(Gpa{page.gpa}).value + offset == e.hpa) return;
  if (page.exposed) {
    ++exposure_.dma_beats;
    exposure_.beats_with_new_owner += has_new_owner(page);
    return;
  }
  if (page.owed == Page::Owed::return_of_unmap || page.reported) return;  // the deadline is still to come, or is known
  if (options_.follow_owners && page.gpa == none) {
    early_.push_back({at, id, e.iova, e.bytes, e.hpa - offset, page.unmapped_at});
    return;
  }
  page.reported = true;
  raise(at, Verdict::stale_dma, id, e.iova, e.bytes,
        page.gpa == none
            ? fmt::format("a burst to IOVA {:#x} was served at {:.3f} us from host-physical {:#x}; the guest unmapped it at "
                          "{:.3f} us and its unmap has returned",
                          e.iova, us(at), e.hpa, us(page.unmapped_at))
            : fmt::format("a burst to IOVA {:#x} at {:.3f} us landed at host-physical {:#x}, not in the guest page {:#x} now "
                          "mapped there: a translation from before the unmap at {:.3f} us was used",
                          e.iova, us(at), e.hpa, page.gpa, us(page.unmapped_at)));
}

void Sanitizer::on(Time at, const trace::DmaFault& e) {
  const std::uint32_t id = options_.domain_of(SourceId{static_cast<std::uint16_t>(e.source)});
  if (id == 0) return;
  Page& page = domain(id).page(e.iova >> page_shift);
  if (page.gpa == none || !page.visible || page.reported) return;
  if (!(e.write != 0 ? page.writable : page.readable)) return;  // it may not
  page.reported = true;
  raise(at, Verdict::spurious_fault, id, e.iova, page_size,
        fmt::format("DMA to IOVA {:#x} faulted at {:.3f} us although the guest maps it to {:#x}", e.iova, us(at), page.gpa));
}

void Sanitizer::on(Time, const trace::PagesPinned& e) { pinned_ = e.pinned_now; }
void Sanitizer::on(Time, const trace::PagesUnpinned& e) { pinned_ = e.pinned_now; }

/// Of a device that sees all of memory; else the burst itself tells.
void Sanitizer::on(Time, const trace::StrayAccess& e) {
  if (options_.unprotected != 0) exposure_.dma_beats += e.landed;
}

/// Its memory, unmapped here, is mapped again elsewhere.
bool Sanitizer::has_new_owner(const Page& page) const {
  return owners_ && page.last_gpa != none && owners_->of(page.last_gpa) != 0;
}

void Sanitizer::end_exposure(Time at, Page& page) {
  if (!page.exposed) return;
  page.exposed = false;
  const Time window = at - page.unmapped_at;
  exposure_.add(window);
}

void Sanitizer::check_teardown(Time at) {
  judge_early(at, nullptr);
  if (options_.unprotected != 0) {
    exposure_.longest = at;
    exposure_.byte_picoseconds += static_cast<Wide>(options_.unprotected) * at.ps();
  }
  for (std::uint32_t id = 0; id < domains_.size(); ++id) {  // windows that nothing has closed
    if (!domains_[id]) continue;
    for (const Deferred& entry : domains_[id]->deferred) {
      for_pages(id, entry.page << page_shift, entry.pages << page_shift,
                [&](std::uint64_t, Page& page) { end_exposure(at, page); });
    }
  }
  if (pinned_ == 0) return;
  raise(at, Verdict::pin_leak, 0, 0, pinned_ << page_shift,
        fmt::format("{} pages are still pinned after every mapping was torn down", pinned_));
}

}  // namespace gnomon::observe
