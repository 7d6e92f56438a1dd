// SPDX-License-Identifier: Apache-2.0
// Machines and kernels by name.
#include <fmt/format.h>

#include <stdexcept>

#include "platform/scenario/data_root.hpp"
#include "platform/scenario/machine_description.hpp"
#include "platform/scenario/resolve.hpp"

namespace gnomon::scenario {
namespace {

using config::Diagnostics;
using config::Document;
using config::Location;
using config::OriginKind;

/// The document of NAME.toml in `folder`, or an error that lists the names there are.
std::optional<Document> read_named(const std::filesystem::path& folder, const std::string& name, const char* what,
                                   OriginKind kind, const Location& where, Diagnostics& diagnostics) {
  const auto names = toml_names(folder);
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    diagnostics.error(where, fmt::format("there is no {} \"{}\"", what, name),
                      names.empty() ? fmt::format("{} holds none", shown(folder)) : config::hint(name, names));
    return std::nullopt;
  }
  return config::read_document(shown(folder / (name + ".toml")), kind, diagnostics);
}

}  // namespace

std::optional<Document> load_machine(const std::string& name, const Location& where, Diagnostics& diagnostics) {
  auto document = read_named(machines_folder(), name, "machine", OriginKind::machine_profile, where, diagnostics);
  if (!document) return std::nullopt;
  Diagnostics own;  // to know whether this file is in error
  MachineProfile profile;
  config::Origins origins = config::bind(profile, *document, own);
  require_all_constants(*document, origins, own);
  if (own.has_errors()) {
    MachineProfile again;
    origins = config::bind(again, *document, diagnostics);
    require_all_constants(*document, origins, diagnostics);
    return std::nullopt;
  }
  try {
    iommu::validate(profile.iommu);
    nvme::validate(profile.nvme);
  } catch (const std::invalid_argument& error) {
    diagnostics.error(origins.where(""), error.what());
    return std::nullopt;
  }
  return document;
}

std::optional<LoadedKernel> load_kernel(const std::string& name, const Location& where, Diagnostics& diagnostics) {
  const auto document = read_named(kernels_folder(), name, "kernel", OriginKind::kernel_file, where, diagnostics);
  if (!document) return std::nullopt;
  Diagnostics own;
  LoadedKernel kernel;
  kernel.origins = config::bind(kernel.file, *document, own);
  if (!own.has_errors()) return kernel;
  KernelFile again;
  config::bind(again, *document, diagnostics);
  return std::nullopt;
}

}  // namespace gnomon::scenario
