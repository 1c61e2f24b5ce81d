# A scripted model (tests/support/scripted_model.h).
include(${CMAKE_CURRENT_SOURCE_DIR}/support/scripted.cmake)
