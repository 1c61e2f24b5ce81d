/* Files below the test's folder, written in the simplest way, since tests write hundreds of thousands. */
#ifndef SPIRITLM_TESTS_FILES_H
#define SPIRITLM_TESTS_FILES_H

#include <stdint.h>

/* test_directory()/NAME, with the name formatted as by printf; 64 may be in use at once. */
const char *test_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Each fails the test when it cannot do its work. */
void write_plainly(const char *path, const void *bytes, int64_t size);
void write_text(const char *path, const char *text);
void write_text_in(const char *folder, const char *name, const char *text);

/* Copies a file of tests/golden to `path`. */
void copy_golden(const char *golden, const char *path);

#endif
