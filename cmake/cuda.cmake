# What the presets cuda and emulated share: nvcc, and everything that does not know CUDA from the cpu's build.
#
# nvcc is called by custom commands and not through CMake's CUDA language: that would want a device architecture and a CUDA
# runtime of its own choice, where the preset emulated links neither.

execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/find-nvcc OUTPUT_VARIABLE SPIRITLM_NVCC ERROR_VARIABLE nvcc_problem
                RESULT_VARIABLE nvcc_result OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE)
if(NOT nvcc_result EQUAL 0)
  if(NOT nvcc_problem)
    set(nvcc_problem "no nvcc was found in CUDACXX, CUDA_HOME, the PATH or /usr/local/cuda")
  endif()
  message(FATAL_ERROR "CUDA cannot be built: ${nvcc_problem}")
endif()
message(STATUS "nvcc: ${SPIRITLM_NVCC}")
file(REAL_PATH ${SPIRITLM_NVCC} nvcc_file)
get_filename_component(SPIRITLM_CUDA_HOME ${nvcc_file} DIRECTORY)
get_filename_component(SPIRITLM_CUDA_HOME ${SPIRITLM_CUDA_HOME} DIRECTORY)
find_path(SPIRITLM_CUDA_INCLUDE cuda_runtime_api.h REQUIRED NO_DEFAULT_PATH
          PATHS ${SPIRITLM_CUDA_HOME}/include ${SPIRITLM_CUDA_HOME}/targets/x86_64-linux/include /usr/include)
find_path(SPIRITLM_CUDA_LIBRARIES libcudart_static.a REQUIRED NO_DEFAULT_PATH
          PATHS ${SPIRITLM_CUDA_HOME}/lib64 ${SPIRITLM_CUDA_HOME}/targets/x86_64-linux/lib ${SPIRITLM_CUDA_HOME}/lib
                /usr/lib/x86_64-linux-gnu)

# The host's half of a .cu file. Enumerators of shared C headers meet numbers, which g++ alone finds odd.
set(SPIRITLM_NVCC_FLAGS -std=c++17 -O3 -ccbin ${CMAKE_CXX_COMPILER} -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/runtime
    -I${CMAKE_SOURCE_DIR}/tests -Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off,-Wall,-Wextra,-Wno-extra)
if(SPIRITLM_CUDA STREQUAL emulated)
  list(APPEND SPIRITLM_NVCC_FLAGS -arch=compute_80 --no-compress -lineinfo -cudart none)
else()
  list(APPEND SPIRITLM_NVCC_FLAGS -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90
       -gencode arch=compute_90,code=compute_90 -lineinfo -Xptxas -warn-spills -Werror all-warnings)
endif()

# Every object says what it cost, also one from ccache's store (cmake/timed).
if(CCACHE)
  set(SPIRITLM_TIMED_NVCC ${CMAKE_COMMAND} -E env CCACHE_PREFIX=${CMAKE_SOURCE_DIR}/cmake/timed CCACHE_COMPILERCHECK=content
      ${CCACHE} ${SPIRITLM_NVCC})
else()
  set(SPIRITLM_TIMED_NVCC ${CMAKE_SOURCE_DIR}/cmake/timed ${SPIRITLM_NVCC})
endif()

# cuda_objects(variable sources ...): the objects of .cu files.
function(cuda_objects variable)
  set(objects "")
  foreach(source ${ARGN})
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${source})
    set(object ${CMAKE_BINARY_DIR}/cuda/${name}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d VERBATIM COMMENT "nvcc ${name}"
      COMMAND ${SPIRITLM_TIMED_NVCC} ${SPIRITLM_NVCC_FLAGS} -MD -MF ${object}.d -c ${source} -o ${object})
    list(APPEND objects ${object})
  endforeach()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()

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

file(GLOB kernel_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cu)
file(GLOB host_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.c)
cuda_objects(kernel_objects ${kernel_sources})
add_library(room_kernels_cuda STATIC ${host_sources} ${kernel_objects})
target_compile_options(room_kernels_cuda PRIVATE ${SPIRITLM_WARNINGS})
target_include_directories(room_kernels_cuda SYSTEM PRIVATE ${SPIRITLM_CUDA_INCLUDE})
target_compile_definitions(room_kernels_cuda PRIVATE SPIRITLM_CUDA_LIBRARIES="${SPIRITLM_CUDA_LIBRARIES}")
target_link_libraries(room_kernels_cuda PUBLIC room_kernels_cuda_sizes room_kernels)
add_dependencies(room_kernels_cuda cpu_libraries)
set_target_properties(room_kernels_cuda PROPERTIES LINKER_LANGUAGE CXX)

if(SPIRITLM_CUDA STREQUAL emulated)
  file(GLOB runtime_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/emulator/runtime/*.c
       ${CMAKE_SOURCE_DIR}/tests/emulator/libraries/*.c)
  add_library(emulator_runtime STATIC ${runtime_sources})
  target_compile_options(emulator_runtime PRIVATE ${SPIRITLM_WARNINGS} -fno-strict-aliasing)
  target_include_directories(emulator_runtime PUBLIC ${CMAKE_SOURCE_DIR}/tests)
  target_include_directories(emulator_runtime SYSTEM PUBLIC ${SPIRITLM_CUDA_INCLUDE})
  target_link_libraries(emulator_runtime PUBLIC emulator stdc++)
  add_dependencies(emulator_runtime cpu_libraries)
  target_compile_definitions(room_kernels_cuda PRIVATE SPIRITLM_CUBLASLT_LINKED)
  target_link_libraries(room_kernels_cuda PUBLIC emulator_runtime)
else()
  target_link_libraries(room_kernels_cuda PUBLIC ${SPIRITLM_CUDA_LIBRARIES}/libcudart_static.a stdc++ dl rt
                        Threads::Threads)
endif()
