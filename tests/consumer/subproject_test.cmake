# cmake -D WORK=<folder> -P subproject_test.cmake: builds the consumer project with hwynn as a part of it, by add_subdirectory and
# by FetchContent, and runs it. Both make the same objects, unoptimised and for the baseline alone, so that it is done soon.
include(${CMAKE_CURRENT_LIST_DIR}/run.cmake)

foreach(from add_subdirectory FetchContent)
  run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK} -G Ninja -D HWYNN_FROM=${from}
      -D HWYNN_SOURCE=${CMAKE_CURRENT_LIST_DIR}/../.. -D CMAKE_BUILD_TYPE=Debug -D CMAKE_CXX_FLAGS=-DHWY_COMPILE_ONLY_STATIC)
  run(${CMAKE_COMMAND} --build ${WORK})
  run_consumer(${WORK})
endforeach()
