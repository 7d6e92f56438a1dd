// SPDX-License-Identifier: Apache-2.0
// The controller's answers to Identify (NVM Express Base Specification 1.4, section 5.15).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "models/nvme/core/config.hpp"
#include "models/spec/nvme/identify.hpp"
#include "models/spec/nvme/submission.hpp"

namespace gnomon::nvme {

IdentifyController identify_controller(const NvmeConfig& config);
IdentifyNamespace identify_namespace(const NvmeConfig& config);

/// Fills `out` for a CNS value; false when the controller does not know it. The active namespace list names those
/// above `nsid`.
bool build_identify_page(const NvmeConfig& config, IdentifyPage page, std::uint32_t nsid,
                         std::span<std::byte, identify_bytes> out);

}  // namespace gnomon::nvme
