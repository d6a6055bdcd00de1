# Nothing global but the target (SetTarget, which Highway keeps): run by ctest with OBJDUMP and LIBRARIES, static ones.
#
# Whatever lies in writable memory must be a table that its function makes at its first call, which the compiler marks by a
# guard and tools/check_layering.py holds to be const, or a thread's: its scratch memory, and how many threads it shares its
# work with.
set(tables 0)
set(errors "")
string(REPLACE "," ";" libraries "${LIBRARIES}")
foreach(library ${libraries})
  execute_process(COMMAND ${OBJDUMP} -t ${library} OUTPUT_VARIABLE table COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "\\.t?(data|bss)[^\n\t]*\t[0-9a-f]+ [^\n]+" symbols "${table}")
  foreach(symbol ${symbols})
    string(REGEX REPLACE "\t[0-9a-f]+ +(\\.hidden )?" " " symbol "${symbol}")  # section and name
    if(NOT symbol MATCHES "^(\\.[^ ]+) ([^ .][^ ]*)$")  # a section itself
      continue()
    endif()
    set(section ${CMAKE_MATCH_1})
    set(name ${CMAKE_MATCH_2})
    if(section MATCHES "^\\.data\\.rel\\.ro" OR name MATCHES "^_ZGV" OR name MATCHES "^_ZZ?NK?St")  # the last: std::
      continue()
    endif()
    string(REGEX REPLACE "^_Z" "_ZGV" guard "${name}")
    string(FIND "${table}" " ${guard}\n" guarded)
    if(section MATCHES "^\\.t")
      if(NOT name MATCHES "^_ZZN5hwynn13ThreadScratch" AND NOT name MATCHES "^_ZN5hwynn12_GLOBAL__N_1L?(12thread_limit|5alone)E")
        list(APPEND errors "${library}: ${name} belongs to each thread")
      endif()
    elseif(guarded EQUAL -1)
      list(APPEND errors "${library}: ${name} can be written")
    else()
      math(EXPR tables "${tables} + 1")
    endif()
  endforeach()
endforeach()
if(errors)
  list(JOIN errors "\n" text)
  message(FATAL_ERROR "${text}")
endif()
if(tables EQUAL 0)
  message(FATAL_ERROR "no symbols: ${OBJDUMP} says something else than this test expects")
endif()
message(STATUS "${tables} tables, nothing else")
