// SPDX-License-Identifier: Apache-2.0
// The page of gnomon report: report/ makes it without its data, which is put in here.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "platform/report/result_folder.hpp"

namespace gnomon::report {

extern const std::string_view page_without_data;  ///< page.html, compiled in

/// Bytes a page may have. Series are made coarser until it fits; only what summary.json says is never left out.
inline constexpr std::size_t most_page_bytes = 3'000'000;

/// One self-contained page. `diff` is comparison_json()'s, or null. What a result says is data: no text of it can
/// become markup or script.
std::string make_page(const std::vector<ResultFolder>& results, const nlohmann::ordered_json& diff = nullptr);

}  // namespace gnomon::report
