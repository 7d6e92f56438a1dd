// SPDX-License-Identifier: Apache-2.0
// Times in failed assertions, in picoseconds.
#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "models/base/time.hpp"

namespace Catch {
template <>
struct StringMaker<gnomon::Time> {
  static std::string convert(gnomon::Time t) {
    return t == gnomon::Time::max() ? "never" : std::to_string(t.ps()) + " ps";
  }
};
}  // namespace Catch
