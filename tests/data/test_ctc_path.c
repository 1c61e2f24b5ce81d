/* The best CTC path: torchaudio's on 500 random emissions, all paths one by one on tiny ones, and the same bits and little memory
 * whatever the checkpoints. */
#include "support/test_support.h"

#include "core/rng.h"
#include "data/align/ctc_path.h"
#include "memory_meter.h"
#include "support/models/formula_weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int32_t column_of(const struct ctc_problem *problem, int32_t state)
{
    return state % 2 ? problem->labels[state / 2] : (int32_t)problem->blank;
}

/* Whether the path may go from one state to the next. */
static bool may_follow(const struct ctc_problem *problem, int32_t from, int32_t to)
{
    return to == from || to == from + 1 ||
           (to == from + 2 && to % 2 == 1 && problem->labels[to / 2] != problem->labels[from / 2]);
}

/* The score of a path that is checked to be one. */
static double score_of(const struct ctc_problem *problem, const int32_t *states)
{
    double sum = 0;
    int32_t last = (int32_t)(2 * problem->label_count);
    assert_true(states[0] == 0 || states[0] == 1);
    assert_true(states[problem->frames - 1] == last || states[problem->frames - 1] == last - 1);
    for (int64_t t = 0; t < problem->frames; t++) {
        assert_true(t == 0 || may_follow(problem, states[t - 1], states[t]));
        sum += (double)problem->emissions[t * problem->columns + column_of(problem, states[t])];
    }
    return sum;
}

/* ---- torchaudio ---- */

struct golden_case {
    long number, frames, columns, blank;
    char kind, labels[400], path[400];
};

static void same_as_torchaudio(const struct golden_case *golden)
{
    char name[24];
    float emissions[300 * 10];
    int32_t labels[300], states[300];
    double score;
    bool found;
    int64_t count = golden->frames * golden->columns;
    assert_true(golden->frames <= 300 && golden->columns <= 10);
    snprintf(name, sizeof name, "%ld", golden->number);
    formula_fill("ctc", name, count, golden->kind == 'f' ? 4 : 3, golden->kind == 'f' ? -4 : 0, emissions);
    for (int64_t i = 0; i < count && golden->kind == 'c'; i++)
        emissions[i] = floorf(emissions[i]) - 3;
    struct ctc_problem problem = {.emissions = emissions,
                                  .frames = golden->frames,
                                  .columns = golden->columns,
                                  .blank = golden->blank,
                                  .labels = labels,
                                  .label_count = (int64_t)strlen(golden->labels)};
    for (int64_t j = 0; j < problem.label_count; j++)
        labels[j] = golden->labels[j] - '0';
    assert_ok(ctc_path_find(&problem, states, &score, &found));
    assert_true(found);
    if (!(score == score_of(&problem, states)))
        fail_msg("case %ld: the score %.17g is not that of its path", golden->number, score);
    for (int64_t t = 0; t < golden->frames; t++)
        if (column_of(&problem, states[t]) != golden->path[t] - '0')
            fail_msg("case %ld: frame %d has label %d, expected %c", golden->number, (int)t,
                     (int)column_of(&problem, states[t]), golden->path[t]);
}

static void paths_are_torchaudios(void **state)
{
    (void)state;
    struct golden_case golden;
    int cases = 0;
    FILE *file = fopen(TEST_GOLDEN_DIRECTORY "/ctc_paths.txt", "r");
    assert_non_null(file);
    while (fscanf(file, "%ld %ld %ld %ld %c %399s %399s", &golden.number, &golden.frames, &golden.columns,
                  &golden.blank, &golden.kind, golden.labels, golden.path) == 7) {
        same_as_torchaudio(&golden);
        cases++;
    }
    assert_true(feof(file));
    fclose(file);
    assert_int_equal(cases, 500);
}

/* ---- every path ---- */

struct random_problem {
    struct ctc_problem problem;
    float emissions[8 * 4];
    int32_t labels[4];
};

/* `coarse`: so few values that most paths tie. */
static void make_random(struct rng *rng, bool coarse, struct random_problem *made)
{
    struct ctc_problem *problem = &made->problem;
    *problem = (struct ctc_problem){.emissions = made->emissions, .labels = made->labels};
    problem->frames = 1 + (int64_t)rng_below(rng, 8);
    problem->columns = 2 + (int64_t)rng_below(rng, 3);
    problem->blank = (int64_t)rng_below(rng, (uint64_t)problem->columns);
    problem->label_count = 1 + (int64_t)rng_below(rng, 4);
    for (int64_t j = 0; j < problem->label_count; j++)
        made->labels[j] = (int32_t)((problem->blank + 1 + (int64_t)rng_below(rng, (uint64_t)problem->columns - 1)) %
                                    problem->columns);
    for (int64_t i = 0; i < problem->frames * problem->columns; i++)
        made->emissions[i] = coarse && rng_below(rng, 8) == 0 ? -INFINITY
                             : coarse                         ? -(float)rng_below(rng, 3)
                                                              : -(float)(8 * rng_uniform(rng));
}

static double best_of_all(const struct ctc_problem *problem, int64_t frame, int32_t state, double sum)
{
    double best = -INFINITY;
    int32_t last = (int32_t)(2 * problem->label_count);
    sum += (double)problem->emissions[frame * problem->columns + column_of(problem, state)];
    if (frame == problem->frames - 1)
        return state >= last - 1 ? sum : -INFINITY;
    for (int32_t next = state; next <= last && next <= state + 2; next++)
        if (may_follow(problem, state, next)) {
            double score = best_of_all(problem, frame + 1, next, sum);
            best = score > best ? score : best;
        }
    return best;
}

static void no_path_is_better(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 131, 0);
    int impossible = 0, possible = 0;
    for (int i = 0; i < 3000; i++) {
        struct random_problem made;
        int32_t states[8];
        double score;
        bool found;
        make_random(&rng, i % 2 == 1, &made);
        double blank = best_of_all(&made.problem, 0, 0, 0), label = best_of_all(&made.problem, 0, 1, 0);
        double best = label > blank ? label : blank;
        assert_ok(ctc_path_find(&made.problem, states, &score, &found));
        assert_true(score == best); /* the same additions in the same order */
        assert_true(found == (best > -INFINITY));
        if (found)
            assert_true(score_of(&made.problem, states) == best);
        *(found ? &possible : &impossible) += 1;
    }
    print_message("%d with a path, %d without\n", possible, impossible);
    assert_true(possible > 500 && impossible > 100);
}

/* ---- checkpoints ---- */

struct large_problem {
    struct ctc_problem problem;
    float *emissions;
    int32_t *labels, *states;
};

static void make_large(int64_t frames, int64_t label_count, struct large_problem *large)
{
    enum { COLUMNS = 12 };
    struct rng rng = rng_make(test_seed(), RNG_TEST, 132, (uint64_t)frames);
    large->emissions = malloc((size_t)(frames * COLUMNS) * sizeof *large->emissions);
    large->labels = malloc((size_t)label_count * sizeof *large->labels);
    large->states = malloc((size_t)frames * sizeof *large->states);
    assert_true(large->emissions && large->labels && large->states);
    for (int64_t i = 0; i < frames * COLUMNS; i++)
        large->emissions[i] = -(float)rng_below(&rng, 64) / 8; /* many ties */
    for (int64_t j = 0; j < label_count; j++)
        large->labels[j] = 1 + (int32_t)rng_below(&rng, COLUMNS - 1);
    large->problem = (struct ctc_problem){.emissions = large->emissions,
                                          .frames = frames,
                                          .columns = COLUMNS,
                                          .labels = large->labels,
                                          .label_count = label_count};
}

static void free_large(struct large_problem *large)
{
    free(large->emissions);
    free(large->labels);
    free(large->states);
}

static void checkpoints_change_no_bit(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {2, 1}, {31, 5}, {33, 16}, {127, 40}, {129, 1}, {1000, 301}};
    static const int64_t spacings[] = {1, 2, 3, 7, 32, 33, 126, 127, 128};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct large_problem large;
        make_large(sizes[s][0], sizes[s][1], &large);
        size_t bytes = (size_t)sizes[s][0] * sizeof *large.states;
        int32_t *plain = malloc(bytes);
        double score, own;
        bool found;
        assert_non_null(plain);
        large.problem.spacing = sizes[s][0]; /* one stretch: a table of all moves */
        assert_ok(ctc_path_find(&large.problem, plain, &score, &found));
        assert_true(found);
        assert_true(score == score_of(&large.problem, plain));
        for (size_t k = 0; k <= sizeof spacings / sizeof *spacings; k++) {
            large.problem.spacing = k == 0 ? 0 : spacings[k - 1];
            memset(large.states, 0xff, bytes);
            assert_ok(ctc_path_find(&large.problem, large.states, &own, &found));
            assert_true(found && own == score);
            assert_memory_equal(large.states, plain, bytes);
        }
        free(plain);
        free_large(&large);
    }
}

/* An hour in frames of 20 ms; --long: with the 54,000 letters of an hour, otherwise with a tenth. */
static void an_hour_needs_little_memory(void **state)
{
    (void)state;
    struct large_problem large;
    double score;
    bool found;
    int64_t letters = test_is_long() ? 54000 : 5400;
    make_large(180000, letters, &large);
    memory_meter_start();
    clock_t start = clock();
    assert_ok(ctc_path_find(&large.problem, large.states, &score, &found));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    int64_t peak = memory_meter_peak();
    print_message("an hour with %lld letters: %.1f MB, %.1f s\n", (long long)letters, (double)peak / 1e6, seconds);
    assert_true(found);
    assert_true(score == score_of(&large.problem, large.states));
    assert_true(peak > 0 && peak < letters * 2600); /* 140 MB of an hour's 54,000 letters */
    free_large(&large);
}

/* ---- limits ---- */

static void too_few_frames_have_no_path(void **state)
{
    (void)state;
    static const int32_t labels[] = {1, 1, 2, 2, 2};
    static const float emissions[9 * 3] = {0};
    int32_t states[9];
    double score;
    bool found;
    assert_int_equal(ctc_path_least_frames(labels, 5), 8);
    for (int64_t frames = 0; frames <= 9; frames++) {
        const struct ctc_problem problem = {
            .emissions = emissions, .frames = frames, .columns = 3, .labels = labels, .label_count = 5};
        assert_ok(ctc_path_find(&problem, states, &score, &found));
        assert_true(found == (frames >= 8));
    }
    const struct ctc_problem nothing = {.emissions = emissions, .frames = 9, .columns = 3, .labels = labels};
    assert_fails(ctc_path_find(&nothing, states, &score, &found), STATUS_INTERNAL, "0 labels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_torchaudios),       cmocka_unit_test(no_path_is_better),
        cmocka_unit_test(checkpoints_change_no_bit),   cmocka_unit_test(an_hour_needs_little_memory),
        cmocka_unit_test(too_few_frames_have_no_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
