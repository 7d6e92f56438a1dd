// SPDX-License-Identifier: Apache-2.0
// The locks of a platform and their names: a lock is a number in the event stream.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "models/base/random.hpp"
#include "models/cpu/core/lock.hpp"

namespace gnomon::wiring {

class LockTable {
 public:
  LockTable(std::uint64_t seed, trace::Tracer& tracer) : seed_(seed), tracer_(tracer) {}

  /// A lock of its own.
  Lock& add(const std::string& name, LockKind kind, LockCosts costs) {
    locks_.push_back(make(name, kind, costs));
    return locks_.back();
  }
  /// A lock for the caller to keep; locks made under one name are reported together.
  Lock make(const std::string& name, LockKind kind, LockCosts costs) {
    const std::uint32_t id = id_of(name);
    const unsigned number = made_[id]++;  // of this name: what else the platform has decides nothing here
    return Lock(id, kind, costs, RandomStream(seed_, "lock." + name + "." + std::to_string(number)), tracer_);
  }

  /// The number of the locks of this name, made or to be made. Observers learn the names before the simulation starts.
  std::uint32_t id_of(const std::string& name) {
    std::uint32_t id = 0;
    while (id < names_.size() && names_[id] != name) ++id;
    if (id == names_.size()) {
      names_.push_back(name);
      made_.push_back(0);
    }
    return id;
  }

  const std::vector<std::string>& names() const { return names_; }
  const std::deque<Lock>& locks() const { return locks_; }

 private:
  std::uint64_t seed_;
  trace::Tracer& tracer_;
  std::deque<Lock> locks_;
  std::vector<std::string> names_;
  std::vector<unsigned> made_;  // by id
};

}  // namespace gnomon::wiring
