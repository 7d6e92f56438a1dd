// SPDX-License-Identifier: Apache-2.0
#include "models/memory/guest_ram.hpp"

#include <numeric>
#include <string>

#include "models/base/random.hpp"

namespace gnomon {
namespace {

constexpr unsigned whole_space_shift = 63;  // bare metal: one chunk holds everything

unsigned chunk_shift_of(Backing backing) {
  switch (backing) {
    case Backing::pages_4k: return 12;
    case Backing::thp_2m: return 21;
    case Backing::hugetlb_1g: return 30;
  }
  throw std::invalid_argument("unknown backing of guest memory");
}

}  // namespace

BadGuestAccess::BadGuestAccess(Gpa address, std::uint64_t bytes)
    : std::out_of_range("guest access of " + std::to_string(bytes) + " bytes at " + std::to_string(address.value) +
                        " is outside guest memory") {}

GuestRam::GuestRam(PhysicalMemory& memory, Hpa base, std::uint64_t bytes, Backing backing, std::uint64_t seed)
    : GuestRam(memory, Geometry{base, bytes, chunk_shift_of(backing), seed}) {
  if (((base.value | bytes) & offset_mask_) != 0) {
    throw std::invalid_argument("guest memory is not made of whole chunks of its backing");
  }
}

GuestRam GuestRam::identity(PhysicalMemory& memory, std::uint64_t bytes) {
  return GuestRam(memory, Geometry{Hpa{0}, bytes, whole_space_shift, 0});
}

GuestRam::GuestRam(PhysicalMemory& memory, const Geometry& geometry)
    : memory_(&memory),
      base_(geometry.base),
      size_(geometry.bytes),
      chunk_shift_(geometry.chunk_shift),
      offset_mask_((std::uint64_t{1} << geometry.chunk_shift) - 1),
      chunks_(geometry.chunk_shift == whole_space_shift ? 1 : geometry.bytes >> geometry.chunk_shift) {
  if (size_ == 0 || size_ > memory.size() || base_.value > memory.size() - size_) {
    throw std::invalid_argument("guest memory is empty or outside host memory");
  }
  if (chunks_ == 0 || chunks_ >> 32 != 0) throw std::invalid_argument("guest memory has no or too many chunks");
  reciprocal_ = ~std::uint64_t{0} / chunks_;
  if (chunks_ == 1) return;
  RandomStream random(geometry.seed, "guest-ram");
  addend_ = random.below(chunks_);
  // A middling step keeps neighbours far apart: a step of 1 or -1 would make the memory contiguous after all.
  multiplier_ = chunks_ / 4 + random.below(std::max<std::uint64_t>(chunks_ / 2, 1));
  while (std::gcd(multiplier_, chunks_) != 1) ++multiplier_;
}

void GuestRam::read_bytes(Gpa address, void* to, std::uint64_t bytes) const {
  if (!contains(address, bytes)) throw BadGuestAccess(address, bytes);
  auto* out = static_cast<std::byte*>(to);
  while (bytes != 0) {
    const std::uint64_t part = std::min(bytes, contiguous_bytes(address));
    std::memcpy(out, memory_->at(to_hpa(address), part), part);
    address += part;
    out += part;
    bytes -= part;
  }
}

void GuestRam::write_bytes(Gpa address, const void* from, std::uint64_t bytes) {
  if (!contains(address, bytes)) throw BadGuestAccess(address, bytes);
  const auto* in = static_cast<const std::byte*>(from);
  while (bytes != 0) {
    const std::uint64_t part = std::min(bytes, contiguous_bytes(address));
    std::memcpy(memory_->at(to_hpa(address), part), in, part);
    address += part;
    in += part;
    bytes -= part;
  }
}

}  // namespace gnomon
