// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/event_batches.hpp"

#include <utility>

#include "platform/observe/packed_events.hpp"

namespace gnomon::observe {

EventBatches::EventBatches()
    : events_([]<std::size_t... kinds>(std::index_sequence<kinds...>) {
        return std::array<trace::Event, trace::event_kinds>{trace::Event(std::in_place_index<kinds>)...};
      }(std::make_index_sequence<trace::event_kinds>())) {}

void EventBatches::add(trace::Sink& sink) {
  const trace::KindSet wanted = sink.wants();
  Listener listener{&sink, {}};
  for (std::size_t kind = 0; kind < trace::event_kinds; ++kind)
    if (wanted.test(kind)) listener.handlers[kind] = sink.handler(kind);
  listeners_.push_back(listener);
}

void EventBatches::tell(std::span<const unsigned char> records) {
  const unsigned char* const end = records.data() + records.size();
  for (const Listener& listener : listeners_) {
    for (const unsigned char* record = records.data(); record != end;) {
      const packed::Head head = packed::read_head(record);
      if (const trace::Sink::Handler on = listener.handlers[head.kind]) {
        packed::read_event(record, events_[head.kind]);
        on(*listener.sink, head.at, events_[head.kind]);
      }
      record += head.record_bytes();
    }
  }
}

}  // namespace gnomon::observe
