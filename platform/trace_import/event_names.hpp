// SPDX-License-Identifier: Apache-2.0
// Names of events: what each means to the import, and how many lines had it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "platform/gtrace/stream.hpp"

namespace gnomon::trace_import {

/// Handler: what reads the text of an event; a null one, or false, means the event is ignored.
template <class Handler>
class EventNames {
 public:
  struct Entry {
    gtrace::Tally tally;
    Handler handler{};
    bool met = false;
  };

  EventNames() : slots_(64, nullptr) {}

  void know(std::string_view name, Handler handler, std::string_view why = {}) {
    entries_.push_back({{std::string{name}, 0, 0, std::string{why}}, handler, false});
    place(&entries_.back());
  }

  /// The entry of `name`, made where there is none. After 4096 names the rest share one entry.
  Entry& operator[](std::string_view name) {
    Entry* entry = find(name);
    if (entry == nullptr) {
      const bool full = entries_.size() >= most_names;
      if (full) entry = find(others);
      if (entry == nullptr) {
        know(full ? others : name, Handler{}, "not an event gnomon knows");
        entry = &entries_.back();
      }
    }
    if (!entry->met) {
      entry->met = true;
      order_.push_back(entry);
    }
    return *entry;
  }

  /// Every name that is known, in the order it was made known: the text of the reference page.
  template <class Visitor>
  void for_each_known(Visitor&& visit) const {
    for (const Entry& entry : entries_) visit(entry.tally.name, entry.handler != Handler{}, entry.tally.why);
  }

  std::vector<gtrace::Tally> tallies() const {
    std::vector<gtrace::Tally> out;
    for (const Entry* entry : order_) {
      out.push_back(entry->tally);
      if (entry->tally.ignored == 0) out.back().why.clear();
    }
    return out;
  }

 private:
  static constexpr std::size_t most_names = 4096;
  static constexpr std::string_view others = "(further names)";

  static std::uint64_t hash(std::string_view name) {  // FNV-1a
    std::uint64_t h = 0xcbf29ce484222325;
    for (const char c : name) h = (h ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    return h;
  }

  Entry* find(std::string_view name) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash(name) & mask; slots_[i] != nullptr; i = (i + 1) & mask)
      if (slots_[i]->tally.name == name) return slots_[i];
    return nullptr;
  }

  void place(Entry* entry) {
    if (entries_.size() * 2 > slots_.size()) {
      slots_.assign(slots_.size() * 2, nullptr);
      for (Entry& old : entries_) put(&old);
    } else {
      put(entry);
    }
  }

  void put(Entry* entry) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash(entry->tally.name) & mask;
    while (slots_[i] != nullptr) i = (i + 1) & mask;
    slots_[i] = entry;
  }

  std::deque<Entry> entries_;
  std::vector<Entry*> slots_;
  std::vector<const Entry*> order_;
};

}  // namespace gnomon::trace_import
