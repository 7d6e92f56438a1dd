// SPDX-License-Identifier: Apache-2.0
// The run as a picture: a Perfetto trace with the guest, the hypervisor, the IOMMU and the devices side by side.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <system_error>

#include "models/base/address.hpp"
#include "models/trace/tracer.hpp"
#include "platform/observe/exit_reason_name.hpp"
#include "platform/observe/perfetto_tracks.hpp"

namespace gnomon::observe {

struct TimelineOptions {
  std::filesystem::path path;
  /// Only [from, to] is drawn; slices that reach in or out are cut at its edges.
  Time from{};
  Time to = Time::max();
  ExitSpelling exits = ExitSpelling::vmx;
  perfetto::Names names;
  /// The guest's domain whose mappings a device of this requester id uses. Without it DMA has no arrows.
  std::function<std::uint32_t(SourceId)> guest_domain_of = {};
};

/// Streams to a file in memory that does not grow with the run. Times are drawn in ns, rounded down, which keeps
/// order. Pinned memory, which every map and unmap changes, is sampled each 100 us.
///
/// What overlaps is drawn on sibling lanes (see perfetto::Tracks). The arrows follow one I/O from submission over
/// mapping, the exits inside, dispatch, doorbell (of several commands, the last's), fetch, DMA (where a mapping
/// starts), media, completion, interrupt (of several completions, the first's) and unmapping to where it is reaped
/// or, if that is later, to the end of the flush that invalidates its deferred unmaps. Only I/Os submitted inside
/// the window have arrows, and one that does not end inside it ends in "unfinished". The calls to the DMA API of
/// one vCPU and the exits inside wait for the dispatch that says for which I/O they were, at most `most_held_calls`
/// at a time.
class PerfettoTimeline final : public trace::Sink {
 public:
  static constexpr std::size_t most_held_calls = 32;

  explicit PerfettoTimeline(TimelineOptions options);
  ~PerfettoTimeline() override;  ///< without close(): no file is left
  PerfettoTimeline(const PerfettoTimeline&) = delete;
  PerfettoTimeline& operator=(const PerfettoTimeline&) = delete;

  trace::KindSet wants() const override;
  Handler handler(std::size_t kind) const override;
  void on_event(Time at, const trace::Event& event) override;

  /// Ends the drawing and gives the file its name; no event may come after. Returns the first write that failed.
  std::error_code close();

  std::uint64_t cut() const;  ///< slices shortened or left out because more overlapped than there are lanes

 private:
  class Drawing;
  template <std::size_t kind>
  static void draw(trace::Sink& self, Time at, const trace::Event& event);
  std::unique_ptr<Drawing> drawing_;
};

}  // namespace gnomon::observe
