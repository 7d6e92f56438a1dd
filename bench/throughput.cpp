// SPDX-License-Identifier: Apache-2.0
// Simulated I/Os per CPU-second, process activations and bytes allocated per I/O, and how they grow.
// Each row is a process of its own; the median of some repetitions is printed, with the bare kernel beside it.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sstream>
#include <systemc>

#include "platform/run/simulate.hpp"
#include "platform/run/supervisor.hpp"
#include "platform/scenario/resolve.hpp"

int sc_main(int, char**) { return 0; }

namespace {

std::uint64_t allocated_bytes = 0;

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

}  // namespace

void* operator new(std::size_t bytes) {
  allocated_bytes += bytes;
  if (void* p = std::aligned_alloc(16, (bytes + 15) & ~std::size_t{15})) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using namespace gnomon;

struct Row {
  std::string name;
  std::string variant;
  std::vector<std::string> settings;
};

struct Measured {
  double ios = 0, cpu_s = 0, activations = 0, trace_events = 0, bytes = 0, rss_mib = 0;
};

constexpr int repetitions = 3;

std::string measure(const char* scenario, const Row& row) {
  config::Diagnostics diagnostics;
  scenario::ResolveOptions options;
  options.settings = row.settings;
  const auto resolved = scenario::resolve(scenario, options, diagnostics);
  if (!resolved) throw std::runtime_error(diagnostics.render());
  const auto found = std::find_if(resolved->variants.begin(), resolved->variants.end(),
                                  [&](const auto& v) { return v.name == row.variant; });
  if (found == resolved->variants.end()) throw std::runtime_error("no variant called " + row.variant);
  const double cpu_before = cpu_seconds();
  const std::uint64_t bytes_before = allocated_bytes;
  const run::SimulationResult result = run::simulate(found->configuration, {});
  const double cpu = cpu_seconds() - cpu_before;
  double ios = 0, activations = 0, events = 0;
  for (const auto& [name, value] : result.metrics) {
    if (name == "io.completed_total") ios = value;
    if (name == "sim.events") activations = value;
    if (name == "sim.trace_events") events = value;
  }
  return fmt::format("{} {} {} {} {}", ios, cpu, activations, events, allocated_bytes - bytes_before);
}

/// Threads and timed waits of the kernel alone, as many as the simulation had activations: the floor.
double bare_kernel_seconds(std::uint64_t activations) {
  struct Ticker : sc_core::sc_module {
    Ticker(const sc_core::sc_module_name& name, std::uint64_t n) : sc_module(name), left(n) {
      using SC_CURRENT_USER_MODULE = Ticker;
      SC_THREAD(tick);
    }
    void tick() {
      while (left-- > 0) wait(sc_core::sc_time(1, sc_core::SC_NS));
    }
    std::uint64_t left;
  } ticker("ticker", activations);
  const double before = cpu_seconds();
  sc_core::sc_start();
  return cpu_seconds() - before;
}

std::vector<Measured> run_all(const char* scenario, const std::vector<Row>& rows) {
  std::vector<run::Job> jobs;
  for (const Row& row : rows) {
    for (int i = 0; i < repetitions; ++i) {
      jobs.push_back({row.name, [scenario, &row](run::Channel& channel) {
                        channel.result(measure(scenario, row));
                        return 0;
                      }});
    }
  }
  run::Options options;
  options.jobs = 1;
  const auto done = run::supervise(std::move(jobs), options);
  std::vector<Measured> out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::vector<Measured> samples;
    for (int i = 0; i < repetitions; ++i) {
      const run::Outcome& outcome = done.outcomes[r * repetitions + static_cast<std::size_t>(i)];
      Measured m;
      std::istringstream in(outcome.result);
      if (!(in >> m.ios >> m.cpu_s >> m.activations >> m.trace_events >> m.bytes)) {
        fmt::print(stderr, "{}: {}\n", rows[r].name, outcome.message);
        std::exit(3);
      }
      m.rss_mib = static_cast<double>(outcome.peak_rss_bytes) / (1 << 20);
      samples.push_back(m);
    }
    std::sort(samples.begin(), samples.end(), [](const auto& a, const auto& b) { return a.cpu_s < b.cpu_s; });
    out.push_back(samples[repetitions / 2]);
  }
  return out;
}

void print(const std::vector<Row>& rows, const std::vector<Measured>& measured, double bare_per_activation) {
  fmt::print("{:<28} {:>9} {:>9} {:>12} {:>9} {:>9} {:>9} {:>10} {:>8}\n", "", "I/Os", "CPU s", "I/O per CPU s",
             "act./I/O", "events/IO", "bytes/IO", "x bare", "MiB");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Measured& m = measured[i];
    fmt::print("{:<28} {:>9.0f} {:>9.3f} {:>12.0f} {:>9.1f} {:>9.1f} {:>9.1f} {:>10.1f} {:>8.1f}\n", rows[i].name, m.ios,
               m.cpu_s, m.ios / m.cpu_s, m.activations / m.ios, m.trace_events / m.ios, m.bytes / m.ios,
               m.cpu_s / (bare_per_activation * m.activations), m.rss_mib);
  }
  fmt::print("\n");
}

double bare_per_activation() {
  constexpr std::uint64_t n = 2'000'000;
  run::Options options;
  const auto done = run::supervise({{"bare", [](run::Channel& channel) {
                                       channel.result(fmt::format("{}", bare_kernel_seconds(n)));
                                       return 0;
                                     }}},
                                   options);
  return std::stod(done.outcomes[0].result) / static_cast<double>(n);
}

}  // namespace

int main() {
  setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
  const double bare = bare_per_activation();
  fmt::print("bare SystemC kernel: {:.1f} million timed thread wake-ups a CPU-second\n\n", 1e-6 / bare);

  const std::vector<std::string> short_run = {"workload.ramp_time=10ms", "workload.runtime=1s"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), short_run.begin(), short_run.end());
    return more;
  };
  std::vector<Row> page;
  for (const char* v : {"host", "noviommu", "lazy-sq-map", "lazy-mq-map", "strict-map", "strict"}) {
    page.push_back({fmt::format("4 KiB {}", v), v, short_run});
  }
  for (const char* t : {"1s", "2s", "4s"}) {
    page.push_back({fmt::format("4 KiB strict-map, {}", t), "strict-map", {"workload.ramp_time=10ms", fmt::format("workload.runtime={}", t)}});
  }
  print(page, run_all("scenarios/virtio-iommu/randrw-page.toml", page), bare);

  std::vector<Row> multi;
  for (const char* v : {"host", "noviommu", "lazy-sq-map", "lazy-mq-map", "strict-map", "strict"}) {
    multi.push_back({fmt::format("64 KiB {}", v), v, short_run});
  }
  for (const unsigned cpus : {1u, 4u, 16u, 64u}) {
    multi.push_back({fmt::format("64 KiB strict-map, {} vCPUs", cpus), "strict-map", with({fmt::format("guest.vcpus={}", cpus)})});
  }
  print(multi, run_all("scenarios/virtio-iommu/randwrite-multi.toml", multi), bare);
}
