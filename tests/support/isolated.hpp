// SPDX-License-Identifier: Apache-2.0
// One simulation in a forked child: it simulates there and returns bytes, and the test asserts here.
#pragma once

#include <chrono>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "platform/run/supervisor.hpp"

namespace gnomon::test {

/// What `body` returned in a process of its own. Throws std::runtime_error with the child's words where it did not
/// come to an end.
inline std::string isolated_bytes(const std::function<std::string()>& body) {
  run::Job job{"simulation", [&body](run::Channel& channel) {
                 channel.result(body());
                 return 0;
               }};
  run::Options options;
  options.deadline = std::chrono::seconds(60);
  const run::Outcome outcome = run::supervise({job}, options).outcomes.at(0);
  if (outcome.kind == run::Outcome::Kind::done && outcome.exit_code == 0) return outcome.result;
  throw std::runtime_error(outcome.message.empty() ? "the simulation's process died" : outcome.message);
}

/// The same for values that are their bytes.
template <class F>
auto isolated(F body) {
  using T = decltype(body());
  static_assert(std::is_trivially_copyable_v<T>);
  const std::string bytes = isolated_bytes([&body] {
    const T value = body();
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  });
  T value;
  if (bytes.size() != sizeof value) throw std::runtime_error("the simulation's process returned too little");
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// The same for a list of such values.
template <class T, class F>
std::vector<T> isolated_list(F body) {
  static_assert(std::is_trivially_copyable_v<T>);
  const std::string bytes = isolated_bytes([&body] {
    const std::vector<T> values = body();
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  });
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace gnomon::test
