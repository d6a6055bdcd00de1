# cmake --install: the libraries, their headers at include/hwynn/<folder>/, hwynnConfig.cmake and hwynn.pc.
include(CMakePackageConfigHelpers)

# What most programs link: core to models. data and training, which need zlib, are the component training;
# images, which needs libspng and libjpeg-turbo, is another.
add_library(hwynn_hwynn INTERFACE)
add_library(hwynn::hwynn ALIAS hwynn_hwynn)
set_target_properties(hwynn_hwynn PROPERTIES EXPORT_NAME hwynn)
target_link_libraries(hwynn_hwynn INTERFACE hwynn_inference hwynn_models hwynn_formats hwynn_layers hwynn_module hwynn_kernels hwynn_core)

if(HWYNN_INSTALL AND HWYNN_FETCHED)
  message(STATUS "No install rules: they need the system's packages, and these were fetched: ${HWYNN_FETCHED}")
  set(HWYNN_INSTALL OFF)
endif()
if(NOT HWYNN_INSTALL)
  return()
endif()

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hwynn)
install(TARGETS hwynn_core hwynn_kernels hwynn_module hwynn_layers hwynn_formats hwynn_models hwynn_inference hwynn_hwynn EXPORT hwynnTargets)
install(TARGETS hwynn_data hwynn_training EXPORT hwynnTrainingTargets)
install(EXPORT hwynnTargets NAMESPACE hwynn:: DESTINATION ${config_dir})
install(EXPORT hwynnTrainingTargets NAMESPACE hwynn:: DESTINATION ${config_dir})
# A folder's own headers are its public ones; what only its sources share stands in subfolders.
set(folders core kernels module layers formats models inference data training)
if(HWYNN_IMAGES)
  install(TARGETS hwynn_images EXPORT hwynnImagesTargets)
  install(EXPORT hwynnImagesTargets NAMESPACE hwynn:: DESTINATION ${config_dir})
  list(APPEND folders images)
endif()
foreach(folder ${folders})
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.h)
  list(FILTER headers EXCLUDE REGEX "/thread_scratch\\.h$")  # not for users
  install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hwynn/${folder})
endforeach()
if(TARGET hwynn)
  install(TARGETS hwynn)  # the program
endif()

configure_package_config_file(cmake/hwynnConfig.cmake.in hwynnConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(hwynnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})  # so that the tree may be moved
# What a C compiler must be told to link, and a C++ compiler links by itself.
set(pc_cxx_libraries ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(REMOVE_DUPLICATES pc_cxx_libraries)
list(REMOVE_ITEM pc_cxx_libraries c gcc gcc_s)
list(TRANSFORM pc_cxx_libraries PREPEND -l)
list(JOIN pc_cxx_libraries " " pc_cxx_libraries)
configure_file(cmake/hwynn.pc.in hwynn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/hwynnConfig.cmake ${PROJECT_BINARY_DIR}/hwynnConfigVersion.cmake
        DESTINATION ${config_dir})
install(FILES ${PROJECT_BINARY_DIR}/hwynn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
