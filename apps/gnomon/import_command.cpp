// SPDX-License-Identifier: Apache-2.0
// gnomon import: traces in, one .gtrace out, and a word on every kind of line.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/gnomon/commands.hpp"
#include "platform/gtrace/print.hpp"
#include "platform/gtrace/writer.hpp"
#include "platform/results/verdicts.hpp"
#include "platform/run/atomic_file.hpp"
#include "platform/trace_import/importer.hpp"
#include "platform/trace_import/trace_cmd.hpp"

namespace gnomon::app {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Passes bytes on and, on a terminal, says five times a second how far it is.
class Meter final : public trace_import::Pipe {
 public:
  Meter(trace_import::Pipe& next, const std::string& path, bool shown) : next_(next), path_(path), shown_(shown) {
    struct stat about {};
    if (shown_ && ::stat(path.c_str(), &about) == 0) size_ = about.st_size;
  }
  ~Meter() override {
    if (written_) complain("\r\x1b[K");
  }

  void push(std::string_view bytes) override {
    next_.push(bytes);
    read_ += static_cast<std::int64_t>(bytes.size());
    if (!shown_ || Clock::now() - last_ < std::chrono::milliseconds{200}) return;
    last_ = Clock::now();
    written_ = true;
    const std::string share = size_ > 0 ? fmt::format(" of {}", size_ >> 20) : "";
    complain(fmt::format("\r\x1b[K{}: {}{} MiB", config::printable(path_), read_ >> 20, share));
  }
  void finish() override {}

 private:
  trace_import::Pipe& next_;
  const std::string& path_;
  bool shown_;
  bool written_ = false;
  std::int64_t size_ = 0, read_ = 0;
  Clock::time_point last_ = Clock::now();
};

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

std::string report(const trace_import::Importer& importer, const std::string& out, std::uint64_t bytes) {
  std::string text;
  std::uint64_t events = 0;
  for (const gtrace::Stream& stream : importer.streams()) {
    text += gtrace::to_text(stream);
    events += stream.events;
  }
  for (const std::string& member : importer.skipped()) text += fmt::format("not imported: {}\n", member);
  return text + fmt::format("{}: {} streams, {} events, {} bytes\n", out, importer.streams().size(), events, bytes);
}

std::string json_report(const trace_import::Importer& importer, const std::string& out, std::uint64_t bytes) {
  nlohmann::ordered_json streams = nlohmann::ordered_json::array();
  for (const gtrace::Stream& stream : importer.streams()) streams.push_back(gtrace::to_json(stream));
  const nlohmann::ordered_json all{
      {"file", out}, {"bytes", bytes}, {"streams", streams}, {"not_imported", importer.skipped()}};
  return all.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

/// The first trace that is no regular file, or "".
std::string read_only_once(const std::vector<std::string>& traces) {
  for (const std::string& trace : traces) {
    struct stat about {};
    if (trace == "-" || ::stat(trace.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return trace;
  }
  return "";
}

/// One pass over all traces into a temporary file, which keep() gives its name.
class Attempt {
 public:
  Attempt(const ImportOptions& o, const trace_import::ImportOptions& options, trace_import::Findings& findings,
          const std::vector<trace_import::RunEvidence>* earlier)
      : o_(o),
        file_(std::in_place, o.out),
        writer_([this](std::string_view bytes) { file_->write(bytes); }),
        findings_(findings),
        importer_(options, writer_, findings, earlier) {
    const bool shown = !o.quiet && ::isatty(STDERR_FILENO) == 1;
    try {
      for (const std::string& trace : o.traces) {
        const auto read = [&](trace_import::Pipe& pipe) {
          Meter meter{pipe, trace, shown};
          static_cast<void>(trace_import::read_file(trace, meter));
        };
        importer_.import(trace, read, trace_import::report_trace_dat);
      }
    } catch (const trace_import::TooManyFindings&) {
    }
  }

  bool done() const { return findings_.none(); }
  bool needs_another_pass() const { return importer_.needs_another_pass(); }
  std::vector<trace_import::RunEvidence> take_evidence() { return importer_.take_evidence(); }
  void drop() { file_.reset(); }

  int keep() {
    std::uint64_t events = 0;
    for (const gtrace::Stream& stream : importer_.streams()) events += stream.events;
    if (events == 0) {
      complain(report(importer_, o_.out, 0));
      complain("gnomon import: there is no event of a workload in these traces; nothing was written\n");
      return results::exit_bad_input;
    }
    writer_.finish();
    file_->commit();
    if (o_.json)
      print(json_report(importer_, o_.out, writer_.bytes()));
    else if (!o_.quiet)
      print(report(importer_, o_.out, writer_.bytes()));
    return 0;
  }

 private:
  const ImportOptions& o_;
  std::optional<run::AtomicFile> file_;
  gtrace::GtraceWriter writer_;
  trace_import::Findings& findings_;
  trace_import::Importer importer_;
};

}  // namespace

int import_command(const ImportOptions& o) {
  trace_import::ImportOptions options;
  options.knowledge.device = o.device;
  options.knowledge.block_bytes = o.block_bytes;
  options.knowledge.keep = o.keep;
  options.members = o.members;
  for (const std::string& trace : o.traces) {
    if (!same_file(trace, o.out)) continue;
    complain(fmt::format("gnomon import: {} would replace a trace it is made from\n", o.out));
    return results::exit_bad_input;
  }

  trace_import::Findings findings;
  Attempt first{o, options, findings, nullptr};
  if (first.done() && first.needs_another_pass()) {
    const auto evidence = first.take_evidence();
    first.drop();
    if (const std::string once = read_only_once(o.traces); !once.empty()) {
      findings.add(
          once, 1, 0,
          "only a second pass can tell where mappings begin, and this cannot be read twice: save it to a file", {});
    } else {
      Attempt second{o, options, findings, &evidence};
      if (second.done()) return second.keep();
    }
  } else if (findings.none()) {
    return first.keep();
  }
  complain(findings.render());
  return results::exit_bad_input;
}

}  // namespace gnomon::app
