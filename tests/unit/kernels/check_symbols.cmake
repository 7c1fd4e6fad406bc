# A function that is compiled for AVX-512 in one object and for plain x86-64 in
# another, under the same weak name, may be swapped by the linker, and the
# program then dies on a lesser machine. So whatever an object of the kernels
# exports weakly must bear the namespace of its instruction set.
set(checked 0)
foreach(object IN LISTS OBJECTS)
  if(NOT object MATCHES "kernels_(baseline|avx2|avx512)\\.cc")
    continue()
  endif()
  set(isa ${CMAKE_MATCH_1})
  string(SUBSTRING ${isa} 0 1 initial)
  string(SUBSTRING ${isa} 1 -1 rest)
  string(TOUPPER ${initial} initial)
  set(isa ${initial}${rest})
  execute_process(COMMAND ${NM} --defined-only --format=posix ${object}
    OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" symbols "${symbols}")
  foreach(symbol IN LISTS symbols)
    if(symbol MATCHES " [WwVvu] " AND NOT symbol MATCHES "^[^ ]*Eigen${isa}")
      message(SEND_ERROR "${object} exports ${symbol}")
    endif()
    if(symbol MATCHES " [TDBR] " AND
        NOT symbol MATCHES "^[^ ]*k${isa}Kernels")
      message(SEND_ERROR "${object} exports ${symbol}")
    endif()
  endforeach()
  math(EXPR checked "${checked} + 1")
endforeach()
if(NOT checked EQUAL 3)
  message(FATAL_ERROR "checked ${checked} objects of 3: ${OBJECTS}")
endif()
