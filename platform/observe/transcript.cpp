// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/transcript.hpp"

#include <algorithm>
#include <string_view>

#include "platform/observe/human_log.hpp"

namespace gnomon::observe {
namespace {

/// "IoReaped", taken from the compiler's own name for this function: a kind that is added needs no entry here.
template <class E>
constexpr std::string_view kind_name() {
  constexpr std::string_view space = "gnomon::trace::";
  const std::string_view function = __PRETTY_FUNCTION__;  // "... [with E = gnomon::trace::IoReaped; ...]"
  const std::size_t start = function.rfind(space) + space.size();
  return function.substr(start, function.find_first_of(";]", start) - start);
}

template <class... E>
constexpr std::array<std::string_view, sizeof...(E)> kind_names(const std::variant<E...>*) {
  return {kind_name<E>()...};
}
constexpr auto names = kind_names(static_cast<const trace::Event*>(nullptr));
static_assert(names[0] == "WindowOpened");

}  // namespace

void Transcript::on_event(Time at, const trace::Event& event) {
  ++counts_[event.index()];
  open_ = open_ || std::holds_alternative<trace::WindowOpened>(event);
  if (open_ && events_.size() < kept) events_.emplace_back(at, event);
}

std::string Transcript::text() const {
  std::vector<std::pair<std::string_view, std::uint64_t>> counts;
  for (std::size_t kind = 0; kind < counts_.size(); ++kind)
    if (counts_[kind] != 0) counts.emplace_back(names[kind], counts_[kind]);
  std::sort(counts.begin(), counts.end());
  std::string text;
  for (const auto& [name, count] : counts) text += fmt::format("events {} {}\n", name, count);
  fmt::memory_buffer line;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const auto& [at, event] = events_[i];
    line.clear();
    HumanLog::describe(line, at, event, exits_);
    const Time since = at - events_[i == 0 ? 0 : i - 1].first;
    text += fmt::format("+{} {}\n", since.ps(), std::string_view(line.data(), line.size()));
  }
  return text;
}

}  // namespace gnomon::observe
