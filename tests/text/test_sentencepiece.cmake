# The library that our reader, encoder and decoder are held against, and the models both read.
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
target_sources(test_text_sentencepiece PRIVATE ${CMAKE_CURRENT_LIST_DIR}/sentencepiece_models.c)
target_link_libraries(test_text_sentencepiece PRIVATE PkgConfig::SENTENCEPIECE)
