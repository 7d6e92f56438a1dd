// SPDX-License-Identifier: Apache-2.0
// The page: whole, closed to the network, and deaf to what results say.
#include "platform/report/page.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/report/result_fixture.hpp"

using namespace gnomon::report;
using report_test::Results;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

std::string data_of(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const std::size_t start = page.find(open) + open.size();
  return page.substr(start, page.find("</script>", start) - start);
}

}  // namespace

TEST_CASE("the data of a page is the summary, and cannot leave its element", "[report]") {
  const Results results;
  const std::string page = make_page({read_result_folder(results.folder)});
  CHECK(count(page, "</script>") == 2);
  CHECK(count(page, "<b>title") == 0);
  const auto data = nlohmann::ordered_json::parse(data_of(page));
  CHECK(data["results"][0]["summary"] == results.summary);
  CHECK(data["results"][0]["variants"]["strict"]["config"][0][1] == "8");
  CHECK(data["diff"].is_null());
}

TEST_CASE("a page asks for nothing: its policy allows its own script and style, by their hash", "[report]") {
  const std::string page{page_without_data};
  CHECK(page.find("default-src 'none'; script-src 'sha256-") != std::string::npos);
  CHECK(page.find("style-src 'sha256-") != std::string::npos);
  CHECK(page.find("unsafe") == std::string::npos);
  CHECK(page.find("<script src") == std::string::npos);
  CHECK(page.find("<link rel=\"stylesheet") == std::string::npos);
  CHECK(page.size() < 300'000);
}

TEST_CASE("many long results still fit: bins become wider, and no sum is lost", "[report]") {
  const Results results;
  ResultFolder r = read_result_folder(results.folder);
  nlohmann::json& series = r.variants[0].series;
  for (auto& [name, column] : series["columns"].items()) column = std::vector<std::uint64_t>(512, 123'456'789'012);
  const std::string page = make_page(std::vector<ResultFolder>(80, r));
  CHECK(page.size() <= most_page_bytes);
  const auto data = nlohmann::json::parse(data_of(page));
  REQUIRE(data["results"].size() == 80);
  const auto& now = data["results"][79]["variants"]["strict"]["series"];
  CHECK(now["columns"]["ios"].size() < 512);
  double sum = 0;
  for (const double v : now["columns"]["ios"]) sum += v;
  CHECK(sum == 512 * 123'456'789'012.0);
  CHECK(now["columns"]["in_flight_max"][0] == 123'456'789'012);
  const auto bins = static_cast<double>(now["columns"]["ios"].size());
  CHECK(now["bin_ns"].get<double>() * bins == Approx(512 * 1048.576));
}
