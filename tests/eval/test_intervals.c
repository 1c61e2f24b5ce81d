/* Standard errors mean what they say: over many simulated models and corpora of known truth, the value plus and minus 1.96 of them
 * holds the truth in about 95 of 100 cases. What is simulated depends on itself as real data do: a pair's voices, an utterance's words and an
 * item's seeds go wrong together; each test shows that a formula which takes them for independent does not hold. */
#include "support/test_support.h"

#include "core/rng.h"
#include "core/statistics.h"
#include "eval/transcripts/error_rate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MODELS = 2000, FEW_MODELS = 400 };

struct coverage {
    int64_t models, held, naive; /* how often each formula held the truth */
};

static int64_t model_count(void)
{
    return test_is_long() ? MODELS : FEW_MODELS;
}

static bool holds(struct estimate estimate, double truth)
{
    return isfinite(estimate.standard_error) && fabs(estimate.value - truth) <= 1.96 * estimate.standard_error;
}

/* 93 to 97 of 100 over 2,000 models. 400 of a formula that holds 95 % lie within four deviations, 4.4 %, of it. */
static void check_coverage(const char *what, struct coverage coverage)
{
    double share = (double)coverage.held / (double)coverage.models,
           naive = (double)coverage.naive / (double)coverage.models;
    double slack = test_is_long() ? 0.02 : 0.044;
    print_message("%s: the interval holds the truth for %.1f %% of %lld models; taken for independent, %.1f %%\n", what,
                  100 * share, (long long)coverage.models, 100 * naive);
    assert_true(share >= 0.95 - slack && share <= 0.95 + slack);
    assert_true(naive < 0.95 - slack);
}

static bool chance(struct rng *rng, double probability)
{
    return rng_uniform(rng) < probability;
}

/* Beta(a, 1) by inversion: its mean is a / (a + 1). */
static double beta_of(struct rng *rng, double a)
{
    return pow(rng_uniform(rng), 1 / a);
}

/* ---- pairs: sWUGGY's and others' ---- */

/* Ids of one to four voices, which are averaged per id first; a voice gets 1, 0 or, for a tie, 0.5. An id's own chance of being right is
 * Beta(a, 1). */
static struct estimate simulate_pairs(struct rng *rng, int64_t ids, double a, double ties, double *means,
                                      struct estimate *naive)
{
    double *all = means + ids;
    int64_t count = 0;
    for (int64_t i = 0; i < ids; i++) {
        const int64_t voices = 1 + (int64_t)rng_below(rng, 4);
        const double own = beta_of(rng, a);
        means[i] = 0;
        for (int64_t v = 0; v < voices; v++) {
            double won = chance(rng, ties) ? 0.5 : chance(rng, own);
            means[i] += won / (double)voices;
            all[count++] = won;
        }
    }
    *naive = estimate_mean(all, count);
    return estimate_mean(means, ids);
}

static void pairs_hold_the_truth(void **state)
{
    (void)state;
    enum { IDS = 300 };
    struct rng rng = rng_make(test_seed(), RNG_TEST, 21, 0);
    struct coverage coverage = {.models = model_count()};
    double *values = malloc(5 * IDS * sizeof *values);
    assert_non_null(values);
    for (int64_t m = 0; m < coverage.models; m++) {
        const double a = 0.2 + 0.6 * rng_uniform(&rng), ties = 0.3 * rng_uniform(&rng) * rng_uniform(&rng);
        const double truth = ties / 2 + (1 - ties) * a / (a + 1);
        struct estimate naive, found = simulate_pairs(&rng, IDS, a, ties, values, &naive);
        coverage.held += holds(found, truth);
        coverage.naive += holds(naive, truth);
    }
    free(values);
    check_coverage("pairs", coverage);
}

/* ---- word error rates ---- */

enum { MOST_WORDS = 40, WORD_BYTES = 8, UTTERANCES = 400 };

/* An utterance of `words` words is understood badly by its own measure: a word is kept with chance Beta(a, 1), where a falls with the
 * length. One that is not kept is another word or missing. Behind a last word that was kept another may follow. */
struct listener {
    double ease, decay, more; /* a = ease + decay / words; chance of an inserted word */
};

static double kept_mean(const struct listener *listener, int64_t words)
{
    double a = listener->ease + listener->decay / (double)words;
    return a / (a + 1);
}

/* Every word of the reference occurs once and those that are new never do, so that no alignment is shorter than the one that was
 * played: with all kept words as hits it needs those that were not kept and at most the one behind, and with fewer hits at least as many. */
static void make_utterance(struct rng *rng, const struct listener *listener, int64_t words, char *reference,
                           char *hypothesis, int64_t *errors)
{
    const double own = beta_of(rng, listener->ease + listener->decay / (double)words);
    int64_t made = 0;
    bool kept = false;
    *errors = 0;
    *reference = *hypothesis = 0;
    for (int64_t w = 0; w < words; w++) {
        reference += sprintf(reference, "%sr%d", w > 0 ? " " : "", (int)w);
        kept = chance(rng, own);
        *errors += !kept;
        if (kept)
            hypothesis += sprintf(hypothesis, " r%d", (int)w);
        else if (chance(rng, 0.6))
            hypothesis += sprintf(hypothesis, " h%d", (int)made++);
    }
    if (kept && chance(rng, listener->more)) {
        sprintf(hypothesis, " h%d", (int)made);
        ++*errors;
    }
}

/* Lengths are 1 to 40 words, short ones more often. */
static int64_t draw_length(struct rng *rng)
{
    double u = rng_uniform(rng);
    return 1 + (int64_t)(u * u * MOST_WORDS);
}

/* Expected errors over expected words: length L has the chance sqrt(L / 40) - sqrt((L - 1) / 40). */
static double true_rate(const struct listener *listener)
{
    double errors = 0, words = 0;
    for (int64_t length = 1; length <= MOST_WORDS; length++) {
        double probability = sqrt((double)length / MOST_WORDS) - sqrt((double)(length - 1) / MOST_WORDS);
        double kept = kept_mean(listener, length);
        errors += probability * ((double)length * (1 - kept) + kept * listener->more);
        words += probability * (double)length;
    }
    return errors / words;
}

static void word_error_rates_hold_the_truth(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 22, 0);
    struct coverage coverage = {.models = model_count()};
    static struct error_counts counts[UTTERANCES];
    for (int64_t m = 0; m < coverage.models; m++) {
        const struct listener listener = {0.5 + 8 * rng_uniform(&rng), 4 * rng_uniform(&rng), 0.3 * rng_uniform(&rng)};
        const double truth = true_rate(&listener);
        struct error_rate rate;
        for (int64_t u = 0; u < UTTERANCES; u++) {
            char reference[MOST_WORDS * WORD_BYTES], hypothesis[2 * MOST_WORDS * WORD_BYTES];
            int64_t errors, words = draw_length(&rng);
            make_utterance(&rng, &listener, words, reference, hypothesis, &errors);
            assert_ok(error_rate_words(reference, hypothesis, &counts[u]));
            assert_int_equal(error_sum(&counts[u]), errors);
            assert_int_equal(error_reference(&counts[u]), words);
        }
        assert_ok(error_rate_estimate(counts, UTTERANCES, &rate));
        coverage.held += holds(rate.corpus, truth);
        /* words as if each went wrong by itself */
        struct estimate naive = rate.corpus;
        naive.standard_error = sqrt(fabs(naive.value * (1 - naive.value)) / (double)error_reference(&rate.total));
        coverage.naive += holds(naive, truth);
    }
    check_coverage("word error rate", coverage);
}

/* ---- generation with several seeds ---- */

/* Items of three sentiments, generated with three seeds each: a prompt that is easily continued in its sentiment is so with each seed. */
static void accuracies_over_seeds_hold_the_truth(void **state)
{
    (void)state;
    enum { ITEMS = 351, SEEDS = 3 }; /* EMOV's test prompts; the paper's seeds */
    struct rng rng = rng_make(test_seed(), RNG_TEST, 23, 0);
    struct coverage coverage = {.models = model_count()};
    static double values[ITEMS * SEEDS];
    static int64_t clusters[ITEMS * SEEDS];
    for (int64_t m = 0; m < coverage.models; m++) {
        double a[3], truth = 0;
        for (int sentiment = 0; sentiment < 3; sentiment++) {
            a[sentiment] = 0.2 + 1.5 * rng_uniform(&rng);
            truth += a[sentiment] / (a[sentiment] + 1) / 3;
        }
        for (int64_t item = 0; item < ITEMS; item++) {
            double own = beta_of(&rng, a[rng_below(&rng, 3)]);
            for (int64_t seed = 0; seed < SEEDS; seed++) {
                values[seed * ITEMS + item] = chance(&rng, own);
                clusters[seed * ITEMS + item] = item;
            }
        }
        struct estimate found;
        assert_ok(estimate_clustered(values, clusters, ITEMS * SEEDS, ITEMS, &found));
        coverage.held += holds(found, truth);
        coverage.naive += holds(estimate_mean(values, ITEMS * SEEDS), truth);
    }
    check_coverage("accuracy over seeds", coverage);
}

/* Items that have lost some of their seeds, as an utterance may have fewer distractors: easy ones more often, which moves the truth to
 * the mean over values. */
static void unequal_clusters_hold_the_truth(void **state)
{
    (void)state;
    enum { CLUSTERS = 200, MOST = 6 };
    struct rng rng = rng_make(test_seed(), RNG_TEST, 24, 0);
    struct coverage coverage = {.models = model_count()};
    double values[CLUSTERS * MOST];
    int64_t clusters[CLUSTERS * MOST];
    for (int64_t m = 0; m < coverage.models; m++) {
        const double a = 0.5 + 2 * rng_uniform(&rng), easy = 0.3 + 0.6 * rng_uniform(&rng);
        int64_t count = 0;
        for (int64_t c = 0; c < CLUSTERS; c++) {
            const bool rich =
                chance(&rng, easy); /* MOST values of chance Beta(a, 1); else one or two of Beta(a / 2, 1) */
            const int64_t size = rich ? MOST : 1 + (int64_t)rng_below(&rng, 2);
            const double own = beta_of(&rng, rich ? a : a / 2);
            for (int64_t i = 0; i < size; i++, count++) {
                values[count] = chance(&rng, own);
                clusters[count] = c;
            }
        }
        const double rich = easy * MOST, poor = (1 - easy) * 1.5;
        const double truth = (rich * a / (a + 1) + poor * (a / 2) / (a / 2 + 1)) / (rich + poor);
        struct estimate found;
        assert_ok(estimate_clustered(values, clusters, count, CLUSTERS, &found));
        coverage.held += holds(found, truth);
        coverage.naive += holds(estimate_mean(values, count), truth);
    }
    check_coverage("clusters of one to six", coverage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_hold_the_truth),
        cmocka_unit_test(word_error_rates_hold_the_truth),
        cmocka_unit_test(accuracies_over_seeds_hold_the_truth),
        cmocka_unit_test(unequal_clusters_hold_the_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
