// SPDX-License-Identifier: Apache-2.0
#include "guest/benchmark/map_benchmark.hpp"

#include <algorithm>

#include "models/base/wide.hpp"

namespace gnomon::guest {

namespace {

DmaAccess access_of(DmaDirection direction) {
  return {direction != DmaDirection::from_device, direction != DmaDirection::to_device};
}

const char* name_of(DmaDirection direction) {
  switch (direction) {
    case DmaDirection::bidirectional: return "BIDIRECTIONAL";
    case DmaDirection::to_device: return "TO_DEVICE";
    case DmaDirection::from_device: return "FROM_DEVICE";
  }
  return "";
}

std::uint64_t square_root(Wide value) {
  std::uint64_t root = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 62; bit != 0; bit >>= 1) {
    if (Wide{root + bit} * (root + bit) <= value) root += bit;
  }
  return root;
}

/// Sums in the kernel's unit, 100 ns, whole ones.
struct Sums {
  std::uint64_t count = 0, sum = 0;
  Wide squares = 0;
  void add(Time took) {
    const std::uint64_t units = took / Time::ns(100);
    ++count;
    sum += units;
    squares += Wide{units} * units;
  }
  void add(const Sums& other) {
    count += other.count;
    sum += other.sum;
    squares += other.squares;
  }
  std::uint64_t average() const { return count == 0 ? 0 : sum / count; }
  std::uint64_t deviation() const {
    return count == 0 ? 0 : square_root(squares / count - Wide{average()} * average());
  }
};

/// Tenths as the selftest prints them, %.1f.
std::string tenths(std::uint64_t value) { return std::to_string(value / 10) + "." + std::to_string(value % 10); }

}  // namespace

/// One kthread.
class MapBenchmark::Worker final : public Thread {
 public:
  Worker(MapBenchmark& benchmark, DmaDevice& dma, Cpu& cpu, unsigned number, GuestPages& pages)
      : benchmark_(benchmark), dma_(dma), cpu_(cpu), number_(number) {
    const MapBenchmarkSpec& spec = benchmark.spec_;
    const unsigned runs = std::clamp(spec.sg, 1u, spec.granule);
    for (unsigned run = 0, first = 0; run < runs; ++run) {
      const unsigned last = (run + 1) * spec.granule / runs;
      runs_.push_back({pages.allocate((last - first) * page_size), (last - first) * page_size});
      pages.skip_page();
      first = last;
    }
  }

  void start(Cpu& from) { cpu_.wake(*this, from); }

  bool turn(Cpu& cpu) override {
    benchmark_.clock(cpu);
    if (benchmark_.window_ == Window::after) {
      benchmark_.worker_finished(cpu);
      return false;
    }
    const bool measured = benchmark_.window_ == Window::open;
    const MapBenchmarkSpec& spec = benchmark_.spec_;
    if (spec.direction != DmaDirection::from_device) {
      cpu.work(cpu.costs().memset_page * spec.granule);  // the kernel dirties what it sends
    }
    cpu.processor().sync();
    const Time mapping = cpu.now();
    const int error = dma_.map(cpu, runs_, access_of(spec.direction), mapping_);
    const Time mapped = cpu.now();
    if (error != 0) {  // the kernel's thread gives up on the first failure
      benchmark_.worker_finished(cpu);
      return false;
    }
    cpu.work(spec.delay);
    cpu.processor().sync();
    const Time unmapping = cpu.now();
    dma_.unmap(cpu, mapping_);
    cpu.processor().sync();
    const Time unmapped = cpu.now();
    if (measured) {
      map.add(mapped - mapping);
      unmap.add(unmapped - unmapping);
      cpu.emit(trace::DmaApiRound{(mapped - mapping).ps(), (unmapped - unmapping).ps(), number_, cpu.id()});
    }
    return true;
  }

  Sums map, unmap;

 private:
  MapBenchmark& benchmark_;
  DmaDevice& dma_;
  Cpu& cpu_;
  const unsigned number_;
  std::vector<Run> runs_;
  DmaMapping mapping_;
};

MapBenchmark::MapBenchmark(const MapBenchmarkSpec& spec, DmaDevice& dma, std::vector<Cpu*> cpus, GuestPages& pages)
    : spec_(spec) {
  for (unsigned i = 0; i < spec.threads; ++i) {
    workers_.push_back(std::make_unique<Worker>(*this, dma, *cpus[i % cpus.size()], i, pages));
  }
}

MapBenchmark::~MapBenchmark() = default;

void MapBenchmark::start(Cpu& cpu, std::function<void(Cpu&)> on_done) {
  on_done_ = std::move(on_done);
  cpu.processor().sync();
  opens_at_ = cpu.now() + spec_.ramp_time;
  closes_at_ = opens_at_ + spec_.runtime;
  running_ = workers_.size();
  for (const auto& worker : workers_) worker->start(cpu);
}

void MapBenchmark::clock(Cpu& cpu) {
  if (window_ == Window::before && cpu.now() >= opens_at_) {
    window_ = Window::open;
    cpu.emit(trace::WindowOpened{workers_.size()});
  }
  if (window_ == Window::open && cpu.now() >= closes_at_) {
    window_ = Window::after;
    cpu.emit(trace::WindowClosed{workers_.size()});
  }
}

void MapBenchmark::worker_finished(Cpu& cpu) {
  if (--running_ == 0) on_done_(cpu);
}

std::vector<WorkloadOutput> MapBenchmark::outputs(Time /*now*/) const {
  Sums map;
  Sums unmap;
  for (const auto& worker : workers_) {
    map.add(worker->map);
    unmap.add(worker->unmap);
  }
  const std::uint64_t seconds = spec_.runtime / Time::s(1);
  std::string text = "dma mapping benchmark: threads:" + std::to_string(spec_.threads) +
                     " seconds:" + std::to_string(seconds) + " node:" + (spec_.node ? std::to_string(*spec_.node) : "-1") +
                     " dir:" + name_of(spec_.direction) + " granule: " + std::to_string(spec_.granule) + "\n";
  text += "average map latency(us):" + tenths(map.average()) + " standard deviation:" + tenths(map.deviation()) + "\n";
  text += "average unmap latency(us):" + tenths(unmap.average()) + " standard deviation:" + tenths(unmap.deviation()) +
          "\n";
  return {{"map_benchmark.txt", text}};
}

}  // namespace gnomon::guest
