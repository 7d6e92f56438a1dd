// SPDX-License-Identifier: Apache-2.0
#include "models/fabric/context.hpp"

#include <boost/context/protected_fixedsize_stack.hpp>
#include <utility>

#ifdef __SANITIZE_ADDRESS__  // of g++
#define GNOMON_ADDRESS_SANITIZER
#elif defined(__has_feature)  // of clang++
#if __has_feature(address_sanitizer)
#define GNOMON_ADDRESS_SANITIZER
#endif
#endif
#ifdef GNOMON_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

namespace gnomon {

namespace {

constexpr std::size_t stack_bytes = 256 * 1024;  // interrupt on top of driver on top of hypervisor, with room

/// The address sanitizer is told of each switch: before it, of the stack that comes, with room for what the stack that
/// is left is to bring back (none: it ends); after it, of the stack that was left.
void begin_switch([[maybe_unused]] void** state, [[maybe_unused]] const void* stack,
                  [[maybe_unused]] std::size_t bytes) {
#ifdef GNOMON_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(state, stack, bytes);
#endif
}
void end_switch([[maybe_unused]] void* state, [[maybe_unused]] const void** stack,
                [[maybe_unused]] std::size_t* bytes) {
#ifdef GNOMON_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(state, stack, bytes);
#endif
}

}  // namespace

Context* Context::running_ = &Context::process();
Context* Context::left_ = nullptr;

Context& Context::process() {
  static Context context;
  return context;
}

Context::Context(std::function<Context&()> run) : run_(std::move(run)) {
  boost::context::protected_fixedsize_stack allocator(stack_bytes);
  const boost::context::stack_context stack = allocator.allocate();
  stack_ = static_cast<const char*>(stack.sp) - stack.size;
  bytes_ = stack.size;
  const boost::context::preallocated place(stack.sp, stack.size, stack);
  fiber_ = boost::context::fiber(std::allocator_arg, place, allocator,
                                 [this](boost::context::fiber&& from) { return execute(std::move(from)); });
}

Context::~Context() {
  if (fiber_) new boost::context::fiber(std::move(fiber_));  // whose destructor would unwind it
}

boost::context::fiber Context::execute(boost::context::fiber&& from) {
  arrived(std::move(from), nullptr);
  Context& next = run_();
  left_ = std::exchange(running_, &next);
  begin_switch(nullptr, next.stack_, next.bytes_);
  return std::move(next.fiber_);
}

void Context::switch_to() {
  left_ = std::exchange(running_, this);
  void* state = nullptr;
  begin_switch(&state, stack_, bytes_);
  arrived(std::move(fiber_).resume(), state);
}

/// Some switch has led here, from a context that is left now.
void Context::arrived(boost::context::fiber&& from, void* sanitizer_state) {
  end_switch(sanitizer_state, &left_->stack_, &left_->bytes_);
  left_->fiber_ = std::move(from);
}

}  // namespace gnomon
