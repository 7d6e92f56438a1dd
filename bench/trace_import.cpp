// SPDX-License-Identifier: Apache-2.0
// Events imported per CPU-second and the most memory it took, for a trace of ten million events of each format.
// Each row is a process of its own; text is made as it is read, and the clock runs only while it is imported.
#include <fmt/format.h>

#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "platform/run/supervisor.hpp"
#include "platform/trace_import/line_import.hpp"

namespace {

using namespace gnomon;

constexpr std::uint64_t events = 10'000'000;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Appends the text of the next request: submission, map, unmap, completion. Returns how many lines it has.
using NextRequest = std::function<unsigned(std::string&, std::uint64_t)>;

std::uint64_t iova_of(std::uint64_t n) {
  return 0xfffff000 - (n * 0x9e3779b9 % 65'536) * 4096;
}

unsigned ftrace_request(std::string& out, std::uint64_t n) {
  const auto iova = iova_of(n);
  const auto us = n * 40;
  const auto line = [&](std::uint64_t offset, const char* flags) {
    fmt::format_to(std::back_inserter(out), "             fio-{:<7} [{:03}] {} {:5}.{:06}: ", 140 + n % 2, n % 2,
                   flags, (us + offset) / 1'000'000, (us + offset) % 1'000'000);
  };
  line(0, ".....");
  fmt::format_to(std::back_inserter(out),
                 "nvme_setup_cmd: nvme0: disk=nvme0n1, qid={}, cmdid={}, nsid=1, flags=0x0, meta=0x0, "
                 "cmd=(nvme_cmd_write slba={}, len=7, ctrl=0x0, dsmgmt=0, reftag=0)\n",
                 1 + n % 2, n % 65'536, n * 7919 % 2'097'152);
  line(3, ".....");
  fmt::format_to(std::back_inserter(out), "map: IOMMU: iova=0x{:016x} - 0x{:016x} paddr=0x{:016x} size=4096\n",
                 iova, iova + 4096, 0x2000000 + n * 4096 % 0x20000000);
  line(20, "d.h1.");
  fmt::format_to(std::back_inserter(out), "unmap: IOMMU: iova=0x{:016x} - 0x{:016x} size=4096 unmapped_size=4096\n",
                 iova, iova + 4096);
  line(22, "d.h1.");
  fmt::format_to(
      std::back_inserter(out),
      "nvme_complete_rq: nvme0: disk=nvme0n1, qid={}, cmdid={}, res=0x0, retries=0, flags=0x0, status=0x0\n",
      1 + n % 2, n % 65'536);
  return 4;
}

unsigned qemu_request(std::string& out, std::uint64_t n) {
  const auto iova = iova_of(n);
  const auto stamp = [&](std::uint64_t us) {
    us += n * 40;
    fmt::format_to(std::back_inserter(out), "22922@{}.{:06}:", 1'795'212'990 + us / 1'000'000, us % 1'000'000);
  };
  stamp(0);
  fmt::format_to(std::back_inserter(out), "vtd_inv_qi_tail write tail {}\n", n * 2 % 256);
  stamp(4);
  fmt::format_to(std::back_inserter(out), "vtd_inv_desc invalidate desc type iotlb high 0x{:x} low 0x400f2\n",
                 iova);
  stamp(5);
  fmt::format_to(std::back_inserter(out),
                 "vtd_inv_desc_iotlb_pages iotlb invalidate domain 0x4 addr 0x{:x} mask 0x0\n", iova);
  stamp(9);
  fmt::format_to(std::back_inserter(out),
                 "vtd_inv_desc_wait_sw wait invalidate status write addr 0x437c724 data 0x2\n");
  return 4;
}

unsigned blkparse_request(std::string& out, std::uint64_t n) {
  for (const char action : {'Q', 'D', 'C'})
    fmt::format_to(std::back_inserter(out), "259,0 {:4} {:8} {:5}.{:09} {:5}  {}  WS {} + 8 [fio]\n", n % 2, n,
                   n / 10'000, n % 10'000 * 100'000, 148, action, n * 7919 % 2'097'152);
  return 3;
}

unsigned fio_request(std::string& out, std::uint64_t n) {
  if (n == 0) out += "fio version 3 iolog\n";
  fmt::format_to(std::back_inserter(out), "{} /dev/nvme0n1 write {} 4096\n", n * 40, n * 7919 % 262'144 * 4096);
  return 1;
}

struct Row {
  const char* name;
  trace_import::Format format;
  NextRequest next;
};

std::uint64_t make_text(const NextRequest& next, const std::function<void(std::string_view)>& use) {
  constexpr std::size_t piece = 256 * 1024;
  std::string text;
  std::uint64_t made = 0;
  for (std::uint64_t n = 0; made < events; ++n) {
    made += next(text, n);
    if (text.size() < piece) continue;
    use(text);
    text.clear();
  }
  use(text);
  return made;
}

std::string measure(const Row& row) {
  std::uint64_t text_bytes = 0;
  std::uint64_t written = 0;
  gtrace::GtraceWriter writer{[&](std::string_view bytes) { written += bytes.size(); }};
  trace_import::Findings findings;
  const trace_import::Knowledge nothing;
  double cpu = 0;
  const auto timed = [&](const auto& part) {
    const double before = cpu_seconds();
    part();
    cpu += cpu_seconds() - before;
  };
  trace_import::LineImport import{row.format, row.name, nothing, writer, findings};
  const std::uint64_t made = make_text(row.next, [&](std::string_view text) {
    text_bytes += text.size();
    timed([&] { import.push(text); });
  });
  std::uint64_t stored = 0;
  timed([&] {
    import.finish();
    stored = writer.end_stream(import.stream()).events;
    writer.finish();
  });
  if (!findings.none() || stored == 0) throw std::runtime_error(findings.render());
  return fmt::format("{:<10} {:>10} {:>9.2f} {:>14.2f} {:>9.1f} {:>10.1f}", row.name, made, cpu,
                     static_cast<double>(made) / cpu * 1e-6, static_cast<double>(text_bytes) / cpu * 1e-6,
                     static_cast<double>(written) / static_cast<double>(1 << 20));
}

}  // namespace

int main() {
  const std::vector<Row> rows{{"ftrace", trace_import::Format::ftrace, ftrace_request},
                              {"qemu-log", trace_import::Format::qemu_log, qemu_request},
                              {"blkparse", trace_import::Format::blkparse, blkparse_request},
                              {"fio-v3", trace_import::Format::fio_v3, fio_request}};
  std::vector<run::Job> jobs;
  for (const Row& row : rows) {
    jobs.push_back({row.name, [&row](run::Channel& channel) {
                      channel.result(measure(row));
                      return 0;
                    }});
  }
  run::Options options;
  options.jobs = 1;
  const auto done = run::supervise(std::move(jobs), options);
  fmt::print("{:<10} {:>10} {:>9} {:>14} {:>9} {:>10} {:>9}\n", "", "events", "CPU s", "M events/CPU s", "MB/CPU s",
             "file MiB", "peak MiB");
  for (const run::Outcome& outcome : done.outcomes)
    fmt::print("{} {:>9.1f}\n", outcome.result.empty() ? outcome.message : outcome.result,
               static_cast<double>(outcome.peak_rss_bytes) / (1 << 20));
}
