// SPDX-License-Identifier: Apache-2.0
// One intake for each text: it gathers the first bytes, asks what they are, and passes them on.
#include "platform/trace_import/importer.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "platform/trace_import/line_import.hpp"
#include "platform/trace_import/sniff.hpp"

namespace gnomon::trace_import {
namespace {

/// For members nobody asked for.
class Nothing final : public Pipe {
 public:
  void push(std::string_view) override {}
  void finish() override {}
};

std::string_view last_part(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

std::string first_line(std::string_view head) {
  constexpr std::size_t shown = 120;
  return std::string{head.substr(0, std::min(head.find('\n'), shown))};
}

}  // namespace

class Intake final : public Pipe {
 public:
  Intake(Importer& importer, std::string shown, bool in_archive, bool* wants_report)
      : importer_(importer),
        shown_(std::move(shown)),
        in_archive_(in_archive),
        wants_report_(wants_report),
        hash_(XXH3_createState(), XXH3_freeState) {
    if (!hash_ || XXH3_64bits_reset(hash_.get()) == XXH_ERROR) throw std::bad_alloc{};
  }

  void push(std::string_view bytes) override {
    XXH3_64bits_update(hash_.get(), bytes.data(), bytes.size());
    if (lines_) return lines_->push(bytes);
    if (decided_) return;
    head_ += bytes;
    if (head_.size() >= sniffed_bytes) decide();
  }

  void finish() override {
    if (!decided_) decide();
    if (!lines_) return;
    const std::uint64_t hash = XXH3_64bits_digest(hash_.get());
    const auto& known = importer_.known_;
    const auto same = std::find_if(known.begin(), known.end(), [&](const auto& k) { return k.hash == hash; });
    if (same != known.end()) wrong("the same contents as " + same->shown + ": a trace counts once");
    importer_.known_.push_back({hash, shown_});
    lines_->finish();
    gtrace::Stream about = lines_->stream();
    about.name = last_part(shown_);
    importer_.streams_.push_back(importer_.writer_.end_stream(std::move(about)));
    importer_.evidence_.push_back(lines_->take_evidence());
  }

 private:
  void wrong(std::string message, std::string note = {}) {
    importer_.findings_.add(shown_, 1, 0, std::move(message), {}, std::move(note));
  }

  void decide() {
    decided_ = true;
    const Sniffed what = sniff(head_);
    if (what.format) {
      const auto* earlier = importer_.earlier_;
      const std::size_t number = importer_.streams_.size();
      lines_ = std::make_unique<LineImport>(
          *what.format, shown_, importer_.options_.knowledge, importer_.writer_, importer_.findings_,
          earlier != nullptr && number < earlier->size() ? &(*earlier)[number] : nullptr);
      lines_->push(head_);
    } else if (what.content == Content::trace_dat && wants_report_ != nullptr) {
      *wants_report_ = true;
    } else if (what.content == Content::trace_dat) {
      wrong("a trace.dat within a compressed file or an archive", "unpack it first: trace-cmd reads files");
    } else if (in_archive_) {
      importer_.skipped_.push_back(shown_);
    } else {
      refuse(what.content);
    }
    head_ = {};
  }

  void refuse(Content content) {
    const std::string accepted{accepted_contents()};
    switch (content) {
      case Content::empty: return wrong("the file is empty", accepted);
      case Content::gtrace: return wrong("this is a gtrace already; `gnomon inspect` shows it", accepted);
      case Content::perf_data: return wrong("this is perf's data; give the output of `perf script`", accepted);
      default: importer_.findings_.add(shown_, 1, 0, "this is no trace gnomon knows", first_line(head_), accepted);
    }
  }

  Importer& importer_;
  std::string shown_;
  bool in_archive_;
  bool* wants_report_;
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> hash_;
  std::string head_;
  std::unique_ptr<LineImport> lines_;
  bool decided_ = false;
};

std::unique_ptr<Pipe> Importer::member(const std::string& file, const std::string& path, bool& wants_report) {
  if (path.empty()) return std::make_unique<Intake>(*this, file, false, &wants_report);
  const auto& wanted = options_.members;
  const auto fits = [&](const std::string& end) {
    return path.ends_with(end) && (path.size() == end.size() || path[path.size() - end.size() - 1] == '/');
  };
  if (wanted.empty() || std::any_of(wanted.begin(), wanted.end(), fits))
    return std::make_unique<Intake>(*this, file + ":" + path, true, nullptr);
  skipped_.push_back(file + ":" + path);
  return std::make_unique<Nothing>();
}

bool Importer::needs_another_pass() const {
  return std::any_of(evidence_.begin(), evidence_.end(), [](const auto& e) { return e.contradictions() != 0; });
}

void Importer::import(const std::string& path, const std::function<void(Pipe&)>& read,
                      const ReportTraceDat& report) {
  const std::size_t before = streams_.size(), wrong_before = findings_.all().size();
  bool wants_report = false;
  try {
    bool is_plain = false;
    const auto pipe = make_unpacker([&](const std::string& inner) {
      is_plain = inner.empty();
      return member(path, inner, wants_report);
    });
    read(*pipe);
    pipe->finish();
    if (wants_report) {
      Intake text{*this, path, false, nullptr};
      report(path, text);
      text.finish();
    } else if (!is_plain && streams_.size() == before && findings_.all().size() == wrong_before) {
      findings_.add(path, 1, 0, "nothing in this archive is a trace gnomon was to import", {},
                    std::string{accepted_contents()});
    }
  } catch (const InputError& error) {
    findings_.add(path, 1, 0, error.what(), {});
  } catch (const std::length_error& error) {
    findings_.add(path, 1, 0, error.what(), {});
  }
}

}  // namespace gnomon::trace_import
