# One spelling of an include everywhere, #include "hwynn/<folder>/<file>.h": links in the build tree.
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/include/hwynn)
foreach(folder core kernels module layers formats models inference data images training apps examples tests fuzz bench)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${folder} ${PROJECT_BINARY_DIR}/include/hwynn/${folder} SYMBOLIC)
endforeach()

# hwynn_library(<folder> PUBLIC … PRIVATE …): the library hwynn_<folder> of the .cc files in the folder and its subfolders;
# kernels/reference is a target of its own. Its objects serve in static and in shared libraries.
function(hwynn_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PUBLIC;PRIVATE")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/kernels/reference/")
  if(folder STREQUAL "core")
    if(HWYNN_PARALLEL STREQUAL "threads")
      list(FILTER sources EXCLUDE REGEX "/parallel\\.cc$")
    else()
      list(FILTER sources EXCLUDE REGEX "/parallel_threads\\.cc$")
    endif()
  endif()
  if(HWYNN_SHARED_FOLDERS)
    add_library(hwynn_${folder} SHARED ${sources})
  else()
    add_library(hwynn_${folder} STATIC ${sources})
    hwynn_hide_symbols(hwynn_${folder})
  endif()
  set_target_properties(hwynn_${folder} PROPERTIES EXPORT_NAME ${folder} POSITION_INDEPENDENT_CODE ON)
  target_compile_features(hwynn_${folder} PUBLIC cxx_std_20)
  target_include_directories(hwynn_${folder} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(hwynn_${folder} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:hwynn_options>)
endfunction()

# Only what core/export.h marks is seen from outside a shared library. Not with clang, which forgets what a namespace's block
# says of a function as it is defined in another block: there all of hwynn is seen.
function(hwynn_hide_symbols target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set_target_properties(${target} PROPERTIES C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden)
  endif()
  set_target_properties(${target} PROPERTIES VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# hwynn_compile_for_size(<folder>… EXCEPT <source>…): half the bytes, where time goes into the kernels that are called.
function(hwynn_compile_for_size)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "EXCEPT")
  foreach(folder ${arg_UNPARSED_ARGUMENTS})
    target_compile_options(hwynn_${folder} PRIVATE $<$<CONFIG:Release>:-Os>)
  endforeach()
  foreach(source ${arg_EXCEPT})
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
  endforeach()
endfunction()

# hwynn_program(<name> <source>… LIBRARIES …): an executable in bin/.
function(hwynn_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBRARIES")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} hwynn_options)
endfunction()
