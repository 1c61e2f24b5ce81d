#include "support/slm21_golden.h"

#include "support/test_support.h"

#include "io/archive/archive.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct archive *archive;
static char **texts; /* of its members */

static enum status keep(void *context, int64_t index, const void *data, int64_t size)
{
    (void)context;
    texts[index] = malloc((size_t)size + 1);
    assert_non_null(texts[index]);
    memcpy(texts[index], data, (size_t)size + 1);
    return STATUS_OK;
}

int slm21_golden_open(void **state)
{
    (void)state;
    assert_ok(archive_open(TEST_GOLDEN_DIRECTORY "/slm21/archives.tar.gz", &archive));
    texts = calloc((size_t)archive_count(archive), sizeof *texts);
    assert_non_null(texts);
    assert_ok(archive_stream(archive, NULL, 1 << 20, keep, NULL));
    return 0;
}

int slm21_golden_close(void **state)
{
    (void)state;
    for (int64_t i = 0; i < archive_count(archive); i++)
        free(texts[i]);
    free(texts);
    archive_close(archive);
    return 0;
}

const char *slm21_golden(const char *format, ...)
{
    char name[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    int64_t index = archive_find(archive, name);
    if (index < 0)
        fail_msg("golden/slm21 has no %s", name);
    return texts[index];
}

void slm21_golden_table(const char *text, struct csv *table)
{
    size_t size = strlen(text);
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, text, size + 1);
    assert_ok(csv_parse("gold.csv", copy, (int64_t)size, (struct csv_format){',', true}, table));
}

double *slm21_golden_scores(const struct slm21 *gold, const char *lines)
{
    double *scores = calloc((size_t)gold->file_count + 1, sizeof *scores);
    assert_non_null(scores);
    for (int64_t i = 0; i < gold->file_count; i++)
        scores[i] = NAN;
    for (; *lines; lines = strchr(lines, '\n') + 1) {
        char name[64];
        double score = 0;
        assert_int_equal(sscanf(lines, "%63s %lf", name, &score), 2);
        int64_t row = slm21_find(gold, name);
        assert_true(row >= 0);
        assert_string_equal(gold->files[row], name);
        scores[row] = score;
    }
    return scores;
}
