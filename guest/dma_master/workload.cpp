// SPDX-License-Identifier: Apache-2.0
#include "guest/dma_master/workload.hpp"

namespace gnomon::guest {

DmaMasterWorkload::DmaMasterWorkload(const DmaMasterSpec& spec, IommuDomain& domain, DmaMasterDriver& driver,
                                     Cpu& cpu, GuestPages& pages, bool flush_by_hand, DmaMasterFaults faults)
    : spec_(spec), domain_(domain), driver_(driver), cpu_(cpu), flush_by_hand_(flush_by_hand), faults_(faults) {
  // One more than there are slots, so that a slot never gets the memory it had.
  for (int i = 0; i < (spec.flip ? 3 : 1); ++i) frames_.push_back(allocate(pages));
  if (spec.churn != 0) churn_ = {pages.allocate(spec.churn), spec.churn};
}

DmaMasterWorkload::Frame DmaMasterWorkload::allocate(GuestPages& pages) const {
  const std::uint64_t total = spec_.buffer >> page_shift;
  const std::uint64_t runs = std::clamp<std::uint64_t>(spec_.runs, 1, std::max<std::uint64_t>(total, 1));
  Frame frame;
  for (std::uint64_t run = 0, first = 0; run < runs; ++run) {
    const std::uint64_t last = (run + 1) * total / runs;
    frame.push_back({pages.allocate((last - first) * page_size), (last - first) * page_size});
    pages.skip_page();
    first = last;
  }
  return frame;
}

void DmaMasterWorkload::start(Cpu& cpu, std::function<void(Cpu&)> on_done) {
  on_done_ = std::move(on_done);
  cpu_.wake(*this, cpu);
}

bool DmaMasterWorkload::turn(Cpu& cpu) {
  if (state_ == State::idle) begin(cpu);
  if (state_ == State::over) return false;
  cpu.processor().sync();
  if (cpu.now() >= ends_at_) {
    end(cpu);
    return false;
  }
  if (spec_.flip) flip(cpu);
  if (spec_.churn == 0) return false;  // until the timer
  churn(cpu);
  return true;
}

bool DmaMasterWorkload::map(Cpu& cpu, Iova iova, const Frame& frame) {
  error_ = domain_.map_sg(cpu, iova, frame, {!spec_.write, spec_.write}).error;
  return error_ == 0;
}

void DmaMasterWorkload::begin(Cpu& cpu) {
  mapped_[0] = map(cpu, slot(0), frames_[0]);
  if (flush_by_hand_) domain_.flush_all(cpu);
  cpu.emit(trace::WindowOpened{1});
  if (error_ != 0) {
    cpu.emit(trace::WindowClosed{1});
    return finish(cpu);
  }
  const DmaMasterDriver::Segment segment{slot(0), spec_.buffer};
  driver_.start(cpu, {&segment, 1}, spec_.rate, spec_.write, true);
  cpu.processor().sync();
  ends_at_ = cpu.now() + spec_.duration;
  arm(cpu, ends_at_);
  state_ = State::streaming;
}

// A frame's memory goes when the next has taken its place: out of the slot that is free now, and new memory into
// it.
void DmaMasterWorkload::flip(Cpu& cpu) {
  if (flipping_) {
    if (driver_.flipping(cpu)) {
      const std::uint64_t left = spec_.buffer - driver_.counts(cpu).moved % spec_.buffer;
      cpu.processor().sync();
      return arm(cpu, cpu.now() + std::max(transfer_time(left, spec_.rate), Time::us(1)));
    }
    flipping_ = false;
    ++flips_;
    next_slot_ ^= 1;
  }
  const Iova iova = slot(next_slot_);
  if (mapped_[next_slot_]) domain_.unmap(cpu, iova, spec_.buffer);
  mapped_[next_slot_] = map(cpu, iova, frames_[next_frame_]);
  if (flush_by_hand_ && !faults_.forget_flush) domain_.flush_all(cpu);
  if (error_ != 0) return arm(cpu, ends_at_);
  next_frame_ = (next_frame_ + 1) % frames_.size();
  const DmaMasterDriver::Segment segment{iova, spec_.buffer};
  driver_.flip(cpu, {&segment, 1});
  flipping_ = true;
  const std::uint64_t left = spec_.buffer - driver_.counts(cpu).moved % spec_.buffer;
  cpu.processor().sync();
  arm(cpu, cpu.now() + transfer_time(left, spec_.rate));
}

void DmaMasterWorkload::churn(Cpu& cpu) {
  const Iova beside = spec_.iova + spec_.buffer * (spec_.flip ? 2 : 1);
  if (domain_.map_sg(cpu, beside, {&churn_, 1}, DmaAccess{}).error != 0) return;
  domain_.unmap(cpu, beside, spec_.churn);
  if (flush_by_hand_) domain_.flush_all(cpu);
  ++churned_;
}

void DmaMasterWorkload::expired(Cpu& cpu) {
  cpu.wake(*this, cpu);
}

void DmaMasterWorkload::end(Cpu& cpu) {
  driver_.stop(cpu);
  cpu.emit(trace::WindowClosed{1});
  counts_ = driver_.counts(cpu);
  for (std::size_t i = 0; i < mapped_.size(); ++i) {
    if (mapped_[i]) domain_.unmap(cpu, slot(i), spec_.buffer);
  }
  if (flush_by_hand_) domain_.flush_all(cpu);
  finish(cpu);
}

void DmaMasterWorkload::finish(Cpu& cpu) {
  state_ = State::over;
  on_done_(cpu);
}

std::vector<WorkloadOutput> DmaMasterWorkload::outputs(Time /*now*/) const {
  std::string text = "stream: " + std::to_string(counts_.moved) + " B, " + std::to_string(counts_.underruns) +
                     " underruns, " + std::to_string(counts_.refused) + " refused\n";
  if (spec_.flip) {
    text += "frames: " + std::to_string(counts_.moved / spec_.buffer) + " streamed, " + std::to_string(flips_) +
            " flips\n";
  }
  text += "beside: " + std::to_string(churned_) + " maps and unmaps of " + std::to_string(spec_.churn) + " B\n";
  if (error_ != 0) text += "map failed: errno " + std::to_string(error_) + "\n";
  return {{"dma_master.txt", text}};
}

}  // namespace gnomon::guest
