// SPDX-License-Identifier: Apache-2.0
// An observer with a member function for each kind of event.
#pragma once

#include <array>

#include "models/trace/tracer.hpp"

namespace gnomon::trace {

/// `Self` has a public on(Time, const E&) for each kind `E` that it wants. The tracer calls it without a look at the
/// kind.
template <class Self, class... E>
class TypedSink : public Sink {
 public:
  KindSet wants() const override { return kinds<E...>(); }
  Handler handler(std::size_t kind) const final { return handlers[kind]; }
  void on_event(Time at, const Event& event) final {
    if (const Handler known = handlers[event.index()]) known(*this, at, event);
  }

 private:
  template <class Kind>
  static void call(Sink& sink, Time at, const Event& event) {
    static_cast<Self&>(sink).on(at, *std::get_if<Kind>(&event));
  }
  static constexpr std::array<Handler, event_kinds> handlers = [] {
    std::array<Handler, event_kinds> by_kind{};
    ((by_kind[Event(E{}).index()] = &call<E>), ...);
    return by_kind;
  }();
};

}  // namespace gnomon::trace
