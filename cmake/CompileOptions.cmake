# What every target of hwynn is compiled with. No -march: Highway picks the instruction set at run time.
add_library(hwynn_options INTERFACE)
target_compile_options(hwynn_options INTERFACE
  -Wall -Wextra
  # Designated initialisers leave out what has its default, which is what they are for.
  -Wno-missing-field-initializers
  # GCC 12 sees overlapping copies in std::string's operator+ (GCC bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  # A fused multiply-add is written where it is meant; the compiler adds none, so that numbers don't depend on it.
  -ffp-contract=off
  # GCC for Arm, unlike for x86, reorders before it assigns registers. That moves a tile's loads up until its accumulators
  # no longer fit: twenty moves to and from the stack in the inner loop of a 14×2 tile, against none.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},aarch64>>:-fno-schedule-insns>)
# Not with GCC's sanitizers: what they insert makes it see uninitialised members of std::optional and std::function.
if(HWYNN_WARNINGS_AS_ERRORS AND NOT (HWYNN_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"))
  target_compile_options(hwynn_options INTERFACE -Werror)
endif()
if(HWYNN_SANITIZE)
  target_compile_options(hwynn_options INTERFACE -fsanitize=${HWYNN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(hwynn_options INTERFACE -fsanitize=${HWYNN_SANITIZE})
endif()
target_compile_definitions(hwynn_options INTERFACE "HWY_DISABLED_TARGETS=(${HWYNN_DISABLED_TARGETS})")
