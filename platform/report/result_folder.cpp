// SPDX-License-Identifier: Apache-2.0
#include "platform/report/result_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

namespace gnomon::report {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr int summary_schema = 1;  // what this program reads; results::summary_schema is what it writes
constexpr int series_schema = 1;
constexpr auto again = "run the scenario again";

[[noreturn]] void wrong(const fs::path& file, std::string_view what) {
  throw Unreadable(fmt::format("{}: {}", file.string(), what));
}

std::string contents(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error))
    wrong(file, fmt::format("is missing: the results are damaged, or an older gnomon wrote them; {}", again));
  std::ifstream in{file, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (!in && text.empty()) wrong(file, "cannot be read");
  return text;
}

template <class Json>
Json parsed(const fs::path& file) {
  try {
    return Json::parse(contents(file));
  } catch (const json::parse_error& error) {
    wrong(file, fmt::format("is damaged, at byte {}: it is not JSON; {}", error.byte, again));
  }
}

/// What `j` must be; tells what it is not.
class Shape {
 public:
  explicit Shape(const fs::path& file) : file_(file) {}

  template <class Json>
  const Json& member(const Json& j, const char* key, bool (*is)(const Json&), const char* kind) const {
    const auto at = j.find(key);
    if (at == j.end() || !is(*at)) wrong(file_, fmt::format("is damaged: \"{}\" is not {}", key, kind));
    return *at;
  }

 private:
  const fs::path& file_;
};

bool is_string(const ordered_json& j) {
  return j.is_string();
}
bool is_array(const ordered_json& j) {
  return j.is_array();
}
bool is_object(const ordered_json& j) {
  return j.is_object();
}
bool is_metric(const ordered_json& j) {
  if (j.is_number() || j.is_string() || j.is_array()) return true;  // strings: the trace's hash, or hashes
  const auto number = [&](const char* key) { return j.contains(key) && j.at(key).is_number(); };
  return j.is_object() && number("mean") && number("stddev") && number("ci95") && number("n");
}

/// A name that is a folder of its own here, and nowhere else.
bool is_folder_name(const std::string& name) {
  return !name.empty() && name.front() != '.' &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
}

ordered_json read_summary(const fs::path& file) {
  auto j = parsed<ordered_json>(file);
  if (!j.is_object() || !j.contains("schema") || !j.contains("gnomon"))
    wrong(file, "is not a summary of gnomon's: it names no \"schema\" and \"gnomon\"");
  if (j["schema"] != summary_schema)
    wrong(file, fmt::format("has layout {} of gnomon {}; this program reads layout {}: {}", j["schema"].dump(),
                            j["gnomon"].dump(), summary_schema, again));
  const Shape shape{file};
  shape.member(j, "gnomon", is_string, "a string");
  shape.member(j, "scenario", is_string, "a string");
  shape.member(j, "title", is_string, "a string");
  shape.member(
      j, "seed", +[](const ordered_json& v) { return v.is_number_unsigned(); }, "a number");
  for (const ordered_json& variant : shape.member(j, "variants", is_array, "a list")) {
    const std::string name = shape.member(variant, "name", is_string, "a string");
    if (!is_folder_name(name)) wrong(file, fmt::format("is damaged: \"{}\" is no variant's name", name));
    shape.member(variant, "status", is_string, "a string");
    for (const auto& [metric, value] : shape.member(variant, "metrics", is_object, "a table").items())
      if (!is_metric(value)) wrong(file, fmt::format("is damaged: {} of {} is not a figure", metric, name));
  }
  for (const ordered_json& e : shape.member(j, "expectations", is_array, "a list"))
    if (!e.is_object() || !e.contains("ok")) wrong(file, "is damaged: an expectation is not a table with \"ok\"");
  return j;
}

bool is_histogram(const json& j) {
  return j.is_array() && std::all_of(j.begin(), j.end(), [](const json& pair) {
           return pair.is_array() && pair.size() == 2 && pair[0].is_number_unsigned() &&
                  pair[1].is_number_unsigned();
         });
}

json read_series(const fs::path& file) {
  auto j = parsed<json>(file);
  if (!j.is_object() || j.value("schema", json{}) != series_schema)
    wrong(file, fmt::format("is not a series of layout {}: {}", series_schema, again));
  const bool good = j.contains("bin_ns") && j["bin_ns"].is_number() && j.contains("window_ns") &&
                    j["window_ns"].is_array() && j["window_ns"].size() == 2 && j.contains("columns") &&
                    j["columns"].is_object() && j["columns"].contains("ios") && j.contains("latency_ns") &&
                    is_histogram(j["latency_ns"]) && j.contains("exposure_ns") && is_histogram(j["exposure_ns"]);
  if (!good) wrong(file, fmt::format("is damaged: something is missing; {}", again));
  const std::size_t bins = j["columns"]["ios"].size();
  for (const auto& [name, column] : j["columns"].items()) {
    const auto is_number = [](const json& v) { return v.is_number(); };
    if (!column.is_array() || column.size() != bins || !std::all_of(column.begin(), column.end(), is_number))
      wrong(file, fmt::format("is damaged: column \"{}\" is not one number a bin; {}", name, again));
  }
  return j;
}

void merge(std::map<std::uint64_t, std::uint64_t>& into, const json& histogram) {
  for (const json& pair : histogram) into[pair[0].get<std::uint64_t>()] += pair[1].get<std::uint64_t>();
}

std::vector<fs::path> run_folders(const fs::path& variant, const ordered_json& summary) {
  const std::uint64_t repeat = summary.value("repeat", std::uint64_t{1}), seed = summary["seed"];
  if (repeat < 2) return {variant};
  std::vector<fs::path> folders;
  for (std::uint64_t i = 0; i < repeat; ++i) folders.push_back(variant / fmt::format("seed-{}", seed + i));
  return folders;
}

VariantFiles read_variant(const ResultFolder& result, const ordered_json& variant) {
  VariantFiles files;
  files.name = variant["name"];
  files.status = variant["status"];
  const fs::path folder = result.path / files.name;
  std::map<std::uint64_t, std::uint64_t> latency, exposure;
  const auto folders = run_folders(folder, result.summary);
  files.folder = folders.front();
  for (const fs::path& run : folders) {
    std::error_code error;
    if (fs::is_regular_file(run / "findings.txt", error) && files.findings.empty())
      files.findings = contents(run / "findings.txt");
    if (files.status != "ok" && !fs::exists(run / "series.json", error)) continue;  // it ended before there was one
    json series = read_series(run / "series.json");
    merge(latency, series["latency_ns"]);
    merge(exposure, series["exposure_ns"]);
    series.erase("latency_ns");
    series.erase("exposure_ns");
    if (files.series.is_null()) files.series = std::move(series);
  }
  files.latency_ns = json::array();
  files.exposure_ns = json::array();
  for (const auto& [ns, count] : latency) files.latency_ns.push_back({ns, count});
  for (const auto& [ns, count] : exposure) files.exposure_ns.push_back({ns, count});
  for (ConfigLine& line : config_lines(contents(folder / "config.toml")))
    if (std::find(result.config.begin(), result.config.end(), line) == result.config.end())
      files.config.push_back(std::move(line));
  return files;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// Where the comment of a line starts: a # outside of strings.
std::size_t comment_at(std::string_view line) {
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '\\')
      ++i;
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == '#' && !quoted)
      return i;
  }
  return line.size();
}

}  // namespace

std::vector<ConfigLine> config_lines(std::string_view toml) {
  std::vector<ConfigLine> lines;
  std::string table;
  std::string_view table_origin;  // of inline tables, whose entries have none of their own
  std::map<std::string, unsigned, std::less<>> items;
  while (!toml.empty()) {
    const std::size_t end = std::min(toml.find('\n'), toml.size());
    const std::string_view line = trimmed(toml.substr(0, end));
    toml.remove_prefix(std::min(end + 1, toml.size()));
    const std::size_t comment = comment_at(line);
    const std::string_view body = trimmed(line.substr(0, comment));
    const std::string_view origin = comment < line.size() ? trimmed(line.substr(comment + 1)) : "";
    if (body.starts_with('[')) table_origin = origin;
    if (body.starts_with("[[") && body.ends_with("]]")) {
      const std::string name{body.substr(2, body.size() - 4)};
      table = fmt::format("{}.{}.", name, items[name]++);
    } else if (body.starts_with('[') && body.ends_with(']')) {
      table = std::string{body.substr(1, body.size() - 2)} + ".";
    } else if (const std::size_t equals = body.find(" = "); equals != std::string_view::npos) {
      lines.push_back({table + std::string{body.substr(0, equals)}, std::string{body.substr(equals + 3)},
                       std::string{origin.empty() ? table_origin : origin}});
    }
  }
  return lines;
}

const ordered_json* ResultFolder::metrics(std::string_view variant) const {
  for (const ordered_json& v : summary["variants"])
    if (v["name"] == variant) return &v["metrics"];
  return nullptr;
}

ResultFolder read_result_folder(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) wrong(path, "there is no such folder");
  if (!fs::is_directory(path, error)) wrong(path, "is not a folder");
  ResultFolder result;
  result.path = path;
  if (!fs::exists(path / "summary.json", error)) {
    const fs::path folder = fs::absolute(path).lexically_normal();
    const fs::path variant = folder.has_filename() ? folder : folder.parent_path();
    if (!fs::exists(variant.parent_path() / "summary.json", error))
      wrong(path, "holds no results: there is no summary.json in it");
    result.path = path.has_parent_path() && path.has_filename() ? path.parent_path() : variant.parent_path();
    result.only = variant.filename().string();
  }
  result.summary = read_summary(result.path / "summary.json");
  result.config = config_lines(contents(result.path / "config.toml"));
  for (const ordered_json& variant : result.summary["variants"])
    if (variant["status"] != "skipped") result.variants.push_back(read_variant(result, variant));
  if (result.only && result.metrics(*result.only) == nullptr)
    wrong(path, "is in a result folder, but its summary.json knows no such variant");
  return result;
}

std::vector<fs::path> result_folders_at(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error) || fs::exists(path / "summary.json", error)) return {path};
  std::vector<fs::path> found;
  for (fs::directory_iterator at{path, error}, end; !error && at != end; at.increment(error))
    if (fs::exists(at->path() / "summary.json", error)) found.push_back(at->path());
  std::sort(found.begin(), found.end());
  if (found.empty()) return {path};  // to be told what is wrong with it
  return found;
}

}  // namespace gnomon::report
