/* Four small datasets of real shards (two of text, two of speech), and ranks that read them, each with its own datasets
 * and lanes, as a separate process would have. */
#ifndef SPIRITLM_TESTS_LANES_FIXTURE_H
#define SPIRITLM_TESTS_LANES_FIXTURE_H

#include "core/rng.h"
#include "data/lanes.h"

enum { LANES = 12, T = 48, MAX_TEXT = 400, MAX_WORDS = 20, MAX_UNITS = 200 };
enum { TEXT_A, TEXT_B, SPEECH_A, SPEECH_B, DATASETS };
extern const int64_t dataset_rows_made[DATASETS];

struct made_row {
    struct shard_row row;
    char id[24], text[MAX_TEXT];
    struct aligned_word words[MAX_WORDS];
    uint16_t values[STREAM_COUNT][MAX_UNITS];
};
extern struct made_row *made[DATASETS]; /* what was written into the shards */

/* Random contents for a row whose `id` is set: a text of `words` words (0: none), or speech of 1 to MAX_WORDS words.
 * Unless `whole`, one row of speech in four is not aligned and one in ten has no units. */
void made_row_text(struct made_row *row, struct rng *rng, int64_t words);
void made_row_speech(struct made_row *row, struct rng *rng, bool whole);

extern struct vocabulary lanes_vocabulary;
extern struct interleaver lanes_interleaver; /* text spans of 2-5 words, speech spans of 1-4 */

/* For cmocka_run_group_tests. */
int lanes_fixture_prepare(void **state);
int lanes_fixture_finish(void **state);

extern const struct lanes_options usual; /* LANES x T, equal weights, documents masked, seed 17 */

struct rank {
    struct dataset *datasets[DATASETS];
    struct lanes *lanes;
};
void rank_open(struct rank *rank, const struct lanes_options *options, const struct interleaver *with);
void rank_close(struct rank *rank);

struct packed {
    int32_t ids[T], targets[T], starts[T];
};
void next_row(struct lanes *lanes, int64_t lane, struct packed *packed);

/* The state as it is stored in a checkpoint: a text, which the caller frees. */
char *save_text(const struct lanes *lanes, int64_t lane);
enum status restore_text(struct lanes *lanes, int64_t lane, const char *text);

#endif
