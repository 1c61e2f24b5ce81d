# Every allocation is counted.
target_sources(test_data_ctc_path PRIVATE ${CMAKE_CURRENT_LIST_DIR}/memory_meter.c)
