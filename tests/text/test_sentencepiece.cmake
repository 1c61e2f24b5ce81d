# The library that our reader, encoder and decoder are held against, and the program that trains the models.
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
target_link_libraries(test_text_sentencepiece PRIVATE PkgConfig::SENTENCEPIECE)
