// SPDX-License-Identifier: Apache-2.0
// The log of QEMU's trace events (-trace, -msg timestamp=on, -D), QEMU 7.2 and later. Printed formats: hw/i386,
// hw/virtio, hw/nvme and softmmu's trace-events files.
#pragma once

#include "platform/trace_import/cursor.hpp"
#include "platform/trace_import/event_names.hpp"
#include "platform/trace_import/parser.hpp"

namespace gnomon::trace_import {

struct QemuText;
/// Null where the text is as expected; else what was expected where the cursor stands.
using QemuHandler = const char* (*)(QemuText&);

/// QEMU prints the queue of an NVMe command in one event and its blocks in the next, of the same thread.
struct NvmeCommandInFlight {
  std::uint64_t thread = gtrace::unknown;
  std::uint64_t command = 0, queue = 0;
};

struct QemuText {
  Cursor cursor;
  Parsed& parsed;
  gtrace::StringTable& strings;
  const Knowledge& knowledge;
  NvmeCommandInFlight& in_flight;
};

void know_qemu_iommu_events(EventNames<QemuHandler>& names);   ///< vtd, amdvi, virtio_iommu
void know_qemu_device_events(EventNames<QemuHandler>& names);  ///< pci_nvme, virtio, memory_region_ops

/// "TID@SECONDS.MICROSECONDS:" if the log has it, then the name. `timed` says whether it was there.
bool parse_qemu_prefix(std::string_view line, std::uint64_t& thread, std::uint64_t& time_ns, bool& timed,
                       std::string_view& name, std::size_t& text);

class QemuLogParser final : public TraceParser {
 public:
  QemuLogParser(gtrace::StringTable& strings, const Knowledge& knowledge);
  void parse(std::string_view line, Parsed& parsed) override;
  void describe(gtrace::Stream& stream) const override;

 private:
  gtrace::StringTable& strings_;
  const Knowledge& knowledge_;
  EventNames<QemuHandler> names_;
  EventNames<QemuHandler> noise_;
  NvmeCommandInFlight in_flight_;
  bool started_ = false;
  bool timed_ = false;  // as the first event was
};

}  // namespace gnomon::trace_import
