// SPDX-License-Identifier: Apache-2.0
#include "apps/gnomon/trace_intake.hpp"

#include <fmt/format.h>

#include <system_error>

#include "apps/gnomon/commands.hpp"
#include "platform/conform/recording.hpp"
#include "platform/gtrace/file_source.hpp"
#include "platform/gtrace/format.hpp"
#include "platform/gtrace/writer.hpp"
#include "platform/trace_import/importer.hpp"
#include "platform/trace_import/trace_cmd.hpp"

namespace gnomon::app {
namespace {

constexpr std::size_t longest_text = std::size_t{4} << 20;  // of a file beside the traces

/// Keeps a small text.
class Keep final : public trace_import::Pipe {
 public:
  explicit Keep(std::string& text) : text_(text) { text_.clear(); }
  void push(std::string_view bytes) override { text_.append(bytes.substr(0, longest_text - text_.size())); }
  void finish() override {}

 private:
  std::string& text_;
};

class Nothing final : public trace_import::Pipe {
 public:
  void push(std::string_view) override {}
  void finish() override {}
};

void gather_beside(const std::string& path, std::map<std::string, std::string>& beside) {
  const auto pipe =
      trace_import::make_unpacker([&](const std::string& member) -> std::unique_ptr<trace_import::Pipe> {
        const std::string name = member.substr(member.rfind('/') + 1);
        if (!member.empty() && (name == "cmd" || name == "console" || name == "fio.out"))
          return std::make_unique<Keep>(beside[name]);
        return std::make_unique<Nothing>();
      });
  try {
    static_cast<void>(trace_import::read_file(path, *pipe));
    pipe->finish();
  } catch (const trace_import::InputError&) {  // the import told
  }
}

bool is_gtrace(const std::string& path) {
  try {
    gtrace::FileSource source{path};
    std::string head(gtrace::magic.size(), '\0');
    if (source.size() < head.size()) return false;
    source.read(0, head);
    return head == gtrace::magic;
  } catch (const std::system_error&) {
    return false;
  }
}

/// The bytes of the .gtrace; "" where something is wrong, which is told.
std::string import_all(const std::vector<std::string>& paths) {
  trace_import::ImportOptions options;
  options.knowledge.keep = {conform::timer_mark, conform::flush_mark};
  std::vector<trace_import::RunEvidence> evidence;
  for (const bool second : {false, true}) {
    std::string bytes;
    trace_import::Findings findings;
    gtrace::GtraceWriter writer{[&](std::string_view part) { bytes.append(part); }};
    trace_import::Importer importer{options, writer, findings, second ? &evidence : nullptr};
    try {
      for (const std::string& path : paths)
        importer.import(
            path, [&](trace_import::Pipe& pipe) { static_cast<void>(trace_import::read_file(path, pipe)); },
            trace_import::report_trace_dat);
    } catch (const trace_import::TooManyFindings&) {
    }
    if (!findings.none()) {
      complain(findings.render());
      return "";
    }
    if (!second && importer.needs_another_pass()) {
      evidence = importer.take_evidence();
      continue;
    }
    writer.finish();
    return bytes;
  }
  return "";
}

std::string whole_file(const std::string& path) {
  gtrace::FileSource source{path};
  std::string bytes(source.size(), '\0');
  source.read(0, bytes);
  return bytes;
}

}  // namespace

std::optional<TraceIntake> TraceIntake::open(const std::vector<std::string>& paths) {
  TraceIntake out;
  const bool ready = paths.size() == 1 && is_gtrace(paths.front());
  try {
    out.bytes_ = std::make_unique<std::string>(ready ? whole_file(paths.front()) : import_all(paths));
    if (out.bytes_->empty()) return std::nullopt;
    out.source_ = std::make_unique<gtrace::MemorySource>(*out.bytes_);
    out.reader_ = std::make_unique<gtrace::GtraceReader>(*out.source_);
  } catch (const gtrace::GtraceError& error) {
    complain(fmt::format("{}: {}\n", paths.front(), error.what()));
    return std::nullopt;
  } catch (const std::system_error& error) {
    complain(fmt::format("{}: {}\n", paths.front(), error.code().message()));
    return std::nullopt;
  }
  if (!ready)
    for (const std::string& path : paths) gather_beside(path, out.beside_);
  return out;
}

const std::string& TraceIntake::beside(const std::string& name) const {
  static const std::string none;
  const auto found = beside_.find(name);
  return found == beside_.end() ? none : found->second;
}

}  // namespace gnomon::app
