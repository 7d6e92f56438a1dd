// SPDX-License-Identifier: Apache-2.0
// Where the data that belongs to the program lies: machine profiles, kernels, scenarios.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gnomon::scenario {

/// $GNOMON_DATA, else the folder the program was built from.
std::filesystem::path data_root();

std::filesystem::path machines_folder();
std::filesystem::path kernels_folder();

/// The names of the .toml files in `folder`, without their ".toml", sorted. Empty where there is no such folder.
std::vector<std::string> toml_names(const std::filesystem::path& folder);

/// `path` as short as it can be said from here: relative where it lies below the working folder.
std::string shown(const std::filesystem::path& path);

}  // namespace gnomon::scenario
