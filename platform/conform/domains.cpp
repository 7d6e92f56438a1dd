// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/domains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

namespace gnomon::conform {

namespace {

bool ranged(const Request& r) {
  return r.kind <= Request::Kind::domain;
}

/// How many of the device's maps, or where maps are not asked for, unmaps come in this order in the domain's
/// requests.
std::uint64_t in_order(const RecordedCommands& commands, std::uint64_t domain, const Recording& device) {
  constexpr std::size_t window = 256;
  const bool maps = commands.unit == Unit::virtio_iommu;
  std::vector<const Request*> asked;
  for (const Request& r : commands.stream.requests)
    if (r.domain == domain && r.iova != unknown && r.kind == (maps ? Request::Kind::map : Request::Kind::pages))
      asked.push_back(&r);
  std::uint64_t found = 0;
  std::size_t next = 0;
  for (const RecordedStep& step : device.steps) {
    if (step.kind != (maps ? RecordedStep::Kind::map : RecordedStep::Kind::unmap)) continue;
    const auto& runs = device.mappings[step.mapping].runs;
    const auto fits = [&](const Request* r) {
      return r->iova == step.iova && (!maps || runs.empty() || runs.front().address == r->physical);
    };
    const auto begin = asked.begin() + static_cast<std::ptrdiff_t>(next);
    const auto end = asked.begin() + static_cast<std::ptrdiff_t>(std::min(asked.size(), next + window));
    const auto at = std::find_if(begin, end, fits);
    if (at == end) continue;
    ++found;
    next = static_cast<std::size_t>(at - asked.begin()) + 1;
  }
  return found;
}

}  // namespace

std::vector<std::uint64_t> domains_of(const CommandStream& stream) {
  std::set<std::uint64_t> domains;
  for (const Request& r : stream.requests)
    if (ranged(r)) domains.insert(r.domain);
  return {domains.begin(), domains.end()};
}

std::optional<std::uint64_t> domain_of(const RecordedCommands& commands, const Recording& device) {
  const auto domains = domains_of(commands.stream);
  if (domains.size() == 1) return domains.front();
  std::optional<std::uint64_t> best;
  std::uint64_t most = 0;
  bool twice = false;
  for (const std::uint64_t domain : domains) {
    const std::uint64_t found = in_order(commands, domain, device);
    twice = found == most || (twice && found < most);
    if (found <= most) continue;
    most = found;
    best = domain;
  }
  return twice ? std::nullopt : best;
}

RecordedCommands of_domain(const RecordedCommands& commands, std::uint64_t domain) {
  RecordedCommands out;
  out.unit = commands.unit;
  out.stream.head_reads = commands.stream.head_reads;
  std::size_t kick = 0;
  bool kicked = false;
  const CommandStream& all = commands.stream;
  for (std::size_t i = 0; i < all.requests.size(); ++i) {
    for (; kick < all.kicks.size() && all.kicks[kick] <= i; ++kick) kicked = true;
    if (all.requests[i].domain != domain) {
      out.stream.others = true;
      continue;
    }
    if (std::exchange(kicked, false)) out.stream.kicks.push_back(out.stream.requests.size());
    out.stream.requests.push_back(all.requests[i]);
  }
  return out;
}

namespace {

/// Domains in the order in which they were asked for something.
using Asked = std::deque<std::uint64_t>;

std::uint64_t take(Asked& asked, const std::set<std::uint64_t>& among) {
  const auto at = std::find_if(asked.begin(), asked.end(), [&](auto domain) { return among.contains(domain); });
  const std::uint64_t domain = at == asked.end() ? *among.begin() : *at;
  if (at != asked.end()) asked.erase(at);
  return domain;
}

}  // namespace

std::vector<Recording> by_domain(const Recording& recording, const RecordedCommands& commands) {
  std::map<std::pair<std::uint64_t, std::uint64_t>, Asked> maps;  // by address and memory
  std::map<std::uint64_t, Asked> unmaps;                          // by address
  for (const Request& r : commands.stream.requests) {
    if (r.kind == Request::Kind::map) maps[{r.iova, r.physical}].push_back(r.domain);
    if (r.kind == Request::Kind::unmap) unmaps[r.iova].push_back(r.domain);
  }
  std::map<std::uint64_t, Recording> parts;
  std::map<std::uint64_t, std::map<std::uint64_t, std::uint32_t>> live;  // by address: of each domain, its mapping
  std::uint64_t unnamed = 0;
  for (RecordedStep step : recording.steps) {
    std::uint64_t domain = 0;
    if (step.kind == RecordedStep::Kind::map) {
      const RecordedMapping& mapping = recording.mappings[step.mapping];
      const auto asked =
          mapping.runs.empty() ? maps.end() : maps.find({mapping.iova, mapping.runs.front().address});
      if (asked == maps.end() || asked->second.empty()) {
        ++unnamed;
        continue;
      }
      domain = asked->second.front();
      asked->second.pop_front();
      auto& mappings = parts[domain].mappings;
      step.mapping = live[step.iova][domain] = static_cast<std::uint32_t>(mappings.size());
      mappings.push_back(mapping);
    } else if (step.kind == RecordedStep::Kind::unmap) {
      auto& here = live[step.iova];
      std::set<std::uint64_t> domains;
      for (const auto& [of, number] : here) domains.insert(of);
      if (domains.empty()) {
        ++unnamed;
        continue;
      }
      domain = take(unmaps[step.iova], domains);
      step.mapping = here.at(domain);
      here.erase(domain);
    } else {
      continue;  // of which domain a flush was is not told
    }
    parts[domain].steps.push_back(step);
  }
  std::vector<Recording> out;
  for (auto& [domain, part] : parts) {
    part.device = fmt::format("domain {}", domain);
    part.cpus = recording.cpus;
    part.unnamed = unnamed;
    out.push_back(std::move(part));
  }
  return out;
}

}  // namespace gnomon::conform
