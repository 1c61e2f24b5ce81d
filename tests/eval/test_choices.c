/* Scores of hypotheses: sums by segment and kind against log-softmaxes of llama_logits in double, decisions under every
 * option against values computed by hand, and the way to JSON and back to the bit. */
#include "eval/score_oracle.h"
#include "support/test_kernels.h"
#include "support/tiny_world.h"

#include "eval/scoring/choices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 24, ITEMS = 12 };

static struct tiny_world world;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(1, CONTEXT, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tiny_world_close(&world);
    return 0;
}

static const struct vocabulary *vocabulary(void)
{
    return &world.components->vocabulary;
}

/* ---- against the logits ---- */

static int32_t random_id(struct rng *rng)
{
    const struct vocabulary *v = vocabulary();
    switch (rng_below(rng, 4)) {
    case 0:
        return v->hubert_base + (int32_t)rng_below(rng, (uint64_t)v->hubert_count);
    case 1:
        return v->speech_tag;
    case 2:
        return v->eos;
    default:
        return (int32_t)rng_below(rng, (uint64_t)v->text_size);
    }
}

static int32_t *random_ids(struct rng *rng, int64_t count)
{
    int32_t *ids = calloc((size_t)count, sizeof *ids);
    assert_non_null(ids);
    for (int64_t i = 0; i < count; i++)
        ids[i] = random_id(rng);
    return ids;
}

static struct choice make_choice(struct rng *rng, bool alone)
{
    struct choice choice = {.count = 2 + (int64_t)rng_below(rng, CONTEXT - 1), .first = 1};
    choice.context = (int64_t)rng_below(rng, (uint64_t)choice.count);
    choice.ids = random_ids(rng, choice.count);
    if (alone) {
        choice.alone_count = 3;
        choice.alone_context = 1;
        choice.alone = random_ids(rng, 3);
    }
    return choice;
}

enum kind { PLAIN, TEXT_MASKED, SPEECH_MASKED };

static bool is_masked(int64_t id, enum kind kind)
{
    const struct vocabulary *v = vocabulary();
    bool speech = id >= v->hubert_base && id < v->hubert_base + v->hubert_count + v->pitch_count + v->style_count;
    bool text = id < v->text_size && id != v->eos;
    return (kind == TEXT_MASKED && text) || (kind == SPEECH_MASKED && speech);
}

static double log_softmax(const float *logits, int64_t vocabulary_size, int64_t id, enum kind kind)
{
    double sum = 0;
    for (int64_t c = 0; c < vocabulary_size; c++)
        if (!is_masked(c, kind))
            sum += exp((double)logits[c]);
    return (double)logits[id] - log(sum);
}

/* What the sums of a choice must be, from the logits of its ids alone. */
static void expect_sums(const int32_t *ids, int64_t count, int64_t context, enum choice_segment before,
                        struct kind_scores scores[CHOICE_SEGMENTS][CHOICE_KINDS], enum choice_segment after)
{
    const struct vocabulary *v = vocabulary();
    struct kind_scores expected[2][CHOICE_KINDS] = {{{0}}};
    int64_t size = world.model->config.vocabulary_size;
    float *logits = oracle_logits(world.model, ids, count);
    for (int64_t i = 1; i < count; i++) {
        const float *row = logits + (i - 1) * size;
        bool unit = ids[i] >= v->hubert_base && ids[i] < v->hubert_base + v->hubert_count;
        enum choice_kind kind = ids[i] == v->eos        ? CHOICE_EOS
                                : unit                  ? CHOICE_HUBERT
                                : ids[i] < v->text_size ? CHOICE_TEXT
                                                        : CHOICE_TAG;
        struct kind_scores *sums = &expected[i >= context][kind];
        sums->count++;
        sums->sum += log_softmax(row, size, ids[i], PLAIN);
        sums->masked += log_softmax(row, size, ids[i],
                                    kind == CHOICE_TEXT     ? SPEECH_MASKED
                                    : kind == CHOICE_HUBERT ? TEXT_MASKED
                                                            : PLAIN);
        sums->logit += (double)row[ids[i]];
    }
    free(logits);
    for (int kind = 0; kind < CHOICE_KINDS; kind++)
        for (int s = 0; s < 2; s++) {
            const struct kind_scores *a = &expected[s][kind], *b = &scores[s ? after : before][kind];
            if (s == 0 && before == CHOICE_SEGMENTS)
                continue;
            assert_int_equal(a->count, b->count);
            assert_true(fabs(a->sum - b->sum) <= 2e-5 * (1 + (double)a->count));
            assert_true(fabs(a->masked - b->masked) <= 2e-5 * (1 + (double)a->count));
            assert_true(fabs(a->logit - b->logit) <= 2e-5 * (1 + (double)a->count));
        }
}

static void sums_are_those_of_the_logits(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 21, 0);
    struct choice_set set = {0};
    int32_t *ids[ITEMS][2], *alone[ITEMS][2];
    for (int i = 0; i < ITEMS; i++) {
        struct choice_item *item;
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        assert_ok(choice_set_add(&set, id, json_object(), i % 2, 2, &item));
        for (int c = 0; c < 2; c++) {
            struct choice *choice = &item->choices[c];
            *choice = make_choice(&rng, i % 3 == 0);
            ids[i][c] = malloc((size_t)choice->count * sizeof(int32_t));
            memcpy(ids[i][c], choice->ids, (size_t)choice->count * sizeof(int32_t));
            alone[i][c] = malloc(3 * sizeof(int32_t));
            if (choice->alone)
                memcpy(alone[i][c], choice->alone, 3 * sizeof(int32_t));
        }
    }
    assert_ok(choices_score(world.model, vocabulary(), &set));
    for (int i = 0; i < ITEMS; i++)
        for (int c = 0; c < 2; c++) {
            struct choice *choice = &set.items[i].choices[c];
            expect_sums(ids[i][c], choice->count, choice->context, SEGMENT_CONTEXT, choice->scores, SEGMENT_HYPOTHESIS);
            if (i % 3 == 0)
                expect_sums(alone[i][c], 3, 1, CHOICE_SEGMENTS, choice->scores, SEGMENT_ALONE);
            free(ids[i][c]);
            free(alone[i][c]);
        }
    choice_set_free(&set);
}

/* Wherever equal ids lie among others, their scores have the same bits. */
static void equal_sequences_have_equal_scores(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 21, 1);
    struct choice_set set = {0};
    int32_t same[9];
    for (int i = 0; i < 9; i++)
        same[i] = random_id(&rng);
    for (int i = 0; i < 60; i++) {
        struct choice_item *item;
        assert_ok(choice_set_add(&set, "x", json_object(), 0, 2, &item));
        item->choices[0] = make_choice(&rng, false);
        item->choices[1] = (struct choice){.count = 9, .first = 1, .context = 1, .ids = malloc(sizeof same)};
        memcpy(item->choices[1].ids, same, sizeof same);
    }
    assert_ok(choices_score(world.model, vocabulary(), &set));
    for (int i = 1; i < 60; i++)
        assert_memory_equal(set.items[0].choices[1].scores, set.items[i].choices[1].scores,
                            sizeof set.items[0].choices[1].scores);
    choice_set_free(&set);
}

static void long_ones_are_refused(void **state)
{
    (void)state;
    struct choice_set set = {0};
    struct choice_item *item;
    assert_ok(choice_set_add(&set, "story 7", json_object(), 0, 2, &item));
    item->choices[0] = (struct choice){.count = 3, .first = 1, .context = 1, .ids = calloc(3, sizeof(int32_t))};
    item->choices[1] =
        (struct choice){.count = CONTEXT + 2, .first = 1, .context = 1, .ids = calloc(CONTEXT + 2, sizeof(int32_t))};
    assert_fails(choices_score(world.model, vocabulary(), &set), STATUS_USAGE,
                 "story 7: choice 1 has 26 tokens, but the model's context is 24");
    choice_set_free(&set);
}

/* ---- decisions ---- */

/* Two choices whose numbers tell the options apart:
 *              context        hypothesis                              alone
 *   choice 0   text 2 -6      hubert 4 -8 (masked -7), pitch 1 -1, eos 1 -4, tag 1 -0.5      -12 of 4
 *   choice 1   text 2 -4      hubert 2 -5 (masked -3), pitch 1 -0.5, eos 1 -1, tag 1 -3      -7 of 2 */
static struct choice_item *example(struct choice_set *set)
{
    struct choice_item *item;
    assert_ok(choice_set_add(set, "e", json_pack("{s:s}", "word", "a\"b"), 0, 2, &item));
    struct choice *a = &item->choices[0], *b = &item->choices[1];
    a->scores[SEGMENT_CONTEXT][CHOICE_TEXT] = (struct kind_scores){.count = 2, .sum = -6, .masked = -5.5};
    b->scores[SEGMENT_CONTEXT][CHOICE_TEXT] = (struct kind_scores){.count = 2, .sum = -4, .masked = -4};
    a->scores[SEGMENT_HYPOTHESIS][CHOICE_HUBERT] = (struct kind_scores){.count = 4, .sum = -8, .masked = -7};
    b->scores[SEGMENT_HYPOTHESIS][CHOICE_HUBERT] = (struct kind_scores){.count = 2, .sum = -5, .masked = -3};
    a->scores[SEGMENT_HYPOTHESIS][CHOICE_PITCH] = (struct kind_scores){.count = 1, .sum = -1, .masked = -1};
    b->scores[SEGMENT_HYPOTHESIS][CHOICE_PITCH] = (struct kind_scores){.count = 1, .sum = -0.5, .masked = -0.5};
    a->scores[SEGMENT_HYPOTHESIS][CHOICE_EOS] = (struct kind_scores){.count = 1, .sum = -4, .masked = -4};
    b->scores[SEGMENT_HYPOTHESIS][CHOICE_EOS] = (struct kind_scores){.count = 1, .sum = -1, .masked = -1};
    a->scores[SEGMENT_HYPOTHESIS][CHOICE_TAG] = (struct kind_scores){.count = 1, .sum = -0.5, .masked = -0.5};
    b->scores[SEGMENT_HYPOTHESIS][CHOICE_TAG] = (struct kind_scores){.count = 1, .sum = -3, .masked = -3};
    a->scores[SEGMENT_ALONE][CHOICE_HUBERT] = (struct kind_scores){.count = 4, .sum = -12, .masked = -11};
    b->scores[SEGMENT_ALONE][CHOICE_HUBERT] = (struct kind_scores){.count = 2, .sum = -7, .masked = -6};
    a->characters = 5;
    a->bytes = 6;
    b->characters = 4;
    b->bytes = 4;
    return item;
}

static void values_follow_the_options(void **state)
{
    (void)state;
    static const struct {
        struct score_protocol protocol;
        double values[2];
    } cases[] = {
        {{.scope = SCOPE_CONTINUATION}, {-9, -5.5}},
        {{.scope = SCOPE_WHOLE}, {-15, -9.5}},
        {{.scope = SCOPE_CONTINUATION, .normalize = NORMALIZE_TOKEN}, {-9.0 / 5, -5.5 / 3}},
        {{.scope = SCOPE_WHOLE, .normalize = NORMALIZE_TOKEN}, {-15.0 / 7, -9.5 / 5}},
        {{.scope = SCOPE_CONTINUATION, .normalize = NORMALIZE_CHAR}, {-9.0 / 5, -5.5 / 4}},
        {{.scope = SCOPE_CONTINUATION, .normalize = NORMALIZE_BYTE}, {-9.0 / 6, -5.5 / 4}},
        {{.scope = SCOPE_WHOLE, .normalize = NORMALIZE_PMI, .count = COUNT_HUBERT}, {4, 2}},
        {{.scope = SCOPE_WHOLE, .normalize = NORMALIZE_PMI_TOKEN, .count = COUNT_HUBERT}, {1, 1}},
        {{.scope = SCOPE_WHOLE, .normalize = NORMALIZE_PMI_TOKEN}, {3.0 / 5, 1.5 / 3}},
        {{.scope = SCOPE_CONTINUATION, .count = COUNT_HUBERT}, {-8, -5}},
        {{.scope = SCOPE_CONTINUATION, .count = COUNT_HUBERT, .mask = MASK_MODALITY}, {-7, -3}},
        {{.scope = SCOPE_WHOLE, .mask = MASK_MODALITY}, {-13.5, -7.5}},
        {{.scope = SCOPE_CONTINUATION, .eos = true}, {-13, -6.5}},
        {{.scope = SCOPE_CONTINUATION, .eos = true, .normalize = NORMALIZE_TOKEN}, {-13.0 / 6, -6.5 / 4}},
        {{.scope = SCOPE_CONTINUATION, .tag = TAG_GIVEN}, {-9, -5.5}},
        {{.scope = SCOPE_CONTINUATION, .tag = TAG_SCORED}, {-9.5, -8.5}},
    };
    struct choice_set set = {0};
    const struct choice_item *item = example(&set);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int c = 0; c < 2; c++) {
            double value;
            assert_ok(choice_value(&item->choices[c], &cases[i].protocol, &value));
            if (!(fabs(value - cases[i].values[c]) < 1e-12))
                fail_msg("case %zu, choice %d: expected %g, found %g", i, c, cases[i].values[c], value);
        }
    choice_set_free(&set);
}

static void sum_and_mean_may_disagree(void **state)
{
    (void)state;
    struct choice_set set = {0};
    const struct choice_item *item = example(&set);
    struct score_protocol protocol = {.scope = SCOPE_CONTINUATION};
    double won;
    bool tied;
    assert_ok(choice_decide(item, &protocol, &won, &tied));
    assert_true(won == 0 && !tied);
    protocol.normalize = NORMALIZE_TOKEN;
    assert_ok(choice_decide(item, &protocol, &won, &tied));
    assert_true(won == 1 && !tied);
    choice_set_free(&set);
}

/* Scores of up to four choices, and what each tie rule makes of them. */
static void ties_follow_the_rule(void **state)
{
    (void)state;
    static const struct {
        int64_t count, answer;
        double sums[4], won[3]; /* half, strict, first */
        bool tied;
    } cases[] = {
        {2, 0, {-1, -2}, {1, 1, 1}, false},
        {2, 1, {-1, -2}, {0, 0, 0}, false},
        {2, 0, {-1, -1}, {0.5, 0, 1}, true},
        {2, 1, {-1, -1}, {0.5, 0, 0}, true},
        {4, 2, {-3, -1, -1, -1}, {1.0 / 3, 0, 0}, true},
        {4, 1, {-3, -1, -1, -1}, {1.0 / 3, 0, 1}, true},
        {4, 0, {-3, -1, -1, -1}, {0, 0, 0}, true},
        {4, 3, {-2, -2, -2, -1}, {1, 1, 1}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int tie = 0; tie < 3; tie++) {
            struct choice_set set = {0};
            struct choice_item *item;
            const struct score_protocol protocol = {.tie = (enum score_tie)tie};
            double won;
            bool tied;
            assert_ok(choice_set_add(&set, "t", json_object(), cases[i].answer, cases[i].count, &item));
            for (int64_t c = 0; c < cases[i].count; c++)
                item->choices[c].scores[SEGMENT_HYPOTHESIS][CHOICE_TEXT] =
                    (struct kind_scores){.count = 1, .sum = cases[i].sums[c]};
            assert_ok(choice_decide(item, &protocol, &won, &tied));
            assert_true(fabs(won - cases[i].won[tie]) < 1e-15 && tied == cases[i].tied);
            choice_set_free(&set);
        }
}

static void what_cannot_be_valued_is_refused(void **state)
{
    (void)state;
    struct choice_set set = {0};
    struct choice_item *item = example(&set);
    struct score_protocol protocol = {.normalize = NORMALIZE_CHAR};
    double won;
    bool tied;
    item->choices[1].characters = 0;
    assert_fails(choice_decide(item, &protocol, &won, &tied), STATUS_USAGE, "e: score.normalize=char");
    protocol = (struct score_protocol){.normalize = NORMALIZE_PMI};
    memset(item->choices[0].scores[SEGMENT_ALONE], 0, sizeof item->choices[0].scores[0]);
    assert_fails(choice_decide(item, &protocol, &won, &tied), STATUS_USAGE, "score.normalize=pmi: ");
    protocol.normalize = NORMALIZE_PMI_TOKEN;
    assert_fails(choice_decide(item, &protocol, &won, &tied), STATUS_USAGE, "pmi-token: there are no scores without");
    memset(item->choices[0].scores, 0, sizeof item->choices[0].scores);
    protocol = (struct score_protocol){.normalize = NORMALIZE_SUM};
    assert_fails(choice_decide(item, &protocol, &won, &tied), STATUS_USAGE, "no tokens that count");
    item->choices[0].scores[SEGMENT_HYPOTHESIS][CHOICE_TEXT] = (struct kind_scores){.count = 1, .sum = NAN};
    assert_fails(choice_decide(item, &protocol, &won, &tied), STATUS_CORRUPT, "choice 0 is not finite");
    choice_set_free(&set);
}

/* ---- files ---- */

static void json_keeps_every_bit(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 21, 2);
    struct choice_set set = {0}, again = {0};
    struct choice_item *item = example(&set);
    for (int c = 0; c < 2; c++)
        for (int s = 0; s < CHOICE_SEGMENTS; s++) {
            struct kind_scores *kind = &item->choices[c].scores[s][CHOICE_HUBERT];
            kind->count = kind->count ? kind->count : 1;
            kind->sum = -rng_uniform(&rng) * pow(10, (double)rng_below(&rng, 30) - 15);
            kind->masked = -rng_uniform(&rng) * 1e3;
            kind->logit = rng_uniform(&rng) / 3;
            for (int part = 0; part < VOCABULARY_PARTS; part++)
                kind->log_sum_exp[part] = rng_uniform(&rng) * 1e5;
        }
    json_t *json = choice_item_json(item);
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));
    assert_non_null(text);
    json_t *parsed = json_loads(text, 0, NULL);
    assert_ok(choice_item_from_json("samples:1", parsed, &again));
    assert_string_equal(again.items[0].id, "e");
    assert_true(again.items[0].answer == 0 && again.items[0].count == 2);
    assert_true(json_equal(again.items[0].document, item->document));
    for (int c = 0; c < 2; c++) {
        assert_memory_equal(again.items[0].choices[c].scores, item->choices[c].scores, sizeof item->choices[c].scores);
        assert_true(again.items[0].choices[c].characters == item->choices[c].characters);
        assert_true(again.items[0].choices[c].bytes == item->choices[c].bytes);
    }
    json_decref(json);
    json_decref(parsed);
    free(text);
    choice_set_free(&set);
    choice_set_free(&again);
}

static void damaged_samples_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[]", "s:4: expected an item"},
        {"{\"doc_id\":\"1\",\"doc\":{},\"target\":0,\"choices\":[{}]}", "at least two"},
        {"{\"doc_id\":\"1\",\"doc\":{},\"target\":2,\"choices\":[{},{}]}", "expected an item"},
        {"{\"doc_id\":\"1\",\"doc\":{},\"target\":0.5,\"choices\":[{},{}]}", "expected an item"},
        {"{\"doc_id\":1,\"doc\":{},\"target\":0,\"choices\":[{},{}]}", "expected an item"},
        {"{\"doc_id\":\"1\",\"doc\":{},\"target\":0,\"choices\":[{},{}]}", "\"characters\""},
        {"{\"doc_id\":\"1\",\"doc\":{},\"target\":0,\"choices\":[{\"characters\":1,\"bytes\":1},{}]}", "\"context\""},
        {"{\"doc_id\":\"1\",\"doc\":{},\"target\":0,\"choices\":[{\"characters\":1,\"bytes\":1,\"context\":{\"x\":1}},{"
         "}]}",
         "\"x\""},
        {"{\"doc_id\":\"1\",\"doc\":{},\"target\":0,\"choices\":[{\"characters\":1,\"bytes\":1,\"context\":{\"text\":["
         "1,2]}},"
         "{}]}",
         "7 scores"},
        {"{\"doc_id\":\"1\",\"doc\":{},\"target\":0,\"choices\":[{\"characters\":1,\"bytes\":1,\"context\":{\"text\":[-"
         "1,2,2,"
         "2,2,2,2]}},{}]}",
         "7 scores"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct choice_set set = {0};
        json_t *json = json_loads(cases[i].text, 0, NULL);
        assert_non_null(json);
        assert_fails(choice_item_from_json("s:4", json, &set), STATUS_CORRUPT, cases[i].message);
        json_decref(json);
        choice_set_free(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_logits),
        cmocka_unit_test(equal_sequences_have_equal_scores),
        cmocka_unit_test(long_ones_are_refused),
        cmocka_unit_test(values_follow_the_options),
        cmocka_unit_test(sum_and_mean_may_disagree),
        cmocka_unit_test(ties_follow_the_rule),
        cmocka_unit_test(what_cannot_be_valued_is_refused),
        cmocka_unit_test(json_keeps_every_bit),
        cmocka_unit_test(damaged_samples_are_refused),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
