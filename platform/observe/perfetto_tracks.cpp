// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/perfetto_tracks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace gnomon::observe::perfetto {

namespace {

enum class Shape : std::uint8_t { process, thread, plain, counter };
enum class Index : std::uint8_t { none, one, two };  // how many of a row's numbers tell rows of this kind apart

struct Kind {
  Row row;
  Shape shape;
  Index index;
  Row parent;             // a process is its own
  std::string_view name;  // {} stands for the last number that tells it apart
  std::string_view unit = {};
};

constexpr std::array kinds = {
    Kind{Row::guest, Shape::process, Index::none, Row::guest, "guest"},
    Kind{Row::host, Shape::process, Index::none, Row::host, "host"},
    Kind{Row::locks, Shape::process, Index::none, Row::locks, "locks"},
    Kind{Row::iommu, Shape::process, Index::none, Row::iommu, "IOMMU"},
    Kind{Row::device, Shape::process, Index::one, Row::device, "device {}"},
    Kind{Row::sanitizer, Shape::process, Index::none, Row::sanitizer, "sanitizer"},

    Kind{Row::workload, Shape::plain, Index::none, Row::guest, "workload"},
    Kind{Row::vcpu, Shape::thread, Index::one, Row::guest, "vCPU {}"},
    Kind{Row::activity, Shape::plain, Index::one, Row::vcpu, "activity"},
    Kind{Row::dma_api, Shape::plain, Index::one, Row::vcpu, "DMA API"},
    Kind{Row::syncs, Shape::plain, Index::one, Row::vcpu, "IOTLB sync"},
    Kind{Row::spinning, Shape::plain, Index::one, Row::vcpu, "spinning"},
    Kind{Row::pending_interrupts, Shape::plain, Index::one, Row::vcpu, "pending interrupts"},
    Kind{Row::io, Shape::plain, Index::one, Row::vcpu, "I/O"},
    Kind{Row::viommu_driver, Shape::plain, Index::one, Row::vcpu, "vIOMMU driver"},

    Kind{Row::exits, Shape::plain, Index::one, Row::host, "exits of vCPU {}"},
    Kind{Row::viommu_device, Shape::plain, Index::one, Row::host, "vIOMMU requests, thread {}"},
    Kind{Row::wake_ups, Shape::plain, Index::one, Row::host, "wake-ups, thread {}"},
    Kind{Row::container, Shape::plain, Index::one, Row::host, "VFIO ioctls, container {}"},

    Kind{Row::lock, Shape::plain, Index::one, Row::locks, "lock {}"},
    Kind{Row::dma, Shape::plain, Index::none, Row::iommu, "DMA"},
    Kind{Row::invalidations, Shape::plain, Index::none, Row::iommu, "invalidations"},
    Kind{Row::invalidation_waits, Shape::plain, Index::none, Row::iommu, "invalidation waits"},
    Kind{Row::faults, Shape::plain, Index::none, Row::iommu, "faults"},
    Kind{Row::queue, Shape::plain, Index::two, Row::device, "queue {}"},
    Kind{Row::media, Shape::plain, Index::two, Row::device, "media, queue {}"},
    Kind{Row::verdicts, Shape::plain, Index::none, Row::sanitizer, "verdicts"},

    Kind{Row::in_flight, Shape::counter, Index::none, Row::guest, "I/O in flight (count)", "I/Os"},
    Kind{Row::flush_queue, Shape::counter, Index::one, Row::guest, "flush queue, domain {}: pending (entries)",
         "entries"},
    Kind{Row::iotlb_hits, Shape::counter, Index::none, Row::iommu, "IOTLB hits per 1000 lookups", "hits"},
    Kind{Row::pinned, Shape::counter, Index::none, Row::host, "pinned memory (4 KiB pages)", "pages"},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (static_cast<std::size_t>(kinds[i].row) != i) return false;
  }
  return kinds.size() == static_cast<std::size_t>(Row::pinned) + 1;
}
static_assert(in_order(), "a row's kind is found by its enumerator");
constexpr bool two_numbers_are_known() {
  for (const Kind& kind : kinds) {
    if ((kind.index == Index::two) != (kind.row == Row::queue || kind.row == Row::media)) return false;
  }
  return true;
}
static_assert(two_numbers_are_known(), "Tracks::near_place() tells these rows apart by both numbers");

constexpr const Kind& kind_of(Row row) {
  return kinds[static_cast<std::size_t>(row)];
}

// Numbers of the pretended processes and threads; viewers want them distinct and not 0.
constexpr std::int32_t pid_of(Row process, std::uint32_t device) {
  return process == Row::device ? 100 + static_cast<std::int32_t>(device) : 1 + static_cast<std::int32_t>(process);
}
constexpr std::int64_t first_vcpu_tid = 1000;

}  // namespace

std::string Tracks::name_of(Row row, std::uint32_t a, std::uint32_t b) const {
  if (row == Row::lock && a < names_.locks.size()) return names_.locks[a];
  if (row == Row::device && a < names_.devices.size()) return names_.devices[a];
  const Kind& kind = kind_of(row);
  return fmt::format(fmt::runtime(kind.name), kind.index == Index::two ? b : a);
}

std::uint64_t Tracks::declare(Row row, std::uint32_t a, std::uint32_t b, std::uint64_t parent) {
  const Kind& kind = kind_of(row);
  const std::uint64_t uuid = next_uuid_++;
  const std::string name = name_of(row, a, b);
  switch (kind.shape) {
    case Shape::process: writer_.declare_process(uuid, pid_of(row, a), name); break;
    case Shape::thread:
      writer_.declare_thread(uuid, parent, pid_of(kind.parent, 0), first_vcpu_tid + a, name);
      break;
    case Shape::plain: writer_.declare_track(uuid, parent, name); break;
    case Shape::counter: writer_.declare_counter(uuid, parent, name, kind.unit); break;
  }
  return uuid;
}

Tracks::Lanes& Tracks::find(Row row, std::uint32_t a, std::uint32_t b) {
  const Kind& kind = kind_of(row);
  if (kind.index == Index::none) a = 0;
  if (kind.index != Index::two) b = 0;
  // 24 bits hold any queue of a device (16 bits in NVMe and virtio).
  const std::uint64_t key = (static_cast<std::uint64_t>(row) << 56) | (std::uint64_t{b & 0xffffff} << 32) | a;
  auto known = rows_.find(key);
  if (known == rows_.end()) {
    const std::uint64_t parent = kind.parent == row ? 0 : track(kind.parent, a, b);
    known = rows_.try_emplace(key).first;
    known->second.parent = parent;
    known->second.lanes.push_back({declare(row, a, b, parent), 0});
  }
  if (const std::size_t place = near_place(row, a, b); place < most_near) {
    std::vector<Lanes*>& near = near_[static_cast<std::size_t>(row)];
    if (place >= near.size()) near.resize(place + 1);
    near[place] = &known->second;  // stays where it is: rows_ never erases
  }
  return known->second;
}

/// The first lane is busy.
std::optional<Tracks::Place> Tracks::place_beside(Lanes& of_row, Row row, std::uint32_t a, std::uint32_t b,
                                                  std::uint64_t began, std::uint64_t ended) {
  auto& all = of_row.lanes;
  auto lane = std::find_if(all.begin(), all.end(), [&](const Lane& l) { return l.busy_until <= began; });
  if (lane == all.end()) {
    if (all.size() < most_lanes) {
      lane = all.insert(all.end(), {declare(row, a, b, of_row.parent), 0});
    } else {
      ++cut_;
      lane = std::min_element(all.begin(), all.end(),
                              [](const Lane& x, const Lane& y) { return x.busy_until < y.busy_until; });
      if (lane->busy_until > ended) return std::nullopt;
      began = lane->busy_until;
    }
  }
  lane->busy_until = ended;
  return Place{lane->track, began};
}

}  // namespace gnomon::observe::perfetto
