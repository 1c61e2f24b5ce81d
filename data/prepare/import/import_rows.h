/* The collector: a format's reader fills it with rows, and import_run makes a manifest of them. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_ROWS_H
#define SPIRITLM_DATA_PREPARE_IMPORT_ROWS_H

#include "core/path.h"
#include "data/prepare/import/import.h"

struct import_word {
    char *text;
    double start, end; /* seconds */
};

struct import_row {
    char *id, *audio, *text, *speaker; /* text and speaker may be NULL */
    int channel;                       /* -1: none */
    struct import_word *words;
    int64_t word_count, word_capacity;
};

struct import {
    const struct import_options *options;
    char root[PATH_BYTES]; /* the source, or the folder it lies in when it is a file: ids are relative to it */
    struct import_row *rows;
    int64_t count, capacity;
    struct import_counts counts;
};

/* A new row at the end, owned by the list; NULL when out of memory. The next call may move it. */
struct import_row *import_add(struct import *import);

/* Adds a word at the end of the row, with times adjusted to follow those before it. Words without a letter or digit are
 * skipped: they could not be found in a text. */
enum status import_add_word(struct import_row *row, const char *text, double start, double end);

/* Sets the row's text to its words, joined by spaces. */
enum status import_text_from_words(struct import_row *row);

/* Bytes as one line: white space collapsed, none at the ends. NULL when out of memory; "" when nothing is left. */
char *import_clean_text(const char *bytes, int64_t size);

void import_free_rows(struct import *import);

#endif
