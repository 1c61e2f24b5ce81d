/* Masks and sampling against sets and frequencies computed plainly. */
#include "support/test_support.h"

#include "generate/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct vocabulary small_vocabulary(void)
{
    struct vocabulary vocabulary;
    assert_ok(vocabulary_create(320, 1, 2, 0, 60, 20, 10, true, &vocabulary));
    return vocabulary;
}

/* Ten thousand tokens a mode from random logits with huge values on the banned ids: none may come out. */
static void masks_hold_for_ten_thousand_tokens_a_mode(void **state)
{
    (void)state;
    struct vocabulary vocabulary = small_vocabulary();
    int64_t rows = vocabulary.padded_size;
    float *logits = malloc((size_t)rows * sizeof *logits);
    bool *allowed = malloc((size_t)rows);
    struct sampler *sampler;
    assert_ok(sampler_create(rows, &sampler));
    struct rng rng = rng_make(test_seed(), RNG_TEST, 4, 0);
    for (int mode = OUTPUT_TEXT; mode <= OUTPUT_ANY; mode++) {
        int seen[TOKEN_KINDS] = {0};
        output_mask(&vocabulary, (enum output_modality)mode, allowed);
        for (int i = 0; i < 10000; i++) {
            for (int64_t id = 0; id < rows; id++)
                logits[id] = (float)(3 * rng_normal(&rng)) + (allowed[id] ? 0.0f : 1000.0f);
            struct sampling sampling = {i % 3 ? 0.9 : 0.0, i % 5 ? 50 : 0, i % 2 ? 0.95 : 1.0};
            int32_t id = sampler_pick(sampler, &sampling, logits, allowed, &rng);
            assert_in_range(id, 0, vocabulary.size - 1); /* never a padding row */
            assert_true(id != vocabulary.bos && id != vocabulary.unk);
            enum token_kind kind = vocabulary_kind(&vocabulary, id);
            seen[kind]++;
            if (mode == OUTPUT_TEXT)
                assert_int_equal(kind, TOKEN_TEXT);
            if (mode == OUTPUT_SPEECH)
                assert_true(id == vocabulary.eos || kind == TOKEN_HUBERT || kind == TOKEN_PITCH || kind == TOKEN_STYLE);
        }
        assert_true(seen[TOKEN_TEXT] > 0); /* EOS at least stays possible */
        assert_int_equal(seen[TOKEN_PADDING], 0);
        if (mode == OUTPUT_ANY)
            assert_true(seen[TOKEN_TAG] > 0 && seen[TOKEN_HUBERT] > 0 && seen[TOKEN_PITCH] > 0 &&
                        seen[TOKEN_STYLE] > 0);
    }
    sampler_destroy(sampler);
    free(logits);
    free(allowed);
}

enum { IDS = 6, DRAWS = 60000 };

/* By hand: exp of the logits over the temperature, the k largest, then the smallest set that holds p of the mass. */
static void frequencies_are_the_distributions(void **state)
{
    (void)state;
    static const float logits[IDS] = {1.0f, 3.0f, 2.0f, -1.0f, 2.5f, 9.0f};
    static const bool allowed[IDS] = {true, true, true, true, true, false};
    static const struct {
        struct sampling sampling;
        double expected[IDS]; /* unnormalised */
    } cases[] = {
        {{1.0, 0, 1.0}, {2.718281828, 20.08553692, 7.389056099, 0.3678794412, 12.18249396, 0}},
        {{0.5, 0, 1.0}, {7.389056099, 403.4287935, 54.59815003, 0.1353352832, 148.4131591, 0}},
        {{1.0, 2, 1.0}, {0, 20.08553692, 0, 0, 12.18249396, 0}},
        /* mass 20.086/42.743 = 0.47, with the second 0.755, with the third 0.928 */
        {{1.0, 0, 0.5}, {0, 20.08553692, 0, 0, 12.18249396, 0}},
        {{1.0, 0, 0.8}, {0, 20.08553692, 7.389056099, 0, 12.18249396, 0}},
        {{1.0, 2, 0.6}, {0, 1, 0, 0, 0, 0}}, /* of the two that top-k leaves the first has 0.622 */
    };
    struct sampler *sampler;
    assert_ok(sampler_create(IDS, &sampler));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct rng rng = rng_make(test_seed(), RNG_TEST, 5, c);
        int counts[IDS] = {0};
        double total = 0;
        for (int i = 0; i < DRAWS; i++)
            counts[sampler_pick(sampler, &cases[c].sampling, logits, allowed, &rng)]++;
        for (int id = 0; id < IDS; id++)
            total += cases[c].expected[id];
        for (int id = 0; id < IDS; id++) {
            double p = cases[c].expected[id] / total, deviation = sqrt(DRAWS * p * (1 - p));
            if (!(fabs(counts[id] - DRAWS * p) <= 5 * deviation))
                fail_msg("case %zu id %d: %d draws, expected %.0f +- %.0f", c, id, counts[id], DRAWS * p, deviation);
        }
    }
    sampler_destroy(sampler);
}

static void greedy_takes_the_first_of_the_largest_and_nan_is_refused(void **state)
{
    (void)state;
    float logits[IDS] = {1, 5, 5, -INFINITY, 0, 0};
    static const bool allowed[IDS] = {true, true, true, true, true, true};
    struct sampling greedy = {0, 0, 1};
    struct rng rng = rng_make(1, RNG_TEST, 0, 0);
    struct sampler *sampler;
    assert_ok(sampler_create(IDS, &sampler));
    const struct sampling drawn = {1, 0, 1};
    const struct sampling *const both[] = {&greedy, &drawn};
    assert_int_equal(sampler_pick(sampler, &greedy, logits, allowed, &rng), 1);
    /* One allowed NaN or plus infinity condemns all; a banned one, or minus infinity, condemns none. */
    for (int i = 0; i < 2; i++) {
        bool some[IDS] = {true, true, true, false, true, true};
        static const float bad[] = {NAN, INFINITY};
        for (int b = 0; b < 2; b++) {
            logits[3] = bad[b];
            assert_in_range(sampler_pick(sampler, both[i], logits, some, &rng), 0, IDS - 1);
            assert_int_equal(sampler_pick(sampler, both[i], logits, allowed, &rng), -1);
        }
        logits[3] = -INFINITY;
        assert_in_range(sampler_pick(sampler, both[i], logits, allowed, &rng), 0, IDS - 1);
    }
    for (int i = 0; i < IDS; i++)
        logits[i] = -INFINITY;
    assert_int_equal(sampler_pick(sampler, &greedy, logits, allowed, &rng), -1);
    logits[IDS - 1] = 0;
    assert_int_equal(sampler_pick(sampler, &drawn, logits, allowed, &rng), IDS - 1);
    sampler_destroy(sampler);
    struct sampling bad = {-1, 0, 1};
    assert_fails(sampling_check(&bad), STATUS_USAGE, "temperature");
    bad = (struct sampling){1, 0, 0};
    assert_fails(sampling_check(&bad), STATUS_USAGE, "top_p");
    bad = (struct sampling){NAN, 0, 1};
    assert_fails(sampling_check(&bad), STATUS_USAGE, "temperature");
    bad = (struct sampling){1, -1, 1};
    assert_fails(sampling_check(&bad), STATUS_USAGE, "top_k");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_hold_for_ten_thousand_tokens_a_mode),
        cmocka_unit_test(frequencies_are_the_distributions),
        cmocka_unit_test(greedy_takes_the_first_of_the_largest_and_nan_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
