// SPDX-License-Identifier: Apache-2.0
// An IOMMU without hardware behind its driver: what the core and a flush policy cost, driver by driver.
#pragma once

#include <memory>

#include "guest/iommu/instance.hpp"
#include "platform/scenario/configuration.hpp"

namespace gnomon::wiring {

std::unique_ptr<guest::IommuInstance> make_plain_iommu(const scenario::GuestConfiguration& guest);

}  // namespace gnomon::wiring
