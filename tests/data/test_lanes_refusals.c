/* Lanes: states that belong elsewhere or are damaged, weights changed at a resume, impossible options, damaged shards.
 */
#include "support/dataset_builder.h"
#include "support/lanes_fixture.h"
#include "support/test_support.h"

#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libhdf5 1.10.8 leaks about 400 bytes of its own with every file that it refuses to open. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5_serial\n";
}

/* A state of lane 3 with one thing wrong in it. */
static void refuse_damaged(struct lanes *lanes, const char *text)
{
    static const char *const damages[][3] = {
        {"\"version\": 1", "\"version\": 2", "\"version\" is 2"},
        {"\"visits\": ", "\"visits\": -", "\"visits\" is -"},
        {"\"visits\": ", "\"visitz\": ", "\"visits\" is missing"},
        {"\"sources\": {", "\"sources\": {\"x\": 1}, \"y\": {", "expected an object with \"weight\""},
        {"\"position\": ", "\"position\": 10000", "this lane's part is"},
        {"\"epoch\": ", "\"epoch\": 99999999999999999", "\"epoch\" is"},
        {"\"carried\": ", "\"carried\": 5, \"x\": ", "found a whole number"},
        {"\"source\": \"", "\"source\": \"x", "unknown source"},
        {"\"dataset\": ", "\"dataset\": 9", "\"dataset\" is 9"},
        {"\"row\": ", "\"row\": 99", "\"row\" is 99"},
        {"\"ids\": [", "\"ids\": [], \"x\": [", "\"ids\" must be a list"},
        {"\"ids\": [", "\"ids\": [99999, ", "something other than tokens"},
        {"\"ids\": [", "\"ids\": [-1, ", "something other than tokens"},
        {"\"ids\": [", "\"ids\": [\"1\", ", "something other than tokens"},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char damaged[8192];
        const char *at = strstr(text, damages[i][0]);
        assert_non_null(at);
        snprintf(damaged, sizeof damaged, "%.*s%s%s", (int)(at - text), text, damages[i][1],
                 at + strlen(damages[i][0]));
        assert_fails(restore_text(lanes, 3, damaged), STATUS_CORRUPT, damages[i][2]);
    }
}

static void other_states_are_refused(void **state)
{
    (void)state;
    struct rank rank, other;
    struct packed packed, expected, got;
    rank_open(&rank, &usual, &lanes_interleaver);
    for (int i = 0; i < 7; i++)
        next_row(rank.lanes, 3, &packed);
    char *text = save_text(rank.lanes, 3);
    next_row(rank.lanes, 3, &expected);

    struct lanes_options options = usual;
    options.seed = UINT64_MAX;
    rank_open(&other, &options, &lanes_interleaver);
    assert_fails(restore_text(other.lanes, 3, text), STATUS_USAGE,
                 "lane 3: the state is of seed 17, but this run has 18446744073709551615");
    lanes_destroy(other.lanes);
    options = usual;
    options.sequence_length = T + 1;
    assert_ok(lanes_create(&options, &lanes_interleaver, other.datasets, DATASETS, &other.lanes));
    assert_fails(restore_text(other.lanes, 3, text), STATUS_USAGE, "of sequence length 48, but this run has 49");
    lanes_destroy(other.lanes);
    options = usual;
    options.lanes = LANES + 1;
    assert_ok(lanes_create(&options, &lanes_interleaver, other.datasets, DATASETS, &other.lanes));
    assert_fails(restore_text(other.lanes, 3, text), STATUS_USAGE, "of 12 lanes, but this run has 13");
    lanes_destroy(other.lanes);
    struct dataset *swapped[] = {other.datasets[1], other.datasets[0], other.datasets[2], other.datasets[3]};
    assert_ok(lanes_create(&usual, &lanes_interleaver, swapped, DATASETS, &other.lanes));
    assert_fails(restore_text(other.lanes, 3, text), STATUS_USAGE, "model.initialize_from");
    lanes_destroy(other.lanes);
    assert_ok(lanes_create(&usual, &lanes_interleaver, other.datasets, 3, &other.lanes));
    assert_fails(restore_text(other.lanes, 3, text), STATUS_USAGE, "the state is of datasets with hash");
    lanes_destroy(other.lanes);
    assert_ok(lanes_create(&usual, &lanes_interleaver, other.datasets, DATASETS, &other.lanes));
    assert_fails(restore_text(other.lanes, 4, text), STATUS_CORRUPT, "state of lane 4: it belongs to lane 3");

    refuse_damaged(other.lanes, text);
    /* After all refusals the lane is where it was; then the right state is accepted. */
    assert_ok(restore_text(other.lanes, 3, text));
    assert_int_equal(restore_text(other.lanes, 3, "{}"), STATUS_CORRUPT);
    next_row(other.lanes, 3, &got);
    assert_memory_equal(&got, &expected, sizeof got);
    free(text);
    rank_close(&rank);
    rank_close(&other);
}

/* Weights may change at a resume: shares then count from there, and no source catches up on earlier steps. */
static void changed_weights_count_from_the_change(void **state)
{
    (void)state;
    struct rank before, after;
    struct packed packed;
    struct lanes_options options = {1, T, {1, 0, 0}, true, 17};
    rank_open(&before, &options, &lanes_interleaver);
    for (int i = 0; i < 200; i++)
        next_row(before.lanes, 0, &packed);
    char *text = save_text(before.lanes, 0);
    options.weights[SOURCE_SPEECH] = 1;
    rank_open(&after, &options, &lanes_interleaver);
    assert_ok(restore_text(after.lanes, 0, text));
    assert_int_equal(lanes_get_totals(after.lanes).tokens[SOURCE_TEXT], 200 * T);
    for (int i = 0; i < 400; i++)
        next_row(after.lanes, 0, &packed);
    struct lanes_totals totals = lanes_get_totals(after.lanes);
    double share = (double)(totals.tokens[SOURCE_TEXT] - 200 * T) / (400.0 * T);
    assert_true(fabs(share - 0.5) <= 0.02);
    free(text);
    rank_close(&before);
    rank_close(&after);
}

static void impossible_lanes_are_refused(void **state)
{
    (void)state;
    struct rank rank;
    struct lanes *lanes;
    rank_open(&rank, &usual, &lanes_interleaver);
    struct lanes_options options = usual;
    options.weights[1] = NAN;
    assert_fails(lanes_create(&options, &lanes_interleaver, rank.datasets, 4, &lanes), STATUS_USAGE,
                 "data.weights.speech is");
    assert_null(lanes);
    options.weights[1] = -1;
    assert_fails(lanes_create(&options, &lanes_interleaver, rank.datasets, 4, &lanes), STATUS_USAGE,
                 "data.weights.speech is");
    memset(options.weights, 0, sizeof options.weights);
    assert_fails(lanes_create(&options, &lanes_interleaver, rank.datasets, 4, &lanes), STATUS_USAGE,
                 "all sources are 0");
    assert_fails(lanes_create(&usual, &lanes_interleaver, rank.datasets, 2, &lanes), STATUS_USAGE,
                 "data.weights.speech is 1, but no dataset of data.train has a document for it");
    assert_fails(lanes_create(&usual, &lanes_interleaver, rank.datasets + 2, 2, &lanes), STATUS_USAGE,
                 "data.weights.text is 1");
    options = usual;
    options.lanes = 0;
    assert_fails(lanes_create(&options, &lanes_interleaver, rank.datasets, 4, &lanes), STATUS_USAGE, "0 sequences");
    struct interleaver wrong = lanes_interleaver;
    wrong.rates.rate[STREAM_PITCH].numerator = 26;
    assert_fails(lanes_create(&usual, &wrong, rank.datasets, 4, &lanes), STATUS_USAGE,
                 "dataset 2: its units of stream 1 come at 25/2 per second, expected 26/2");
    wrong.rates.rate[STREAM_PITCH] = (struct rational){50, 4}; /* the same rate, not reduced */
    assert_ok(lanes_create(&usual, &wrong, rank.datasets, 4, &lanes));
    lanes_destroy(lanes);
    wrong.options.text_words_minimum = 0;
    assert_fails(lanes_create(&usual, &wrong, rank.datasets, 4, &lanes), STATUS_USAGE, "text spans of 0");
    struct packed packed;
    assert_fails(lanes_next(rank.lanes, LANES, packed.ids, packed.targets, packed.starts), STATUS_INTERNAL,
                 "lane 12 of 12");
    assert_fails(lanes_next(rank.lanes, -1, packed.ids, packed.targets, packed.starts), STATUS_INTERNAL, "lane -1");
    rank_close(&rank);
}

/* A shard that was damaged after the index was written stops the lane that reads it with an error that names it. */
static void damaged_shards_stop_a_lane(void **state)
{
    (void)state;
    char folder[1100], path[1200];
    struct shard_row row = made[TEXT_A][0].row;
    row.text = "abc";
    row.text_length = 3;
    snprintf(folder, sizeof folder, "%s/damaged", test_directory());
    build_dataset(folder, DATASET_TEXT, &row, 1, 1);
    snprintf(path, sizeof path, "%s/shard_00000.h5", folder);
    void *data;
    int64_t size;
    assert_ok(file_read(path, 1 << 24, &data, &size));
    ((char *)data)[size / 2] ^= 4;
    assert_ok(atomic_write(path, data, size));
    free(data);
    struct dataset *dataset;
    struct lanes *lanes;
    struct packed packed;
    struct lanes_options options = {1, T, {1, 0, 0}, true, 1};
    assert_ok(dataset_open(folder, &dataset));
    assert_ok(lanes_create(&options, &lanes_interleaver, &dataset, 1, &lanes));
    assert_fails(lanes_next(lanes, 0, packed.ids, packed.targets, packed.starts), STATUS_CORRUPT, "shard_00000.h5");
    lanes_destroy(lanes);
    dataset_close(dataset);
    /* Only white space: the index counts its bytes, but it gives no document. */
    row.text = "   ";
    snprintf(folder, sizeof folder, "%s/blank", test_directory());
    build_dataset(folder, DATASET_TEXT, &row, 1, 1);
    assert_ok(dataset_open(folder, &dataset));
    assert_ok(lanes_create(&options, &lanes_interleaver, &dataset, 1, &lanes));
    assert_fails(lanes_next(lanes, 0, packed.ids, packed.targets, packed.starts), STATUS_USAGE,
                 "no row gives a document of text");
    lanes_destroy(lanes);
    dataset_close(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_states_are_refused),
        cmocka_unit_test(changed_weights_count_from_the_change),
        cmocka_unit_test(impossible_lanes_are_refused),
        cmocka_unit_test(damaged_shards_stop_a_lane),
    };
    return cmocka_run_group_tests(tests, lanes_fixture_prepare, lanes_fixture_finish);
}
