/* A submission to sLM21 of the Zero Resource Speech Challenge: a folder that its program `zrc` validates and scores.
 *
 *   meta.yaml                        who submits what
 *   params.yaml                      the parameters of its scorer, as it writes them itself
 *   lexical/{dev,test}.txt           "NAME SCORE" for each recording once, in the order of gold.csv
 *   syntactic/{dev,test}.txt
 *   MANIFEST                         ours: the sizes and hashes of the above (io/atomic_file.h); `zrc` ignores it
 *
 * `zrc` adds scores/. A leaderboard entry also needs semantic/, which is none of ours. */
#ifndef SPIRITLM_EVAL_ZERO_SHOT_SUBMISSION_H
#define SPIRITLM_EVAL_ZERO_SHOT_SUBMISSION_H

#include "core/status.h"
#include "eval/zero_shot/slm21.h"

#include <stdbool.h>

/* The texts of meta.yaml. NULL or "": not given, which is fine for those that are not marked. A text "<...>" is what zrc's
 * template has where something must be filled in, and is refused. */
struct submission_meta {
    const char *username; /* required */
    const char *submission_id;
    const char *model_id;
    const char *system_description; /* required */
    const char *train_set;          /* required */
    const char *gpu_budget;
    const char *author_label; /* required: "Author et al." */
    const char *authors;      /* required */
    const char *paper_title, *paper_url;
    int publication_year;    /* required */
    const char *institution; /* required */
    const char *team, *bib_reference, *doi;
    bool open_source;
    const char *code_url;
};

/* The scores of one file, by rows of its gold table; gold NULL: the file is left out. */
struct submission_scores {
    const struct slm21 *gold;
    const double *scores;
};

enum { SUBMISSION_DEV, SUBMISSION_TEST, SUBMISSION_SETS };

/* Writes the folder whole or not at all; with `replace` one that is there is exchanged for it, otherwise it must not be there.
 * Scores have 9 digits where all of them are single-precision numbers and 17 otherwise, so that order and ties survive.
 * STATUS_USAGE: a text of meta.yaml that is missing, unfilled or not UTF-8 (named as "publication.authors"), or no scores at
 * all. STATUS_CORRUPT: a score that is not finite, or a recording whose name the format cannot hold (named). */
enum status submission_write(const char *folder, const struct submission_meta *meta,
                             struct submission_scores files[2][SUBMISSION_SETS], bool replace);

/* Reads a file of lines "NAME SCORE" into scores[row]. STATUS_CORRUPT with file and line: another form, a score that is not a
 * finite number, a recording that the table does not have or that came before; and without a line: one that is missing. */
enum status submission_read(const char *path, const struct slm21 *gold, double *scores);

#endif
