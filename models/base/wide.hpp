// SPDX-License-Identifier: Apache-2.0
// Twice 64 bits, where a product or a sum of squares needs it: g++ and clang++ on 64-bit machines.
#pragma once

namespace gnomon {

__extension__ using Wide = unsigned __int128;

}  // namespace gnomon
