// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/recorded_commands.hpp"

#include <algorithm>

#include "models/base/address.hpp"

namespace gnomon::conform {

using gtrace::Event;
using gtrace::EventKind;

namespace {

constexpr std::uint64_t amd_command_head = 0x2000, amd_command_tail = 0x2008;  // AMD I/O Virtualization, 3.4.17

/// VT-d 6.5.2: type in bits 3:0, of an IOTLB descriptor the granularity in 5:4; AM in 5:0 of the high half, IH
/// in 6.
Request vtd_request(std::uint64_t low, std::uint64_t high) {
  Request request;
  request.domain = low >> 16 & 0xffff;  // of an IOTLB descriptor
  const std::uint64_t type = low & 0xf;
  if (type == 5) request.kind = Request::Kind::wait;
  if (type != 2) return request;
  switch (low >> 4 & 3) {
    case 1: request.kind = Request::Kind::global; break;
    case 2: request.kind = Request::Kind::domain; break;
    case 3:
      request.kind = Request::Kind::pages;
      request.bytes = page_size << (high & 0x3f);
      request.iova = high & ~(page_size - 1);
      request.flags = high >> 6 & 1;
      break;
    default: break;
  }
  return request;
}

class Reader {
 public:
  explicit Reader(const gtrace::GtraceReader& file) : file_(file) {}

  void add(const Event& e) {
    Request request;
    switch (e.kind) {
      case EventKind::kick: return kick(e);
      case EventKind::map_request:
        request = {Request::Kind::map, e.address, e.bytes, e.target, e.flags, 0, e.domain};
        return push(Unit::virtio_iommu, request);
      case EventKind::unmap_request:
        request = {Request::Kind::unmap, e.address, e.bytes, 0, 0, 0, e.domain};
        return push(Unit::virtio_iommu, request);
      case EventKind::command: return push(Unit::intel_iommu, vtd_request(e.word[0], e.word[1]));
      case EventKind::invalidation:
        if (file_.string(e.name) != "amdvi pages") return;  // AMD's: VT-d's are told as commands too
        request = {Request::Kind::pages, unknown, unknown, 0, unknown, 0, e.domain};
        return push(Unit::amd_iommu, request);
      case EventKind::wait:
        if (vtd_) return;  // its descriptor was told as a command
        request.kind = Request::Kind::wait;
        return push(Unit::amd_iommu, request);
      case EventKind::register_access:
        if (e.address == amd_command_tail) out.stream.kicks.push_back(out.stream.requests.size());
        if (e.address == amd_command_head) ++out.stream.head_reads;
        return;
      default: return;
    }
  }

  /// A virtqueue's notification is of the vIOMMU where its requests come next: other devices notify too.
  void settle() {
    if (out.unit != Unit::virtio_iommu) return;
    std::vector<std::uint64_t> votes(devices_.size());
    for (std::size_t i = 0; i < kicks_.size(); ++i) {
      const std::size_t end = i + 1 < kicks_.size() ? kicks_[i + 1].at : out.stream.requests.size();
      if (end > kicks_[i].at) ++votes[kicks_[i].device];
    }
    if (votes.empty()) return;
    const auto best = static_cast<std::size_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
    for (const Kick& kick : kicks_)
      if (kick.device == best) out.stream.kicks.push_back(kick.at);
  }

  RecordedCommands out;

 private:
  struct Kick {
    std::size_t device;
    std::size_t at;
  };

  void push(Unit unit, const Request& request) {
    out.unit = unit;
    vtd_ = vtd_ || unit == Unit::intel_iommu;
    out.stream.requests.push_back(request);
    if (request.kind == Request::Kind::wait) out.stream.requests.back().domain = domain_;
    domain_ = out.stream.requests.back().domain;
  }

  void kick(const Event& e) {
    if (e.value != gtrace::unknown) return out.stream.kicks.push_back(out.stream.requests.size());  // VT-d's tail
    const std::uint64_t key = e.device << 32 | e.queue;
    const auto found = std::find(devices_.begin(), devices_.end(), key);
    const auto device = static_cast<std::size_t>(found - devices_.begin());
    if (found == devices_.end()) devices_.push_back(key);
    kicks_.push_back({device, out.stream.requests.size()});
  }

  const gtrace::GtraceReader& file_;
  std::vector<std::uint64_t> devices_;  // device and queue of each
  std::vector<Kick> kicks_;
  std::uint64_t domain_ = 0;  // of the last request
  bool vtd_ = false;
};

std::uint64_t requests_of(const gtrace::Stream& stream) {
  std::uint64_t count = 0;
  for (const EventKind kind : {EventKind::map_request, EventKind::unmap_request, EventKind::command,
                               EventKind::invalidation, EventKind::wait})
    count += stream.by_kind[static_cast<std::size_t>(kind)];
  return count;
}

}  // namespace

std::optional<RecordedCommands> read_commands(gtrace::GtraceReader& file) {
  std::optional<std::uint32_t> best;
  std::uint64_t most = 0;
  for (std::uint32_t i = 0; i < file.streams().size(); ++i) {
    const gtrace::Stream& stream = file.streams()[i];
    if (stream.format != "qemu-log" || requests_of(stream) <= most) continue;
    most = requests_of(stream);
    best = i;
  }
  if (!best) return std::nullopt;
  Reader reader{file};
  Event event;
  for (file.rewind(best); file.next(event);) reader.add(event);
  reader.settle();
  return std::move(reader.out);
}

}  // namespace gnomon::conform
