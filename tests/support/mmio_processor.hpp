// SPDX-License-Identifier: Apache-2.0
// A processor whose MMIO reaches the test, and a VMM's port that counts: for a driver over an emulated unit.
#pragma once

#include <functional>
#include <set>
#include <utility>

#include "models/cpu/core/line_monitor.hpp"
#include "models/hypervisor/core/emulated_iommu.hpp"
#include "models/memory/guest_ram.hpp"

namespace gnomon::test {

/// A processor whose loads and stores of registers go to a function; all else is another processor's.
class MmioProcessor final : public Processor {
 public:
  /// `offset` from the window; a store's value is passed, a load's is returned.
  using Access =
      std::function<std::uint64_t(Processor&, bool store, std::uint32_t offset, std::uint64_t value, unsigned)>;

  MmioProcessor(Processor& below, Gpa window, Access access)
      : below_(below), window_(window), access_(std::move(access)) {}

  unsigned id() const override { return below_.id(); }
  Time now() const override { return below_.now(); }
  void spend(Time work) override { below_.spend(work); }
  void sync() override { below_.sync(); }
  void park() override { below_.park(); }
  void unpark(Time at) override { below_.unpark(at); }
  void write_mmio(Gpa address, std::uint64_t value, unsigned bytes) override {
    sync();
    access_(*this, true, static_cast<std::uint32_t>(address - window_), value, bytes);
  }
  std::uint64_t read_mmio(Gpa address, unsigned bytes) override {
    sync();
    return access_(*this, false, static_cast<std::uint32_t>(address - window_), 0, bytes);
  }
  void halt() override { below_.halt(); }
  bool interrupt_pending() const override { return below_.interrupt_pending(); }
  unsigned acknowledge_interrupt() override { return below_.acknowledge_interrupt(); }
  void set_timer(Time at) override { below_.set_timer(at); }
  void send_interrupt(unsigned processor, unsigned vector) override { below_.send_interrupt(processor, vector); }

 private:
  Processor& below_;
  Gpa window_;
  Access access_;
};

/// What the emulation does in guest memory, counted.
class CountingPort final : public hypervisor::VmmPort {
 public:
  CountingPort(GuestRam& ram, LineMonitor& monitor) : ram_(ram), monitor_(monitor) {}

  std::uint64_t read_entry(Gpa address) override {
    ++reads;
    return ram_.contains(address, 8) ? ram_.read<std::uint64_t>(address) : ~std::uint64_t{0};
  }
  void look_up() override { ++look_ups; }
  void write_guest(Gpa address, std::uint64_t value, unsigned bytes) override {
    if (!ram_.contains(address, bytes)) return;
    ram_.write_bytes(address, &value, bytes);
    monitor_.written(ram_.to_hpa(address), now);
  }
  void protect(Gpa page, bool on) override {
    if (on) {
      protected_pages.insert(page.value);
    } else {
      protected_pages.erase(page.value);
    }
  }

  std::set<std::uint64_t> protected_pages;
  std::uint64_t reads = 0;
  std::uint64_t look_ups = 0;
  Time now;  ///< of what it writes

 private:
  GuestRam& ram_;
  LineMonitor& monitor_;
};

}  // namespace gnomon::test
