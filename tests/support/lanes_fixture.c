#include "support/lanes_fixture.h"

#include "support/built_model.h"
#include "support/dataset_builder.h"
#include "support/test_support.h"

#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const int64_t dataset_rows_made[DATASETS] = {37, 20, 64, 31};
static const int64_t shard_size[DATASETS] = {7, 20, 9, 10};

static struct text_model *text_model;
struct vocabulary lanes_vocabulary;
struct interleaver lanes_interleaver;

struct made_row *made[DATASETS];

static const char *folder_of(int dataset)
{
    static char path[DATASETS][1024];
    snprintf(path[dataset], sizeof path[dataset], "%s/dataset %d", test_directory(), dataset);
    return path[dataset];
}

void made_row_text(struct made_row *out, struct rng *rng, int64_t words)
{
    int32_t at = 0;
    for (int64_t w = 0; w < words; w++) {
        int32_t begin = at;
        for (uint64_t letters = 1 + rng_below(rng, 6); letters > 0; letters--)
            out->text[at++] = (char)('a' + rng_below(rng, 26));
        if (w < MAX_WORDS)
            out->words[w] = (struct aligned_word){(int32_t)w * 4000, (int32_t)w * 4000 + 3000, begin, at};
        out->text[at++] = ' ';
    }
    out->row.text = out->text;
    out->row.text_length = at;
}

void made_row_speech(struct made_row *out, struct rng *rng, bool whole)
{
    int64_t words = 1 + (int64_t)rng_below(rng, MAX_WORDS), units = words * 25 / 4 + 1;
    made_row_text(out, rng, words);
    struct shard_row *row = &out->row;
    row->duration = (int32_t)words * 4000 + 1000;
    for (int64_t i = 0; i < units; i++)
        for (int s = 0; s < STREAM_COUNT; s++)
            out->values[s][i] = (uint16_t)rng_below(rng, s == STREAM_HUBERT ? 50 : 8);
    row->units = (struct units){{out->values[0], out->values[1], out->values[2]}, {units, units / 2, units / 25 + 1}};
    if (whole || rng_below(rng, 4) > 0) { /* three quarters are aligned */
        row->words = out->words;
        row->word_count = words;
    }
    if (!whole && rng_below(rng, 10) == 0) { /* one in ten is too short for a unit */
        memset(&row->units, 0, sizeof row->units);
        row->words = NULL;
        row->word_count = 0;
    }
}

int lanes_fixture_prepare(void **state)
{
    (void)state;
    static const char *const pieces[] = {NULL};
    struct bytes bytes = build_small_model(pieces, 0);
    text_model = load_built_model(&bytes);
    bytes_free(&bytes);
    assert_ok(vocabulary_create(text_model_size(text_model), 1, 2, 0, 50, 8, 8, true, &lanes_vocabulary));
    lanes_interleaver = (struct interleaver){
        text_model, &lanes_vocabulary, {{{25, 1}, {25, 2}, {1, 1}}}, {INTERLEAVE_SPANS, 2, 5, 1, 4, 7}};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 60, 0);
    for (int d = 0; d < DATASETS; d++) {
        made[d] = calloc((size_t)dataset_rows_made[d], sizeof *made[d]);
        struct shard_row *rows = calloc((size_t)dataset_rows_made[d], sizeof *rows);
        assert_non_null(made[d]);
        assert_non_null(rows);
        for (int64_t r = 0; r < dataset_rows_made[d]; r++) {
            struct made_row *out = &made[d][r];
            out->row = (struct shard_row){.id = out->id, .score = NAN};
            out->row.id_length = snprintf(out->id, sizeof out->id, "%d/%lld", d, (long long)r);
            if (d >= SPEECH_A)
                made_row_speech(out, &rng, false);
            else
                made_row_text(out, &rng, (int64_t)rng_below(&rng, 40));
            rows[r] = out->row;
        }
        build_dataset(folder_of(d), d >= SPEECH_A ? DATASET_SPEECH : DATASET_TEXT, rows, dataset_rows_made[d],
                      shard_size[d]);
        free(rows);
    }
    return 0;
}

int lanes_fixture_finish(void **state)
{
    (void)state;
    for (int d = 0; d < DATASETS; d++)
        free(made[d]);
    text_model_free(text_model);
    return 0;
}

const struct lanes_options usual = {LANES, T, {1, 1, 1}, true, 17};

void rank_open(struct rank *rank, const struct lanes_options *options, const struct interleaver *with)
{
    for (int d = 0; d < DATASETS; d++)
        assert_ok(dataset_open(folder_of(d), &rank->datasets[d]));
    assert_ok(lanes_create(options, with, rank->datasets, DATASETS, &rank->lanes));
}

void rank_close(struct rank *rank)
{
    lanes_destroy(rank->lanes);
    for (int d = 0; d < DATASETS; d++)
        dataset_close(rank->datasets[d]);
}

void next_row(struct lanes *lanes, int64_t lane, struct packed *packed)
{
    int32_t *buffers[3];
    for (int i = 0; i < 3; i++)
        buffers[i] = guarded_allocate(T * sizeof(int32_t));
    assert_ok(lanes_next(lanes, lane, buffers[0], buffers[1], buffers[2]));
    memcpy(packed->ids, buffers[0], sizeof packed->ids);
    memcpy(packed->targets, buffers[1], sizeof packed->targets);
    memcpy(packed->starts, buffers[2], sizeof packed->starts);
    for (int i = 0; i < 3; i++)
        guarded_free(buffers[i]);
}

char *save_text(const struct lanes *lanes, int64_t lane)
{
    json_t *state;
    assert_ok(lanes_save(lanes, lane, &state));
    char *text = jdoc_text(state, 0);
    assert_non_null(text);
    json_decref(state);
    return text;
}

enum status restore_text(struct lanes *lanes, int64_t lane, const char *text)
{
    json_t *state;
    assert_ok(jdoc_parse("state", text, (int64_t)strlen(text), &state));
    enum status result = lanes_restore(lanes, lane, state);
    json_decref(state);
    return result;
}
