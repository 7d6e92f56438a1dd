// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/event_batches.hpp"

#include <utility>

namespace gnomon::observe {

static_assert(trace::event_kinds <= 256);

void EventBatches::add(trace::Sink& sink) {
  const trace::KindSet wanted = sink.wants();
  wanted_ |= wanted;
  Listener listener{&sink, {}};
  for (std::size_t kind = 0; kind < trace::event_kinds; ++kind) listener.wants[kind] = wanted.test(kind);
  listeners_.push_back(listener);
}

void EventBatches::pass_on() {
  const std::size_t count = std::exchange(count_, 0);
  for (const Listener& listener : listeners_) {
    for (std::size_t i = 0; i < count; ++i) {
      if (listener.wants[kinds_[i]]) listener.sink->on_event(told_[i].at, told_[i].event);
    }
  }
}

}  // namespace gnomon::observe
