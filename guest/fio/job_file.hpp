// SPDX-License-Identifier: Apache-2.0
// Reader of fio job files, as fio 3.33 reads them; nothing in a file falls back in silence. All errors of a file
// are told. Stricter than fio: a section needs its ']', buffered I/O (fio's default) is refused, unset ${VARIABLES}
// are errors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guest/fio/job_spec.hpp"

namespace gnomon::fio {

struct FioDiagnostic {
  std::uint32_t line = 0;  ///< 1-based; 0: the file as a whole
  std::uint32_t column = 0;
  std::string message;
  std::string nearest;                ///< what was probably meant; empty: nothing is near
  std::vector<std::string> accepted;  ///< the values that would do, when they can be listed
  std::string file;                   ///< the included file; empty: the job file itself
};

/// "name:3:1: unknown option 'sze'; did you mean 'size'?"
std::string to_string(const FioDiagnostic& diagnostic, std::string_view job_file_name);

/// Where a job file finds what it does not contain.
struct JobFileContext {
  using Reader = std::function<std::optional<std::string>(std::string_view path)>;
  /// The text of an included file, nullopt when there is none. Relative paths arrive joined to `directory` or, for
  /// nested includes, to the including file's own. Empty: includes are errors.
  Reader include;
  std::string directory;  ///< of the job file; empty: paths stay as written
  /// Values of ${NAME}, and of fio's reserved words $pagesize, $mb_memory and $ncpus under those names.
  std::map<std::string, std::string, std::less<>> variables;
  std::vector<std::string> sections;  ///< as fio --section: only these are run and judged; empty: all
};

struct JobFile {
  std::vector<OptionText> global_options;  ///< of every [global], in order
  std::vector<JobSpec> jobs;               ///< in file order; those with errors are left out
  std::vector<FioDiagnostic> diagnostics;  ///< empty: the file is accepted
  bool ok() const { return diagnostics.empty(); }
};

JobFile parse_job_file(std::string_view text, const JobFileContext& context = {});

/// What one entry of the report covers: threads `first_thread` .. +`threads`, numbered from 0 through all clones of
/// all jobs.
struct ReportEntry {
  std::size_t first_job = 0;  ///< names the entry
  std::uint32_t group_id = 0;
  std::uint32_t first_thread = 0;
  std::uint32_t threads = 0;
};

/// fio's rule: group_reporting joins a thread to the entry before it when both are in one group.
std::vector<ReportEntry> plan_report(std::span<const JobSpec> jobs);

}  // namespace gnomon::fio
