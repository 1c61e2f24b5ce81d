/* The collector: a format's reader fills it with rows, and import_run makes a manifest of them. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_ROWS_H
#define SPIRITLM_DATA_PREPARE_IMPORT_ROWS_H

#include "core/path.h"
#include "data/prepare/import/import.h"

struct import_word {
    char *text;
    double start, end;            /* seconds; NaN: not known. A word of a phrase has the phrase's start alone */
    int32_t text_begin, text_end; /* for import_settle_words: bytes of the row's text */
};

struct import_row {
    char *id, *source;                       /* source: where it comes from, for the list of what was changed */
    char *audio, *text, *speaker, *document; /* NULL: none; document: what a split keeps together */
    int channel;                             /* -1: none */
    double begin, end;                       /* of the file; end < 0: to its end */
    struct import_word *words;
    int64_t word_count, word_capacity;
    uint16_t *units; /* ready units */
    int64_t unit_count, unit_capacity;
};

/* One line of the list. What happens often in one row is one line. */
struct import_note {
    enum import_reason reason;
    char *id, *source, *detail; /* id and detail may be NULL; detail: of the first time */
    int64_t count, order;
};

struct import {
    const struct import_options *options;
    char root[PATH_BYTES]; /* the source, or the folder it lies in when it is a file: ids are relative to it */
    struct import_row *rows;
    int64_t count, capacity;
    struct import_note *notes;
    int64_t note_count, note_capacity;
    enum import_reason refusal; /* of the last import_refuse */
    char **found;               /* audio files that import_find_audio found */
    int64_t found_count, found_capacity;
};

/* A new row at the end with copies of id and audio (NULL: none), owned by the list. The next call may move it. `source`
 * is the file, or "file:line", that it comes from. */
enum status import_add(struct import *import, const char *id, const char *audio, const char *source,
                       struct import_row **row);

/* A copy of the text as one line, see import_clean_text; "" becomes NULL. */
enum status import_set_text(char **target, const char *text);
enum status import_set(char **target, const char *text); /* a copy as it is */

/* Adds a word at the end of the row. Times that are NaN, negative or in the wrong order make a word without times. */
enum status import_add_word(struct import_row *row, const char *text, double start, double end);

/* Adds a word without times of a phrase that begins at `start`, by which it is sorted. */
enum status import_add_phrase_word(struct import_row *row, const char *text, double start);

/* By their starts, of equals the first; a word without a start stays behind the one that it follows. */
enum status import_sort_words(struct import_row *row);

enum status import_add_unit(struct import_row *row, int64_t unit, int64_t times);

/* Sets the row's text to its words, joined by spaces; none: the row has no text. */
enum status import_text_from_words(struct import_row *row);

/* Whether a label stands for silence (sil, sp, <eps>, <p:>, and what has neither letter nor digit), which nobody misses in
 * a text; and for that or anything else that is not a word: [noise], {LG}, <unk>, spn, %HESITATION. */
bool import_is_silence(const char *label);
bool import_is_noise(const char *label);

/* Bytes as one line: white space collapsed, none at the ends. NULL when out of memory; "" when nothing is left. */
char *import_clean_text(const char *bytes, int64_t size);

/* ---- what is left out or changed ---- */

enum status import_note(struct import *import, enum import_reason reason, const char *id, const char *source,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));

/* For readers of one item: sets the error text, and the reason that import_settle will list. */
enum status import_refuse(struct import *import, enum import_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An item is read between the two: when reading it has failed because of what it contains, its rows and notes are taken
 * back, it is listed as rejected, and the import goes on. Other failures are returned. */
struct import_mark {
    int64_t rows, notes;
};
struct import_mark import_begin(const struct import *import);
enum status import_settle(struct import *import, struct import_mark mark, const char *id, const char *source,
                          enum status result);

void import_forget(struct import *import, int64_t count); /* all notes but the first `count` */

void import_forget_reason(struct import *import, enum import_reason reason);

/* A path without the root in front, for `source`. */
const char *import_relative(const struct import *import, const char *path);

void import_free_row(struct import_row *row); /* leaves a gap in the list */
void import_close_gaps(struct import *import);
void import_free(struct import *import);

#endif
