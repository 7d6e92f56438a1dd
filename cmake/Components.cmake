# SPDX-License-Identifier: Apache-2.0
# Two kinds of library, and the rule between them is kept by the linker: a pure library never sees SystemC, so
# whatever includes <systemc> by mistake fails to link into the unit tests.

# gnomon_pure_library(name SOURCES ... DEPENDS ...): what is true of the hardware or the software.
function(gnomon_pure_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC gnomon_options ${ARG_DEPENDS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE gnomon_options ${ARG_DEPENDS})
  endif()
endfunction()

# Shells and tests parse one large header in every file: <systemc>, <catch2/catch.hpp>. The first target of a kind
# compiles it, the others reuse it; -Winvalid-pch, which CMake adds, makes flags that differ an error.
function(gnomon_precompile target kind)
  get_property(owner GLOBAL PROPERTY gnomon_${kind}_headers)
  if(owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(GLOBAL PROPERTY gnomon_${kind}_headers ${target})
  endif()
endfunction()

# gnomon_shell_library(name SOURCES ... DEPENDS ...): SystemC modules, which spend time.
function(gnomon_shell_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC gnomon_options SystemC::systemc ${ARG_DEPENDS})
  gnomon_precompile(${name} shell <systemc> <tlm>)
endfunction()

# gnomon_time_limit(test seconds): for an optimised build on a busy machine; presets that are slower are given more.
function(gnomon_time_limit test seconds)
  math(EXPR limit "${seconds} * ${GNOMON_PATIENCE}")
  set_tests_properties(${test} PROPERTIES TIMEOUT ${limit})
endfunction()

# gnomon_test(name LABEL unit SOURCES ... DEPENDS ...): one Catch2 binary, registered under its layer's label.
function(gnomon_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE gnomon_test_main ${ARG_DEPENDS})
  gnomon_precompile(${name} test)
  add_test(NAME ${ARG_LABEL}/${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${ARG_LABEL}/${name} PROPERTIES LABELS ${ARG_LABEL})
  gnomon_time_limit(${ARG_LABEL}/${name} 300)
endfunction()

# gnomon_script_test(name label script): a bash script that exits 0 when all is well.
function(gnomon_script_test name label script)
  add_test(NAME ${label}/${name} COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/${script} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${label}/${name} PROPERTIES LABELS ${label})
  gnomon_time_limit(${label}/${name} 120)
endfunction()
