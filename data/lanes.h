/* Lanes: the independent streams of which a global batch consists, one packed row each. Lane l's document order,
 * sources, cuts and packing come from the seed and its own history alone, so they do not depend on the number of
 * ranks; its state is small and is kept in the checkpoint. Rank r of R runs the lanes l = r mod R.
 *
 * Every source has its own epochs. In each, the lanes together visit every row once (data/lanes_order.h), each lane at
 * its own pace. Weights are shares of tokens: a lane's next document comes from the source that is furthest behind its
 * share. A struct lanes, and all others that read the same datasets, must be used by one thread only. */
#ifndef SPIRITLM_DATA_LANES_H
#define SPIRITLM_DATA_LANES_H

#include "data/interleave.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum source_kind { SOURCE_TEXT, SOURCE_SPEECH, SOURCE_INTERLEAVED, SOURCE_KINDS };
const char *source_kind_name(enum source_kind kind); /* "text", "speech", "interleaved" */

struct lanes_options {
    int64_t lanes;                /* sequences of the global batch */
    int64_t sequence_length;      /* T: a row has T ids and T targets */
    double weights[SOURCE_KINDS]; /* share of tokens of each source; 0 leaves it out; need not sum to 1 */
    bool mask_documents;          /* starts[] at document starts: no attention across packed documents */
    uint64_t seed;
};

/* STATUS_USAGE when the options are impossible, whatever the datasets hold. */
enum status lanes_options_check(const struct lanes_options *options);

struct lanes;

/* `datasets` are borrowed: text datasets feed TEXT, speech datasets feed SPEECH and (rows that are aligned)
 * INTERLEAVED. STATUS_USAGE when a source with weight > 0 has no document. */
enum status lanes_create(const struct lanes_options *options, const struct interleaver *interleaver,
                         struct dataset *const *datasets, int64_t dataset_count, struct lanes **lanes);
void lanes_destroy(struct lanes *lanes);

/* The next row of lane `lane`: ids[T], targets[T] (the id that follows; -1 across document boundaries when masked),
 * starts[T]. Documents are packed end to end and carried over to the lane's next row; nothing is dropped. */
enum status lanes_next(struct lanes *lanes, int64_t lane, int32_t *ids, int32_t *targets, int32_t *starts);

/* Names ("dataset:row") of the documents from which the last lanes_next of this lane took tokens, for logs and tests;
 * valid until the next call for that lane. */
int64_t lanes_last_documents(const struct lanes *lanes, int64_t lane, const char *const **names);

/* Tokens and documents served per source, all lanes of this process. */
struct lanes_totals {
    int64_t tokens[SOURCE_KINDS], documents[SOURCE_KINDS];
    int64_t words, switched_words;
};
struct lanes_totals lanes_get_totals(const struct lanes *lanes);

/* State of one lane as JSON: epoch and cursor per source, carried tokens, token counts, visits. restore refuses a
 * state of a different seed, sequence length, number of lanes or dataset contents (STATUS_USAGE, saying which), and a
 * damaged one (STATUS_CORRUPT); the lane then stays as it was. Weights and interleaving may differ: changed weights
 * count from here on. */
enum status lanes_save(const struct lanes *lanes, int64_t lane, json_t **state);
enum status lanes_restore(struct lanes *lanes, int64_t lane, const json_t *state);

#endif
