// SPDX-License-Identifier: Apache-2.0
// gnomon_bench [ROUNDS [TEXT]]: simulated I/Os per CPU-second, activations and bytes allocated per I/O, and how they
// grow with time simulated, vCPUs and drives; what observers cost. TEXT chooses the rows whose names, or whose
// table's, have it. Each run is a process of its own. A round runs every row of a table once; medians over the rounds
// are printed.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <systemc>
#include <vector>

#include "platform/run/simulate.hpp"
#include "platform/run/supervisor.hpp"
#include "platform/scenario/resolve.hpp"

int sc_main(int, char**) {
  return 0;
}

namespace {

std::uint64_t allocated_bytes = 0;

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

}  // namespace

void* operator new(std::size_t bytes) {
  allocated_bytes += bytes;
  if (void* p = std::aligned_alloc(16, (bytes + 15) & ~std::size_t{15})) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

namespace {

using namespace gnomon;

struct Row {
  std::string name;
  std::string scenario;
  std::string variant;
  std::vector<std::string> settings;
  std::function<void(scenario::Configuration&)> change = {};
  bool timeline = false;
  bool blame = true;
};

struct Measured {
  double ios = 0, cpu_s = 0, activations = 0, trace_events = 0, bytes = 0, rss_mib = 0;
};

scenario::Configuration configuration_of(const Row& row) {
  config::Diagnostics diagnostics;
  scenario::ResolveOptions options;
  options.settings = row.settings;
  const auto resolved = scenario::resolve(row.scenario, options, diagnostics);
  if (!resolved) throw std::runtime_error(diagnostics.render());
  const auto found = std::find_if(resolved->variants.begin(), resolved->variants.end(),
                                  [&](const auto& v) { return v.name == row.variant; });
  if (found == resolved->variants.end()) throw std::runtime_error("no variant called " + row.variant);
  scenario::Configuration configuration = found->configuration;
  if (row.change) row.change(configuration);
  return configuration;
}

std::string measure(const Row& row) {
  const scenario::Configuration configuration = configuration_of(row);
  run::SimulationOptions options;
  options.blame = row.blame;
  if (row.timeline)
    options.timeline = std::filesystem::temp_directory_path() / fmt::format("gnomon-bench-{}", getpid());
  const double cpu_before = cpu_seconds();
  const std::uint64_t bytes_before = allocated_bytes;
  const run::SimulationResult result = run::simulate(configuration, options);
  const double cpu = cpu_seconds() - cpu_before;
  if (row.timeline) std::filesystem::remove(options.timeline);
  if (result.status != run::Status::ok) throw std::runtime_error(result.explanation);
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

double bare_per_activation() {
  constexpr std::uint64_t n = 2'000'000;
  run::Options options;
  const auto done = run::supervise({{"bare",
                                     [](run::Channel& channel) {
                                       channel.result(fmt::format("{}", bare_kernel_seconds(n)));
                                       return 0;
                                     }}},
                                   options);
  return std::stod(done.outcomes[0].result) / static_cast<double>(n);
}

template <class Of>
double median(const std::vector<Measured>& samples, Of of) {
  std::vector<double> values;
  for (const Measured& m : samples) values.push_back(of(m));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Of each row, its samples in the order of the rounds.
std::vector<std::vector<Measured>> run_all(const std::vector<Row>& rows, unsigned rounds) {
  std::vector<run::Job> jobs;
  for (unsigned round = 0; round < rounds; ++round) {
    for (const Row& row : rows) {
      jobs.push_back({row.name, [&row](run::Channel& channel) {
                        channel.result(measure(row));
                        return 0;
                      }});
    }
  }
  run::Options options;
  options.jobs = 1;
  const auto done = run::supervise(std::move(jobs), options);
  std::vector<std::vector<Measured>> out(rows.size());
  for (std::size_t i = 0; i < done.outcomes.size(); ++i) {
    const run::Outcome& outcome = done.outcomes[i];
    Measured m;
    std::istringstream in(outcome.result);
    if (!(in >> m.ios >> m.cpu_s >> m.activations >> m.trace_events >> m.bytes)) {
      fmt::print(stderr, "{}: {}\n", outcome.name, outcome.message);
      std::exit(3);
    }
    m.rss_mib = static_cast<double>(outcome.peak_rss_bytes) / (1 << 20);
    out[i % rows.size()].push_back(m);
  }
  return out;
}

void print(const std::string& table, const std::vector<Row>& rows, const std::vector<std::vector<Measured>>& measured,
           double bare) {
  fmt::print("{:<32} {:>9} {:>9} {:>12} {:>9} {:>9} {:>9} {:>10} {:>8}\n", table, "I/Os", "CPU s", "I/O per CPU s",
             "act./I/O", "events/IO", "bytes/IO", "x bare", "MiB");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Measured& m = measured[i].front();  // but for time and memory, every round is the same
    const double cpu_s = median(measured[i], [](const Measured& s) { return s.cpu_s; });
    fmt::print("{:<32} {:>9.0f} {:>9.3f} {:>12.0f} {:>9.1f} {:>9.1f} {:>9.1f} {:>10.1f} {:>8.1f}\n", rows[i].name,
               m.ios, cpu_s, m.ios / cpu_s, m.activations / m.ios, m.trace_events / m.ios, m.bytes / m.ios,
               cpu_s / (bare * m.activations), median(measured[i], [](const Measured& s) { return s.rss_mib; }));
  }
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (rows[i].blame == rows[i - 1].blame && rows[i].timeline == rows[i - 1].timeline) continue;
    if (!rows[i].blame) continue;  // the next scenario
    std::vector<double> ratios;
    for (std::size_t round = 0; round < measured[i].size(); ++round)
      ratios.push_back(measured[i][round].cpu_s / measured[i - 1][round].cpu_s);
    std::sort(ratios.begin(), ratios.end());
    fmt::print("{}: {:.2f} times the row above\n", rows[i].name, ratios[ratios.size() / 2]);
  }
  fmt::print("\n");
}

const std::string page = "scenarios/virtio-iommu/randrw-page.toml";
const std::string multi = "scenarios/virtio-iommu/randwrite-multi.toml";

std::vector<std::string> length(const char* runtime, std::vector<std::string> more = {}) {
  more.push_back("workload.ramp_time=10ms");
  more.push_back(fmt::format("workload.runtime={}", runtime));
  return more;
}

/// The first job once for each of `count` drives.
std::function<void(scenario::Configuration&)> drives(unsigned count) {
  return [count](scenario::Configuration& c) {
    c.devices.assign(count, c.devices.front());
    c.jobs.assign(count, c.jobs.front());
    for (unsigned i = 0; i < count; ++i) {
      c.jobs[i].filename = fmt::format("/dev/nvme{}n1", i);
      c.jobs[i].iodepth = 32;
    }
  };
}

struct Table {
  std::string name;
  std::vector<Row> rows;
};

std::vector<Table> tables() {
  std::vector<Row> policies, time, vcpus, devices, observers;
  for (const char* v : {"host", "noviommu", "lazy-sq-map", "lazy-mq-map", "strict-map", "strict"}) {
    policies.push_back({fmt::format("4 KiB {}", v), page, v, length("1s")});
    policies.push_back({fmt::format("64 KiB {}", v), multi, v, length("1s")});
  }
  for (const char* t : {"1s", "2s", "4s", "8s"})
    time.push_back({fmt::format("4 KiB strict-map, {}", t), page, "strict-map", length(t)});
  for (const unsigned n : {1u, 2u, 4u, 8u, 16u, 32u, 64u}) {
    vcpus.push_back({fmt::format("64 KiB strict-map, {} vCPUs", n), multi, "strict-map",
                     length("1s", {fmt::format("guest.vcpus={}", n)})});
  }
  for (const unsigned n : {1u, 2u, 4u, 8u, 16u}) {
    devices.push_back({fmt::format("4 KiB strict-map, {} drives", n), page, "strict-map", length("1s"), drives(n)});
    devices.push_back(
        {fmt::format("4 KiB lazy-mq-map, {} drives", n), page, "lazy-mq-map", length("200ms"), drives(n)});
  }
  const auto observed = [&](const std::string& name, const std::string& scenario, const char* variant) {
    observers.push_back({name + ", neither", scenario, variant, length("1s"), {}, false, false});
    observers.push_back({name + ", blame", scenario, variant, length("1s")});
    observers.push_back({name + ", blame, timeline", scenario, variant, length("1s"), {}, true});
  };
  for (const char* v : {"strict", "strict-map", "lazy-mq-map"}) observed(fmt::format("4 KiB {}", v), page, v);
  for (const char* v : {"strict", "strict-map"}) observed(fmt::format("64 KiB {}", v), multi, v);
  return {{"flush policies", policies},
          {"growth with time", time},
          {"growth with vCPUs", vcpus},
          {"growth with drives", devices},
          {"observers", observers}};
}

}  // namespace

int main(int argc, char** argv) {
  setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
  const unsigned rounds = argc > 1 ? std::max(1u, static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10))) : 3;
  const std::string chosen = argc > 2 ? argv[2] : "";
  const double bare = bare_per_activation();
  fmt::print("bare SystemC kernel: {:.1f} million timed thread wake-ups a CPU-second\n\n", 1e-6 / bare);
  for (auto& [name, rows] : tables()) {
    if (name.find(chosen) == std::string::npos)
      std::erase_if(rows, [&](const Row& row) { return row.name.find(chosen) == std::string::npos; });
    if (!rows.empty()) print(name, rows, run_all(rows, rounds), bare);
  }
}
