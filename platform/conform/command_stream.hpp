// SPDX-License-Identifier: Apache-2.0
// What a guest asked of its vIOMMU, in order, whatever the vIOMMU: one form for recorded and simulated streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gnomon::conform {

enum class Unit : std::uint8_t { virtio_iommu, intel_iommu, amd_iommu };
const char* name_of(Unit unit);

inline constexpr std::uint64_t unknown = ~std::uint64_t{0};

struct Request {
  enum class Kind : std::uint8_t { map, unmap, pages, domain, global, wait, other };
  Kind kind = Kind::other;
  std::uint64_t iova = 0;      ///< of map, unmap, pages; unknown: not told
  std::uint64_t bytes = 0;     ///< likewise
  std::uint64_t physical = 0;  ///< of map
  std::uint64_t flags = 0;   ///< map: 1 the device may read, 2 it may write; pages: 1 leaf entries only (VT-d's IH)
  std::uint32_t step = 0;    ///< simulated: of the script; recorded: unused
  std::uint64_t domain = 0;  ///< recorded: by the unit's own number; a wait's is of the request before it
};
const char* name_of(Request::Kind kind);
std::string to_text(const Request& request);
/// Equal as far as both are known. Steps do not count.
bool same(const Request& a, const Request& b);

struct CommandStream {
  std::vector<Request> requests;
  std::vector<std::size_t>
      kicks;  ///< for each notification or tail write, how many requests had been announced before
  std::uint64_t head_reads = 0;  ///< AMD: reads of the command ring's head
  bool others = false;           ///< requests of other domains were taken out, which may have shared kicks
};

}  // namespace gnomon::conform
