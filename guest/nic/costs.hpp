// SPDX-License-Identifier: Apache-2.0
// What the guest's network stack costs in CPU time. Values come from the machine profile, each with its source.
#pragma once

#include "models/base/time.hpp"

namespace gnomon::guest {

/// CPU time of code paths, without what they wait for, on bare metal. The defaults are rough: a 4 KiB page of a
/// bulk flow takes some 600 ns of one core, half of it to copy (numbers of 100G stacks on current server cores).
struct NicCosts {
  // receive, in softirq
  Time poll = Time::ns(120);          ///< one NAPI poll, around what it finds
  Time completion = Time::ns(45);     ///< one buffer: its completion entry, its page into an skb
  Time gro_packet = Time::ns(35);     ///< one packet merged into its aggregate
  Time deliver = Time::ns(900);       ///< one aggregate through IP and TCP to its socket
  Time page_get = Time::ns(12);       ///< a page out of the pool, and its descriptor
  Time page_put = Time::ns(15);       ///< a page back into the pool
  Time page_allocate = Time::ns(90);  ///< a page from, or to, the page allocator
  // transmit
  Time acknowledge = Time::ns(500);   ///< build one ACK and take it down to the driver
  Time send_frame = Time::ns(900);    ///< build one large frame and take it down to the driver
  Time transmit = Time::ns(80);       ///< the driver's part of one frame: descriptors
  Time transmitted = Time::ns(60);    ///< one sent frame retired
  Time doorbell = Time::ns(40);       ///< an uncached store posted to the device
  Time ack_received = Time::ns(600);  ///< one ACK of the peer through the stack
  // system calls of the application
  Time read_call = Time::ns(350);    ///< one recv(), beside the copy
  Time write_call = Time::ns(400);   ///< one send(), beside the copy
  Time copy_per_kib = Time::ns(75);  ///< 1024 bytes between kernel and user memory
};

}  // namespace gnomon::guest
