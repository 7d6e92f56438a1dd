// SPDX-License-Identifier: Apache-2.0
// fio 3.33's --output-format=json and json+, field for field and in fio's style of writing.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "guest/fio/report.hpp"

namespace gnomon::fio {

enum class JsonFlavour : std::uint8_t {
  json,
  json_plus
};  ///< json+ adds the histogram's "bins" to each percentile list

/// The document. Callers add what is ours under the key "gnomon", at the top or in a job; readers of fio ignore it.
nlohmann::ordered_json to_fio_json(const RunReport& run, JsonFlavour flavour = JsonFlavour::json);

/// `document` as fio prints it: two blanks a level, `"key" : value`, floating point with six decimals, a final
/// newline.
std::string write_fio_json(const nlohmann::ordered_json& document);

}  // namespace gnomon::fio
