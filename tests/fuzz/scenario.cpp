// SPDX-License-Identifier: Apache-2.0
// A scenario's text, parsed and resolved. Either something is wrong and told, in text a terminal can show, or it
// resolves into variants whose effective configuration is TOML again.
#include <algorithm>
#include <string>

#include "platform/scenario/data_root.hpp"
#include "platform/scenario/resolve.hpp"
#include "tests/fuzz/target.hpp"

using namespace gnomon;
using fuzz::promise;

namespace {

bool shows(const config::Diagnostic& d) {
  const std::string text = config::render(d);
  const bool plain = std::none_of(text.begin(), text.end(), [](char c) { return c != '\n' && c >= 0 && c < ' '; });
  return plain && config::is_utf8(text) && d.line >= 1 && d.column >= 1 && !d.message.empty();
}

void reads_back(const std::string& toml) {
  config::Diagnostics diagnostics;
  const auto again = config::parse_document(toml, "effective.toml", config::OriginKind::scenario, diagnostics);
  promise(again.has_value() && !diagnostics.has_errors(), "the effective configuration is TOML");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto path = scenario::data_root() / "scenarios" / "virtio-iommu" / "input.toml";
  config::Diagnostics diagnostics;
  const auto document = config::parse_document(std::string(reinterpret_cast<const char*>(data), size), "input.toml",
                                               config::OriginKind::scenario, diagnostics);
  promise(document.has_value() != diagnostics.has_errors(), "a text is a document or in error");
  if (document) {
    const auto resolved = scenario::resolve(*document, path, {{}, "input.toml"}, diagnostics);
    promise(resolved.has_value() != diagnostics.has_errors(), "a document resolves or is in error");
    if (resolved) {
      promise(!resolved->variants.empty(), "a scenario has a variant");
      reads_back(resolved->effective_toml);
      for (const auto& variant : resolved->variants) {
        promise(!variant.configuration.jobs.empty(), "a variant has a job");
        reads_back(variant.effective_toml);
      }
    }
  }
  const auto found = diagnostics.sorted();
  promise(std::all_of(found.begin(), found.end(), shows), "a terminal can show what is wrong");
  return 0;
}
