// SPDX-License-Identifier: Apache-2.0
// The reference of events, from the tables the parsers go by.
#include <fmt/format.h>

#include "platform/trace_import/ftrace.hpp"
#include "platform/trace_import/qemu_log.hpp"

namespace gnomon::trace_import {
namespace {

template <class Handler>
std::string table_of(const EventNames<Handler>& names) {
  std::string used, ignored;
  names.for_each_known([&](const std::string& name, bool is_used, const std::string& why) {
    if (is_used)
      used += fmt::format("{}`{}`", used.empty() ? "" : ", ", name);
    else
      ignored += fmt::format("| `{}` | {} |\n", name, why);
  });
  return fmt::format("Used: {}.\n\n| known and ignored | why |\n|---|---|\n{}", used, ignored);
}

}  // namespace

std::string markdown_events() {
  EventNames<FtraceHandler> ftrace;
  know_iommu_events(ftrace);
  know_device_events(ftrace);
  EventNames<QemuHandler> qemu;
  know_qemu_iommu_events(qemu);
  know_qemu_device_events(qemu);
  return fmt::format("\n## ftrace\n\n{}\n## QEMU's log\n\n{}", table_of(ftrace), table_of(qemu));
}

}  // namespace gnomon::trace_import
