// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "platform/check/checked.hpp"

namespace gnomon::check {

std::string to_bench_json(const std::vector<Scenario>& scenarios) {
  using nlohmann::ordered_json;
  ordered_json all = ordered_json::array();
  for (const Scenario& s : scenarios) {
    for (const Figure& figure : s.figures) {
      ordered_json j{{"name", s.name + "/" + figure.name}, {"unit", figure.unit}, {"value", figure.value}};
      if (figure.range != 0) j["range"] = fmt::format("± {:.6g}", figure.range);
      if (!figure.extra.empty()) j["extra"] = figure.extra;
      all.push_back(std::move(j));
    }
  }
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace gnomon::check
