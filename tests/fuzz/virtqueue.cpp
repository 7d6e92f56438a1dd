// SPDX-License-Identifier: Apache-2.0
// A hostile guest at virtio-iommu's request queue: it writes where it likes in its memory, and kicks. Nothing
// outside that memory changes, the shadow is told of pieces as its contract has them, and an error of the queue
// stays.
//
// The input is a program: byte 0 has the queue's size (2^(low nibble % 6)), bit 4 indirect, bit 5 event_idx. Then
// operations: 0, address (2 bytes, little endian), length (1), bytes: a write; 1: a kick; 2: a reset.
#include <algorithm>
#include <bit>
#include <map>
#include <span>

#include "models/hypervisor/core/virtio_iommu_queue.hpp"
#include "tests/fuzz/target.hpp"

using namespace gnomon;
using fuzz::promise;
using hypervisor::DmaAccess;
using hypervisor::QueueError;

namespace {

constexpr std::uint64_t guard_bytes = 64 << 10, ram_bytes = 64 << 10;
constexpr std::uint64_t memory_bytes = 2 * guard_bytes + ram_bytes;
constexpr unsigned chains_a_kick = 64;  // rings laid over each other can offer chains without end
constexpr std::uint64_t largest_piece = std::uint64_t{1} << 40;

/// Holds the device to ShadowTarget's contract.
class StrictShadow final : public hypervisor::ShadowTarget {
 public:
  bool map(Iova iova, Gpa, std::uint64_t bytes, DmaAccess access) override {
    promise(std::has_single_bit(bytes) && iova.value % bytes == 0, "a piece is an aligned power of two");
    promise(access != DmaAccess::none, "a piece without permission is not shadowed");
    const auto next = pieces_.lower_bound(iova.value);
    promise(next == pieces_.end() || next->first - iova.value >= bytes, "no piece over the next");
    if (next != pieces_.begin()) {
      const auto& [first, size] = *std::prev(next);
      promise(iova.value - first >= size, "no piece over the one before");
    }
    if (bytes > largest_piece) return false;
    pieces_.emplace(iova.value, bytes);
    return true;
  }
  void unmap(Iova iova, std::uint64_t bytes) override {
    const auto piece = pieces_.find(iova.value);
    if (piece != pieces_.end()) {
      promise(piece->second == bytes, "unmapped as it was mapped");
      pieces_.erase(piece);
      return;
    }
    // A doorbell's mapping was never here; its unmap comes all the same, and finds nothing.
    const auto next = pieces_.lower_bound(iova.value);
    promise(next == pieces_.end() || next->first - iova.value >= bytes, "nothing unmapped that begins inside");
    if (next == pieces_.begin()) return;
    const auto& [first, size] = *std::prev(next);
    promise(iova.value - first >= size, "nothing unmapped in part");
  }
  bool empty() const { return pieces_.empty(); }

 private:
  std::map<std::uint64_t, std::uint64_t> pieces_;
};

class Guest {
 public:
  explicit Guest(std::uint8_t shape)
      : queue_(
            ram_,
            virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, static_cast<std::uint16_t>(1u << (shape & 15) % 6)),
            {(shape & 16) != 0, (shape & 32) != 0}) {
    device_.add_endpoint(8, &shadow_);
  }

  void write(std::uint64_t address, std::span<const std::uint8_t> bytes) {
    if (ram_.contains(Gpa{address}, bytes.size())) ram_.write_bytes(Gpa{address}, bytes.data(), bytes.size());
  }
  void kick() {
    const QueueError before = queue_.error();
    for (unsigned i = 0; i < chains_a_kick; ++i) {
      const auto served = hypervisor::serve_request(queue_, device_);
      if (!served) break;
      promise(before == QueueError::none, "a broken queue serves nobody");
      promise(served->outcome.answered ? served->written >= sizeof(virtio_iommu::Tail) : served->written == 0,
              "an answer has a tail");
    }
    static_cast<void>(queue_.should_interrupt());
    promise(before == QueueError::none || queue_.error() == before, "the first error stays");
  }
  void reset() {
    queue_.reset();
    device_.reset();
    promise(queue_.error() == QueueError::none, "a reset clears the error");
    promise(device_.domain_count() == 0 && shadow_.empty(), "a reset empties domains and shadow");
  }
  void end() {
    reset();
    const auto clean = [&](std::uint64_t from) {
      const std::byte* bytes = memory_.at(Hpa{from}, guard_bytes);
      return std::all_of(bytes, bytes + guard_bytes, [](std::byte b) { return b == std::byte{0}; });
    };
    promise(clean(0) && clean(guard_bytes + ram_bytes), "memory that is not the guest's stays as it was");
  }

 private:
  PhysicalMemory memory_{memory_bytes};
  GuestRam ram_{memory_, Hpa{guard_bytes}, ram_bytes, Backing::pages_4k, 1};
  hypervisor::VirtqueueDevice queue_;
  StrictShadow shadow_;
  hypervisor::VirtioIommuDevice device_{hypervisor::VirtioIommuDeviceConfig{}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::span<const std::uint8_t> rest(data + 1, size - 1);
  Guest guest(data[0]);
  while (!rest.empty()) {
    const unsigned operation = rest[0] % 3;
    rest = rest.subspan(1);
    if (operation == 1) guest.kick();
    if (operation == 2) guest.reset();
    if (operation != 0) continue;
    if (rest.size() < 3) break;
    const auto address = static_cast<std::uint64_t>(rest[0] | rest[1] << 8);
    const std::size_t length = std::min<std::size_t>(rest[2], rest.size() - 3);
    guest.write(address, rest.subspan(3, length));
    rest = rest.subspan(3 + length);
  }
  guest.end();
  return 0;
}
