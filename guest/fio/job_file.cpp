// SPDX-License-Identifier: Apache-2.0
// Job file reader: lines to sections, sections to jobs. What an option means is job_options.cpp's business.
#include "guest/fio/job_file.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "guest/fio/job_options.hpp"
#include "guest/fio/option_value.hpp"

namespace gnomon::fio {
namespace {

constexpr std::size_t longest_line = 8192;  // bytes, fio 3.33's OPT_LEN_MAX with its terminator
constexpr unsigned deepest_include = 16;    // ours: an include cycle ends here
constexpr unsigned most_includes = 256;     // ours: a file that includes itself twice would double each time
constexpr std::string_view reserved_words[] = {"pagesize", "mb_memory", "ncpus"};

bool blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// Narrows [begin, end) to the part without surrounding blanks.
void trim(std::string_view line, std::size_t& begin, std::size_t& end) {
  while (begin < end && blank(line[begin])) ++begin;
  while (end > begin && blank(line[end - 1])) --end;
}

class Reader {
 public:
  explicit Reader(const JobFileContext& context) : context_(context) {}

  JobFile read(std::string_view text) {
    read_text(text, {}, context_.directory, 0);
    close_section();
    check_selection();
    if (out_.jobs.empty() && out_.diagnostics.empty()) report(0, 0, "", {"the file defines no job", {}, {}, false});
    assign_groups();
    std::stable_sort(out_.diagnostics.begin(), out_.diagnostics.end(), [](const auto& a, const auto& b) {
      return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
    });
    return std::move(out_);
  }

 private:
  struct Place {
    std::string_view file;
    std::string_view directory;
    unsigned depth;
    std::uint32_t line;
  };

  void report(std::uint32_t line, std::size_t column, std::string_view file, Refusal why) {
    out_.diagnostics.push_back({line, static_cast<std::uint32_t>(column), std::move(why.message),
                                std::move(why.nearest), std::move(why.accepted), std::string(file)});
  }
  void report(const Place& at, std::size_t column, std::string message) {
    report(at.line, column, at.file, {std::move(message), {}, {}, false});
  }

  void read_text(std::string_view text, std::string_view file, std::string_view directory, unsigned depth) {
    Place at{file, directory, depth, 0};
    while (!text.empty()) {
      ++at.line;
      const auto line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      if (line.size() >= longest_line)
        report(at, longest_line, "the line is longer than 8191 bytes");
      else
        read_line(line, at);
    }
  }

  void read_line(std::string_view line, const Place& at) {
    std::size_t begin = 0;
    std::size_t end = std::min(line.find_first_of(";#"), line.size());  // fio cuts values at either, quoted or not
    trim(line, begin, end);
    if (begin == end) return;
    const auto body = line.substr(begin, end - begin);
    if (body[0] == '[') return open_section(body, begin + 1, at);
    if (body.starts_with("include") && body.size() > 7 && blank(body[7])) return include(body, begin + 1, at);
    if (skipping_) return;
    if (!in_section_) return report(at, begin + 1, "option outside a [section]");
    if (auto option = split(line, begin, end, at)) pending_.push_back(std::move(*option));
  }

  void open_section(std::string_view body, std::size_t column, const Place& at) {
    close_section();
    in_section_ = true;
    const auto close = body.rfind(']');
    std::size_t first = 1, last = close == std::string_view::npos ? body.size() : close;
    const auto name = body.substr(first, last - first);
    is_global_ = name == "global";
    skipping_ = !is_global_ && !selected(name);
    seen_.emplace_back(name);
    broken_ = false;
    if (is_global_) return;
    job_ = defaults_;
    job_.name = std::string(name);
    job_.line = at.line;
    if (skipping_) return;
    header_column_ = column;
    header_file_ = at.file;
    broken_ = true;
    if (close == std::string_view::npos)
      report(at, column, "the section has no closing ']'");
    else if (close + 1 != body.size())
      report(at, column + close + 1, "text after the section's ']'");
    else if (name.empty())
      report(at, column, "the section has no name");
    else if (name.starts_with("global"))  // fio compares the first six letters only
      report(at, column, "fio takes [" + std::string(name) + "] for [global]; write [global] or another name");
    else
      broken_ = false;
  }

  bool selected(std::string_view name) const {
    const auto& wanted = context_.sections;
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  }

  /// Key, value and their places; nullopt when a variable has no value.
  std::optional<OptionText> split(std::string_view line, std::size_t begin, std::size_t end, const Place& at) {
    OptionText option;
    option.file = at.file;
    option.line = at.line;
    option.column = static_cast<std::uint32_t>(begin + 1);
    const auto equals = line.substr(0, end).find('=', begin);
    option.has_value = equals != std::string_view::npos;
    std::size_t key_begin = begin, key_end = option.has_value ? equals : end;
    trim(line, key_begin, key_end);
    option.key = std::string(line.substr(key_begin, key_end - key_begin));
    if (!option.has_value) return option;
    std::size_t value_begin = equals + 1;
    trim(line, value_begin, end);
    option.value_column = static_cast<std::uint32_t>(value_begin + 1);
    if (!expand(line.substr(value_begin, end - value_begin), option, at)) return std::nullopt;
    return option;
  }

  /// Replaces ${NAME} and the reserved words into option.value.
  bool expand(std::string_view value, OptionText& option, const Place& at) {
    std::string& out = option.value;
    for (std::size_t i = 0; i < value.size();) {
      std::string_view name;
      std::size_t length = 0;
      const auto rest = value.substr(i);
      if (rest.starts_with("${") && rest.find('}') != std::string_view::npos) {
        name = rest.substr(2, rest.find('}') - 2);
        length = name.size() + 3;
      } else if (rest[0] == '$') {
        for (const auto word : reserved_words)
          if (rest.substr(1).starts_with(word)) name = word, length = word.size() + 1;
      }
      if (length == 0) {
        out += value[i++];
        continue;
      }
      const auto found = context_.variables.find(name);
      if (found == context_.variables.end()) {
        broken_ = true;
        report(at, option.value_column + i, "variable '" + std::string(name) + "' has no value here");
        return false;
      }
      out += found->second;
      i += length;
    }
    return true;
  }

  void include(std::string_view body, std::size_t column, const Place& at) {
    if (skipping_) return;
    std::size_t first = 7, last = body.size();
    trim(body, first, last);
    std::string path(body.substr(first, last - first));
    if (path[0] != '/' && !at.directory.empty()) path = std::string(at.directory) + "/" + path;
    if (at.depth == deepest_include) return report(at, column, "includes are nested deeper than 16");
    if (++includes_ > most_includes) return report(at, column, "more than 256 includes");
    const auto text = context_.include ? context_.include(path) : std::nullopt;
    if (!text) return report(at, column + first, "cannot read included file '" + path + "'");
    const auto slash = path.rfind('/');
    read_text(*text, path,
              slash == std::string::npos ? std::string_view{} : std::string_view(path).substr(0, slash),
              at.depth + 1);
  }

  void close_section() {
    auto options = std::exchange(pending_, {});
    if (!in_section_ || skipping_) return;
    JobSpec& target = is_global_ ? defaults_ : job_;
    for (const bool base : {true, false})  // fio reads kb_base before anything it applies to
      for (const auto& option : options)
        if ((option.key == "kb_base") == base) apply(option, target);
    auto& kept = is_global_ ? out_.global_options : job_.options;
    std::move(options.begin(), options.end(), std::back_inserter(kept));
    if (is_global_) return;
    auto refusals = broken_ ? std::vector<Refusal>{} : settle(job_);  // no judging of what could not be read
    broken_ = broken_ || !refusals.empty();
    for (auto& refusal : refusals) report(job_.line, header_column_, header_file_, std::move(refusal));
    if (!broken_) out_.jobs.push_back(std::move(job_));
  }

  void apply(const OptionText& option, JobSpec& target) {
    auto refusal = apply_option(option, target);
    if (refusal.message.empty()) return;
    broken_ = true;
    const auto column = refusal.at_value && option.value_column != 0 ? option.value_column : option.column;
    report(option.line, column, option.file, std::move(refusal));
  }

  void check_selection() {
    std::vector<std::string_view> names;
    for (const auto& name : seen_)
      if (name != "global") names.emplace_back(name);
    for (const auto& wanted : context_.sections)
      if (std::find(names.begin(), names.end(), wanted) == names.end())
        report(0, 0, "",
               {"the file has no section [" + wanted + "]",
                std::string(nearest(wanted, names)),
                {names.begin(), names.end()},
                false});
  }

  void assign_groups() {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < out_.jobs.size(); ++i) {
      JobSpec& job = out_.jobs[i];
      if (i != 0 && (job.stonewall || job.new_group)) ++group;
      job.group_id = group;
    }
  }

  const JobFileContext& context_;
  JobFile out_;
  JobSpec defaults_;
  JobSpec job_;
  std::vector<OptionText> pending_;  // of the open section
  std::vector<std::string> seen_;    // section names
  std::string header_file_;
  std::size_t header_column_ = 1;
  unsigned includes_ = 0;
  bool in_section_ = false;
  bool is_global_ = false;
  bool skipping_ = false;  // an unselected section
  bool broken_ = false;    // the open section has an error
};

}  // namespace

std::string to_string(const FioDiagnostic& diagnostic, std::string_view job_file_name) {
  std::string out(diagnostic.file.empty() ? job_file_name : std::string_view(diagnostic.file));
  if (diagnostic.line != 0) out += ":" + std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column);
  out += ": " + diagnostic.message;
  if (!diagnostic.nearest.empty()) out += "; did you mean '" + diagnostic.nearest + "'?";
  if (diagnostic.accepted.empty()) return out;
  out += " (accepted:";
  for (const auto& value : diagnostic.accepted) out += " " + value;
  return out + ")";
}

JobFile parse_job_file(std::string_view text, const JobFileContext& context) {
  return Reader(context).read(text);
}

std::vector<ReportEntry> plan_report(std::span<const JobSpec> jobs) {
  std::vector<ReportEntry> entries;
  std::uint32_t thread = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    for (std::uint32_t clone = 0; clone < jobs[i].numjobs; ++clone, ++thread) {
      const bool joins = !entries.empty() && jobs[i].group_reporting && entries.back().group_id == jobs[i].group_id;
      if (joins)
        ++entries.back().threads;
      else
        entries.push_back({i, jobs[i].group_id, thread, 1});
    }
  }
  return entries;
}

}  // namespace gnomon::fio
