// SPDX-License-Identifier: Apache-2.0
// Every option of fio 3.33, and what becomes of it here: modelled, ignored for a stated reason, or refused.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace gnomon::fio {

enum class Treatment : std::uint8_t {
  modelled,      ///< has an effect here
  ignored,       ///< changes nothing in a simulation; `detail` says why
  only,          ///< accepted with the values in `detail` (separated by '|'), which ask for nothing more than we do
  not_modelled,  ///< would change the run and is not simulated: an error
};

struct OptionEntry {
  std::string_view name;
  std::string_view alias;  ///< empty: none
  Treatment treatment;
  std::string_view detail;
};

/// The option called `key`, by name or alias; null: fio has none. fio's keys are case-sensitive.
const OptionEntry* find_option(std::string_view key);

/// Names and aliases, for suggestions.
std::vector<std::string_view> option_names();

}  // namespace gnomon::fio
