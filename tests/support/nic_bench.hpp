// SPDX-License-Identifier: Apache-2.0
// A NIC, its driver and one CPU without SystemC: the CPU's clock is the time, and every DMA is checked against what
// is mapped for it.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "guest/kernel/cpu.hpp"
#include "guest/nic/driver.hpp"
#include "guest/nic/queue.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/nic/core/nic_core.hpp"
#include "tests/support/recorder.hpp"

namespace gnomon::test {

/// Device addresses that are never used twice; each map and unmap takes `cost`.
class CheckedDma final : public guest::DmaDevice {
 public:
  struct Range {
    std::uint64_t gpa = 0;
    guest::DmaAccess access;
  };
  int map(guest::Cpu& cpu, std::span<const guest::Run> runs, guest::DmaAccess access,
          guest::DmaMapping& mapping) override {
    cpu.work(cost);
    if (refuse) return 12;  // ENOMEM
    std::uint64_t bytes = 0;
    for (const guest::Run& run : runs) {
      for (std::uint64_t at = 0; at < run.bytes; at += page_size)
        pages[(next + bytes + at) >> page_shift] = {(run.start + at).value, access};
      bytes += run.bytes;
    }
    mapping.segments.assign(1, {Iova{next}, bytes});
    next += bytes + page_size;
    ++maps;
    cpu.sync();  // as an IOMMU driver does
    return 0;
  }
  void unmap(guest::Cpu& cpu, const guest::DmaMapping& mapping) override {
    cpu.work(cost);
    cpu.sync();
    const guest::DmaSegment s = mapping.segments.front();
    for (std::uint64_t at = 0; at < s.bytes; at += page_size) {
      if (pages.erase((s.address + at).page()) != 1) throw std::logic_error("unmapped twice");
    }
    ++unmaps;
  }
  Gpa at(Iova iova, std::uint64_t bytes, bool write) const {
    const auto page = pages.find(iova.page());
    if (page == pages.end()) throw std::logic_error("DMA to what is not mapped");
    if (write ? !page->second.access.write : !page->second.access.read) throw std::logic_error("DMA not allowed");
    if (iova.offset_in_page() + bytes > page_size) throw std::logic_error("DMA leaves its page");
    return Gpa{page->second.gpa + iova.offset_in_page()};
  }

  std::map<std::uint64_t, Range> pages;  // by device page
  std::uint64_t next = 0x1000'0000;
  std::uint64_t maps = 0, unmaps = 0;
  Time cost = Time::ns(100);
  bool refuse = false;
};

class NicBench final : public Processor, private nic::Bus {
 public:
  struct Stop {};
  static constexpr std::uint64_t bar = 0xc000'0000;
  static constexpr Time latency = Time::ns(800);

  explicit NicBench(const nic::NicConfig& config = {}, const guest::NicDriverOptions& options = {})
      : memory(std::uint64_t{512} << 20),
        ram(GuestRam::identity(memory, memory.size())),
        pages(Gpa{1 << 20}, Gpa{memory.size()}),
        core(config, *this),
        cpu(*this, costs, {}, tracer),
        driver(with_bar(options), dma, ram, pages, {&cpu}) {
    tracer.add(recorder);
  }

  void probe() { driver.probe(cpu, 0x40); }
  guest::NicQueue& queue() { return driver.queue(0); }
  /// The kernel's loop, until somebody throws Stop, or nothing is left to happen.
  void run() {
    try {
      cpu.run();
    } catch (const Stop&) {
    }
  }

  unsigned id() const override { return 0; }
  Time now() const override { return now_; }
  void spend(Time work) override { now_ += work; }
  void sync() override { advance(now_); }
  void park() override { throw std::logic_error("nobody there to unpark"); }
  void unpark(Time) override {}
  void write_mmio(Gpa address, std::uint64_t value, unsigned bytes) override {
    if (before_store) before_store(address.value - bar, value);
    if (address.value - bar >= pci_msix) return;
    advance(now_);
    core.mmio_write(now_, address.value - bar, value, bytes);
  }
  std::uint64_t read_mmio(Gpa address, unsigned bytes) override {
    advance(now_);
    return core.mmio_read(address.value - bar, bytes);
  }
  void halt() override {
    for (sync(); !interrupt_pending(); sync()) {
      Time next = std::min(timer_at_, core.next_action());
      for (const Time at : interrupts_) next = std::min(next, at);
      if (next == Time::max()) throw Stop{};
      now_ = std::max(now_, next);
    }
  }
  bool interrupt_pending() const override {
    return timer_at_ <= now_ ||
           std::any_of(interrupts_.begin(), interrupts_.end(), [&](Time t) { return t <= now_; });
  }
  unsigned acknowledge_interrupt() override {
    if (timer_at_ <= now_) {
      timer_at_ = Time::max();
      return timer_vector;
    }
    interrupts_.erase(std::find_if(interrupts_.begin(), interrupts_.end(), [&](Time t) { return t <= now_; }));
    return 0x40;
  }
  void set_timer(Time at) override { timer_at_ = at; }
  void send_interrupt(unsigned, unsigned) override {}

  PhysicalMemory memory;
  GuestRam ram;
  guest::GuestPages pages;
  CheckedDma dma;
  trace::Tracer tracer;
  Recorder recorder;
  nic::NicCore core;
  guest::GuestCosts costs;
  guest::Cpu cpu;
  guest::NicDriver driver;
  std::uint64_t dropped_events = 0;
  std::function<void(std::uint64_t offset, std::uint64_t value)> before_store;

 private:
  static constexpr std::uint64_t pci_msix = 0x10'0000;
  static guest::NicDriverOptions with_bar(guest::NicDriverOptions o) {
    o.bar = Gpa{bar};
    return o;
  }
  void advance(Time until) {
    while (core.next_action() <= until) core.advance(core.next_action());
  }
  nic::DmaResult read(Time at, Iova address, std::span<std::byte> into) override {
    ram.read_bytes(dma.at(address, into.size(), false), into.data(), into.size());
    return {true, at + latency};
  }
  nic::DmaResult write(Time at, Iova address, std::span<const std::byte> from) override {
    ram.write_bytes(dma.at(address, from.size(), true), from.data(), from.size());
    return {true, at + latency};
  }
  nic::DmaResult transfer(Time at, std::span<const nic::Segment> segments, nic::Direction direction) override {
    for (const nic::Segment& s : segments) (void)dma.at(s.address, s.bytes, direction == nic::Direction::to_host);
    return {true, at + latency};
  }
  void interrupt(Time at, unsigned) override { interrupts_.push_back(at + latency); }
  void on_drop(Time, unsigned, unsigned packets, std::uint32_t) override { dropped_events += packets; }

  Time now_;
  Time timer_at_ = Time::max();
  std::vector<Time> interrupts_;
};

}  // namespace gnomon::test
