// SPDX-License-Identifier: Apache-2.0
// Scenarios in a folder of their own, resolved.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "platform/scenario/resolve.hpp"

namespace scenario_test {

using namespace gnomon;
using namespace gnomon::scenario;
namespace fs = std::filesystem;

/// A scenario file and a job file beside it, gone with the object.
class Sandbox {
 public:
  Sandbox() {
    std::string name = (fs::temp_directory_path() / "gnomon-scenario-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    write("jobs.fio",
          "[global]\nfilename=/dev/nvme0n1\ndirect=1\nioengine=libaio\nruntime=10\ntime_based\n\n"
          "[page]\nrw=randrw\nbs=4k\niodepth=128\nsize=1G\n\n[big]\nrw=randwrite\nbs=64k\nsize=1G\n");
  }
  ~Sandbox() { fs::remove_all(folder_); }
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  void write(const std::string& name, std::string_view text) const { std::ofstream{folder_ / name} << text; }
  const fs::path& folder() const { return folder_; }

  /// Resolved, called a.toml in messages, which stay in `said`.
  std::optional<ResolvedScenario> resolve(std::string_view text, std::vector<std::string> settings = {}) {
    write("a.toml", text);
    config::Diagnostics diagnostics;
    auto resolved = scenario::resolve(folder_ / "a.toml", {std::move(settings), "a.toml"}, diagnostics);
    said = diagnostics.render();
    return resolved;
  }

  std::string said;

 private:
  fs::path folder_;
};

inline constexpr std::string_view header =
    "title = \"t\"\n[machine]\nprofile = \"intel-desktop-2023\"\n[workload]\nfio = \"jobs.fio\"\nsection = "
    "\"page\"\n";

}  // namespace scenario_test
