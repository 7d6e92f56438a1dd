// SPDX-License-Identifier: Apache-2.0
// The keys of a machine profile: every constant with its unit and meaning.
#pragma once

#include "platform/config/binder.hpp"
#include "platform/scenario/machine_profile.hpp"

namespace gnomon::scenario {

/// In documents of OriginKind::machine_profile every constant carries its provenance.
void describe(config::Description& d, MachineProfile& m);

/// Reports constants the profile does not give: a machine has no defaults. `origins` are of a bind over `document`.
void require_all_constants(const config::Document& document, const config::Origins& origins,
                           config::Diagnostics& diagnostics);

}  // namespace gnomon::scenario
