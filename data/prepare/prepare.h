/* From manifests to datasets (docs/prepare.md): *fit* makes the speech tokenizer once, *shards* turns rows into shards,
 * part by part, *index* verifies them all and publishes the dataset. Each manifest X.jsonl becomes the folder OUTPUT/X.
 */
#ifndef SPIRITLM_DATA_PREPARE_H
#define SPIRITLM_DATA_PREPARE_H

#include "core/status.h"
#include "data/settings.h"
#include "io/lock.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum prepare_stage { PREPARE_FIT = 1, PREPARE_SHARDS = 2, PREPARE_INDEX = 4, PREPARE_ALL = 7 };

struct prepare_options {
    const struct tokenizer_settings *tokenizer;
    const struct speech_options *speech; /* NULL: all components are embedded */
    const struct prepare_settings *prepare;
    const struct interleave_options *interleave; /* for the report; NULL: no interleaving in it */
    unsigned stages;                             /* mask of enum prepare_stage */
    int64_t part, parts;                         /* this process makes the shards k with k mod parts = part - 1 */
    const struct kernels
        *kernels; /* of a GPU: where spectra and distances of the units are computed; NULL: on the host */
    const struct kernels
        *networks;          /* where networks are computed, a GPU's or the host's; NULL where prepare has none */
    enum lock_policy locks; /* on datasets and on the tokenizer's folder */
    FILE *report;           /* the data report as text; NULL: none */
};

/* Makes what is missing or no longer current, and nothing else: existing results are verified first. The time of each
 * stage goes to the log. STATUS_USAGE for settings that do not fit together or an earlier stage that is missing,
 * STATUS_CORRUPT for a broken manifest or one without a usable row, STATUS_IO. */
enum status prepare_run(const struct prepare_options *options);

#endif
