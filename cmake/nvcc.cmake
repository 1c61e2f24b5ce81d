# nvcc, and the CUDA backend as a library.
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

# cuDNN is optional: a build without its header has our own convolutions alone.
find_path(SPIRITLM_CUDNN_INCLUDE cudnn.h NO_DEFAULT_PATH
          PATHS ${SPIRITLM_CUDA_INCLUDE} /usr/include /usr/include/x86_64-linux-gnu)

set(SPIRITLM_CUDA_TARGET "" CACHE STRING "Compile for one kind of GPU alone (sm_90); empty: sm_80, sm_90 and PTX")

# The host's half of a .cu file. Enumerators of shared C headers meet numbers, which g++ alone finds odd.
set(SPIRITLM_NVCC_FLAGS -std=c++14 -O3 -ccbin ${CMAKE_CXX_COMPILER} -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/runtime
    -I${CMAKE_SOURCE_DIR}/tests -Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off,-Wall,-Wextra,-Wno-extra)
if(SPIRITLM_CUDA STREQUAL emulated)
  list(APPEND SPIRITLM_NVCC_FLAGS -arch=compute_80 --no-compress -lineinfo -cudart none)
elseif(SPIRITLM_CUDA_TARGET)
  list(APPEND SPIRITLM_NVCC_FLAGS -arch=${SPIRITLM_CUDA_TARGET} -lineinfo)
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

# cuda_backend(): room_kernels_cuda, with CUDA's runtime unless the emulator is to take its place.
function(cuda_backend)
  file(GLOB kernel_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cu)
  file(GLOB host_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.c)
  cuda_objects(kernel_objects ${kernel_sources})
  add_library(room_kernels_cuda STATIC ${host_sources} ${kernel_objects})
  target_compile_options(room_kernels_cuda PRIVATE ${SPIRITLM_WARNINGS})
  target_include_directories(room_kernels_cuda SYSTEM PRIVATE ${SPIRITLM_CUDA_INCLUDE})
  target_compile_definitions(room_kernels_cuda PRIVATE SPIRITLM_CUDA_LIBRARIES="${SPIRITLM_CUDA_LIBRARIES}")
  if(SPIRITLM_CUDNN_INCLUDE)
    target_compile_definitions(room_kernels_cuda PRIVATE SPIRITLM_HAVE_CUDNN)
    target_include_directories(room_kernels_cuda SYSTEM PRIVATE ${SPIRITLM_CUDNN_INCLUDE})
  endif()
  target_link_libraries(room_kernels_cuda PUBLIC room_kernels_cuda_sizes room_kernels)
  set_target_properties(room_kernels_cuda PROPERTIES LINKER_LANGUAGE CXX)
  if(NOT SPIRITLM_CUDA STREQUAL emulated)
    target_link_libraries(room_kernels_cuda PUBLIC ${SPIRITLM_CUDA_LIBRARIES}/libcudart_static.a stdc++ dl rt
                          Threads::Threads)
  endif()
endfunction()
