// SPDX-License-Identifier: Apache-2.0
#include "tests/support/whole_run.hpp"

#include <cstring>
#include <stdexcept>

#include "tests/support/isolated.hpp"

namespace gnomon::test {

using scenario::Configuration;

namespace {

/// Values one after another, as they lie in memory: both ends are one program.
class Writer {
 public:
  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(const std::string& text) {
    put(text.size());
    bytes_.append(text);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  template <class T>
  T get() {
    T value;
    std::memcpy(&value, bytes_.substr(at_, sizeof value).data(), sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text() {
    const auto size = get<std::size_t>();
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  Events events() {
    Events list(get<std::size_t>());
    if (!list.empty()) std::memcpy(list.data(), bytes_.data() + at_, list.size() * sizeof(TimedEvent));
    return list;
  }

 private:
  const std::string& bytes_;
  std::size_t at_ = 0;
};

std::string pack(const run::SimulationResult& r, const Events& events) {
  Writer out;
  out.put(r.status);
  out.put(r.explanation);
  out.put(r.metrics.size());
  for (const auto& [name, value] : r.metrics) {
    out.put(name);
    out.put(value);
  }
  out.put(r.findings.size());
  for (const observe::Finding& f : r.findings) {
    out.put(f.at);
    out.put(f.verdict);
    out.put(f.domain);
    out.put(f.iova);
    out.put(f.bytes);
    out.put(f.explanation);
  }
  out.put(r.verdicts);
  out.put(r.trace_hash);
  out.put(r.files.size());
  for (const auto& [name, text] : r.files) {
    out.put(name);
    out.put(text);
  }
  for (const std::string* text : {&r.exit_table, &r.output_error}) out.put(*text);
  out.put(events.size());
  std::string bytes = out.take();
  bytes.append(reinterpret_cast<const char*>(events.data()), events.size() * sizeof(TimedEvent));
  return bytes;
}

WholeRun unpack(const std::string& bytes) {
  Reader in(bytes);
  WholeRun run;
  run::SimulationResult& r = run.result;
  r.status = in.get<run::Status>();
  r.explanation = in.text();
  for (auto left = in.get<std::size_t>(); left > 0; --left) {
    std::string name = in.text();
    r.metrics.emplace_back(std::move(name), in.get<double>());
  }
  for (auto left = in.get<std::size_t>(); left > 0; --left) {
    observe::Finding f{};
    f.at = in.get<Time>();
    f.verdict = in.get<trace::Verdict>();
    f.domain = in.get<std::uint32_t>();
    f.iova = in.get<Iova>();
    f.bytes = in.get<std::uint64_t>();
    f.explanation = in.text();
    r.findings.push_back(std::move(f));
  }
  r.verdicts = in.get<std::uint64_t>();
  r.trace_hash = in.get<std::uint64_t>();
  for (auto left = in.get<std::size_t>(); left > 0; --left) {
    std::string name = in.text();
    r.files.push_back({std::move(name), in.text()});
  }
  for (std::string* text : {&r.exit_table, &r.output_error}) *text = in.text();
  run.events = in.events();
  return run;
}

fio::JobSpec random_job(fio::Pattern pattern, std::uint64_t bytes, std::uint32_t depth, std::uint64_t ios) {
  fio::JobSpec job;
  job.name = "job";
  job.pattern = pattern;
  job.block_size = {bytes, bytes};
  job.engine = fio::Engine::libaio;
  job.iodepth = depth;
  job.number_ios = ios;
  job.direct = true;
  return job;
}

}  // namespace

fio::JobSpec random_writes(std::uint64_t bytes, std::uint32_t depth, std::uint64_t ios) {
  return random_job(fio::Pattern::randwrite, bytes, depth, ios);
}

fio::JobSpec random_reads(std::uint64_t bytes, std::uint32_t depth, std::uint64_t ios) {
  return random_job(fio::Pattern::randread, bytes, depth, ios);
}

Configuration base_configuration() {
  Configuration c;
  c.iommu = scenario::IommuKind::virtio_iommu;
  c.guest.vcpus = 1;
  c.guest.memory = std::uint64_t{1} << 30;
  c.guest.translated = true;
  c.jobs = {random_writes(4096, 1, 200)};
  return c;
}

Configuration lazy_configuration() {
  Configuration c = base_configuration();
  c.guest.deferred = true;
  c.guest.flush_queue = guest::flush_queue_per_cpu;
  return c;
}

double WholeRun::metric(const std::string& name) const {
  for (const auto& [known, value] : result.metrics) {
    if (known == name) return value;
  }
  throw std::out_of_range("no such metric: " + name);
}

std::uint64_t WholeRun::count(trace::Verdict verdict) const {
  return static_cast<std::uint64_t>(metric(std::string("sanitizer.") + observe::verdict_name(verdict)));
}

WholeRun run_whole(const Configuration& configuration, Keep keep, const std::string& timeline) {
  return unpack(isolated_bytes([&] {
    Recorder recorder;
    run::SimulationOptions options;
    options.timeline = timeline;
    if (keep == Keep::events) options.sinks.push_back(&recorder);
    const run::SimulationResult result = run::simulate(configuration, options);
    return pack(result, recorder.events);
  }));
}

}  // namespace gnomon::test
