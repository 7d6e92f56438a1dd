// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/simulated_commands.hpp"

namespace gnomon::conform {

trace::KindSet SimulatedCommands::wants() const {
  return trace::kinds<trace::WindowOpened, trace::WindowClosed, trace::MappingAdded, trace::MapReturned,
                      trace::UnmapReturned, trace::FlushQueueFlushed, trace::GuestRequest, trace::GuestKick>();
}

void SimulatedCommands::on_event(Time /*at*/, const trace::Event& event) {
  if (std::holds_alternative<trace::WindowOpened>(event)) open_ = true;
  if (std::holds_alternative<trace::WindowClosed>(event)) open_ = false;
  if (!open_) return;
  if (const auto* e = std::get_if<trace::GuestRequest>(&event)) request(*e);
  if (const auto* e = std::get_if<trace::GuestKick>(&event)) kick(*e);
  if (const auto* e = std::get_if<trace::MappingAdded>(&event)) added_ = *e;
  if (const auto* e = std::get_if<trace::MapReturned>(&event)) {
    iovas_.push_back(e->iova);
    ++step_;
  }
  if (std::holds_alternative<trace::UnmapReturned>(event)) ++step_;
  if (const auto* e = std::get_if<trace::FlushQueueFlushed>(&event)) {
    const bool timer = e->cause == trace::FlushCause::timer;
    ++(timer ? timer_ : full_);
    if (timer) ++step_;  // a full one is within an unmap's step
  }
}

void SimulatedCommands::request(const trace::GuestRequest& e) {
  Request request;
  request.step = step_;
  request.iova = e.iova;
  request.bytes = e.bytes;
  switch (e.type) {
    case trace::RequestType::map:
      request.kind = Request::Kind::map;
      request.physical = e.gpa;
      request.flags = added_.readable | added_.writable << 1;
      break;
    case trace::RequestType::unmap: request.kind = Request::Kind::unmap; break;
    case trace::RequestType::invalidate:
      request.kind = e.bytes != trace::whole_domain   ? Request::Kind::pages
                     : e.domain == trace::all_domains ? Request::Kind::global
                                                      : Request::Kind::domain;
      request.flags = e.flags;
      break;
    case trace::RequestType::wait: request.kind = Request::Kind::wait; break;
    case trace::RequestType::attach:
    case trace::RequestType::detach:
    case trace::RequestType::probe:
    case trace::RequestType::configure: break;
  }
  if (request.kind > Request::Kind::pages) request.iova = request.bytes = 0;
  stream_.requests.push_back(request);
}

void SimulatedCommands::kick(const trace::GuestKick& e) {
  if (e.suppressed != 0) {
    ++suppressed_;
    return;
  }
  stream_.kicks.push_back(announced_);
  announced_ = stream_.requests.size();
}

void SimulatedCommands::translate(const std::function<std::uint64_t(std::uint64_t)>& recorded_address) {
  for (Request& request : stream_.requests)
    if (request.kind == Request::Kind::map) request.physical = recorded_address(request.physical);
}

}  // namespace gnomon::conform
