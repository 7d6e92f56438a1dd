// SPDX-License-Identifier: Apache-2.0
#include "platform/scenario/data_root.hpp"

#include <algorithm>
#include <cstdlib>
#include <system_error>

namespace gnomon::scenario {

namespace fs = std::filesystem;

fs::path data_root() {
  const char* given = std::getenv("GNOMON_DATA");
  return given != nullptr && *given != '\0' ? fs::path{given} : fs::path{GNOMON_DATA_DIR};
}

fs::path machines_folder() {
  return data_root() / "platform" / "machines";
}
fs::path kernels_folder() {
  return data_root() / "guest" / "kernels";
}

std::vector<std::string> toml_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at{folder, error}, end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".toml") names.push_back(at->path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string shown(const fs::path& path) {
  std::error_code error;
  const fs::path here = fs::current_path(error);
  if (error) return path.string();
  const fs::path relative = path.lexically_normal().lexically_proximate(here);
  if (relative.empty() || *relative.begin() == "..") return path.string();
  return relative.string();
}

}  // namespace gnomon::scenario
