/* A small RoBERTa with a head for classes against transformers (tests/oracles/judges_golden.py), from both formats of weights; the same
 * bits for a text whatever is computed with it; and what a caller may not ask for. Folders that do not fit are in
 * tests/eval/test_text_judge.c. */
#include "support/test_support.h"

#include "core/rng.h"
#include "core/thread_pool.h"
#include "models/roberta/roberta.h"
#include "support/judge_folders.h"
#include "support/pooled_context.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of float32 against float64 for logits of a size of 1 to 10. */
#define TOLERANCE 1e-5

enum { TEXTS = 20, PIECES = 64, CLASSES_MOST = 7 };

struct small {
    struct roberta *roberta;
    struct roberta_workspace *workspace;
    json_t *expected;
    int64_t count, classes;
    int32_t ids[TEXTS][PIECES];
    struct roberta_text texts[TEXTS];
};

static void open_small(const char *folder, struct small *small)
{
    memset(small, 0, sizeof *small);
    assert_ok(roberta_open(folder, test_kernels(), &pooled_context, &small->roberta));
    assert_ok(roberta_workspace_create(small->roberta, &pooled_context, &small->workspace));
    small->expected = expected_of_judge(folder);
    small->classes = roberta_classes(small->roberta);
    assert_int_equal(json_array_size(small->expected), TEXTS);
    for (; small->count < test_count(TEXTS, 6); small->count++) {
        const json_t *ids = json_object_get(json_array_get(small->expected, (size_t)small->count), "ids");
        assert_in_range(json_array_size(ids), 1, PIECES);
        for (size_t t = 0; t < json_array_size(ids); t++)
            small->ids[small->count][t] = (int32_t)json_integer_value(json_array_get(ids, t));
        small->texts[small->count] = (struct roberta_text){small->ids[small->count], (int64_t)json_array_size(ids)};
    }
}

static void close_small(struct small *small)
{
    roberta_workspace_destroy(small->workspace);
    roberta_close(small->roberta);
    json_decref(small->expected);
}

static void logits_are_those_of_transformers(void **state)
{
    (void)state;
    static const char *const folders[] = {JUDGES "/text", JUDGES "/text_bin"};
    static const int64_t limits[] = {40, 31}, classes[] = {7, 3};
    static struct small small;
    for (int f = 0; f < 2; f++) {
        double logits[TEXTS * CLASSES_MOST];
        open_small(folders[f], &small);
        assert_int_equal(small.classes, classes[f]);
        assert_int_equal(roberta_limit(small.roberta), limits[f]);
        assert_ok(roberta_run(small.workspace, small.texts, small.count, logits));
        for (int64_t i = 0; i < small.count; i++)
            for (int64_t c = 0; c < small.classes; c++) {
                const json_t *row = json_object_get(json_array_get(small.expected, (size_t)i), "logits");
                double wanted = json_real_value(json_array_get(row, (size_t)c)), found = logits[i * small.classes + c];
                if (!(fabs(found - wanted) <= TOLERANCE))
                    fail_msg("%s: text %d, class %d: expected %.9g, found %.9g", folders[f], (int)i, (int)c, wanted,
                             found);
            }
        close_small(&small);
    }
}

/* Alone, in all orders and with any others, on workspaces that have seen other texts and on one that has not. */
static void try_companies(struct small *small, struct rng *rng)
{
    double alone[TEXTS * CLASSES_MOST], logits[TEXTS * CLASSES_MOST];
    struct roberta_workspace *used;
    assert_ok(roberta_workspace_create(small->roberta, &pooled_context, &used));
    for (int64_t i = 0; i < small->count; i++)
        assert_ok(roberta_run(used, &small->texts[i], 1, alone + i * small->classes));
    for (int64_t round = 0; round < test_count(10, 1); round++) {
        struct roberta_text chosen[TEXTS];
        struct roberta_workspace *fresh;
        int64_t of[TEXTS], count = round == 0 ? small->count : 1 + (int64_t)rng_below(rng, (uint64_t)small->count);
        for (int64_t i = 0; i < count; i++) {
            of[i] = (int64_t)rng_below(rng, (uint64_t)small->count);
            chosen[i] = small->texts[of[i]];
        }
        assert_ok(roberta_workspace_create(small->roberta, &pooled_context, &fresh));
        assert_ok(roberta_run(round % 2 ? used : fresh, chosen, count, logits));
        for (int64_t i = 0; i < count; i++)
            assert_memory_equal(logits + i * small->classes, alone + of[i] * small->classes,
                                (size_t)small->classes * sizeof *logits);
        roberta_workspace_destroy(fresh);
    }
    roberta_workspace_destroy(used);
}

/* Whatever multiplies: with the cpu's own tiles texts share products, with a library's they do not. */
static void company_changes_no_bit(void **state)
{
    (void)state;
    static struct small small;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 213, 0);
    open_small(JUDGES "/text", &small);
    try_companies(&small, &rng);
    if (test_kernels_cpu())
        for (enum cpu_engine engine = CPU_ENGINE_BLOCKED; engine <= CPU_ENGINE_BLAS; engine++) {
            test_set_engine(&pooled_context, engine);
            try_companies(&small, &rng);
        }
    assert_ok(roberta_run(small.workspace, NULL, 0, NULL));
    close_small(&small);
}

/* Positions begin behind the id of padding and do not count padding, wherever it stands. */
static void padding_has_no_position(void **state)
{
    (void)state;
    static struct small small;
    double logits[CLASSES_MOST];
    int32_t ids[PIECES];
    json_t *rows, *row;
    size_t i;
    open_small(JUDGES "/text", &small);
    assert_ok(jdoc_read(JUDGES "/text/padding.json", &rows));
    assert_int_equal(json_array_size(rows), 3);
    json_array_foreach(rows, i, row)
    {
        const json_t *list = json_object_get(row, "ids"), *wanted = json_object_get(row, "logits");
        int64_t count = (int64_t)json_array_size(list);
        for (int64_t t = 0; t < count; t++)
            ids[t] = (int32_t)json_integer_value(json_array_get(list, (size_t)t));
        assert_ok(roberta_run(small.workspace, &(struct roberta_text){ids, count}, 1, logits));
        for (int64_t c = 0; c < small.classes; c++)
            if (!(fabs(logits[c] - json_real_value(json_array_get(wanted, (size_t)c))) <= TOLERANCE))
                fail_msg("row %d, class %d: found %.9g", (int)i, (int)c, logits[c]);
    }
    json_decref(rows);
    close_small(&small);
}

static void texts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static struct small small;
    double logits[CLASSES_MOST];
    int32_t ids[PIECES] = {0};
    open_small(JUDGES "/text", &small);
    int64_t limit = roberta_limit(small.roberta);
    assert_ok(roberta_run(small.workspace, &(struct roberta_text){ids, limit}, 1, logits));
    assert_fails(roberta_run(small.workspace, &(struct roberta_text){ids, limit + 1}, 1, logits), STATUS_INTERNAL,
                 "has 41 pieces, expected 1 to 40");
    assert_fails(roberta_run(small.workspace, &(struct roberta_text){ids, 0}, 1, logits), STATUS_INTERNAL,
                 "has 0 pieces");
    ids[1] = (int32_t)roberta_config(small.roberta)->vocabulary;
    assert_fails(roberta_run(small.workspace, &(struct roberta_text){ids, 2}, 1, logits), STATUS_INTERNAL,
                 "id 381 of 381");
    ids[1] = -1;
    assert_fails(roberta_run(small.workspace, &(struct roberta_text){ids, 2}, 1, logits), STATUS_INTERNAL, "id -1");
    close_small(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_transformers), cmocka_unit_test(company_changes_no_bit),
        cmocka_unit_test(padding_has_no_position), cmocka_unit_test(texts_that_do_not_fit_are_refused)};
    return cmocka_run_group_tests(tests, pooled_context_open, pooled_context_close);
}
