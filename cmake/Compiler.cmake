# SPDX-License-Identifier: Apache-2.0
# Flags of our own code. Third-party headers come in as SYSTEM and are not judged.
add_library(gnomon_options INTERFACE)
target_compile_options(gnomon_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Werror
  $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)  # clang counts it to -Wconversion, g++ does not in C++
target_include_directories(gnomon_options INTERFACE ${CMAKE_SOURCE_DIR})

option(GNOMON_ASAN "AddressSanitizer" OFF)
option(GNOMON_UBSAN "UndefinedBehaviorSanitizer" OFF)
option(GNOMON_COVERAGE "line coverage counters" OFF)
set(GNOMON_PATIENCE 1 CACHE STRING "factor on the time limits of tests")

if(GNOMON_ASAN)
  target_compile_options(gnomon_options INTERFACE -fsanitize=address -fno-omit-frame-pointer)
  target_link_options(gnomon_options INTERFACE -fsanitize=address)
endif()
if(GNOMON_UBSAN)
  target_compile_options(gnomon_options INTERFACE -fsanitize=undefined -fno-sanitize-recover=all)
  target_link_options(gnomon_options INTERFACE -fsanitize=undefined)
endif()
if(GNOMON_ASAN OR GNOMON_UBSAN)  # their instrumentation hides from g++ what these two warnings would have seen
  target_compile_options(gnomon_options INTERFACE -Wno-conversion -Wno-maybe-uninitialized)
endif()
if(GNOMON_COVERAGE)
  target_compile_options(gnomon_options INTERFACE --coverage)
  target_link_options(gnomon_options INTERFACE --coverage)
  target_compile_definitions(gnomon_options INTERFACE GNOMON_COVERAGE)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # Without these two it caches nothing that uses a precompiled header; no source of ours asks for __TIME__.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(gnomon_options INTERFACE -fpch-preprocess)
  endif()
endif()
