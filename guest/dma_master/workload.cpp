// SPDX-License-Identifier: Apache-2.0
#include "guest/dma_master/workload.hpp"

#include <algorithm>

namespace gnomon::guest {

DmaMasterWorkload::DmaMasterWorkload(const DmaMasterSpec& spec, IommuDomain& domain, DmaMasterDriver& driver,
                                     Cpu& cpu, GuestPages& pages)
    : spec_(spec), domain_(domain), driver_(driver), cpu_(cpu) {
  const std::uint64_t total = spec.buffer >> page_shift;
  const std::uint64_t runs = std::clamp<std::uint64_t>(spec.runs, 1, std::max<std::uint64_t>(total, 1));
  for (std::uint64_t run = 0, first = 0; run < runs; ++run) {
    const std::uint64_t last = (run + 1) * total / runs;
    runs_.push_back({pages.allocate((last - first) * page_size), (last - first) * page_size});
    pages.skip_page();
    first = last;
  }
  if (spec.churn != 0) churn_ = {pages.allocate(spec.churn), spec.churn};
}

void DmaMasterWorkload::start(Cpu& cpu, std::function<void(Cpu&)> on_done) {
  on_done_ = std::move(on_done);
  cpu_.wake(*this, cpu);
}

bool DmaMasterWorkload::turn(Cpu& cpu) {
  if (state_ == State::idle) begin(cpu);
  if (state_ == State::over) return false;
  if (timer_fired_) {
    end(cpu);
    return false;
  }
  if (spec_.churn == 0) return false;  // until the timer
  const Iova beside = spec_.iova + spec_.buffer;
  if (domain_.map_sg(cpu, beside, {&churn_, 1}, DmaAccess{}).error == 0) {
    domain_.unmap(cpu, beside, spec_.churn);
    ++churned_;
  }
  return true;
}

void DmaMasterWorkload::begin(Cpu& cpu) {
  const DmaAccess access{!spec_.write, spec_.write};
  error_ = domain_.map_sg(cpu, spec_.iova, runs_, access).error;
  cpu.emit(trace::WindowOpened{1});
  if (error_ != 0) return finish(cpu);
  const DmaMasterDriver::Segment segment{spec_.iova, spec_.buffer};
  driver_.start(cpu, {&segment, 1}, spec_.rate, spec_.write, true);
  cpu.processor().sync();
  cpu.arm_at(*this, cpu.now() + spec_.duration);
  state_ = State::streaming;
}

void DmaMasterWorkload::expired(Cpu& cpu) {
  timer_fired_ = true;
  cpu.wake(*this, cpu);
}

void DmaMasterWorkload::end(Cpu& cpu) {
  driver_.stop(cpu);
  counts_ = driver_.counts(cpu);
  domain_.unmap(cpu, spec_.iova, spec_.buffer);
  finish(cpu);
}

void DmaMasterWorkload::finish(Cpu& cpu) {
  state_ = State::over;
  cpu.emit(trace::WindowClosed{1});
  on_done_(cpu);
}

std::vector<WorkloadOutput> DmaMasterWorkload::outputs(Time /*now*/) const {
  std::string text = "stream: " + std::to_string(counts_.moved) + " B, " + std::to_string(counts_.underruns) +
                     " underruns, " + std::to_string(counts_.refused) + " refused\n";
  text += "beside: " + std::to_string(churned_) + " maps and unmaps of " + std::to_string(spec_.churn) + " B\n";
  if (error_ != 0) text += "map failed: errno " + std::to_string(error_) + "\n";
  return {{"dma_master.txt", text}};
}

}  // namespace gnomon::guest
