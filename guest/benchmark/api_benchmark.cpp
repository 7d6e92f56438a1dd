// SPDX-License-Identifier: Apache-2.0
#include "guest/benchmark/api_benchmark.hpp"

#include <algorithm>
#include <bit>
#include <string>

namespace gnomon::guest {

namespace {

using Kind = ApiOperation::Kind;

constexpr std::uint64_t largest_leaf = std::uint64_t{1} << 30;

/// Calls `step(offset, bytes)` for each call an operation stands for.
template <class Step>
void for_each_call(const ApiOperation& operation, Step&& step) {
  const std::uint64_t each = operation.each == 0 ? operation.bytes : operation.each;
  for (std::uint64_t done = 0; done < operation.bytes; done += each) {
    step(done, std::min(each, operation.bytes - done));
  }
}

}  // namespace

ApiBenchmark::ApiBenchmark(const ApiBenchmarkSpec& spec, IommuDomain& domain, Cpu& cpu, GuestPages& pages)
    : spec_(spec), domain_(domain), cpu_(cpu) {
  for (const ApiOperation& operation : spec.prepare) prepare_buffers_.push_back(allocate(operation, pages));
  for (const ApiOperation& operation : spec.operations) buffers_.push_back(allocate(operation, pages));
}

/// A buffer as large leaves want it: physically aligned as the IOVA is, up to the largest leaf that fits. Scattered
/// runs lie a page apart, and the first page of each is as far from the next.
Gpa ApiBenchmark::allocate(const ApiOperation& operation, GuestPages& pages) const {
  if (operation.kind != Kind::map) return Gpa{};
  const std::uint64_t alignment = std::clamp(std::bit_floor(operation.bytes), page_size, largest_leaf);
  const std::uint64_t offset = (operation.iova.value & (alignment - 1)) + operation.phase;
  const std::uint64_t gaps = (operation.runs - 1) * page_size;
  return pages.allocate(offset + operation.bytes + gaps, alignment) + offset;
}

void ApiBenchmark::start(Cpu& cpu, std::function<void(Cpu&)> on_done) {
  on_done_ = std::move(on_done);
  cpu_.wake(*this, cpu);
}

bool ApiBenchmark::turn(Cpu& cpu) {
  if (!prepared_) {
    for (std::size_t i = 0; i < spec_.prepare.size(); ++i) run(cpu, i, true);
    if (!gathered_.empty()) sync(cpu);
    prepared_ = true;
    calls_ = domain_.calls();
    cpu.emit(trace::WindowOpened{1});
    return true;
  }
  for (std::size_t i = 0; i < spec_.operations.size(); ++i) run(cpu, i, false);
  if (!gathered_.empty()) sync(cpu);  // what a list leaves open ends with it
  if (++round_ < spec_.repeat) return true;
  cpu.emit(trace::DriverCallsMade{domain_.calls().map - calls_.map, domain_.calls().unmap - calls_.unmap});
  cpu.emit(trace::WindowClosed{1});
  on_done_(cpu);
  return false;
}

void ApiBenchmark::run(Cpu& cpu, std::size_t index, bool prepare) {
  const ApiOperation& operation = (prepare ? spec_.prepare : spec_.operations)[index];
  switch (operation.kind) {
    case Kind::map: map(cpu, operation, (prepare ? prepare_buffers_ : buffers_)[index]); break;
    case Kind::unmap: unmap(cpu, operation); break;
    case Kind::unmap_fast:
      for_each_call(operation, [&](std::uint64_t offset, std::uint64_t bytes) {
        const Time began = cpu.now();
        const std::uint64_t done = domain_.unmap_fast(cpu, operation.iova + offset, bytes, gather_);
        gathered_.push_back({operation.iova + offset, done, began});
        ++unmaps_.calls;
        unmaps_.bytes += done;
        unmaps_.failed += done < bytes;
      });
      break;
    case Kind::sync: sync(cpu); break;
    case Kind::flush_all: domain_.flush_all(cpu); break;
  }
}

void ApiBenchmark::map(Cpu& cpu, const ApiOperation& operation, Gpa buffer) {
  for_each_call(operation, [&](std::uint64_t offset, std::uint64_t bytes) {
    const std::uint64_t run_bytes = operation.bytes / operation.runs;
    runs_.clear();
    for (std::uint64_t at = offset; at < offset + bytes;) {  // the part of the buffer's runs that this call maps
      const std::uint64_t run = std::min(at / run_bytes, std::uint64_t{operation.runs} - 1);
      const std::uint64_t end = run + 1 == operation.runs ? operation.bytes : (run + 1) * run_bytes;
      const std::uint64_t length = std::min(end, offset + bytes) - at;
      runs_.push_back({buffer + at + run * page_size, length});
      at += length;
    }
    const MapResult result = domain_.map_sg(cpu, operation.iova + offset, runs_, DmaAccess{});
    ++maps_.calls;
    maps_.failed += result.error != 0;
    maps_.bytes += result.error == 0 ? bytes : 0;
    maps_.left_mapped += result.left_mapped;
  });
}

void ApiBenchmark::unmap(Cpu& cpu, const ApiOperation& operation) {
  for_each_call(operation, [&](std::uint64_t offset, std::uint64_t bytes) {
    const std::uint64_t done = domain_.unmap(cpu, operation.iova + offset, bytes);
    ++unmaps_.calls;
    unmaps_.bytes += done;
    unmaps_.failed += done < bytes;
  });
}

/// The unmaps of the gather return here: from now on no cache may hold their ranges.
void ApiBenchmark::sync(Cpu& cpu) {
  domain_.iotlb_sync(cpu, gather_);
  gather_ = IotlbGather{};
  cpu.processor().sync();
  const std::uint32_t domain = domain_.driver().domain();
  for (const Gathered& unmapped : gathered_) {
    if (unmapped.bytes == 0) continue;
    cpu.emit(trace::UnmapReturned{unmapped.iova.value, unmapped.bytes, (cpu.now() - unmapped.began).ps(), domain, cpu.id(),
                                  0, 0});
  }
  gathered_.clear();
}

std::vector<WorkloadOutput> ApiBenchmark::outputs(Time /*now*/) const {
  const auto line = [](const char* name, const Tally& tally) {
    return std::string(name) + ": " + std::to_string(tally.calls) + " calls, " + std::to_string(tally.failed) +
           " short or failed, " + std::to_string(tally.bytes) + " B, " + std::to_string(tally.left_mapped) +
           " B left mapped by failed calls\n";
  };
  return {{"api.txt", line("map", maps_) + line("unmap", unmaps_)}};
}

}  // namespace gnomon::guest
