# The instruction sets of Highway that hwynn leaves out, by the version of Highway that first knows them: a name that it doesn't
# know wouldn't compile. What a new version of Highway brings is decided here.
set(HWYNN_DISABLED_TARGETS "")

function(hwynn_disable_targets since)
  if(hwy_VERSION VERSION_GREATER_EQUAL since)
    list(APPEND HWYNN_DISABLED_TARGETS ${ARGN})
    set(HWYNN_DISABLED_TARGETS ${HWYNN_DISABLED_TARGETS} PARENT_SCOPE)
  endif()
endfunction()

# Vectors without a size at compile time, of which the kernels keep arrays: Arm's SVE and RISC-V's vectors.
hwynn_disable_targets(1.0.3 HWY_SVE HWY_SVE2 HWY_SVE_256 HWY_SVE2_128 HWY_RVV)
# Those that add compile time and no speed to float32.
hwynn_disable_targets(1.0.3 HWY_SSSE3 HWY_AVX3_DL)
hwynn_disable_targets(1.0.4 HWY_SSE2 HWY_AVX3_ZEN4)
hwynn_disable_targets(1.2 HWY_AVX3_SPR HWY_NEON_BF16)
hwynn_disable_targets(1.3 HWY_AVX10_2)

# Those that kernels are compiled for: all that are left, or of these the user's. What every CPU of the architecture has, the
# baseline, comes on top.
set(HWYNN_TARGETS "" CACHE STRING "Instruction sets that kernels are compiled for, as in AVX2;AVX3; empty: all that hwynn knows")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64|i.86)$")
  set(known SSE4 AVX2 AVX3)
else()
  set(known NEON)
endif()
foreach(target ${HWYNN_TARGETS})
  if(NOT target IN_LIST known)
    list(JOIN known ", " known)
    message(FATAL_ERROR "HWYNN_TARGETS: no instruction set '${target}' for ${CMAKE_SYSTEM_PROCESSOR}; there are: ${known}")
  endif()
endforeach()
if(HWYNN_TARGETS)
  list(REMOVE_ITEM known ${HWYNN_TARGETS})
  list(TRANSFORM known PREPEND HWY_)
  list(APPEND HWYNN_DISABLED_TARGETS ${known})
endif()

list(JOIN HWYNN_DISABLED_TARGETS "|" HWYNN_DISABLED_TARGETS)
