// SPDX-License-Identifier: Apache-2.0
// Where the time of the DMA API's map and unmap calls and of the flush queue went, call by call without remainder.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/base/time.hpp"
#include "models/trace/tracer.hpp"
#include "platform/observe/cpu_account.hpp"

namespace gnomon::observe {

/// Splits each call over what its CPU did from its beginning to its end. A call tells its length when it returns,
/// so what a CPU did since its last call is kept until then, and begun anew when it goes idle. Calls of one CPU do
/// not nest: for workloads that call from threads only.
class CallBlame final : public trace::Sink {
 public:
  enum class Call : std::uint8_t {
    map,    ///< iommu_map_sg, its sync included
    unmap,  ///< iommu_unmap, strict with its sync; where the flush queue was full, on until it was flushed
    flush,  ///< of a flush queue by its timer
  };
  static constexpr std::size_t calls = 3;
  /// The first five as Blame has them; `interrupt`: interrupts and softirqs taken meanwhile.
  enum class Cause : std::uint8_t { guest_cpu, lock_wait, exit, hypervisor, host_invalidation, interrupt };
  static constexpr std::size_t causes = 6;
  static const char* name_of(Call call);
  static const char* name_of(Cause cause);

  /// ps: the parts sum to `took`.
  struct Split {
    std::uint64_t took = 0;
    std::array<std::uint64_t, causes> parts{};
  };

  /// `flushes_follow`: a full queue is flushed after its unmap has returned (dma-iommu), not within a call (the
  /// s390's own DMA), whose time has it then.
  explicit CallBlame(bool flushes_follow = true);
  trace::KindSet wants() const override;
  void on_event(Time at, const trace::Event& event) override;

  /// Means per call of the measured window: blame.<call>.<cause>_ns. Nothing of a call that was never made.
  std::vector<std::pair<std::string, double>> values() const;
  /// Of the stretch split last: a call, or the flush that an unmap ended with.
  const Split& last() const { return last_; }

 private:
  /// What a CPU was told to have done, in the order told.
  struct Piece {
    enum class Kind : std::uint8_t { exit, span, interrupt, waited, held, invalidated, polled };
    Kind kind{};
    trace::ExitReason reason{};
    trace::Activity activity{};
    std::uint64_t began = 0, at = 0;
    std::uint64_t lock = 0, invalidation = 0;  // of what was polled for
  };
  struct Cpu {
    std::vector<Piece> pieces;
    std::uint64_t unmapped_at = 0;
    std::uint64_t kicked_lock = 0, kicked_invalidation = 0;  // a host thread's waits at the last kick
  };

  void on(std::uint64_t now, const trace::VmExit& e);
  void on(std::uint64_t now, const trace::CpuSpan& e);
  void on(std::uint64_t now, const trace::InterruptTaken& e);
  void on(std::uint64_t now, const trace::LockAcquired& e);
  void on(std::uint64_t now, const trace::LockReleased& e);
  void on(std::uint64_t now, const trace::InvalidationSubmitted& e);
  void on(std::uint64_t now, const trace::InvalidationWaitDone& e);
  void on(std::uint64_t now, const trace::IoThreadWoken& e) { (void)now, thread_ = e.thread; }
  void on(std::uint64_t now, const trace::GuestKick& e);
  void on(std::uint64_t now, const trace::SyncDone& e);
  void on(std::uint64_t now, const trace::MapReturned& e);
  void on(std::uint64_t now, const trace::UnmapReturned& e);
  void on(std::uint64_t now, const trace::FlushQueueFlushed& e);
  void on(std::uint64_t, const trace::WindowOpened&) { open_ = true; }
  void on(std::uint64_t, const trace::WindowClosed&) { open_ = false; }
  template <class E>
  void on(std::uint64_t, const E&) {}

  Cpu& cpu(std::uint32_t id) {
    if (id >= cpus_.size()) cpus_.resize(std::size_t{id} + 1);
    return cpus_[id];
  }
  void charge(const Cpu& cpu, Call call, std::uint64_t began, std::uint64_t now);
  static void replay(CpuAccount& account, const Piece& piece);

  static constexpr std::uint32_t none = ~std::uint32_t{0};
  std::vector<Cpu> cpus_;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> invalidating_;  // who submitted, when, in order
  std::size_t invalidating_first_ = 0;
  std::uint32_t thread_ = none;  // of the hypervisor, where it has one
  std::uint64_t thread_lock_ = 0, thread_invalidation_ = 0;
  const bool flushes_follow_;
  bool open_ = false;
  std::array<std::uint64_t, calls> counts_{};
  std::array<std::array<std::uint64_t, causes>, calls> sums_{};
  Split last_;
};

}  // namespace gnomon::observe
