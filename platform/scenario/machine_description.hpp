// SPDX-License-Identifier: Apache-2.0
// The keys of a machine profile: every constant with its unit and meaning.
#pragma once

#include <array>

#include "platform/config/binder.hpp"
#include "platform/scenario/machine_profile.hpp"

namespace gnomon::scenario {

inline constexpr std::array soc_names{
    config::EnumName{"tegra30", &tegra::tegra30}, config::EnumName{"tegra114", &tegra::tegra114},
    config::EnumName{"tegra124", &tegra::tegra124}, config::EnumName{"tegra132", &tegra::tegra132},
    config::EnumName{"tegra210", &tegra::tegra210}};

/// In documents of OriginKind::machine_profile every constant carries its provenance.
void describe(config::Description& d, MachineProfile& m);

/// Reports constants the profile does not give: a machine has no defaults. `origins` are of a bind over `document`.
void require_all_constants(const config::Document& document, const config::Origins& origins,
                           config::Diagnostics& diagnostics);

}  // namespace gnomon::scenario
