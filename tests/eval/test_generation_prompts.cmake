# A scripted model and scripted judges (tests/support/scripted_model.h, scripted_judges.h).
set(scripted_judges TRUE)
include(${CMAKE_CURRENT_SOURCE_DIR}/support/scripted.cmake)
unset(scripted_judges)
