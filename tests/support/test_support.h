/* What all tests share: printed seeds, guarded buffers, comparisons that NaN cannot pass. */
#ifndef SPIRITLM_TESTS_SUPPORT_H
#define SPIRITLM_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "core/status.h"

/* The seed of this run's random tests: TEST_SEED from the environment, otherwise a fixed one; printed the first
 * time. */
uint64_t test_seed(void);

/* Fails with status_text() when the status is not OK. */
#define assert_ok(call) test_assert_ok((call), #call, __FILE__, __LINE__)
void test_assert_ok(enum status status, const char *call, const char *file, int line);

/* Fails unless `call` returns `code` with a text that contains `part`. */
#define assert_fails(call, code, part) test_assert_fails((call), (code), (part), #call, __FILE__, __LINE__)
void test_assert_fails(enum status status, enum status code, const char *part, const char *call, const char *file,
                       int line);

/* Memory of `bytes` at a 256-byte boundary, filled with 0xCD, between guard bands of 256 bytes. guarded_free fails the
 * test when a band was touched. */
void *guarded_allocate(size_t bytes);
void guarded_free(void *memory);

/* Fails unless every |actual - expected| <= tolerance * max(1, |expected|) and is finite; prints the first bad index.
 */
void assert_close(const char *what, const float *actual, const double *expected, int64_t count, double tolerance);

/* ||actual - expected|| / ||expected||; infinity when a value is not finite; the norm of the difference when expected
 * is 0. */
double relative_difference(const float *actual, const double *expected, int64_t count);

/* A new empty folder below the build folder; removed when the test program ends. */
const char *test_directory(void);

/* Runs a command line with /bin/sh and returns its exit code; its output (stdout and stderr, at most size - 1 bytes)
 * goes into text. */
int run_command(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Whether both files can be read and hold the same bytes. */
bool same_file(const char *a, const char *b);

/* Whether this is the long form of the tests (scripts/test --long): full counts instead of those for every commit. */
bool test_is_long(void);

#endif
