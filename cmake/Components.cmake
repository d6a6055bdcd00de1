# What programs link: hwynn::hwynn, everything from core to inference, and the components beside it.
#
# Static, a component is its folders' libraries. With BUILD_SHARED_LIBS it is one shared library of the same objects, and
# hwynn::<folder> is another name for that. Tests, which look inside, link the folders' static libraries either way.

# What a shared library shows, beside what the compiler hides: nothing of the standard library's templates over our types.
# Symbols carry a version, so that programs and libraries of two minor versions can't be mixed up.
set(version_script ${PROJECT_BINARY_DIR}/exports.map)
file(CONFIGURE OUTPUT ${version_script} @ONLY CONTENT [[
HWYNN_@PROJECT_VERSION_MAJOR@.@PROJECT_VERSION_MINOR@ {
  global: hwynn_*; _ZN5hwynn*; _ZNK5hwynn*; _ZT[ISVT]N5hwynn*; _ZTh*N5hwynn*; _ZTv*N5hwynn*; _ZZN5hwynn*; _ZZNK5hwynn*; _ZGVZN5hwynn*; _ZGVZNK5hwynn*;
  local: *;
};
]])

# hwynn_component(<name> <folder>… [NEEDS <component>…] [LIBRARIES …]): hwynn::<name> and hwynn::<folder>; programs get what
# NEEDS names too, LIBRARIES are for the component alone. Then hwynn_installed_<name>
# lists the targets that are installed for it, hwynn_folders_<name> and hwynn_needs_<name> what was said, HWYNN_COMPONENTS all names.
function(hwynn_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "NEEDS;LIBRARIES")
  set(folders ${arg_UNPARSED_ARGUMENTS})
  hwynn_shared_component(${name})
  if(BUILD_SHARED_LIBS)
    add_library(hwynn::${name} ALIAS hwynn_${name}_shared)
    set(installed hwynn_${name}_shared)
    foreach(folder ${folders})
      if(NOT folder STREQUAL name)
        add_library(hwynn_${folder}_name INTERFACE)
        set_target_properties(hwynn_${folder}_name PROPERTIES EXPORT_NAME ${folder})
        target_link_libraries(hwynn_${folder}_name INTERFACE hwynn_${name}_shared)
        add_library(hwynn::${folder} ALIAS hwynn_${folder}_name)
        list(APPEND installed hwynn_${folder}_name)
      endif()
    endforeach()
  else()
    list(TRANSFORM folders PREPEND hwynn_ OUTPUT_VARIABLE installed)
    if(NOT name IN_LIST folders)
      add_library(hwynn_${name} INTERFACE)
      set_target_properties(hwynn_${name} PROPERTIES EXPORT_NAME ${name})
      target_link_libraries(hwynn_${name} INTERFACE ${installed})
      add_library(hwynn::${name} ALIAS hwynn_${name})
      list(APPEND installed hwynn_${name})
    endif()
    foreach(folder ${folders})
      add_library(hwynn::${folder} ALIAS hwynn_${folder})
    endforeach()
  endif()
  set(hwynn_installed_${name} ${installed} PARENT_SCOPE)
  set(hwynn_folders_${name} ${folders} PARENT_SCOPE)
  set(hwynn_needs_${name} ${arg_NEEDS} PARENT_SCOPE)
  set(HWYNN_COMPONENTS ${HWYNN_COMPONENTS} ${name} PARENT_SCOPE)
endfunction()

# The shared library, libhwynn.so or libhwynn-<name>.so. In a static build tests alone ask for it, to see what it exports.
macro(hwynn_shared_component name)
  set(library hwynn_${name}_shared)
  list(TRANSFORM folders REPLACE "(.+)" "$<TARGET_OBJECTS:hwynn_\\1>" OUTPUT_VARIABLE objects)
  list(TRANSFORM arg_NEEDS REPLACE "(.+)" "hwynn_\\1_shared" OUTPUT_VARIABLE needs)
  add_library(${library} SHARED ${objects})
  string(REPLACE "hwynn-hwynn" "hwynn" output_name hwynn-${name})
  set_target_properties(${library} PROPERTIES OUTPUT_NAME ${output_name} EXPORT_NAME ${name} LINKER_LANGUAGE CXX INSTALL_RPATH "$ORIGIN"
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_compile_features(${library} PUBLIC cxx_std_20)
  target_include_directories(${library} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${library} PUBLIC ${needs} PRIVATE ${arg_LIBRARIES} $<BUILD_INTERFACE:hwynn_options>)
  if(UNIX AND NOT APPLE)
    target_link_options(${library} PRIVATE LINKER:--version-script=${version_script} LINKER:--no-undefined LINKER:--gc-sections)
    set_target_properties(${library} PROPERTIES LINK_DEPENDS ${version_script})
  endif()
  if(NOT BUILD_SHARED_LIBS)
    set_target_properties(${library} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endmacro()

set(HWYNN_COMPONENTS "")
hwynn_component(hwynn core kernels module layers formats models inference LIBRARIES hwy::hwy TBB::tbb)
hwynn_component(training data training NEEDS hwynn LIBRARIES ZLIB::ZLIB)
if(HWYNN_IMAGES)
  hwynn_component(images images NEEDS training LIBRARIES spng::spng JPEG::JPEG)
endif()
