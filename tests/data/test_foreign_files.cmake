# Every allocation is counted, and JSON is mutated in the same way as by the fuzz targets.
target_sources(test_data_foreign_files PRIVATE ${CMAKE_CURRENT_LIST_DIR}/memory_meter.c
  ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz.c ${CMAKE_SOURCE_DIR}/tests/fuzz/no_mutations.c)
