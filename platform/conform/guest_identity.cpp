// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/guest_identity.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

namespace gnomon::conform {
namespace {

/// Words between blanks; quotes hold several together.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  bool any = false;
  for (const char c : text) {
    if (quote != 0 ? c == quote : c == '\'' || c == '"') {
      quote = quote != 0 ? '\0' : c;
      any = true;
    } else if (quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
      if (any) words.push_back(std::exchange(word, {}));
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) words.push_back(std::move(word));
  return words;
}

std::optional<std::uint64_t> number(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (read.ec != std::errc{} || read.ptr == text.data()) return std::nullopt;
  return value;
}

bool concerns_iommu(const std::string& word) {
  for (const char* start : {"iommu", "intel_iommu", "amd_iommu"})
    if (word.rfind(start, 0) == 0) return true;
  return false;
}

void read_memory(const std::string& word, GuestIdentity& out) {
  std::string_view text = word;
  if (text.substr(0, 5) == "size=") text.remove_prefix(5);
  const auto value = number(text);
  if (!value) return;
  const char unit = text.find_first_of("gG") != std::string_view::npos ? 'G' : 'M';
  out.memory = *value << (unit == 'G' ? 30 : 20);
}

void read_device(const std::string& word, GuestIdentity& out) {
  const std::string name = word.substr(0, word.find(','));
  if (name == "virtio-iommu-pci" || name == "virtio-iommu") out.unit = Unit::virtio_iommu;
  if (name == "amd-iommu") out.unit = Unit::amd_iommu;
  if (name != "intel-iommu") return;
  out.unit = Unit::intel_iommu;
  out.caching_mode = word.find("caching-mode=on") != std::string::npos;
}

std::pair<std::uint64_t, std::uint64_t> version_of(const std::string& text) {
  const std::size_t dot = text.find('.');
  const auto major = number(std::string_view{text}.substr(0, dot));
  const auto minor = dot == std::string::npos ? std::nullopt : number(std::string_view{text}.substr(dot + 1));
  return {major.value_or(0), minor.value_or(0)};
}

}  // namespace

GuestIdentity identify(const std::string& command, const std::string& console) {
  GuestIdentity out;
  const std::vector<std::string> words = words_of(command);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "-smp") out.vcpus = static_cast<unsigned>(number(words[i + 1]).value_or(0));
    if (words[i] == "-m") read_memory(words[i + 1], out);
    if (words[i] == "-device") read_device(words[i + 1], out);
    if (words[i] != "-append") continue;
    for (const std::string& word : words_of(words[i + 1]))
      if (concerns_iommu(word)) out.cmdline += (out.cmdline.empty() ? "" : " ") + word;
  }
  std::istringstream lines{console};
  for (std::string line; std::getline(lines, line);) {
    if (const std::size_t at = line.find("kernel="); line.rfind("@@INFO", 0) == 0 && at != std::string::npos)
      out.kernel = line.substr(at + 7, line.find(' ', at) - at - 7);
    if (line.rfind("@@GROUP", 0) == 0 && line.find("type=DMA") != std::string::npos)
      out.lazy = out.lazy.value_or(false) || line.find("type=DMA-FQ") != std::string::npos;
    constexpr std::string_view mask = "page mask: 0x";  // virtio-iommu.c at probe
    if (const std::size_t at = line.find(mask); at != std::string::npos)
      out.page_sizes = number(std::string_view{line}.substr(at + mask.size()), 16).value_or(0);
    constexpr std::string_view banner = "Linux version ";
    if (const std::size_t at = line.find(banner); at != std::string::npos && out.kernel.empty())
      out.kernel = line.substr(at + banner.size(), line.find(' ', at + banner.size()) - at - banner.size());
  }
  return out;
}

std::string nearest_kernel(const std::string& release, const std::vector<std::string>& known) {
  const auto wanted = version_of(release);
  std::string best;
  for (const std::string& name : known) {
    if (name.find_first_not_of("0123456789.") != std::string::npos) continue;  // a branch, not a release
    const auto version = version_of(name);
    if (version <= wanted && (best.empty() || version_of(best) < version)) best = name;
  }
  return best;
}

}  // namespace gnomon::conform
