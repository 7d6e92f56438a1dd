// SPDX-License-Identifier: Apache-2.0
#include "platform/report/page.hpp"

#include <algorithm>
#include <stdexcept>

namespace gnomon::report {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

json config_json(const std::vector<ConfigLine>& lines) {
  json out = json::array();
  for (const ConfigLine& line : lines) out.push_back({line.path, line.value, line.origin});
  return out;
}

/// Two bins made one: sums add up, extremes stay extremes.
void halve(json& series) {
  if (!series.is_object()) return;
  for (auto& [name, column] : series["columns"].items()) {
    const bool extreme = name.ends_with("_max") || name.ends_with("_max_ns");
    json halved = json::array();
    for (std::size_t i = 0; i < column.size(); i += 2) {
      if (i + 1 == column.size()) {
        halved.push_back(column[i]);
      } else if (const double a = column[i], b = column[i + 1]; extreme) {
        halved.push_back(std::max(a, b));
      } else {
        halved.push_back(a + b);
      }
    }
    column = std::move(halved);
  }
  series["bin_ns"] = series["bin_ns"].get<double>() * 2;
}

ordered_json result_json(const ResultFolder& result, unsigned halvings, bool with_config) {
  ordered_json j;
  j["folder"] = result.path.string();
  j["summary"] = result.summary;
  j["config"] = config_json(with_config ? result.config : std::vector<ConfigLine>{});
  j["variants"] = ordered_json::object();
  for (const VariantFiles& files : result.variants) {
    json series = files.series;
    for (unsigned i = 0; i < halvings; ++i) halve(series);
    j["variants"][files.name] = {{"series", std::move(series)},
                                 {"latency_ns", files.latency_ns},
                                 {"exposure_ns", files.exposure_ns},
                                 {"config", config_json(with_config ? files.config : std::vector<ConfigLine>{})},
                                 {"findings", files.findings}};
  }
  return j;
}

/// As the text of a script element: "<" ends nothing there, whatever follows it.
std::string embedded(const ordered_json& data) {
  const std::string text = data.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string make_page(const std::vector<ResultFolder>& results, const ordered_json& diff) {
  constexpr std::string_view mark = "@GNOMON_REPORT_DATA@";
  const std::size_t at = page_without_data.find(mark);
  if (at == std::string_view::npos) throw std::logic_error("the report's page has no place for its data");
  constexpr unsigned most_halvings = 5;
  std::string data;
  for (unsigned step = 0; step <= most_halvings + 1; ++step) {
    ordered_json j{{"results", ordered_json::array()}, {"diff", diff}};
    for (const ResultFolder& result : results)
      j["results"].push_back(result_json(result, std::min(step, most_halvings), step <= most_halvings));
    data = embedded(j);
    if (page_without_data.size() + data.size() <= most_page_bytes) break;
  }
  return std::string{page_without_data.substr(0, at)} + data +
         std::string{page_without_data.substr(at + mark.size())};
}

}  // namespace gnomon::report
