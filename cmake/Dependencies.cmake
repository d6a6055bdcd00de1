# What hwynn needs, and from where: the system's package first, else the sources, pinned by commit.
include(FetchContent)
set(HWYNN_FETCHED "")

# hwynn_fetch(<name> <repository> <commit>): makes the targets of a dependency that the system doesn't have.
# Arguments after the commit go to FetchContent_Declare.
function(hwynn_fetch name repository commit)
  message(STATUS "${name}: no package found, fetching ${repository} at ${commit}")
  list(APPEND HWYNN_FETCHED ${name})
  set(HWYNN_FETCHED ${HWYNN_FETCHED} PARENT_SCOPE)
  set(BUILD_TESTING OFF)
  set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)    # option() of a dependency takes the values set here
  set(CMAKE_POLICY_VERSION_MINIMUM 3.5)    # for sources older than CMake 4
  set(HWY_ENABLE_CONTRIB OFF)
  set(HWY_ENABLE_EXAMPLES OFF)
  set(HWY_ENABLE_TESTS OFF)
  set(TBB_TEST OFF)
  set(TBB_STRICT OFF)
  set(ZLIB_BUILD_EXAMPLES OFF)
  set(CLI11_BUILD_TESTS OFF)
  set(INSTALL_GTEST OFF)
  set(BENCHMARK_ENABLE_TESTING OFF)
  set(BENCHMARK_ENABLE_INSTALL OFF)
  FetchContent_Declare(${name} GIT_REPOSITORY https://github.com/${repository}.git GIT_TAG ${commit} SYSTEM ${ARGN})
  FetchContent_MakeAvailable(${name})
  set(${name}_SOURCE_DIR ${${name}_SOURCE_DIR} PARENT_SCOPE)
  set(${name}_BINARY_DIR ${${name}_BINARY_DIR} PARENT_SCOPE)
endfunction()

# The library: Highway and oneTBB.
find_package(hwy 1.0.3 QUIET CONFIG)
if(NOT hwy_FOUND)
  hwynn_fetch(hwy google/highway 457c891775a7397bdb0376bb1031e6e027af1c48)  # 1.2.0
  set(hwy_VERSION 1.2.0)
  if(NOT TARGET hwy::hwy)
    add_library(hwy::hwy ALIAS hwy)
  endif()
endif()
find_package(TBB QUIET CONFIG)
if(NOT TBB_FOUND)
  hwynn_fetch(tbb oneapi-src/oneTBB 9afd759b72c0c233cd5ea3c3c06b0894c9da9c54)  # 2021.12.0
endif()

# training/: checkpoints and gzipped data sets.
find_package(ZLIB QUIET)
if(NOT ZLIB_FOUND)
  hwynn_fetch(zlib madler/zlib 51b7f2abdade71cd9bb0e7a373ef2610ec6f9daf)  # 1.3.1
  # zlib's own build says nothing of its include directories: the source's, and the build's for zconf.h.
  target_include_directories(zlibstatic SYSTEM INTERFACE ${zlib_SOURCE_DIR} ${zlib_BINARY_DIR})
  add_library(ZLIB::ZLIB ALIAS zlibstatic)
endif()
find_package(nlohmann_json 3.9 QUIET CONFIG)
if(NOT nlohmann_json_FOUND)
  hwynn_fetch(nlohmann_json nlohmann/json 9cca280a4d0ccf0c08f47a99aa71d1b0e52f8d03)  # 3.11.3
endif()

if(HWYNN_BUILD_APPS OR HWYNN_BUILD_EXAMPLES)
  find_package(CLI11 2.1 QUIET CONFIG)
  if(NOT CLI11_FOUND)
    hwynn_fetch(CLI11 CLIUtils/CLI11 6c7b07a878ad834957b98d0f9ce1dbe0cb204fc9)  # 2.4.2
  endif()
endif()

# images/: photographs. The program needs them. libjpeg-turbo can't be built inside another build, so it isn't fetched.
set(HWYNN_IMAGES OFF)
if(HWYNN_BUILD_APPS OR HWYNN_BUILD_IMAGES)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(SPNG QUIET IMPORTED_TARGET spng)
  endif()
  find_package(JPEG QUIET)
  if(HWYNN_BUILD_APPS OR NOT HWYNN_BUILD_IMAGES STREQUAL "AUTO" OR (SPNG_FOUND AND JPEG_FOUND))
    set(HWYNN_IMAGES ON)
  endif()
endif()
if(HWYNN_IMAGES)
  if(NOT JPEG_FOUND)
    message(FATAL_ERROR "hwynn::images and the program need libjpeg-turbo (Debian: libjpeg62-turbo-dev). Without them: "
                        "-DHWYNN_BUILD_APPS=OFF -DHWYNN_BUILD_IMAGES=OFF")
  endif()
  if(SPNG_FOUND)
    add_library(spng::spng ALIAS PkgConfig::SPNG)
  else()
    # One C file: built here, against the zlib found above. SOURCE_SUBDIR keeps its own build out.
    hwynn_fetch(spng randy408/libspng fb768002d4288590083a476af628e51c3f1d47cd SOURCE_SUBDIR cmake-unused)  # 0.7.4
    enable_language(C)
    add_library(spng STATIC ${spng_SOURCE_DIR}/spng/spng.c)
    target_include_directories(spng SYSTEM PUBLIC ${spng_SOURCE_DIR}/spng)
    target_compile_definitions(spng PUBLIC SPNG_STATIC)
    target_link_libraries(spng PUBLIC ZLIB::ZLIB m)
    add_library(spng::spng ALIAS spng)
  endif()
endif()

if(HWYNN_BUILD_TESTS)
  find_package(GTest 1.11 QUIET CONFIG)
  if(NOT GTest_FOUND)
    hwynn_fetch(googletest google/googletest f8d7d77c06936315286eb55f8de22cd23c188571)  # 1.14.0
  endif()
endif()
if(HWYNN_BUILD_BENCHMARKS)
  find_package(benchmark QUIET CONFIG)
  if(NOT benchmark_FOUND)
    hwynn_fetch(benchmark google/benchmark 344117638c8ff7e239044fd0fa7085839fc03021)  # 1.8.3
  endif()
endif()
