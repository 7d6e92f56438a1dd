// SPDX-License-Identifier: Apache-2.0
// replay FOLDER LEAST: runs a fuzz target over a corpus of at least LEAST inputs, over each input cut short at 16
// places, and over each with one byte changed at 16 places.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/target.hpp"

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t places = 16;

void run(const Bytes& bytes) {
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

void run_around(const Bytes& input) {
  run(input);
  for (std::size_t i = 0; i < places && !input.empty(); ++i) {
    const std::size_t at = input.size() * i / places;
    run(Bytes(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(at)));
    Bytes changed = input;
    changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1u << i % 8));
    run(changed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator{argv[1]})
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    std::ifstream in{file, std::ios::binary};
    const Bytes bytes{std::istreambuf_iterator<char>{in}, {}};
    if (!in) return std::fprintf(stderr, "%s: cannot read\n", file.c_str()), 1;
    std::printf("%s\n", file.c_str());
    std::fflush(stdout);  // so that the last line names what broke a promise
    run_around(bytes);
  }
  const auto least = std::strtoul(argv[2], nullptr, 10);
  if (files.size() < least) return std::fprintf(stderr, "%zu inputs, not %lu\n", files.size(), least), 1;
  return 0;
}
