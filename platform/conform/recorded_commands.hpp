// SPDX-License-Identifier: Apache-2.0
// The vIOMMU's side of a recording: QEMU's log.
#pragma once

#include <optional>

#include "platform/conform/command_stream.hpp"
#include "platform/gtrace/reader.hpp"

namespace gnomon::conform {

struct RecordedCommands {
  Unit unit = Unit::virtio_iommu;
  CommandStream stream;
};

/// Of QEMU's log with most requests; nothing where no stream has any.
std::optional<RecordedCommands> read_commands(gtrace::GtraceReader& file);

}  // namespace gnomon::conform
