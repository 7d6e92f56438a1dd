// SPDX-License-Identifier: Apache-2.0
// Physical IOMMU: remaps DMA and executes the invalidation queue.
// Time is spent here; every decision (lookup, walk, invalidate, fault) is the unit's.
#pragma once

#include <tlm_utils/multi_passthrough_target_socket.h>
#include <tlm_utils/simple_initiator_socket.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "models/fabric/payload.hpp"
#include "models/iommu/core/config.hpp"
#include "models/iommu/core/remapping_unit.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

class Iommu final : public sc_core::sc_module {
 public:
  tlm_utils::multi_passthrough_target_socket<Iommu> dma{"dma"};  ///< untranslated requests of devices
  tlm_utils::multi_passthrough_target_socket<Iommu, 32, tlm::tlm_base_protocol_types, 0,
                                             sc_core::SC_ZERO_OR_MORE_BOUND>
      registers{"registers"};  ///< remapping hardware registers; nobody's on a machine that leaves translation off
  tlm_utils::simple_initiator_socket<Iommu> memory{"memory"};      ///< translated DMA, status writes
  tlm_utils::simple_initiator_socket<Iommu> messages{"messages"};  ///< interrupt requests

  /// `tracer` must outlive the module.
  Iommu(const sc_core::sc_module_name& name, std::unique_ptr<iommu::RemappingUnit> unit,
        const iommu::IommuTiming& timing, trace::Tracer& tracer, std::uint64_t& activations);

  const iommu::RemappingUnit& unit() const { return *unit_; }

 private:
  void on_dma(int port, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void on_register(int port, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void translated(const iommu::Translation& t, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  Time lookup_time(const iommu::Translation& t) const;
  /// A command queue at work: what it has taken up, executed in one activation when the last of it is done.
  struct Queue {
    std::uint64_t batch = 0;  ///< commands still to execute
    Time due;
    Time submitted_at;
    Time complete_at;                              ///< when all that has been executed is complete
    std::optional<iommu::InvalidationStep> held;  ///< a wait executed, until bursts under way have landed
    bool busy() const { return batch != 0 || held; }
  };
  void schedule(unsigned number, Time from);
  void wake_for_next();
  void drain_invalidation_queues();
  bool run(unsigned number);
  void carry_out(const iommu::InvalidationStep& step, Time submitted_at);
  void note_under_way(const iommu::Translation& t, std::uint64_t iova, Time ends);
  void drain_range(const iommu::IotlbInvalidated& done);

  /// A burst whose translation has been used, until its last beat lands.
  struct UnderWay {
    std::uint64_t iova = 0;
    Time ends;
    DomainId domain{};
  };

  std::unique_ptr<iommu::RemappingUnit> unit_;
  const iommu::IommuTiming timing_;
  trace::Tracer& tracer_;
  std::uint64_t& activations_;
  TimedStep queue_step_{[this] { drain_invalidation_queues(); }};
  std::vector<Queue> queues_;
  Transaction status_;
  // Bursts of late, and until when the next wait descriptor waits for those an invalidation has met.
  std::array<UnderWay, 64> under_way_{};
  std::size_t next_under_way_ = 0;
  Time drained_at_;
};

}  // namespace gnomon
