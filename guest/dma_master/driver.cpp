// SPDX-License-Identifier: Apache-2.0
#include "guest/dma_master/driver.hpp"

#include "models/spec/dma_master/registers.hpp"

namespace gnomon::guest {

namespace reg = dma_master::reg;
namespace control = dma_master::control;

void DmaMasterDriver::write(Cpu& cpu, std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  cpu.work(cpu.costs().nvme_doorbell);  // a posted uncached store, whosever register it is
  cpu.processor().write_mmio(registers_ + offset, value, bytes);
}

std::uint64_t DmaMasterDriver::read(Cpu& cpu, std::uint32_t offset, unsigned bytes) {
  return cpu.processor().read_mmio(registers_ + offset, bytes);
}

void DmaMasterDriver::start(Cpu& cpu, std::span<const Segment> segments, std::uint64_t rate, bool into_memory,
                            bool repeat) {
  write(cpu, reg::control, control::clear, 4);
  for (const Segment& s : segments) {
    write(cpu, reg::segment_iova, s.iova.value, 8);
    write(cpu, reg::segment_bytes, s.bytes, 8);
  }
  write(cpu, reg::rate, rate, 8);
  cpu.processor().sync();
  write(cpu, reg::control, control::run | (into_memory ? control::write : 0) | (repeat ? control::repeat : 0), 4);
}

void DmaMasterDriver::flip(Cpu& cpu, std::span<const Segment> segments) {
  for (const Segment& s : segments) {
    write(cpu, reg::segment_iova, s.iova.value, 8);
    write(cpu, reg::segment_bytes, s.bytes, 8);
  }
  cpu.processor().sync();
  write(cpu, reg::update, 1, 4);
}

bool DmaMasterDriver::flipping(Cpu& cpu) {
  cpu.processor().sync();
  return read(cpu, reg::update, 4) != 0;
}

void DmaMasterDriver::stop(Cpu& cpu) {
  cpu.processor().sync();
  write(cpu, reg::control, 0, 4);
  read(cpu, reg::status, 4);  // behind the write: it has stopped
}

bool DmaMasterDriver::running(Cpu& cpu) {
  return (read(cpu, reg::status, 4) & dma_master::status_running) != 0;
}

DmaMasterDriver::Counts DmaMasterDriver::counts(Cpu& cpu) {
  return {read(cpu, reg::moved, 8), read(cpu, reg::underruns, 8), read(cpu, reg::refused, 8)};
}

}  // namespace gnomon::guest
