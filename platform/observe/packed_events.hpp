// SPDX-License-Identifier: Apache-2.0
// How events lie one behind the other in a block of bytes: time in ps (8 bytes), the event's index in trace::Event
// (4 bytes), the event's own bytes. All little-endian, no padding, nothing aligned.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <variant>

#include "models/base/time.hpp"
#include "models/trace/events.hpp"

namespace gnomon::observe::packed {

static_assert(std::endian::native == std::endian::little, "trace hashes are defined over little-endian bytes");
static_assert(std::is_trivially_copyable_v<trace::Event>);

namespace detail {
template <class... E>
constexpr std::array<std::uint8_t, sizeof...(E)> sizes_of(std::type_identity<std::variant<E...>>) {
  return {static_cast<std::uint8_t>(sizeof(E))...};
}
template <class... E>
constexpr std::size_t largest_of(std::type_identity<std::variant<E...>>) {
  return std::max({sizeof(E)...});
}
}  // namespace detail

inline constexpr std::size_t head_bytes = sizeof(std::uint64_t) + sizeof(std::uint32_t);
/// Of an event itself, by kind.
inline constexpr auto event_bytes = detail::sizes_of(std::type_identity<trace::Event>{});
inline constexpr std::size_t largest_event = detail::largest_of(std::type_identity<trace::Event>{});
/// Reading a record may touch so many bytes from where it begins.
inline constexpr std::size_t reach = head_bytes + largest_event;

/// Writes a record; returns where the next one goes.
template <std::size_t kind>
unsigned char* write(unsigned char* out, Time at, const std::variant_alternative_t<kind, trace::Event>& event) {
  const std::uint64_t ps = at.ps();
  constexpr auto index = static_cast<std::uint32_t>(kind);
  std::memcpy(out, &ps, sizeof ps);
  std::memcpy(out + sizeof ps, &index, sizeof index);
  std::memcpy(out + head_bytes, &event, sizeof event);
  return out + head_bytes + sizeof event;
}

struct Head {
  Time at;
  std::uint32_t kind;
  std::size_t record_bytes() const { return head_bytes + event_bytes[kind]; }
};
inline Head read_head(const unsigned char* record) {
  std::uint64_t ps = 0;
  std::uint32_t kind = 0;
  std::memcpy(&ps, record, sizeof ps);
  std::memcpy(&kind, record + sizeof ps, sizeof kind);
  return {Time::ps(ps), kind};
}
/// `event` holds an event of the record's kind already: its index stays.
inline void read_event(const unsigned char* record, trace::Event& event) {
  static_assert(sizeof(trace::Event) > largest_event);
  std::memcpy(static_cast<void*>(&event), record + head_bytes, largest_event);
}

}  // namespace gnomon::observe::packed
