/* Files of JSON lines that tests/oracles/transcripts_golden.py wrote, line by line. */
#ifndef SPIRITLM_TESTS_EVAL_GOLDEN_LINES_H
#define SPIRITLM_TESTS_EVAL_GOLDEN_LINES_H

#include "support/test_support.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The committed folder, or with `large` the one of 100,000 lines that SPIRITLM_TRANSCRIPTS names; NULL: it names none. */
static inline const char *golden_folder(bool large)
{
    return large ? getenv("SPIRITLM_TRANSCRIPTS") : TEST_GOLDEN_DIRECTORY "/transcripts";
}

/* Calls `visit` with each line of the folder's file, which is an array, and its number from 1 on. Returns how many there are. */
static inline int64_t each_golden_line(const char *folder, const char *name,
                                       void (*visit)(int64_t number, const json_t *line, void *context), void *context)
{
    char path[1000], *text;
    int64_t size, number = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(file_read(path, INT64_C(1) << 30, (void **)&text, &size));
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *root;
        assert_ok(jdoc_parse(path, line, end - line, &root));
        assert_true(json_is_array(root));
        visit(++number, root, context);
        json_decref(root);
    }
    free(text);
    return number;
}

static inline const char *line_text(const json_t *line, size_t index)
{
    const char *text = json_string_value(json_array_get(line, index));
    assert_non_null(text);
    return text;
}

#endif
