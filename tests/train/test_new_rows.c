/* The rows of tags and units that a continued text model gets: of each kind as computed again in double, in embedding and head, of
 * models that are tied, are not, or are untied; and the learning rates that such rows have of their own. */
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"
#include "support/weights.h"

#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 32, SEED = 1 };

static struct tiny_corpus corpus;
static const char *const names[] = {"model.embed_tokens.weight", "lm_head.weight"};

/* Writes a text model and returns its weights, in the order of *layout. */
static float *write_text_model(struct training_bench *bench, bool tied, char folder[600],
                               struct parameter_layout *layout)
{
    const struct llama_config config = {TINY_PIECES, HIDDEN, 48, 2, 4, 2, 8, 64, 10000, 1e-5, tied};
    struct atomic_directory *directory;
    struct llama *model;
    snprintf(folder, 600, "%s/llama%d", test_directory(), tied);
    assert_ok(llama_create(&config, DTYPE_F32, &bench->kernels, &bench->context, &model));
    float *values = calloc((size_t)model->layout.elements, sizeof *values);
    assert_non_null(values);
    struct weight_sink sink = weights_into(values);
    assert_ok(llama_initialize(model, 99, 0.1, &sink));
    /* Columns of different means and deviations. */
    for (int64_t i = 0; i < TINY_PIECES * HIDDEN; i++)
        values[i] = values[i] * (1 + 0.1f * (float)(i % HIDDEN)) + 0.01f * (float)(i % HIDDEN);
    weights_overwrite(model, 0, values, TINY_PIECES * HIDDEN);
    assert_ok(atomic_directory_begin(folder, true, &directory));
    assert_ok(llama_write_folder(model, directory, 1, 2));
    assert_ok(atomic_directory_commit(directory));
    assert_ok(parameter_layout_create(&config, layout));
    llama_destroy(model);
    return values;
}

/* Random numbers of deviation 1 in the places of `config`'s weights. */
static float *normal_numbers(struct training_bench *bench, const struct llama_config *config)
{
    struct llama *model;
    assert_ok(llama_create(config, DTYPE_F32, &bench->kernels, &bench->context, &model));
    float *values = calloc((size_t)model->layout.elements, sizeof *values);
    assert_non_null(values);
    struct weight_sink sink = weights_into(values);
    assert_ok(llama_initialize(model, SEED, 1, &sink));
    llama_destroy(model);
    return values;
}

static void moments(const float *rows, int64_t column, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < TINY_PIECES; r++)
        sum += (double)rows[r * HIDDEN + column];
    *mean = sum / TINY_PIECES;
    for (int64_t r = 0; r < TINY_PIECES; r++)
        squares += pow((double)rows[r * HIDDEN + column] - *mean, 2);
    *deviation = sqrt(squares / TINY_PIECES);
}

/* `rows`: what the matrix has in the file; `numbers`: what was drawn for each of its elements. */
static void check_matrix(const char *what, enum llama_rows kind, const float *found, const float *rows,
                         const float *numbers, int64_t count)
{
    assert_memory_equal(found, rows, TINY_PIECES * HIDDEN * sizeof(float));
    for (int64_t i = TINY_PIECES * HIDDEN; i < count * HIDDEN; i++) {
        double mean, deviation, expected = 0;
        moments(rows, i % HIDDEN, &mean, &deviation);
        if (kind == LLAMA_ROWS_MATCH)
            expected = mean + (double)numbers[i] * deviation;
        else if (kind == LLAMA_ROWS_NORMAL)
            expected = 0.05 * (double)numbers[i];
        else if (kind == LLAMA_ROWS_MEAN)
            expected = mean;
        if (!(fabs((double)found[i] - expected) <= 1e-6 * (1 + fabs(expected))))
            fail_msg("%s, kind %d: element %lld is %.9g, expected %.9g", what, (int)kind, (long long)i,
                     (double)found[i], expected);
    }
}

static void rows_are_what_their_kind_says(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) { /* a head of its own; tied; tied in the file and untied */
        struct training_bench bench;
        char folder[600];
        struct parameter_layout layout;
        training_bench_open(&bench, &corpus, "unused", NULL, 1);
        float *theirs = write_text_model(&bench, form > 0, folder, &layout);
        bench.model.initialize_from = folder;
        bench.model.untie = form == 2;
        bench.train.seed = SEED;
        for (int kind = LLAMA_ROWS_MATCH; kind <= LLAMA_ROWS_ZERO; kind++) {
            struct trainer *trainer;
            bench.model.new_rows = kind;
            assert_ok(trainer_create(&bench.setup, false, &trainer));
            const struct llama *model = trainer_model(trainer);
            assert_int_equal(model->config.tie_embeddings, form == 1);
            float *numbers = normal_numbers(&bench, &model->config);
            struct training_state found = training_state_copy(trainer);
            for (int i = 0; i < (form == 1 ? 1 : 2); i++) {
                int64_t ours = parameter_layout_find(&model->layout, names[i])->offset;
                int64_t source = form == 2 ? 0 : parameter_layout_find(&layout, names[i])->offset;
                check_matrix(names[i], (enum llama_rows)kind, (const float *)found.weights + ours, theirs + source,
                             numbers + ours, model->config.vocabulary_size);
            }
            training_state_free(&found);
            free(numbers);
            trainer_destroy(trainer);
        }
        free(theirs);
        parameter_layout_free(&layout);
        training_bench_close(&bench);
    }
}

/* ---- learning rates ---- */

struct rates {
    double input, output;
    struct training_state before, after;
    int64_t rows, embedding, head;
};

static void step_once(struct training_bench *bench, struct rates *rates)
{
    struct trainer *trainer;
    struct step_result step;
    training_bench_shrink_if_slow(bench);
    bench->train.new_input_learning_rate = rates->input;
    bench->train.new_output_learning_rate = rates->output;
    bench->train.weight_decay = 0.1;
    assert_ok(trainer_create(&bench->setup, false, &trainer));
    const struct llama *model = trainer_model(trainer);
    rates->rows = model->config.vocabulary_size;
    rates->embedding = parameter_layout_find(&model->layout, names[0])->offset;
    rates->head = parameter_layout_find(&model->layout, names[1])->offset;
    rates->before = training_state_copy(trainer);
    assert_ok(trainer_step(trainer, &step));
    assert_null(step.skipped);
    rates->after = training_state_copy(trainer);
    trainer_destroy(trainer);
}

static void step_of_rank(struct comm *comm, void *argument)
{
    struct training_bench bench;
    training_bench_open(&bench, &corpus, "unused", comm, 1);
    step_once(&bench, argument);
    training_bench_close(&bench);
}

static void free_rates(struct rates *rates)
{
    training_state_free(&rates->before);
    training_state_free(&rates->after);
}

/* Each weight has moved `factor` times as far as with one rate for all; with factor 1 to the same bits. */
static void check_moves(const struct rates *plain, const struct rates *own, int64_t first, int64_t count, double factor)
{
    const float *before = plain->before.weights, *after = plain->after.weights, *found = own->after.weights;
    double moved = 0;
    for (int64_t i = first; i < first + count; i++) {
        double step = (double)after[i] - (double)before[i], expected = (double)before[i] + factor * step;
        moved += fabs(step);
        if (factor == 1 ? found[i] != after[i] : !(fabs((double)found[i] - expected) <= 1e-6 * (1 + fabs(expected))))
            fail_msg("weight %lld is %.9g, expected %.9g", (long long)i, (double)found[i], expected);
    }
    assert_true(moved > 0);
}

static void new_rows_learn_at_their_own_rates(void **state)
{
    (void)state;
    double rate;
    struct training_bench bench;
    training_bench_open(&bench, &corpus, "unused", NULL, 1);
    rate = bench.train.schedule.learning_rate;
    training_bench_close(&bench);
    for (int ranks = 1; ranks <= 3; ranks += 2) {
        struct rates plain[3] = {{0}}, own[3] = {{0}};
        for (int r = 0; r < ranks; r++)
            own[r] = (struct rates){.input = 8 * rate, .output = 0.5 * rate};
        assert_ok(ranks_run(ranks, step_of_rank, plain, sizeof *plain));
        assert_ok(ranks_run(ranks, step_of_rank, own, sizeof *own));
        int64_t old = TINY_PIECES * HIDDEN, count = plain->rows * HIDDEN;
        assert_memory_equal(plain->before.weights, own->before.weights, plain->before.weight_bytes);
        check_moves(plain, own, plain->embedding, old, 1);
        check_moves(plain, own, plain->embedding + old, count - old, 8);
        check_moves(plain, own, plain->embedding + count, plain->head - plain->embedding - count, 1);
        check_moves(plain, own, plain->head, old, 1);
        check_moves(plain, own, plain->head + old, count - old, 0.5);
        for (int r = 1; r < ranks; r++)
            assert_memory_equal(own[r].after.weights, own->after.weights, own->after.weight_bytes);
        for (int r = 0; r < ranks; r++) {
            free_rates(&plain[r]);
            free_rates(&own[r]);
        }
    }
}

static int make_corpus(void **state)
{
    (void)state;
    tiny_corpus_make(40, test_seed(), &corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_what_their_kind_says),
        cmocka_unit_test(new_rows_learn_at_their_own_rates),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
