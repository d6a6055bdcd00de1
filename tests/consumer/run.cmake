# What the tests of consumers share.
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# run_consumer(<folder>): runs the programs that CMakeLists.txt built there.
function(run_consumer folder)
  run(${folder}/quickstart)
  run(${folder}/inference ${folder}/model ${folder}/image.ppm)
  run(${folder}/classify ${folder}/model ${folder}/image.ppm)
  run(${folder}/classify_c ${folder}/model ${folder}/image.ppm)
  run(${folder}/serve_loop ${folder}/model)
  if(EXISTS ${folder}/photograph)
    run(${folder}/photograph)
  endif()
endfunction()
