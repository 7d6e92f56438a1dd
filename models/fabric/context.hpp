// SPDX-License-Identifier: Apache-2.0
// Stacks between which execution is switched: Boost.Context, and what the address sanitizer is to know of it.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstddef>
#include <functional>

namespace gnomon {

/// Where execution is left and comes back to: a stack of its own, or the process's.
class Context {
 public:
  /// The process's own stack, on which everything begins.
  static Context& process();
  /// A stack of its own, on which `run` begins when it is first switched to. It throws nothing, and returns where
  /// execution goes on.
  explicit Context(std::function<Context&()> run);
  /// A stack on which `run` has not ended is left as it is. It is not unwound: what is on it would go on working.
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Leaves the running context for this one, which is not running. Returns when somebody switches back.
  void switch_to();

 private:
  static void arrived(boost::context::fiber&& from, void* sanitizer_state);
  boost::context::fiber execute(boost::context::fiber&& from);

  Context() = default;

  static Context* running_;
  static Context* left_;  // by the last switch

  std::function<Context&()> run_;
  boost::context::fiber fiber_;  // none while it runs
  const void* stack_ = nullptr;  // the lowest byte
  std::size_t bytes_ = 0;
};

}  // namespace gnomon
