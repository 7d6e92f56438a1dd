// SPDX-License-Identifier: Apache-2.0
// Files of traces into one gtrace: what each is, what its lines say, one stream for each text.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/gtrace/writer.hpp"
#include "platform/trace_import/findings.hpp"
#include "platform/trace_import/parser.hpp"
#include "platform/trace_import/run_evidence.hpp"
#include "platform/trace_import/unpack.hpp"

namespace gnomon::trace_import {

struct ImportOptions {
  Knowledge knowledge;
  std::vector<std::string> members;  ///< of archives: only paths that end so; all where empty
};

/// Has `trace-cmd report` print the trace.dat at `path` and gives the text to `into`. Throws InputError.
using ReportTraceDat = std::function<void(const std::string& path, Pipe& into)>;

class Importer {
 public:
  /// `earlier`: the evidence() of an import of the same files that needs_another_pass().
  Importer(const ImportOptions& options, gtrace::GtraceWriter& writer, Findings& findings,
           const std::vector<RunEvidence>* earlier = nullptr)
      : options_(options), writer_(writer), findings_(findings), earlier_(earlier) {}

  /// Imports one file. `read` pushes its bytes into the pipe it is given; `path` is how the user called it, and
  /// what `report` gets where the file is a trace.dat. What is wrong becomes a finding; TooManyFindings is thrown
  /// on.
  void import(const std::string& path, const std::function<void(Pipe&)>& read, const ReportTraceDat& report);

  const std::vector<gtrace::Stream>& streams() const { return streams_; }
  const std::vector<std::string>& skipped() const { return skipped_; }  ///< members of archives that are no traces

  /// True where unmaps proved that runs were joined wrongly: only a second pass knows better.
  bool needs_another_pass() const;
  std::vector<RunEvidence> take_evidence() { return std::move(evidence_); }  ///< one for each stream

 private:
  friend class Intake;
  struct Known {
    std::uint64_t hash;
    std::string shown;
  };

  std::unique_ptr<Pipe> member(const std::string& file, const std::string& path, bool& wants_report);

  const ImportOptions& options_;
  gtrace::GtraceWriter& writer_;
  Findings& findings_;
  const std::vector<RunEvidence>* earlier_;
  std::vector<RunEvidence> evidence_;
  std::vector<gtrace::Stream> streams_;
  std::vector<std::string> skipped_;
  std::vector<Known> known_;  // contents so far
};

}  // namespace gnomon::trace_import
