// SPDX-License-Identifier: Apache-2.0
// One device's part of what a vIOMMU was asked: it tells domains, and the guest's trace tells devices.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "platform/conform/recorded_commands.hpp"
#include "platform/conform/recording.hpp"

namespace gnomon::conform {

/// Of maps, unmaps and invalidations, in order.
std::vector<std::uint64_t> domains_of(const CommandStream& stream);

/// The domain that was asked for this device's mappings, by their addresses in order; nothing where none fits, or
/// two do as well.
std::optional<std::uint64_t> domain_of(const RecordedCommands& commands, const Recording& device);

/// The requests of one domain, and the kicks before any of them.
RecordedCommands of_domain(const RecordedCommands& commands, std::uint64_t domain);

/// A recording that names no device, by the domains its MAP requests went to: each mapping is one domain's, whose
/// MAP has its address and memory. For virtio-iommu; what has no MAP is counted as unnamed in all.
std::vector<Recording> by_domain(const Recording& recording, const RecordedCommands& commands);

}  // namespace gnomon::conform
