// SPDX-License-Identifier: Apache-2.0
#include "platform/scenario/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace gnomon::scenario {
namespace {

using config::Diagnostics;
using config::Location;

/// Keys whose value is one of kstrtobool()'s.
constexpr std::array<std::string_view, 3> booleans{"iommu.strict", "iommu.passthrough", "iommu.forcedac"};

struct OptionKey {
  std::string_view key;
  std::vector<std::string> modelled;
  std::vector<std::string> tolerated;  ///< valid for the kernel, without effect here
};

constexpr std::string_view aperture_key = "s390_iommu_aperture";

/// Keys whose value is a comma-separated list of words (Documentation/admin-guide/kernel-parameters.txt).
const std::vector<OptionKey>& option_keys() {
  static const std::vector<OptionKey> keys{
      {"iommu", {"pt", "nopt"}, {"off", "on", "force", "noforce", "merge", "nomerge", "soft"}},
      {"intel_iommu", {"strict"}, {"on", "off", "sm_on", "sm_off", "igfx_off", "tboot_noforce"}},
      {"amd_iommu",
       {"fullflush"},
       {"on", "off", "force_isolation", "force_enable", "nohugepages", "v2_pgsizes_only", "pgtbl_v1", "pgtbl_v2"}},
      {"s390_iommu", {"strict"}, {}},
  };
  return keys;
}

/// Words of the kernel, systemd and KVM that change nothing in a simulation. A trailing '.' or '=' is a prefix.
constexpr std::array<std::string_view, 46> tolerated{"quiet",
                                                     "splash",
                                                     "ro",
                                                     "rw",
                                                     "debug",
                                                     "nosmt",
                                                     "nokaslr",
                                                     "nosplash",
                                                     "nopti",
                                                     "noapic",
                                                     "nowatchdog",
                                                     "nopvspin",
                                                     "kvm.",
                                                     "kvm_intel.",
                                                     "kvm_amd.",
                                                     "vfio",
                                                     "nvme.",
                                                     "nvme_core.",
                                                     "systemd.",
                                                     "rd.",
                                                     "root=",
                                                     "rootfstype=",
                                                     "rootflags=",
                                                     "init=",
                                                     "initrd=",
                                                     "console=",
                                                     "earlyprintk=",
                                                     "loglevel=",
                                                     "panic=",
                                                     "mitigations=",
                                                     "swiotlb=",
                                                     "default_hugepagesz=",
                                                     "hugepagesz=",
                                                     "hugepages=",
                                                     "transparent_hugepage=",
                                                     "isolcpus=",
                                                     "nohz_full=",
                                                     "rcu_nocbs=",
                                                     "nmi_watchdog=",
                                                     "audit=",
                                                     "selinux=",
                                                     "apparmor=",
                                                     "idle=",
                                                     "pci=",
                                                     "pcie_aspm=",
                                                     "BOOT_IMAGE="};

bool is_boolean(std::string_view value) {  // kstrtobool() of lib/kstrtox.c
  if (value.empty()) return false;
  if (std::string_view{"yY1nN0"}.find(value[0]) != std::string_view::npos) return true;
  return (value[0] == 'o' || value[0] == 'O') && value.size() > 1 &&
         std::string_view{"nNfF"}.find(value[1]) != std::string_view::npos;
}

std::vector<std::string> known_words() {
  std::vector<std::string> words(booleans.begin(), booleans.end());
  for (const OptionKey& key : option_keys()) words.emplace_back(key.key);
  words.emplace_back(aperture_key);
  return words;
}

class Judge {
 public:
  Judge(const std::string& text, const Location& where, Diagnostics& diagnostics)
      : where_(where), diagnostics_(diagnostics) {
    // Where the string stands in its line as it is, a word has a column of its own.
    const std::string_view line = config::line_at(where);
    verbatim_ = where.column >= 1 && where.column < line.size() && line.substr(where.column).starts_with(text);
  }

  void word(std::string_view word, std::size_t offset) {
    const auto equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? std::string_view{} : word.substr(equals + 1);
    if (std::find(booleans.begin(), booleans.end(), key) != booleans.end()) {
      if (!is_boolean(value))
        diagnostics_.error(at(offset),
                           value.empty() ? fmt::format("'{}' needs a value", key)
                                         : fmt::format("'{}' takes 0 or 1, not \"{}\"", key, value),
                           fmt::format("accepted: {0}=0, {0}=1", key));
      return;
    }
    if (key == aperture_key) return aperture(value, offset);
    for (const OptionKey& known : option_keys())
      if (known.key == key) return options(known, value, offset + key.size() + 1);
    for (const std::string_view prefix : tolerated) {
      const bool open = prefix.ends_with('.') || prefix.ends_with('=') || prefix == "vfio";
      if (open ? word.starts_with(prefix) : word == prefix)
        return diagnostics_.warning(at(offset), fmt::format("'{}' changes nothing in a simulation", word));
    }
    diagnostics_.error(at(offset), fmt::format("unknown word '{}' on the kernel command line", word),
                       config::hint(key, known_words()));
  }

 private:
  Location at(std::size_t offset) const {
    Location there = where_;
    if (verbatim_) there.column += static_cast<unsigned>(offset + 1);
    return there;
  }

  void aperture(std::string_view value, std::size_t offset) {
    constexpr std::size_t most_digits = 6;
    const bool number = !value.empty() && value.size() <= most_digits &&
                        value.find_first_not_of("0123456789") == std::string_view::npos;
    if (number) return;
    diagnostics_.error(at(offset), fmt::format("'{}' takes a number, not \"{}\"", aperture_key, value),
                       "accepted: so many times the guest's memory; 0: as much as the tables span");
  }

  void options(const OptionKey& key, std::string_view value, std::size_t offset) {
    do {
      const auto comma = std::min(value.find(','), value.size());
      const std::string option{value.substr(0, comma)};
      const auto is = [&](const std::string& known) { return known == option; };
      if (std::any_of(key.tolerated.begin(), key.tolerated.end(), is)) {
        diagnostics_.warning(at(offset), fmt::format("'{}={}' changes nothing in a simulation", key.key, option));
      } else if (std::none_of(key.modelled.begin(), key.modelled.end(), is)) {
        auto accepted = key.modelled;
        accepted.insert(accepted.end(), key.tolerated.begin(), key.tolerated.end());
        diagnostics_.error(at(offset),
                           option.empty() ? fmt::format("'{}' needs a value", key.key)
                                          : fmt::format("'{}' does not take \"{}\"", key.key, option),
                           config::hint(option, accepted));
      }
      offset += comma + 1;
      value.remove_prefix(std::min(comma + 1, value.size()));
    } while (!value.empty());
  }

  Location where_;
  Diagnostics& diagnostics_;
  bool verbatim_ = false;
};

}  // namespace

void check_command_line(const std::string& text, const Location& where, Diagnostics& diagnostics) {
  Judge judge{text, where, diagnostics};
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = text.find_first_not_of(" \t\n", at);
    if (begin == std::string::npos) return;
    at = std::min(text.find_first_of(" \t\n", begin), text.size());
    judge.word(std::string_view{text}.substr(begin, at - begin), begin);
  }
}

}  // namespace gnomon::scenario
