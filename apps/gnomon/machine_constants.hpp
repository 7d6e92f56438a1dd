// SPDX-License-Identifier: Apache-2.0
// What the machine profiles say of a constant, as they write it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/config/document.hpp"

namespace gnomon::app {

struct MachineConstant {
  std::string value;
  std::string kind;  ///< "measured", "derived", "fitted" or "assumed"
  std::string source;
  std::vector<std::string> fitted_to;
};

/// The constant at `path` ("hypervisor.exit"); nothing where the profile has none there.
std::optional<MachineConstant> constant_in(const config::Document& profile, std::string_view path);

/// The profile called `name` as a document, unchecked; nothing where it is no TOML.
std::optional<config::Document> profile_document(const std::string& name);

}  // namespace gnomon::app
