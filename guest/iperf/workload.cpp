// SPDX-License-Identifier: Apache-2.0
#include "guest/iperf/workload.hpp"

#include <algorithm>
#include <stdexcept>

#include "guest/iperf/iperf_json.hpp"

namespace gnomon::guest {

IperfWorkload::IperfWorkload(const iperf::IperfSpec& spec, std::vector<Cpu*> cpus, NicDriver& driver)
    : spec_(spec), cpus_(std::move(cpus)), driver_(driver) {
  iperf::validate(spec);
  if (driver.queues() == 0) throw std::invalid_argument("iperf: the NIC has not been probed");
  cpus_.resize(std::min(cpus_.size(), driver.queues()));
  cpus_.resize(std::min<std::size_t>(cpus_.size(), spec.parallel));
  for (std::uint32_t i = 0; i < spec.parallel; ++i) {
    const auto cpu = static_cast<unsigned>(i % cpus_.size());
    streams_.push_back(std::make_unique<IperfStream>(*this, spec_, i, *cpus_[cpu], driver.queue(cpu), driver));
  }
}

void IperfWorkload::start(Cpu& cpu, std::function<void(Cpu&)> on_done) {
  on_done_ = std::move(on_done);
  map_live(cpu);
  cpu.sync();
  running_ = streams_.size();
  open_at_ = cpu.now() + spec_.omit;
  if (spec_.omit == Time{}) {
    tick(cpu);
  } else {
    cpu.arm_at(clock_, open_at_);
  }
  for (auto& stream : streams_) stream->start(cpu);
}

/// A page at a time: whatever the driver of the IOMMU could do with a larger piece, these are 4 KiB leaves.
void IperfWorkload::map_live(Cpu& cpu) {
  if (spec_.live_mapping == 0) return;
  const Gpa buffer = driver_.pages().allocate(spec_.live_mapping);
  live_.resize(spec_.live_mapping / page_size);
  for (std::size_t i = 0; i < live_.size(); ++i) {
    const Run run{buffer + i * page_size, page_size};
    if (const int error = driver_.dma().map(cpu, {&run, 1}, DmaAccess{true, true}, live_[i]); error != 0) {
      live_.resize(i);
      throw std::runtime_error("iperf: live_mapping: error " + std::to_string(error) + " after " +
                               std::to_string(i) + " pages");
    }
  }
}

void IperfWorkload::release(Cpu& cpu) {
  for (auto& stream : streams_) stream->release(cpu);
  for (const DmaMapping& mapping : live_) driver_.dma().unmap(cpu, mapping);
  live_.clear();
}

Time IperfWorkload::horizon() const {
  return spec_.omit + spec_.time;
}

Time IperfWorkload::idle_time() const {
  Time total;
  for (const Cpu* cpu : cpus_) total += cpu->idle_time();
  return total;
}

void IperfWorkload::tick(Cpu& cpu) {
  if (window_ == Window::before) {
    window_ = Window::open;
    idle_before_ = idle_time();
    cpu.emit(trace::WindowOpened{streams_.size()});
    for (auto& stream : streams_) stream->open(open_at_);
    cpu.arm_at(clock_, open_at_ + spec_.time);
  } else if (window_ == Window::open) {
    window_ = Window::after;
    idle_in_ = idle_time() - idle_before_;
    cpu.emit(trace::WindowClosed{streams_.size()});
    for (auto& stream : streams_) stream->stop(cpu);
  }
}

void IperfWorkload::stream_finished(Cpu& cpu) {
  if (--running_ == 0) on_done_(cpu);
}

std::vector<WorkloadOutput> IperfWorkload::outputs(Time now) const {
  iperf::RunReport report{spec_, {}, now, 0};
  for (const auto& stream : streams_) report.streams.push_back(&stream->statistics());
  const double available = spec_.time.seconds() * static_cast<double>(cpus_.size());
  report.cpu_percent =
      100.0 * static_cast<double>(cpus_.size()) * std::max(0.0, 1.0 - idle_in_.seconds() / available);
  return {{"iperf.json", iperf::write_iperf_json(iperf::to_iperf_json(report))}};
}

}  // namespace gnomon::guest
