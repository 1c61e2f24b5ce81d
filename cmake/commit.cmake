# cmake -D OUTPUT=FILE -P commit.cmake, in the source folder: writes SPIRITLM_COMMIT into FILE, which is left untouched
# when it already says so.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git describe --always --dirty OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define SPIRITLM_COMMIT \"@commit@\"\n" @ONLY)
