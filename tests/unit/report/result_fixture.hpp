// SPDX-License-Identifier: Apache-2.0
// Result folders made by hand, gone with the object.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace report_test {

namespace fs = std::filesystem;

inline constexpr std::string_view series_text =
    R"({"schema":1,"bin_ns":1048.576,"window_ns":[0,2000],"columns":{"ios":[1,2],"bytes":[4096,8192],"latency_ns":[5,6],
"latency_max_ns":[5,7],"in_flight_max":[1,1],"exits":[0,0],"iotlb_hits":[1,1],"iotlb_misses":[0,1],"invalidations":[0,0],
"lock_wait_ns":[0,0]},"latency_ns":[[5,1],[7,2]],"exposure_ns":[]})";
inline constexpr std::string_view hashes_text = "# gnomon trace hashes 1: x\n1 5 0123456789abcdef\n";

class Results {
 public:
  Results() {
    std::string name = (fs::temp_directory_path() / "gnomon-report-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder = name;
    summary = {
        {"schema", 1},
        {"gnomon", "0.1.0"},
        {"scenario", "quick"},
        {"title", "a </script><b>title"},
        {"seed", 1},
        {"variants", {{{"name", "strict"}, {"status", "ok"}, {"metrics", {{"io.iops", 100}, {"sim.wall_s", 1}}}}}},
        {"expectations", nlohmann::ordered_json::array()}};
    save();
    write("config.toml", "title = \"x # y\"  # a.toml:1\n[guest]\nvcpus = 4  # default\n");
    write("strict/config.toml", "title = \"x # y\"  # a.toml:1\n[guest]\nvcpus = 8  # variant strict\n");
    write("strict/series.json", series_text);
    write("strict/trace.hashes", hashes_text);
  }
  ~Results() { fs::remove_all(folder); }
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;

  void save() const { write("summary.json", summary.dump()); }
  void write(const std::string& name, std::string_view text) const {
    fs::create_directories((folder / name).parent_path());
    std::ofstream{folder / name, std::ios::binary} << text;
  }

  fs::path folder;
  nlohmann::ordered_json summary;
};

}  // namespace report_test
