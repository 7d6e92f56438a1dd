// SPDX-License-Identifier: Apache-2.0
// What the drive says it is.
#include "models/nvme/core/identify_pages.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "models/spec/nvme/registers.hpp"

namespace gnomon::nvme {

namespace {

template <std::size_t N>
void put_padded(char (&field)[N], std::string_view text) {
  std::fill(std::begin(field), std::end(field), ' ');
  std::copy_n(text.begin(), std::min(N, text.size()), field);
}

std::uint8_t log2_of(std::uint64_t power) {
  return static_cast<std::uint8_t>(std::countr_zero(power));
}

}  // namespace

IdentifyController identify_controller(const NvmeConfig& config) {
  IdentifyController c{};  // vid and ssvid stay 0: the PCI identity is the platform's to give
  put_padded(c.sn, "GNOMON0001");
  put_padded(c.mn, "Gnomon NVMe");
  put_padded(c.fr, "1.0");
  c.rab = log2_of(config.arbitration_burst);
  c.mdts = log2_of(config.max_transfer / 4096);
  c.ver = version_1_4;
  c.cntrltype = 1;
  c.frmw = 0x03;  // one firmware slot, read only
  c.wctemp = 343;
  c.cctemp = 353;
  c.sqes = 0x66;
  c.cqes = 0x44;
  c.nn = 1;
  constexpr std::string_view name = "nqn.2014-08.org.nvmexpress:gnomon";
  std::copy(name.begin(), name.end(), c.subnqn);
  c.psd[0][0] = 0x58;  // 6.00 W
  c.psd[0][1] = 0x02;
  return c;
}

IdentifyNamespace identify_namespace(const NvmeConfig& config) {
  IdentifyNamespace n{};
  n.nsze = n.ncap = n.nuse = config.capacity / config.block;
  std::memcpy(n.nvmcap, &config.capacity, sizeof config.capacity);
  constexpr std::uint8_t eui[8] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01};  // locally administered
  std::copy(std::begin(eui), std::end(eui), n.eui64);
  n.lbaf[0] = std::uint32_t{log2_of(config.block)} << 16;
  return n;
}

bool build_identify_page(const NvmeConfig& config, IdentifyPage page, std::uint32_t nsid,
                         std::span<std::byte, identify_bytes> out) {
  std::fill(out.begin(), out.end(), std::byte{});
  switch (page) {
    case IdentifyPage::identify_namespace: {
      const IdentifyNamespace n = identify_namespace(config);
      std::memcpy(out.data(), &n, sizeof n);
      return true;
    }
    case IdentifyPage::controller: {
      const IdentifyController c = identify_controller(config);
      std::memcpy(out.data(), &c, sizeof c);
      return true;
    }
    case IdentifyPage::active_namespaces:
      if (nsid < 1) out[0] = std::byte{1};
      return true;
  }
  return false;
}

}  // namespace gnomon::nvme
