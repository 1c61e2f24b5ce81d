/* Thousands of random lanes against a plain model (tests/support/lanes_model.h): every token of every row, the
 * documents it came from, and what an epoch must contain, with any numbers of ranks, resumes and changes of weights. */
#include "support/dataset_builder.h"
#include "support/lanes_model.h"
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASES = 5000, KIND_DATASETS = 12, POOL = 2 * KIND_DATASETS, MOST_DATASETS = 6, MOST_LANES = 12, PARTS = 5 };
enum { TOKENS = 5000 }; /* approximate number per case */

/* ---- corpora to choose from ---- */

struct pool_entry {
    struct made_dataset made;
    struct made_row *rows;
    struct dataset *dataset;
};
static struct pool_entry
    pool[POOL]; /* texts, then speech; all rows in the first half of each are usable for all sources */

static bool is_whole(int entry)
{
    return entry % KIND_DATASETS < KIND_DATASETS / 2;
}

static void make_entry(int number, struct rng *rng)
{
    struct pool_entry *entry = &pool[number];
    bool speech = number >= KIND_DATASETS, whole = is_whole(number);
    int64_t count = 1 + (int64_t)rng_below(rng, number % 3 ? 12 : 60), rows_per_shard = 1 + (int64_t)rng_below(rng, 9);
    char folder[600];
    snprintf(folder, sizeof folder, "%s/pool-%d", test_directory(), number);
    entry->rows = calloc((size_t)count, sizeof *entry->rows);
    struct shard_row *rows = calloc((size_t)count, sizeof *rows);
    assert_non_null(entry->rows);
    assert_non_null(rows);
    for (int64_t r = 0; r < count; r++) {
        struct made_row *made_row = &entry->rows[r];
        made_row->row = (struct shard_row){.id = made_row->id, .score = NAN};
        made_row->row.id_length = snprintf(made_row->id, sizeof made_row->id, "%d/%lld", number, (long long)r);
        if (speech)
            made_row_speech(made_row, rng, whole);
        else
            made_row_text(made_row, rng, whole ? 1 + (int64_t)rng_below(rng, 20) : (int64_t)rng_below(rng, 4) * 5);
        rows[r] = made_row->row;
    }
    build_dataset(folder, speech ? DATASET_SPEECH : DATASET_TEXT, rows, count, rows_per_shard);
    free(rows);
    assert_ok(dataset_open(folder, &entry->dataset));
    entry->made = (struct made_dataset){speech ? DATASET_SPEECH : DATASET_TEXT, entry->rows, count, rows_per_shard};
}

/* ---- a case ---- */

struct random_case {
    int number;
    int64_t dataset_count;
    struct dataset *datasets[MOST_DATASETS];
    const struct made_dataset *made[MOST_DATASETS];
    bool whole;
    struct lanes_options options;
    struct interleaver interleaver;
    int parts, ranks[PARTS];
    int64_t steps[PARTS];
    double weights[PARTS][SOURCE_KINDS];
    struct lanes_model *model;
};

static void choose_datasets(struct random_case *c, struct rng *rng)
{
    c->whole = rng_below(rng, 2);
    for (int kind = 0; kind < 2; kind++) {
        int64_t order[KIND_DATASETS], choices = c->whole ? KIND_DATASETS / 2 : KIND_DATASETS;
        rng_permutation(rng, order, choices);
        for (uint64_t i = rng_below(rng, 3); i < 3; i++) { /* one to three of each kind */
            const struct pool_entry *entry = &pool[kind * KIND_DATASETS + order[i]];
            c->datasets[c->dataset_count] = entry->dataset;
            c->made[c->dataset_count++] = &entry->made;
        }
    }
}

/* Sources without a document have weight 0; at least one source has a positive weight. */
static void choose_weights(const struct random_case *c, struct rng *rng, double weights[SOURCE_KINDS])
{
    double sum = 0;
    for (int s = 0; s < SOURCE_KINDS; s++) {
        static const double likely[] = {0, 1, 1, 2};
        uint64_t form = rng_below(rng, 6);
        weights[s] = form < 4 ? likely[form] : 0.05 + 3 * rng_uniform(rng);
        if (lanes_model_rows(c->model, s) == 0)
            weights[s] = 0;
        sum += weights[s];
    }
    for (int s = SOURCE_KINDS - 1; s >= 0 && !(sum > 0); s--)
        if (lanes_model_rows(c->model, s) > 0)
            sum = weights[s] = 1;
    assert_true(sum > 0);
}

static void choose_parts(struct random_case *c, struct rng *rng)
{
    static const int counts[] = {1, 2, 3, 4, 6};
    int64_t steps = 1 + TOKENS / (c->options.lanes * c->options.sequence_length);
    c->parts = 1 + (int)rng_below(rng, PARTS);
    for (int part = 0; part < c->parts; part++) {
        do
            c->ranks[part] = counts[rng_below(rng, 5)];
        while (c->ranks[part] > c->options.lanes);
        c->steps[part] = (int64_t)rng_below(rng, (uint64_t)(2 * steps / c->parts + 2)); /* 0 now and then */
        if (part == 0 || rng_below(rng, 2))
            choose_weights(c, rng, c->weights[part]);
        else
            memcpy(c->weights[part], c->weights[part - 1], sizeof c->weights[part]);
    }
    memcpy(c->options.weights, c->weights[0], sizeof c->options.weights);
}

static void make_case(struct random_case *c, int number)
{
    static const enum interleave_mode modes[] = {INTERLEAVE_SPANS, INTERLEAVE_NONE, INTERLEAVE_WORDS};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 90, (uint64_t)number);
    *c = (struct random_case){.number = number, .interleaver = lanes_interleaver};
    choose_datasets(c, &rng);
    c->options = (struct lanes_options){.lanes = 1 + (int64_t)rng_below(&rng, MOST_LANES),
                                        .sequence_length = 1 + (int64_t)rng_below(&rng, rng_below(&rng, 2) ? 12 : 90),
                                        .mask_documents = rng_below(&rng, 2),
                                        .seed = rng_below(&rng, 2) ? rng_u64(&rng) : rng_below(&rng, 3)};
    c->interleaver.options.mode = modes[rng_below(&rng, 3)];
    c->model = lanes_model_create(&c->options, &c->interleaver, c->made, c->dataset_count);
    choose_parts(c, &rng);
    lanes_model_set_weights(c->model, c->weights[0]);
}

/* ---- the lanes' rows are the model's ---- */

struct buffers {
    int32_t *found[3];
    struct model_row row;
};

static void buffers_make(struct buffers *buffers, int64_t length)
{
    int32_t **expected[3] = {&buffers->row.ids, &buffers->row.targets, &buffers->row.starts};
    for (int i = 0; i < 3; i++) {
        buffers->found[i] = guarded_allocate((size_t)length * sizeof(int32_t));
        *expected[i] = guarded_allocate((size_t)length * sizeof(int32_t));
    }
    buffers->row.places = malloc((size_t)(length + 1) * sizeof *buffers->row.places);
    assert_non_null(buffers->row.places);
}

static void buffers_free(struct buffers *buffers)
{
    int32_t *expected[3] = {buffers->row.ids, buffers->row.targets, buffers->row.starts};
    for (int i = 0; i < 3; i++) {
        guarded_free(buffers->found[i]);
        guarded_free(expected[i]);
    }
    free(buffers->row.places);
}

static void check_row(const struct random_case *c, struct lanes *lanes, int64_t lane, struct buffers *buffers)
{
    static const char *const names[] = {"ids", "targets", "starts"};
    const char *const *documents;
    lanes_model_next(c->model, lane, &buffers->row);
    const int32_t *expected[3] = {buffers->row.ids, buffers->row.targets, buffers->row.starts};
    assert_ok(lanes_next(lanes, lane, buffers->found[0], buffers->found[1], buffers->found[2]));
    for (int i = 0; i < 3; i++)
        for (int64_t t = 0; t < c->options.sequence_length; t++)
            if (buffers->found[i][t] != expected[i][t])
                fail_msg("case %d, lane %lld: %s[%lld] is %d, not %d", c->number, (long long)lane, names[i],
                         (long long)t, (int)buffers->found[i][t], (int)expected[i][t]);
    assert_int_equal(lanes_last_documents(lanes, lane, &documents), buffers->row.place_count);
    for (int64_t i = 0; i < buffers->row.place_count; i++) {
        char name[60];
        snprintf(name, sizeof name, "%lld:%lld", (long long)buffers->row.places[i].dataset,
                 (long long)buffers->row.places[i].row);
        assert_string_equal(documents[i], name);
    }
}

/* One run of the program: ranks that restore the lanes' states, take some steps, and save the states. */
static void run_part(const struct random_case *c, int part, char *states[MOST_LANES])
{
    int ranks = c->ranks[part];
    struct lanes *lanes[6];
    struct buffers buffers;
    struct lanes_options options = c->options;
    memcpy(options.weights, c->weights[part], sizeof options.weights);
    lanes_model_set_weights(c->model, options.weights);
    buffers_make(&buffers, options.sequence_length);
    for (int r = 0; r < ranks; r++) {
        assert_ok(lanes_create(&options, &c->interleaver, c->datasets, c->dataset_count, &lanes[r]));
        for (int64_t lane = r; lane < options.lanes && part > 0; lane += ranks)
            if (restore_text(lanes[r], lane, states[lane]) != STATUS_OK)
                fail_msg("case %d, part %d, lane %lld: %s", c->number, part, (long long)lane, status_text());
    }
    for (int64_t step = 0; step < c->steps[part]; step++)
        for (int r = 0; r < ranks; r++)
            for (int64_t lane = r; lane < options.lanes; lane += ranks)
                check_row(c, lanes[r], lane, &buffers);
    int64_t tokens[SOURCE_KINDS] = {0};
    for (int r = 0; r < ranks; r++) {
        struct lanes_totals totals = lanes_get_totals(lanes[r]);
        for (int s = 0; s < SOURCE_KINDS; s++)
            tokens[s] += totals.tokens[s];
        for (int64_t lane = r; lane < options.lanes; lane += ranks) {
            free(states[lane]);
            states[lane] = save_text(lanes[r], lane);
        }
        lanes_destroy(lanes[r]);
    }
    for (int s = 0; s < SOURCE_KINDS; s++)
        assert_int_equal(tokens[s], lanes_model_tokens(c->model, s));
    buffers_free(&buffers);
}

/* ---- what the model drew is what an epoch must hold ---- */

/* Where all rows are usable, the epoch follows from counting: the lane has as many documents of an epoch as its part of
 * it has rows. */
static void check_epochs_by_counting(const struct random_case *c, int64_t lane)
{
    int64_t count, epoch[SOURCE_KINDS] = {0}, in_epoch[SOURCE_KINDS] = {0};
    const struct model_draw *draws = lanes_model_draws(c->model, lane, &count);
    for (int64_t i = 0; i < count; i++) {
        int s = draws[i].source;
        for (;;) {
            int64_t rows = lanes_model_rows(c->model, s), part = (lane + epoch[s]) % c->options.lanes;
            int64_t size = rows * (part + 1) / c->options.lanes - rows * part / c->options.lanes;
            if (in_epoch[s] < size)
                break;
            epoch[s]++;
            in_epoch[s] = 0;
        }
        in_epoch[s]++;
        assert_int_equal(draws[i].epoch, epoch[s]);
    }
}

/* No row occurs twice in an epoch; none is missing from an epoch that all lanes have finished. */
static void check_counts(const struct random_case *c, int source, int64_t epoch, bool done, int64_t *documents)
{
    static int visits[MOST_DATASETS][64];
    memset(visits, 0, sizeof visits);
    for (int64_t lane = 0; lane < c->options.lanes; lane++) {
        int64_t count;
        const struct model_draw *draws = lanes_model_draws(c->model, lane, &count);
        for (int64_t i = 0; i < count; i++)
            if (draws[i].source == source && draws[i].epoch == epoch) {
                visits[draws[i].place.dataset][draws[i].place.row]++;
                (*documents)++;
            }
    }
    for (int64_t d = 0; d < c->dataset_count; d++)
        for (int64_t r = 0; r < c->made[d]->count; r++) {
            bool usable = lanes_model_usable(c->model, source, (struct model_place){d, r});
            if (visits[d][r] > usable || (done && visits[d][r] != usable))
                fail_msg("case %d: row %lld:%lld came %d times in epoch %lld of %s", c->number, (long long)d,
                         (long long)r, visits[d][r], (long long)epoch, source_kind_name((enum source_kind)source));
        }
}

/* Along a whole epoch, four shards at most are begun and not finished. */
static void check_window(const struct random_case *c, int source, int64_t epoch)
{
    int64_t left[512], open = 0;
    memset(left, -1, sizeof left);
    for (int64_t part = 0; part < c->options.lanes; part++) {
        int64_t count, lane = (part - epoch % c->options.lanes + c->options.lanes) % c->options.lanes;
        const struct model_draw *draws = lanes_model_draws(c->model, lane, &count);
        for (int64_t i = 0; i < count; i++) {
            int64_t rows;
            if (draws[i].source != source || draws[i].epoch != epoch)
                continue;
            int64_t shard = lanes_model_shard(c->model, source, draws[i].place, &rows);
            if (left[shard] < 0) {
                left[shard] = rows;
                assert_true(++open <= 4);
            }
            open -= --left[shard] == 0;
        }
    }
}

static void check_epochs(const struct random_case *c, int64_t *documents, int64_t *epochs)
{
    for (int64_t lane = 0; lane < c->options.lanes && c->whole; lane++)
        check_epochs_by_counting(c, lane);
    for (int s = 0; s < SOURCE_KINDS; s++) {
        int64_t done = INT64_MAX, last = 0;
        for (int64_t lane = 0; lane < c->options.lanes; lane++) {
            int64_t of_lane = lanes_model_epochs_done(c->model, lane, s);
            done = of_lane < done ? of_lane : done;
            last = of_lane > last ? of_lane : last;
        }
        for (int64_t epoch = 0; epoch <= last; epoch++) {
            check_counts(c, s, epoch, epoch < done, documents);
            if (epoch < done && c->whole)
                check_window(c, s, epoch);
        }
        *epochs += done;
    }
}

static void nothing_is_lost_doubled_or_reordered(void **state)
{
    (void)state;
    int64_t documents = 0, epochs = 0, resumes = 0, changes = 0;
    for (int number = 0; number < CASES; number++) {
        struct random_case c;
        char *states[MOST_LANES] = {0};
        make_case(&c, number);
        for (int part = 0; part < c.parts; part++) {
            run_part(&c, part, states);
            resumes += part > 0;
            changes += part > 0 && memcmp(c.weights[part], c.weights[part - 1], sizeof c.weights[part]) != 0;
        }
        check_epochs(&c, &documents, &epochs);
        for (int lane = 0; lane < MOST_LANES; lane++)
            free(states[lane]);
        lanes_model_free(c.model);
    }
    print_message("%d cases: %lld documents, %lld whole epochs, %lld resumes, %lld with other weights\n", (int)CASES,
                  (long long)documents, (long long)epochs, (long long)resumes, (long long)changes);
    assert_true(epochs > CASES && resumes > CASES && changes > CASES / 2);
}

static int prepare(void **state)
{
    int result = lanes_fixture_prepare(state);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 91, 0);
    for (int i = 0; i < POOL; i++)
        make_entry(i, &rng);
    return result;
}

static int finish(void **state)
{
    for (int i = 0; i < POOL; i++) {
        dataset_close(pool[i].dataset);
        free(pool[i].rows);
    }
    return lanes_fixture_finish(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_doubled_or_reordered),
    };
    return cmocka_run_group_tests(tests, prepare, finish);
}
