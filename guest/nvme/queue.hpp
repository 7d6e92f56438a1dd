// SPDX-License-Identifier: Apache-2.0
// One NVMe queue pair as the driver runs it: rings in guest memory, tags, PRP lists, its interrupt.
#pragma once

#include <deque>
#include <vector>

#include "guest/nvme/driver.hpp"

namespace gnomon::guest {

class NvmeDriver::Queue final : public InterruptHandler, private Timer {
 public:
  Queue(NvmeDriver& driver, Cpu& cpu, std::uint16_t id, unsigned depth);

  Iova submission_ring() const { return sq_iova_; }
  Iova completion_ring() const { return cq_iova_; }
  unsigned depth() const { return depth_; }
  std::uint64_t in_flight() const { return in_flight_ + waiting_.size(); }

  void submit(Cpu& cpu, BlockRequest& request);
  void interrupt(Cpu& cpu, unsigned vector) override;

  /// Puts one admin command on the ring and polls for its completion.
  nvme::CompletionEntry execute(Cpu& cpu, nvme::SubmissionEntry command);

 private:
  struct Part {
    BlockRequest* request = nullptr;
    std::uint64_t begin = 0;  // bytes into the request
    std::uint64_t bytes = 0;
    unsigned retries = 0;
  };
  struct Tag {
    Part part;
    DmaMapping mapping;
    std::vector<Run> runs;  // of a part of a larger request
    Gpa prp_list;
    Iova prp_list_iova;
  };

  std::uint16_t take_tag();
  bool start(Cpu& cpu, const Part& part);
  std::uint64_t build_prps(Tag& tag, std::uint64_t& prp1);
  void finish(Cpu& cpu, const nvme::CompletionEntry& entry);
  void end_part(Cpu& cpu, const Part& part, int status);
  void hold_back(Cpu& cpu, const Part& part, int error);
  void restart(Cpu& cpu);
  void expired(Cpu& cpu) override { restart(cpu); }
  const nvme::CompletionEntry* peek(nvme::CompletionEntry& entry) const;
  void advance_head();
  void ring(Cpu& cpu, const nvme::SubmissionEntry& command);
  void ring_completion(Cpu& cpu);
  static std::span<const Run> runs_of(const Part& part, std::vector<Run>& storage);

  NvmeDriver& driver_;
  const std::uint16_t id_;
  const unsigned depth_;
  Gpa sq_;
  Gpa cq_;
  Iova sq_iova_;
  Iova cq_iova_;
  std::uint16_t tail_ = 0;
  std::uint16_t head_ = 0;
  bool phase_ = true;
  Gpa prp_lists_;
  Iova prp_lists_iova_;
  std::vector<Tag> tags_;  // those used so far; never moves
  std::vector<std::uint16_t> free_tags_;
  std::deque<Part> waiting_;  // without a tag, or whose mapping failed
  std::uint64_t in_flight_ = 0;
};

}  // namespace gnomon::guest
