// SPDX-License-Identifier: Apache-2.0
// From a scenario's text to what its simulations need: variants, kernel, machine, job file, and the choices a
// kernel makes of its command line.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "platform/scenario/configuration.hpp"
#include "platform/scenario/kernel_file.hpp"
#include "platform/scenario/scenario_file.hpp"

namespace gnomon::scenario {

/// What the kernel made of it, for config.toml: derived, not to be set.
struct Resolution {
  std::string domain;      ///< "identity", "dma" or "dma-fq"; "none" without an IOMMU
  std::string unmap;       ///< "strict", "lazy, per-cpu queue", "lazy, single queue", "none"
  std::string reason;      ///< why
  std::string kernel_log;  ///< the kernel's own line; may be empty
};

struct ResolvedVariant {
  std::string name;
  Configuration configuration;     ///< seed 1
  std::string effective_toml;      ///< every value, defaults included, each with its origin
  std::vector<std::string> notes;  ///< choices a person might not expect, one sentence each
};

struct ResolvedScenario {
  std::filesystem::path path;
  std::string name;            ///< of its folder of results: the file's, without ".toml"
  ScenarioFile file;           ///< as written, --set included, without any variant
  std::string effective_toml;  ///< of `file`
  std::vector<ResolvedVariant> variants;
};

struct ResolveOptions {
  std::vector<std::string> settings;  ///< PATH=VALUE arguments; they win over variants
  std::string shown_as;               ///< the name in messages; empty: the path
};

/// Everything that is wrong is in `diagnostics`; nothing comes back if any of it is an error.
std::optional<ResolvedScenario> resolve(const std::filesystem::path& path, const ResolveOptions& options,
                                        config::Diagnostics& diagnostics);

/// The same of a scenario that is parsed already. `path` is what it is called and where its job file is looked for.
std::optional<ResolvedScenario> resolve(const config::Document& document, const std::filesystem::path& path,
                                        const ResolveOptions& options, config::Diagnostics& diagnostics);

/// The machine profile called `name`, complete and in its bounds. Errors about the name itself are reported at
/// `where`.
std::optional<config::Document> load_machine(const std::string& name, const config::Location& where,
                                             config::Diagnostics& diagnostics);

struct LoadedKernel {
  KernelFile file;
  config::Origins origins;
};
std::optional<LoadedKernel> load_kernel(const std::string& name, const config::Location& where,
                                        config::Diagnostics& diagnostics);

}  // namespace gnomon::scenario
