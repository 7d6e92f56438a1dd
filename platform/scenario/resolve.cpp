// SPDX-License-Identifier: Apache-2.0
#include "platform/scenario/resolve.hpp"

#include <fmt/format.h>

#include <fstream>
#include <map>
#include <sstream>

#include "platform/scenario/data_root.hpp"
#include "platform/scenario/resolve_variant.hpp"
#include "platform/scenario/variants.hpp"

namespace gnomon::scenario {
namespace {

namespace fs = std::filesystem;
using config::Diagnostics;
using config::Document;
using config::OriginKind;
using config::Origins;

/// One scenario on its way through: the file, its variants, and the machines and kernels they name.
class Resolver {
 public:
  Resolver(const fs::path& path, const ResolveOptions& options, Diagnostics& diagnostics)
      : path_(path), options_(options), diagnostics_(diagnostics) {}

  std::optional<ResolvedScenario> run() {
    const auto document = read();
    return document ? run(*document) : std::nullopt;
  }

  std::optional<ResolvedScenario> run(const Document& as_written) {
    const Document document = with_settings(as_written);
    ResolvedScenario out;
    out.path = path_;
    out.name = path_.stem().string();
    const Origins origins = bind_scenario(out.file, document, diagnostics_);
    check_trace(out.file, origins);
    const auto variants = expand_variants(out.file, origins, diagnostics_);
    check_expectations(out.file, document, variants, origins, diagnostics_);
    out.file.expectations = expand_expectations(out.file.expectations, variants);
    for (const Variant& variant : variants) resolve_one(document, variant, out);
    if (diagnostics_.has_errors()) return std::nullopt;
    out.effective_toml = base_toml(document);
    return out;
  }

 private:
  std::optional<Document> read() {
    std::ifstream in;
    if (!options_.shown_as.empty()) in.open(path_, std::ios::binary);
    std::optional<Document> document;
    if (in.is_open() && in) {
      std::ostringstream text;
      text << in.rdbuf();
      document =
          config::parse_document(std::move(text).str(), options_.shown_as, OriginKind::scenario, diagnostics_);
    } else {
      document = config::read_document(path_.string(), OriginKind::scenario, diagnostics_);
    }
    return document;
  }

  Document with_settings(Document document) {
    for (const std::string& setting : options_.settings) document = document.with_setting(setting, diagnostics_);
    return document;
  }

  void check_trace(const ScenarioFile& file, const Origins& origins) {
    static const std::vector<std::string> built{"perfetto", "vcd", "csv"};
    for (std::size_t i = 0; i < file.trace.size(); ++i) {
      const std::string& kind = file.trace[i];
      if (std::find(built.begin(), built.end(), kind) != built.end()) continue;
      diagnostics_.error(origins.where("trace"), fmt::format("there is no trace \"{}\"", kind),
                         config::hint(kind, built));
    }
  }

  /// `document` over its machine's profile, so that every constant is there and knows where it is from.
  std::optional<Document> over_machine(const Document& document, const ScenarioFile& file, const Origins& origins) {
    const std::string& name = file.machine.profile;
    if (!machines_.contains(name))
      machines_.emplace(name, load_machine(name, origins.where("machine.profile"), diagnostics_));
    const auto& machine = machines_.at(name);
    if (!machine) return std::nullopt;
    return Document{}.with("machine", *machine, diagnostics_).with("", document, diagnostics_);
  }

  const std::optional<LoadedKernel>& kernel(const ScenarioFile& file, const Origins& origins) {
    const std::string& name = file.guest.kernel;
    if (!kernels_.contains(name))
      kernels_.emplace(name, load_kernel(name, origins.where("guest.kernel"), diagnostics_));
    return kernels_.at(name);
  }

  /// Constants in the scenario itself would be a private calibration.
  void check_constants(const ScenarioFile& file, const Origins& origins) {
    if (file.study == Study::sensitivity) return;
    for (auto at = origins.all().begin(); at != origins.all().end(); ++at) {
      const auto& [path, origin] = *at;
      const auto next = std::next(at);
      if (next != origins.all().end() && next->first.starts_with(path + "."))
        continue;  // a table: its keys are told
      if (!path.starts_with("machine.") || path == "machine.profile" || origin.kind != OriginKind::scenario)
        continue;
      diagnostics_.error(origin.where, fmt::format("'{}' is not a scenario's to set", path),
                         "constants are the machine profile's; a study of one says so: study = \"sensitivity\"");
    }
  }

  void resolve_one(const Document& base, const Variant& variant, ResolvedScenario& out) {
    const Document document = with_settings(base.with_variant(variant.set, variant.name, diagnostics_));
    ScenarioFile file;
    Diagnostics own;  // whether this variant is in error; what it shares with others is kept once
    Origins origins = bind_scenario(file, document, own);
    if (own.has_errors()) {
      ScenarioFile again;
      bind_scenario(again, document, diagnostics_);
      return;
    }
    check_constants(file, origins);
    const auto whole = over_machine(document, file, origins);
    const auto& its_kernel = kernel(file, origins);
    if (!whole || !its_kernel) return;
    file = {};
    origins = bind_scenario(file, *whole, diagnostics_);
    const Places places{path_.parent_path(), fs::path{shown_name()}.parent_path()};
    if (auto resolved = resolve_variant(variant.name, file, origins, *its_kernel, places, diagnostics_))
      out.variants.push_back(std::move(*resolved));
  }

  std::string base_toml(const Document& document) {
    ScenarioFile file;
    Diagnostics ignored;  // told already
    Origins origins = bind_scenario(file, document, ignored);
    if (const auto whole = over_machine(document, file, origins)) {
      file = {};
      origins = bind_scenario(file, *whole, ignored);
    }
    return config::effective_toml(file, origins);
  }

  std::string shown_name() const { return options_.shown_as.empty() ? path_.string() : options_.shown_as; }

  const fs::path path_;
  const ResolveOptions& options_;
  Diagnostics& diagnostics_;
  std::map<std::string, std::optional<Document>> machines_;
  std::map<std::string, std::optional<LoadedKernel>> kernels_;
};

}  // namespace

std::optional<ResolvedScenario> resolve(const fs::path& path, const ResolveOptions& options,
                                        Diagnostics& diagnostics) {
  return Resolver{path, options, diagnostics}.run();
}

std::optional<ResolvedScenario> resolve(const Document& document, const fs::path& path,
                                        const ResolveOptions& options, Diagnostics& diagnostics) {
  return Resolver{path, options, diagnostics}.run(document);
}

}  // namespace gnomon::scenario
