// SPDX-License-Identifier: Apache-2.0
// What lies beside a recording: QEMU's command line, then behind a NUL the guest's console or fio's report.
#include "platform/conform/guest_identity.hpp"

#include "platform/conform/job_sequence.hpp"
#include "tests/fuzz/target.hpp"

using namespace gnomon;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string all(reinterpret_cast<const char*>(data), size);
  const std::size_t nul = all.find('\0');
  const std::string command = all.substr(0, nul);
  const std::string second = nul == std::string::npos ? "" : all.substr(nul + 1);
  const conform::GuestIdentity id = conform::identify(command, second);
  fuzz::promise(!id.caching_mode || id.unit.has_value(), "only a unit has a mode");
  const std::string kernel = conform::nearest_kernel(id.kernel, {"6.1", "6.12", "6.5-rfc"});
  fuzz::promise(kernel.empty() || kernel == "6.1" || kernel == "6.12",
                "a kernel is one of those known, and a release");
  if (const auto job = conform::job_of_report(second)) static_cast<void>(conform::is_sequence(*job));
  return 0;
}
