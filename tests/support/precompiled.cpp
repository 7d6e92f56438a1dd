// SPDX-License-Identifier: Apache-2.0
// Nothing: CMake compiles the precompiled header of all tests for the sake of a source that may use it.
