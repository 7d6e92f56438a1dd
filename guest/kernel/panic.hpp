// SPDX-License-Identifier: Apache-2.0
// The guest kernel's end: a BUG() that its code ran into.
#pragma once

#include <stdexcept>

namespace gnomon::guest {

/// Thrown where the kernel would panic; nothing of the guest runs after it. what(): the kernel's own line. A run
/// that ends so has the status guest_panic.
class GuestPanic final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace gnomon::guest
