# SPDX-License-Identifier: Apache-2.0
# SystemC::systemc from Debian's libsystemc-dev, which ships systemc.pc and no CMake package.
# SYSTEMC_HOME points at another installation.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_SystemC QUIET systemc)
endif()
find_path(SystemC_INCLUDE_DIR systemc HINTS $ENV{SYSTEMC_HOME}/include ${PC_SystemC_INCLUDE_DIRS})
find_library(SystemC_LIBRARY systemc HINTS $ENV{SYSTEMC_HOME}/lib ${PC_SystemC_LIBRARY_DIRS})
set(SystemC_VERSION ${PC_SystemC_VERSION})

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(SystemC
  REQUIRED_VARS SystemC_LIBRARY SystemC_INCLUDE_DIR VERSION_VAR SystemC_VERSION)

if(SystemC_FOUND AND NOT TARGET SystemC::systemc)
  find_package(Threads REQUIRED)
  add_library(SystemC::systemc UNKNOWN IMPORTED)
  set_target_properties(SystemC::systemc PROPERTIES
    IMPORTED_LOCATION ${SystemC_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${SystemC_INCLUDE_DIR}
    INTERFACE_LINK_LIBRARIES Threads::Threads
    # The library's ABI tag names the C++ standard it was built as; Debian's is C++17.
    INTERFACE_COMPILE_DEFINITIONS SC_CPLUSPLUS=201703L)
endif()
