/* Files below the test's folder, written without any ceremony: tests write hundreds of thousands. */
#ifndef SPIRITLM_TESTS_FILES_H
#define SPIRITLM_TESTS_FILES_H

#include <stdint.h>

/* test_directory()/NAME, the name as printf makes it; 64 may be in use at once. */
const char *test_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Each fails the test when it cannot. */
void write_plainly(const char *path, const void *bytes, int64_t size);
void write_text(const char *path, const char *text);
void write_text_in(const char *folder, const char *name, const char *text);

/* A file of tests/golden, to `path`. */
void copy_golden(const char *golden, const char *path);

#endif
