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

# gnomon_shell_library(name SOURCES ... DEPENDS ...): SystemC modules, which spend time.
function(gnomon_shell_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC gnomon_options SystemC::systemc ${ARG_DEPENDS})
endfunction()

# gnomon_test(name LABEL unit SOURCES ... DEPENDS ...): one Catch2 binary, registered under its layer's label.
function(gnomon_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE gnomon_test_main ${ARG_DEPENDS})
  add_test(NAME ${ARG_LABEL}/${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${ARG_LABEL}/${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 300)
endfunction()
