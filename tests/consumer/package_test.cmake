# Installs a build tree, builds the consumer project against it, with find_package and with pkg-config, and runs it.
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/built)
file(RENAME ${WORK}/built ${WORK}/installed)  # an installed tree may be moved
run(${CMAKE_COMMAND} -S ${CONSUMER} -B ${WORK}/build -G ${GENERATOR} -D CMAKE_CXX_COMPILER=${CXX}
    -D CMAKE_PREFIX_PATH=${WORK}/installed)
run(${CMAKE_COMMAND} --build ${WORK}/build)
set(ENV{LD_LIBRARY_PATH} ${WORK}/installed/${LIBDIR})  # for BUILD_SHARED_LIBS
run(${WORK}/build/quickstart)
set(model ${WORK}/build/model ${WORK}/build/image.ppm)
run(${WORK}/build/inference ${model})
if(EXISTS ${WORK}/installed/include/hwynn/images)
  run(${WORK}/build/photograph)
endif()
run(${WORK}/build/classify ${model})
run(${WORK}/build/classify_c ${model})
run(${WORK}/build/serve_loop ${WORK}/build/model)

find_program(pkg_config pkg-config)
if(pkg_config)
  set(ENV{PKG_CONFIG_PATH} ${WORK}/installed/${LIBDIR}/pkgconfig)
  execute_process(COMMAND ${pkg_config} --static --cflags --libs hwynn
                  OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  run(${CXX} -std=c++20 ${CONSUMER}/inference.cc ${flags} -o ${WORK}/build/inference_pc)
  run(${WORK}/build/inference_pc ${model})
  find_program(cc NAMES cc gcc clang)
  if(cc)  # a program in C, linked by its own compiler
    run(${cc} -std=c99 ${CONSUMER}/../../examples/classify.c ${flags} -o ${WORK}/build/classify_pc)
    run(${WORK}/build/classify_pc ${model})
  endif()
endif()
