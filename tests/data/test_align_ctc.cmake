# Every allocation is counted.
target_sources(test_data_align_ctc PRIVATE ${CMAKE_CURRENT_LIST_DIR}/memory_meter.c)
