// SPDX-License-Identifier: Apache-2.0
// The virtio-iommu device against a reference that has one cell a page and searches it all.
#include <rapidcheck.h>

#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "models/hypervisor/core/virtio_iommu_device.hpp"
#include "tests/support/recording_shadow.hpp"

using namespace gnomon;
using hypervisor::DmaAccess;
using hypervisor::VirtioIommuDevice;
using virtio_iommu::Status;

namespace {

constexpr std::uint64_t pages = 40;
constexpr std::uint32_t endpoints = 3;
constexpr std::uint32_t domains = 3;

// A domain as cells: which request mapped the page (0: none), and to what.
struct Cells {
  std::array<unsigned, pages> owner{};
  std::array<std::uint64_t, pages> phys{};
};

struct Reference {
  std::map<std::uint32_t, Cells> space;           // by domain, while it has an endpoint
  std::map<std::uint32_t, std::uint32_t> domain;  // of an endpoint
  unsigned next_owner = 1;

  void drop_if_empty(std::uint32_t id) {
    for (const auto& [endpoint, attached] : domain) {
      if (attached == id) return;
    }
    space.erase(id);
  }
  Status detach(std::uint32_t id, std::uint32_t endpoint) {
    if (domain.count(endpoint) == 0 || domain[endpoint] != id) return Status::inval;
    domain.erase(endpoint);
    drop_if_empty(id);
    return Status::ok;
  }
  Status attach(std::uint32_t id, std::uint32_t endpoint) {
    if (domain.count(endpoint) != 0) detach(domain[endpoint], endpoint);
    domain[endpoint] = id;
    space[id];
    return Status::ok;
  }
  Status map(std::uint32_t id, std::uint64_t first, std::uint64_t last, std::uint64_t phys) {
    if (space.count(id) == 0) return Status::noent;
    Cells& cells = space[id];
    for (std::uint64_t p = first; p <= last; ++p) {
      if (cells.owner[p] != 0) return Status::inval;
    }
    for (std::uint64_t p = first; p <= last; ++p) {
      cells.owner[p] = next_owner;
      cells.phys[p] = phys + (p - first);
    }
    ++next_owner;
    return Status::ok;
  }
  Status unmap(std::uint32_t id, std::uint64_t first, std::uint64_t last) {
    if (space.count(id) == 0) return Status::noent;
    Cells& cells = space[id];
    for (std::uint64_t p = first; p <= last; ++p) {
      const unsigned owner = cells.owner[p];
      if (owner == 0) continue;
      for (std::uint64_t q = 0; q < pages; ++q) {
        if (cells.owner[q] == owner && (q < first || q > last)) return Status::range;
      }
      for (unsigned& cell : cells.owner) {
        if (cell == owner) cell = 0;
      }
    }
    return Status::ok;
  }
  std::map<std::uint64_t, std::uint64_t> view(std::uint32_t endpoint) const {
    std::map<std::uint64_t, std::uint64_t> result;
    const auto attached = domain.find(endpoint);
    if (attached == domain.end()) return result;
    const Cells& cells = space.at(attached->second);
    for (std::uint64_t p = 0; p < pages; ++p) {
      if (cells.owner[p] != 0) result[p] = cells.phys[p];
    }
    return result;
  }
};

template <class R>
Status range_request(VirtioIommuDevice& device, R request, std::uint32_t domain, std::uint64_t first,
                     std::uint64_t last) {
  request.domain = domain;
  request.virt_start = first << page_shift;
  request.virt_end = ((last + 1) << page_shift) - 1;
  return device.execute(request).status;
}

}  // namespace

TEST_CASE("any program of requests gives the reference's answers and shadows") {
  const bool ok = rc::check([] {
    std::array<test::RecordingShadow, endpoints> shadows;
    VirtioIommuDevice device{hypervisor::VirtioIommuDeviceConfig{}};
    for (std::uint32_t e = 0; e < endpoints; ++e) device.add_endpoint(e, &shadows[e]);
    Reference reference;
    const int steps = *rc::gen::inRange(1, 80);
    for (int step = 0; step < steps; ++step) {
      const auto domain = *rc::gen::inRange<std::uint32_t>(1, domains + 1);
      const auto endpoint = *rc::gen::inRange<std::uint32_t>(0, endpoints);
      const auto first = *rc::gen::inRange<std::uint64_t>(0, pages);
      const auto last = *rc::gen::inRange<std::uint64_t>(first, std::min(pages, first + 14));
      Status answer{};
      Status expected{};
      const int kind = *rc::gen::weightedElement<int>({{2, 0}, {1, 1}, {6, 2}, {5, 3}});
      if (kind == 0) {
        virtio_iommu::Attach request;
        request.domain = domain;
        request.endpoint = endpoint;
        answer = device.execute(request).status;
        expected = reference.attach(domain, endpoint);
      } else if (kind == 1) {
        virtio_iommu::Detach request;
        request.domain = domain;
        request.endpoint = endpoint;
        answer = device.execute(request).status;
        expected = reference.detach(domain, endpoint);
      } else if (kind == 2) {
        const auto phys = *rc::gen::inRange<std::uint64_t>(0, 1 << 20);
        virtio_iommu::Map request;
        request.phys_start = phys << page_shift;
        request.flags = virtio_iommu::map_read;
        answer = range_request(device, request, domain, first, last);
        expected = reference.map(domain, first, last, phys);
      } else {
        answer = range_request(device, virtio_iommu::Unmap{}, domain, first, last);
        expected = reference.unmap(domain, first, last);
      }
      RC_ASSERT(answer == expected);
      for (std::uint32_t e = 0; e < endpoints; ++e) {
        const auto view = reference.view(e);
        RC_ASSERT(shadows[e].pages == view);
        RC_ASSERT(!shadows[e].double_map);
        const auto page = *rc::gen::inRange<std::uint64_t>(0, pages);
        const auto translated = device.translate(e, Iova{(page << page_shift) + 5}, DmaAccess::read).gpa;
        RC_ASSERT(translated.has_value() == (view.count(page) != 0));
        if (translated) RC_ASSERT(*translated == Gpa{(view.at(page) << page_shift) + 5});
      }
      RC_ASSERT(device.domain_count() == reference.space.size());
    }
  });
  CHECK(ok);
}

TEST_CASE("a refusal anywhere leaves the shadows as they were") {
  const bool ok = rc::check([] {
    std::array<test::RecordingShadow, 2> shadows;
    VirtioIommuDevice device{hypervisor::VirtioIommuDeviceConfig{}};
    for (std::uint32_t e = 0; e < 2; ++e) {
      device.add_endpoint(e, &shadows[e]);
      virtio_iommu::Attach attach;
      attach.domain = 1;
      attach.endpoint = e;
      device.execute(attach);
    }
    for (int step = 0; step < 30; ++step) {
      const auto before = shadows[0].pages;
      const auto first = *rc::gen::inRange<std::uint64_t>(0, pages);
      const auto last = *rc::gen::inRange<std::uint64_t>(first, pages);
      auto& victim = shadows[*rc::gen::inRange<std::size_t>(0, 2)];
      if (*rc::gen::arbitrary<bool>()) victim.refuse_after = *rc::gen::inRange<unsigned>(0, 4);
      virtio_iommu::Map map;
      map.flags = virtio_iommu::map_write;
      const Status status = range_request(device, map, 1, first, last);
      victim.refuse_after.reset();
      RC_ASSERT(status == Status::ok || shadows[0].pages == before);
      RC_ASSERT(shadows[0].pages == shadows[1].pages);
      if (*rc::gen::arbitrary<bool>()) range_request(device, virtio_iommu::Unmap{}, 1, first, last);
    }
  });
  CHECK(ok);
}

TEST_CASE("any bytes decode, and what they decode to says the same bytes") {
  const bool ok = rc::check([](const std::vector<std::uint8_t>& in) {
    const auto bytes = std::as_bytes(std::span(in));
    const auto request = virtio_iommu::decode(bytes);
    std::visit(
        [&](const auto& r) {
          using R = std::decay_t<decltype(r)>;
          if constexpr (!std::is_same_v<R, virtio_iommu::Unrecognised> &&
                        !std::is_same_v<R, virtio_iommu::Truncated>) {
            const auto back = virtio_iommu::encode(r);
            RC_ASSERT(std::equal(back.begin(), back.end(), bytes.begin()));
          }
        },
        request);
  });
  CHECK(ok);
}
