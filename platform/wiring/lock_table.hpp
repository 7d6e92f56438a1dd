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
    return Lock(id_of(name), kind, costs, RandomStream(seed_, "lock." + name + "." + std::to_string(made_++)), tracer_);
  }

  /// The number of the locks of this name, made or to be made. Observers learn the names before the simulation starts.
  std::uint32_t id_of(const std::string& name) {
    std::uint32_t id = 0;
    while (id < names_.size() && names_[id] != name) ++id;
    if (id == names_.size()) names_.push_back(name);
    return id;
  }

  const std::vector<std::string>& names() const { return names_; }
  const std::deque<Lock>& locks() const { return locks_; }

 private:
  std::uint64_t seed_;
  trace::Tracer& tracer_;
  std::deque<Lock> locks_;
  std::vector<std::string> names_;
  unsigned made_ = 0;
};

}  // namespace gnomon::wiring
