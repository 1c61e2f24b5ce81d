/* The two tasks of the Zero Resource Speech Challenge's sLM21 that compare sequences: sWUGGY ("lexical": a word against a word
 * that does not exist) and sBLIMP ("syntactic": a sentence against one with a mistake in its grammar). Nguyen et al., "The Zero
 * Resource Speech Benchmark 2021", 2020. This is what lies between the table of correct answers (gold.csv) with one score per
 * recording, and the numbers: no model and no archive is needed.
 *
 * Columns are found by name: filename, id, voice, frequency, word, phones, length, correct (lexical); filename, id, voice, type,
 * subtype, transcription, correct (syntactic). A recording of a correct side meets the one of an incorrect side that has the same
 * id and voice (and type and subtype, since ids may repeat across types); never the one in the same place of the table. The side
 * with the larger score wins: 1, or 0.5 when they are equal, or 0. An item is an id: its score is the mean over its voices, and
 * every number is a mean over items, however many voices each has.
 *
 * The order of rows and of columns changes nothing. */
#ifndef SPIRITLM_EVAL_ZERO_SHOT_SLM21_H
#define SPIRITLM_EVAL_ZERO_SHOT_SLM21_H

#include "core/status.h"
#include "io/csv.h"

#include <stdbool.h>
#include <stdint.h>

enum slm21_task { SLM21_LEXICAL, SLM21_SYNTACTIC };

/* What becomes of a row without its counterpart and of a key that several rows have. */
enum slm21_incomplete {
    SLM21_REFUSE, /* an error that names the key and the line */
    SLM21_SKIP    /* counted, and left out */
};

enum { SLM21_INCORRECT = 0, SLM21_CORRECT = 1 }; /* the sides of a pair, as in the column `correct` */

/* One voice of an item. */
struct slm21_pair {
    const char *voice;
    int64_t rows[2]; /* in the table */
};

/* All voices of an id. They must agree in everything else. */
struct slm21_item {
    const char *id, *type, *subtype; /* type and subtype: "" in the lexical task */
    const char *names[2];            /* as the scorer's tables show the sides */
    const char *texts[2];            /* their spelling: `word` or `transcription`, "" where the table has none */
    double frequency;                /* of the word in LibriSpeech; NAN: the table has none */
    int64_t length;                  /* of the word; -1: the table has none */
    int64_t first, count;            /* of its pairs */
};

/* Everything that is borrowed is borrowed from the table, which must stay. */
struct slm21 {
    enum slm21_task task;
    const char *where;
    const char **files; /* for each row of the table the recording's name, without ending */
    int64_t file_count;
    int64_t *by_name;         /* the rows in order of their recordings' names */
    struct slm21_item *items; /* by type, subtype and id; ids that are all integers are ordered as numbers */
    int64_t item_count;
    struct slm21_pair *pairs; /* an item's pairs, in order of their voices */
    int64_t pair_count;
    int64_t lone_rows, doubled_rows; /* that SLM21_SKIP has left out */
};

/* Joins the rows. `gold` is for slm21_free, also after a failure. STATUS_CORRUPT with file and line: a missing column, a value
 * that is none of its column's, two rows of one recording, voices of an id that disagree about it, and with SLM21_REFUSE a lone
 * row or a key that several rows have. A table without any pair is refused. */
enum status slm21_read(const struct csv *table, enum slm21_task task, enum slm21_incomplete incomplete,
                       struct slm21 *gold);
void slm21_free(struct slm21 *gold);

/* The row of a recording; -1: the table has no such recording. */
int64_t slm21_find(const struct slm21 *gold, const char *file);

/* A line of one of the scorer's tables: n items and their mean, with the deviation of items (n - 1). */
struct slm21_line {
    const char *name; /* a band of frequencies or a type; NULL: a length */
    int64_t length;
    int64_t n;
    double mean, deviation; /* NAN with n = 0, and with n < 2 */
};

enum { SLM21_BANDS = 5 };

struct slm21_result {
    double *pair_scores; /* 1, 0.5 or 0 for each pair; NAN: left out */
    double *item_scores; /* for each item; NAN: all of its pairs were left out */
    int64_t pairs, items, ties;
    int64_t missing_pairs; /* left out because a recording was absent */
    double all;            /* mean over items */
    double in_vocabulary;  /* lexical: over items with a frequency of at least 1; otherwise NAN */
    int64_t in_vocabulary_items;
    double mean_of_types;                 /* syntactic: unweighted, over types; otherwise NAN */
    struct slm21_line bands[SLM21_BANDS]; /* lexical: by frequency */
    struct slm21_line *lines;             /* lexical: by length; syntactic: by type */
    int64_t line_count;
};

/* scores[row] is the score of the recording in each row; with `present`, rows for which it is false have none: their pairs are
 * left out and counted. `tie` is what a pair with two equal scores gets: 0.5 to the scorer. Of all others a score that is not finite is STATUS_CORRUPT, naming the recording. `result` is for
 * slm21_result_free, also after a failure. */
enum status slm21_evaluate(const struct slm21 *gold, const double *scores, const bool *present, double tie,
                           struct slm21_result *result);
void slm21_result_free(struct slm21_result *result);

/* Writes the tables of zerospeech-benchmarks 0.9.4 into the folder: score_lexical_SET_by_{pair,frequency,length}.csv or
 * score_syntactic_SET_by_{pair,type}.csv, where SET is "dev" or "test". */
enum status slm21_write(const struct slm21 *gold, const struct slm21_result *result, const char *folder,
                        const char *set);

/* For the written variants of the tasks (WUGGY-T, BLIMP-T): one pair of texts per id, that of item `index`. STATUS_CORRUPT,
 * naming the id, when a side has no spelling. */
enum status slm21_texts(const struct slm21 *gold, int64_t index, const char **correct, const char **incorrect);

#endif
