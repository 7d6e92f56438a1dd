// SPDX-License-Identifier: Apache-2.0
// From the kernel's events to mappings: iommu:map tells one physical run each, dma:dma_map_* names the device of
// what was just mapped, and likewise for unmaps.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "platform/trace_import/live_mappings.hpp"
#include "platform/trace_import/parser.hpp"
#include "platform/trace_import/run_evidence.hpp"

namespace gnomon::trace_import {

/// Takes what lines said in the order recorded and gives events in that order: a mapping stands where its first run
/// stood. A run continues the mapping before it, of the same CPU and context, where that one ends at its address
/// and an unmap later in the trace proves it, by the evidence of an earlier pass. Without a proof it does where the
/// task is the same too and the whole is aligned as the kernel aligns an IOVA allocation of its size (to the power
/// of two at or above: alloc_iova() with size_aligned, Linux 6.1 and 6.12); such joins are counted in a note.
class Assembler {
 public:
  using Sink = std::function<void(const gtrace::Event&)>;

  /// `earlier` is what a pass over the same lines gathered; it outlives this.
  explicit Assembler(Sink sink, const RunEvidence* earlier = nullptr);

  /// May take the contents of `parsed.event`.
  void add(Parsed& parsed);
  void finish();

  std::vector<gtrace::Note> notes() const;
  RunEvidence take_evidence() { return std::move(evidence_); }  ///< of this pass; after finish()

  static constexpr std::size_t window = 8192;  ///< events a mapping may stay incomplete for

 private:
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  static constexpr std::uint64_t most_waiting_runs = 1 << 20;

  struct Slot {
    gtrace::Event event;
    std::uint64_t* owner = nullptr;  // the lane's reference, while the event may still change
  };
  struct Lane {
    std::uint64_t map = none, unmap = none;  // number of the event still open
  };

  Slot& slot(std::uint64_t number) { return ring_[number & (window - 1)]; }
  Lane& lane(const Parsed& parsed);
  bool continues(const gtrace::Event& group, const gtrace::Event& run, Boundary proven) const;
  void add_run(Lane& lane, Parsed& parsed);
  void add_unmap(Lane& lane, Parsed& parsed);
  void add_dma(std::uint64_t& open, Parsed& parsed);
  void push(gtrace::Event& event, std::uint64_t* owner);
  void close(std::uint64_t& open);
  void drain();
  void emit(gtrace::Event& event);

  Sink sink_;
  std::vector<Slot> ring_;
  std::uint64_t head_ = 0, tail_ = 0;  // numbers of the first event waiting, and of the next
  std::uint64_t waiting_runs_ = 0;
  std::vector<std::array<Lane, contexts>> lanes_;
  const RunEvidence* earlier_;
  RunEvidence evidence_;
  LiveMappings live_;
  std::uint64_t forced_ = 0, without_runs_ = 0, without_address_ = 0;
};

}  // namespace gnomon::trace_import
