#include "support/test_support.h"

#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t test_seed(void)
{
    static uint64_t seed;
    if (!seed) {
        const char *text = getenv("TEST_SEED");
        seed = text ? strtoull(text, NULL, 10) : 20240208;
        printf("seed of the random tests: TEST_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

/* SPIRITLM_TEST_FILTER=PATTERN runs only the tests of a program whose names fit, with * and ? as in file names. */
static void __attribute__((constructor)) choose_tests(void)
{
    const char *pattern = getenv("SPIRITLM_TEST_FILTER");
    if (pattern && *pattern)
        cmocka_set_test_filter(pattern);
}

void test_assert_ok(enum status status, const char *call, const char *file, int line)
{
    if (status != STATUS_OK) {
        print_error("%s: status %d: %s\n", call, (int)status, status_text());
        _fail(file, line);
    }
}

void test_assert_fails(enum status status, enum status code, const char *part, const char *call, const char *file,
                       int line)
{
    if (status != code || !strstr(status_text(), part)) {
        print_error("%s: status %d, text \"%s\"; expected %d and \"%s\"\n", call, (int)status, status_text(), (int)code,
                    part);
        _fail(file, line);
    }
}

enum { BAND = 256 };

void *guarded_allocate(size_t bytes)
{
    size_t inner = (bytes + BAND - 1) / BAND * BAND;
    unsigned char *block = aligned_alloc(BAND, inner + 3 * BAND);
    if (!block)
        fail_msg("no memory for %zu bytes", bytes);
    memset(block, 0xCD, inner + 3 * BAND);
    memcpy(block, &bytes, sizeof bytes);
    memset(block + BAND, 0xAB, BAND);
    memset(block + 2 * (size_t)BAND + bytes, 0xAB, BAND);
    return block + 2 * (size_t)BAND;
}

void guarded_free(void *memory)
{
    if (!memory)
        return;
    unsigned char *start = memory, *block = start - 2 * (size_t)BAND;
    size_t bytes;
    memcpy(&bytes, block, sizeof bytes);
    for (size_t i = 0; i < BAND; i++) {
        if (block[BAND + i] != 0xAB)
            fail_msg("write %zu bytes before a buffer of %zu", BAND - i, bytes);
        if (start[bytes + i] != 0xAB)
            fail_msg("write %zu bytes past a buffer of %zu", i + 1, bytes);
    }
    free(block);
}

void assert_close(const char *what, const float *actual, const double *expected, int64_t count, double tolerance)
{
    for (int64_t i = 0; i < count; i++) {
        double error = fabs((double)actual[i] - expected[i]);
        if (!(error <= tolerance * fmax(1.0, fabs(expected[i]))))
            fail_msg("%s[%lld]: %.9g, expected %.9g, error %.3g > %.3g", what, (long long)i, (double)actual[i],
                     expected[i], error, tolerance * fmax(1.0, fabs(expected[i])));
    }
}

double relative_difference(const float *actual, const double *expected, int64_t count)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(actual[i]))
            return INFINITY;
        double error = (double)actual[i] - expected[i];
        difference += error * error;
        norm += expected[i] * expected[i];
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

static char directory[512];
static pid_t maker; /* of the directory: a child of it that exits must leave it there */

static void remove_directory(void)
{
    char command[1200];
    if (getpid() != maker)
        return;
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' 2>/dev/null; rm -rf '%s'", directory, directory);
    if (system(command) != 0)
        fprintf(stderr, "warning: could not remove %s\n", directory);
}

const char *test_directory(void)
{
    if (!*directory) {
        char here[400];
        if (!getcwd(here, sizeof here))
            fail_msg("cannot name the working directory");
        snprintf(directory, sizeof directory, "%s/test-%ld-XXXXXX", here, (long)getpid());
        if (!mkdtemp(directory))
            fail_msg("cannot make %s", directory);
        maker = getpid();
        atexit(remove_directory);
    }
    return directory;
}

int run_command(char *text, size_t size, const char *format, ...)
{
    char command[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(command, sizeof command - 6, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= (int)sizeof command - 6)
        fail_msg("command too long");
    char redirected[8300];
    snprintf(redirected, sizeof redirected, "{ %s\n} 2>&1", command);
    FILE *pipe = popen(redirected, "r");
    if (!pipe)
        fail_msg("cannot run %s", command);
    size_t used = fread(text, 1, size - 1, pipe);
    text[used] = 0;
    char rest[4096];
    while (fread(rest, 1, sizeof rest, pipe) > 0)
        ;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool test_is_long(void)
{
    const char *text = getenv("SPIRITLM_TEST_LONG");
    return text && strcmp(text, "1") == 0;
}

bool same_file(const char *a, const char *b)
{
    void *bytes[2] = {NULL, NULL};
    int64_t sizes[2] = {0, 0};
    bool same = file_read(a, 1 << 24, &bytes[0], &sizes[0]) == STATUS_OK &&
                file_read(b, 1 << 24, &bytes[1], &sizes[1]) == STATUS_OK && sizes[0] == sizes[1] &&
                memcmp(bytes[0], bytes[1], (size_t)sizes[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}
