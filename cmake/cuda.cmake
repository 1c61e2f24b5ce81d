# What the presets cuda and emulated share: the CUDA backend, and everything that does not know CUDA from the cpu's build.
include(cmake/nvcc.cmake)

# ---- the cpu's build ----

set(SPIRITLM_CPU_BUILD ${CMAKE_SOURCE_DIR}/build/cpu CACHE PATH "The build whose libraries are used")
if(NOT EXISTS ${SPIRITLM_CPU_BUILD}/libraries.cmake)
  execute_process(COMMAND ${CMAKE_COMMAND} --preset cpu WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} OUTPUT_QUIET
                  COMMAND_ERROR_IS_FATAL ANY)
endif()
include(${SPIRITLM_CPU_BUILD}/libraries.cmake) # SPIRITLM_LIBRARIES, as imported targets
set(cpu_files "")
set(SPIRITLM_CPU_ROOMS "")
foreach(library ${SPIRITLM_LIBRARIES})
  get_target_property(file ${library} IMPORTED_LOCATION_RELWITHDEBINFO)
  list(APPEND cpu_files ${file})
  if(library MATCHES "^room_")
    list(APPEND SPIRITLM_CPU_ROOMS ${library})
  endif()
endforeach()
add_custom_target(cpu_libraries BYPRODUCTS ${cpu_files} VERBATIM COMMENT "the cpu's libraries"
  COMMAND ${CMAKE_COMMAND} --build ${SPIRITLM_CPU_BUILD} --target ${SPIRITLM_LIBRARIES})

# ---- the backend ----

cuda_backend()
add_dependencies(room_kernels_cuda cpu_libraries)
if(SPIRITLM_CUDA STREQUAL emulated)
  file(GLOB runtime_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/emulator/runtime/*.c
       ${CMAKE_SOURCE_DIR}/tests/emulator/libraries/*.c)
  if(NOT SPIRITLM_CUDNN_INCLUDE)
    list(FILTER runtime_sources EXCLUDE REGEX "/cudnn_[a-z_]+\\.c$")
  endif()
  add_library(emulator_runtime STATIC ${runtime_sources})
  target_compile_options(emulator_runtime PRIVATE ${SPIRITLM_WARNINGS} -fno-strict-aliasing)
  target_include_directories(emulator_runtime PUBLIC ${CMAKE_SOURCE_DIR}/tests)
  target_include_directories(emulator_runtime SYSTEM PUBLIC ${SPIRITLM_CUDA_INCLUDE})
  target_link_libraries(emulator_runtime PUBLIC emulator stdc++)
  add_dependencies(emulator_runtime cpu_libraries)
  if(SPIRITLM_CUDNN_INCLUDE)
    target_include_directories(emulator_runtime SYSTEM PUBLIC ${SPIRITLM_CUDNN_INCLUDE})
  endif()
  target_compile_definitions(room_kernels_cuda PRIVATE SPIRITLM_CUBLASLT_LINKED SPIRITLM_CUDNN_LINKED)
  target_link_libraries(room_kernels_cuda PUBLIC emulator_runtime)
endif()
