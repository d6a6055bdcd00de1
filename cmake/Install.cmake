# cmake --install: the libraries, their headers at include/hwynn/<folder>/, hwynnConfig.cmake, a .pc file for each component and
# the program. The install components, of which packages are made (cmake/Package.cmake): library-<component>, development, program.
include(CMakePackageConfigHelpers)

if(HWYNN_INSTALL AND HWYNN_FETCHED)
  message(STATUS "No install rules: they need the system's packages, and these were fetched: ${HWYNN_FETCHED}")
  set(HWYNN_INSTALL OFF)
endif()
if(NOT HWYNN_INSTALL OR HWYNN_SHARED_FOLDERS)
  return()
endif()

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hwynn)
# What a C compiler must be told to link statically, and a C++ compiler links by itself.
set(pc_cxx_libraries ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(REMOVE_DUPLICATES pc_cxx_libraries)
list(REMOVE_ITEM pc_cxx_libraries c gcc gcc_s)
list(TRANSFORM pc_cxx_libraries PREPEND -l)
list(JOIN pc_cxx_libraries " " pc_cxx_libraries)
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})  # so that the tree may be moved
# What static libraries need, by component: pkg-config's names, and find_package's in hwynnConfig.cmake.in.
set(pc_static_hwynn "libhwy >= 1.0.3" tbb)
set(pc_static_training zlib)
set(pc_static_images spng libjpeg)

foreach(component ${HWYNN_COMPONENTS})
  install(TARGETS ${hwynn_installed_${component}} EXPORT hwynn-${component}
          LIBRARY COMPONENT library-${component} NAMELINK_COMPONENT development
          ARCHIVE COMPONENT development)
  install(EXPORT hwynn-${component} NAMESPACE hwynn:: DESTINATION ${config_dir} COMPONENT development)
  # A folder's own headers are its public ones; what only its sources share stands in subfolders.
  foreach(folder ${hwynn_folders_${component}})
    file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.h)
    list(FILTER headers EXCLUDE REGEX "/thread_scratch\\.h$")  # not for users
    install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hwynn/${folder} COMPONENT development)
  endforeach()

  string(REPLACE "hwynn-hwynn" "hwynn" pc_name hwynn-${component})
  set(pc_requires ${hwynn_needs_${component}})
  list(TRANSFORM pc_requires PREPEND hwynn-)
  list(TRANSFORM pc_requires REPLACE "^hwynn-hwynn$" "hwynn")
  set(pc_libraries ${pc_name})
  if(NOT BUILD_SHARED_LIBS)
    list(APPEND pc_requires ${pc_static_${component}})
    set(pc_libraries ${hwynn_folders_${component}})
    list(REVERSE pc_libraries)
    list(TRANSFORM pc_libraries PREPEND hwynn_)
  endif()
  list(JOIN pc_requires ", " pc_requires)
  list(TRANSFORM pc_libraries PREPEND -l)
  list(JOIN pc_libraries " " pc_libraries)
  configure_file(cmake/component.pc.in ${pc_name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${pc_name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endforeach()

if(TARGET hwynn)  # the program
  set_target_properties(hwynn PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS hwynn COMPONENT program)
endif()

configure_package_config_file(cmake/hwynnConfig.cmake.in hwynnConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(hwynnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hwynnConfig.cmake ${PROJECT_BINARY_DIR}/hwynnConfigVersion.cmake
        DESTINATION ${config_dir} COMPONENT development)
include(cmake/Spdx.cmake)
include(cmake/Package.cmake)
