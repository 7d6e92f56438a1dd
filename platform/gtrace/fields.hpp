// SPDX-License-Identifier: Apache-2.0
// The fields of each kind of event in the order they are stored: what the codec, the printer and the format's
// documentation go by.
#pragma once

#include "platform/gtrace/event.hpp"

namespace gnomon::gtrace {

enum class Style : std::uint8_t {
  string,   ///< number of a string
  number,   ///< unsigned
  maybe,    ///< unsigned, or unknown
  address,  ///< unsigned, stored as the difference to the last event of the kind; shown in hexadecimal
  choice,   ///< an enumeration
  runs,
};

/// visit(name, style, member) for each field of the event's kind. Direction, operation and runs keep their types.
template <class AnyEvent, class Visitor>
constexpr void for_each_field(AnyEvent& e, Visitor&& visit) {
  const auto of_a_mapping = [&] {
    visit("device", Style::string, e.device);
    visit("direction", Style::choice, e.direction);
    visit("address", Style::address, e.address);
    visit("bytes", Style::number, e.bytes);
    visit("flags", Style::number, e.flags);
  };
  const auto of_a_request = [&] {
    visit("device", Style::string, e.device);
    visit("operation", Style::choice, e.operation);
    visit("queue", Style::maybe, e.queue);
    visit("command", Style::maybe, e.command);
    visit("lba", Style::address, e.lba);
    visit("blocks", Style::number, e.blocks);
    visit("block_bytes", Style::number, e.block_bytes);
  };
  switch (e.kind) {
    case EventKind::map:
      of_a_mapping();
      visit("span_ns", Style::number, e.span_ns);
      visit("runs", Style::runs, e.runs);
      break;
    case EventKind::unmap:
      of_a_mapping();
      visit("unmapped_bytes", Style::number, e.value);
      break;
    case EventKind::io_queue:
    case EventKind::io_submit: of_a_request(); break;
    case EventKind::io_complete:
      of_a_request();
      visit("status", Style::number, e.status);
      break;
    case EventKind::attach:
    case EventKind::detach:
      visit("device", Style::string, e.device);
      visit("domain", Style::maybe, e.domain);
      break;
    case EventKind::command:
      visit("device", Style::string, e.device);
      visit("name", Style::string, e.name);
      visit("word0", Style::address, e.word[0]);
      visit("word1", Style::address, e.word[1]);
      visit("word2", Style::address, e.word[2]);
      visit("word3", Style::address, e.word[3]);
      break;
    case EventKind::invalidation:
      visit("name", Style::string, e.name);
      visit("domain", Style::maybe, e.domain);
      visit("address", Style::address, e.address);
      visit("mask", Style::maybe, e.mask);
      break;
    case EventKind::wait:
      visit("address", Style::address, e.address);
      visit("value", Style::address, e.value);
      break;
    case EventKind::map_request:
      visit("domain", Style::number, e.domain);
      visit("address", Style::address, e.address);
      visit("bytes", Style::number, e.bytes);
      visit("target", Style::address, e.target);
      visit("flags", Style::number, e.flags);
      break;
    case EventKind::unmap_request:
      visit("domain", Style::number, e.domain);
      visit("address", Style::address, e.address);
      visit("bytes", Style::number, e.bytes);
      break;
    case EventKind::register_access:
      visit("name", Style::string, e.name);
      visit("operation", Style::choice, e.operation);
      visit("address", Style::address, e.address);
      visit("bytes", Style::number, e.bytes);
      visit("value", Style::maybe, e.value);
      break;
    case EventKind::kick:
      visit("device", Style::string, e.device);
      visit("queue", Style::number, e.queue);
      visit("tail", Style::maybe, e.value);
      break;
    case EventKind::doorbell:
      visit("name", Style::string, e.name);
      visit("queue", Style::number, e.queue);
      visit("value", Style::number, e.value);
      break;
    case EventKind::interrupt: visit("vector", Style::number, e.value); break;
    case EventKind::vm_exit:
      visit("vcpu", Style::maybe, e.vcpu);
      visit("reason", Style::string, e.name);
      break;
    case EventKind::vm_entry: visit("vcpu", Style::maybe, e.vcpu); break;
    case EventKind::mmio:
      visit("name", Style::string, e.name);
      visit("vcpu", Style::maybe, e.vcpu);
      visit("operation", Style::choice, e.operation);
      visit("address", Style::address, e.address);
      visit("bytes", Style::number, e.bytes);
      visit("value", Style::maybe, e.value);
      break;
    case EventKind::mark: visit("name", Style::string, e.name); break;
  }
}

}  // namespace gnomon::gtrace
