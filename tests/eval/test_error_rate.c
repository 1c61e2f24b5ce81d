/* Word and character errors against jiwer's (tests/oracles/transcripts_golden.py), against the definition worked out by hand,
 * and with texts that nobody would call transcripts. */
#include "golden_lines.h"

#include "eval/transcripts/error_rate.h"

#include <math.h>
#include <time.h>

/* ---- jiwer ---- */

struct pairs {
    struct error_counts *words, *characters;
    int64_t count;
};

static struct error_counts counts_of(const json_t *line, size_t index)
{
    int64_t value[4];
    for (size_t i = 0; i < 4; i++)
        value[i] = json_integer_value(json_array_get(json_array_get(line, index), i));
    return (struct error_counts){value[0], value[1], value[2], value[3]};
}

static void assert_counts(const char *what, int64_t number, const json_t *line, const struct error_counts *found,
                          const struct error_counts *expected)
{
    if (memcmp(found, expected, sizeof *found) != 0)
        fail_msg("line %lld, %s of \"%s\" and \"%s\": expected S %lld D %lld I %lld H %lld, found %lld %lld %lld %lld",
                 (long long)number, what, line_text(line, 0), line_text(line, 1), (long long)expected->substitutions,
                 (long long)expected->deletions, (long long)expected->insertions, (long long)expected->hits,
                 (long long)found->substitutions, (long long)found->deletions, (long long)found->insertions,
                 (long long)found->hits);
}

static void check_pair(int64_t number, const json_t *line, void *context)
{
    struct pairs *pairs = context;
    struct error_counts words, characters, expected = counts_of(line, 2);
    assert_ok(error_rate_words(line_text(line, 0), line_text(line, 1), &words));
    assert_counts("words", number, line, &words, &expected);
    expected = counts_of(line, 3);
    assert_ok(error_rate_characters(line_text(line, 0), line_text(line, 1), &characters));
    assert_counts("characters", number, line, &characters, &expected);
    pairs->words[pairs->count] = words;
    pairs->characters[pairs->count++] = characters;
}

static void assert_rate(const struct error_counts *counts, int64_t count, double expected)
{
    struct error_rate rate;
    assert_ok(error_rate_estimate(counts, count, &rate));
    if (!(fabs(rate.corpus.value - expected) <= 1e-15 * expected))
        fail_msg("expected a rate of %.17g, found %.17g", expected, rate.corpus.value);
}

/* The pairs whose reference has no word are moved to the front; returns how many there are. */
static int64_t collect_empty(struct pairs *pairs)
{
    int64_t count = 0;
    for (int64_t i = 0; i < pairs->count; i++)
        if (error_reference(pairs->words + i) == 0) {
            assert_int_equal(error_reference(pairs->characters + i), 0);
            pairs->words[count] = pairs->words[i];
            pairs->characters[count++] = pairs->characters[i];
        }
    return count;
}

static void check_folder(const char *folder, int64_t lines)
{
    struct pairs pairs = {.words = calloc((size_t)lines, sizeof *pairs.words),
                          .characters = calloc((size_t)lines, sizeof *pairs.characters)};
    char path[1000];
    json_t *corpus;
    clock_t start = clock();
    assert_int_equal(each_golden_line(folder, "pairs.jsonl", check_pair, &pairs), lines);
    print_message("%lld pairs in %.2f s\n", (long long)lines, (double)(clock() - start) / CLOCKS_PER_SEC);
    snprintf(path, sizeof path, "%s/corpus.json", folder);
    assert_ok(jdoc_read(path, &corpus));
    json_t *all = json_object_get(corpus, "all"), *empty = json_object_get(corpus, "empty");
    assert_rate(pairs.words, pairs.count, json_number_value(json_object_get(all, "wer")));
    assert_rate(pairs.characters, pairs.count, json_number_value(json_object_get(all, "cer")));
    int64_t count = collect_empty(&pairs);
    assert_int_equal(count, json_integer_value(json_object_get(empty, "pairs")));
    assert_rate(pairs.words, count, json_number_value(json_object_get(empty, "wer")));
    assert_rate(pairs.characters, count, json_number_value(json_object_get(empty, "cer")));
    json_decref(corpus);
    free(pairs.words);
    free(pairs.characters);
}

static void errors_are_those_of_jiwer(void **state)
{
    (void)state;
    check_folder(golden_folder(false), 1000);
}

static void errors_are_those_of_jiwer_in_the_large_set(void **state)
{
    (void)state;
    if (!test_is_long() || !golden_folder(true))
        skip();
    check_folder(golden_folder(true), 100000);
}

/* ---- by hand ---- */

static void cases_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *reference, *hypothesis;
        struct error_counts words, characters;
    } cases[] = {
        {"", "", {0, 0, 0, 0}, {0, 0, 0, 0}},
        {" \t\n", "\xC2\xA0", {0, 0, 0, 0}, {0, 0, 0, 0}},
        {"", "a b", {0, 0, 2, 0}, {0, 0, 3, 0}},
        {"a b", "", {0, 2, 0, 0}, {0, 3, 0, 0}},
        {"the cat sat", "the cat sat", {0, 0, 0, 3}, {0, 0, 0, 11}},
        {"the cat sat", "the bat sat down", {1, 0, 1, 2}, {1, 0, 5, 10}},
        {"the cat sat", "cat", {0, 2, 0, 1}, {0, 8, 0, 3}},
        {"cat", "the cat sat", {0, 0, 2, 1}, {0, 0, 8, 3}},
        {" a  b ", "a b", {0, 0, 0, 2}, {0, 1, 0, 3}}, /* inner spaces are characters that are not merged */
        {"a\tb", "a b", {1, 0, 1, 0}, {1, 0, 0, 2}},   /* a lone tab does not separate */
        {"a\t\tb", "a b", {0, 0, 0, 2}, {1, 1, 0, 2}}, /* two do */
        {"a\xC2\xA0"
         "b",
         "a b",
         {1, 0, 1, 0},
         {1, 0, 0, 2}},
        {"\xC3\xA9", "e\xCC\x81", {1, 0, 0, 0}, {1, 0, 1, 0}}, /* characters are code points, not what is seen */
        {"a", "A", {1, 0, 0, 0}, {1, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error_counts words, characters;
        assert_ok(error_rate_words(cases[i].reference, cases[i].hypothesis, &words));
        assert_ok(error_rate_characters(cases[i].reference, cases[i].hypothesis, &characters));
        if (memcmp(&words, &cases[i].words, sizeof words) != 0)
            fail_msg("words of \"%s\" and \"%s\": found %lld %lld %lld %lld", cases[i].reference, cases[i].hypothesis,
                     (long long)words.substitutions, (long long)words.deletions, (long long)words.insertions,
                     (long long)words.hits);
        if (memcmp(&characters, &cases[i].characters, sizeof characters) != 0)
            fail_msg("characters of \"%s\" and \"%s\": found %lld %lld %lld %lld", cases[i].reference,
                     cases[i].hypothesis, (long long)characters.substitutions, (long long)characters.deletions,
                     (long long)characters.insertions, (long long)characters.hits);
    }
}

/* Three pairs: 1 error of 4 words, 3 of 2, 2 of 0. E = 6, D = 6, so the rate is 1; the residuals are -3, 1 and 2:
 * sqrt(3 / 2 * (9 + 1 + 4)) / 6. The pairs' own rates are 1/4, 3/2 and 2. */
static void rates_by_hand(void **state)
{
    (void)state;
    static const struct error_counts counts[] = {{1, 0, 0, 3}, {0, 2, 1, 0}, {0, 0, 2, 0}};
    struct error_rate rate;
    double mean = (0.25 + 1.5 + 2) / 3;
    double squares = (0.25 - mean) * (0.25 - mean) + (1.5 - mean) * (1.5 - mean) + (2 - mean) * (2 - mean);
    assert_ok(error_rate_estimate(counts, 3, &rate));
    assert_int_equal(rate.total.substitutions, 1);
    assert_int_equal(rate.total.deletions, 2);
    assert_int_equal(rate.total.insertions, 3);
    assert_int_equal(rate.total.hits, 3);
    assert_int_equal(rate.empty_references, 1);
    assert_int_equal(rate.corpus.n, 3);
    assert_true(fabs(rate.corpus.value - 1) < 1e-15);
    assert_true(fabs(rate.corpus.standard_error - sqrt(1.5 * 14) / 6) < 1e-15);
    assert_true(fabs(rate.mean.value - mean) < 1e-15);
    assert_true(fabs(rate.mean.standard_error - sqrt(squares / 2 / 3)) < 1e-15);

    assert_ok(error_rate_estimate(counts + 2, 1, &rate)); /* no word in any reference: the number of insertions */
    assert_true(rate.corpus.value == 2);
    assert_true(isnan(rate.corpus.standard_error));
    assert_ok(error_rate_estimate(counts, 0, &rate));
    assert_true(isnan(rate.corpus.value) && isnan(rate.mean.value) && rate.corpus.n == 0);
}

/* ---- the standard error ---- */

enum { SHORTEST = 5, LONGEST = 35 };

/* The probability that a word of an utterance is wrong: utterances differ (u is drawn for each), and longer ones are harder. */
static double error_probability(double u, int words)
{
    return u * u * u * (0.5 + words / 70.0);
}

static struct error_counts random_utterance(struct rng *rng)
{
    int words = SHORTEST + (int)(rng_uniform(rng) * (LONGEST - SHORTEST + 1));
    double probability = error_probability(rng_uniform(rng), words);
    struct error_counts counts = {0};
    for (int i = 0; i < words; i++)
        if (rng_uniform(rng) < probability)
            counts.substitutions++;
    counts.hits = words - counts.substitutions;
    return counts;
}

/* 2,000 models whose errors cluster by utterance: the interval of 1.96 standard errors holds the rate that they were drawn with
 * in 93 to 97 % of cases. That of independent words, sqrt(p (1 - p) / words), would in far fewer, and the mean of the
 * utterances' rates is another number. */
static void intervals_hold_the_truth(void **state)
{
    (void)state;
    enum { MODELS = 2000, UTTERANCES = 300 };
    static struct error_counts counts[UTTERANCES];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 17, 0);
    double errors = 0, words = 0;
    int held = 0, held_as_words = 0, held_by_mean = 0;
    for (int n = SHORTEST; n <= LONGEST; n++) { /* the mean of u cubed is a quarter */
        errors += n * error_probability(1, n) / 4;
        words += n;
    }
    double truth = errors / words;
    for (int m = 0; m < MODELS; m++) {
        struct error_rate rate;
        for (int i = 0; i < UTTERANCES; i++)
            counts[i] = random_utterance(&rng);
        assert_ok(error_rate_estimate(counts, UTTERANCES, &rate));
        double p = rate.corpus.value, off = fabs(p - truth);
        held += off <= 1.96 * rate.corpus.standard_error;
        held_as_words += off <= 1.96 * sqrt(p * (1 - p) / (double)error_reference(&rate.total));
        held_by_mean += fabs(rate.mean.value - truth) <= 1.96 * rate.mean.standard_error;
    }
    print_message("the truth lies in %.1f %% of the intervals; were words independent, in %.1f %%; by the mean of "
                  "rates, %.1f %%\n",
                  100.0 * held / MODELS, 100.0 * held_as_words / MODELS, 100.0 * held_by_mean / MODELS);
    assert_true(held >= MODELS * 93 / 100 && held <= MODELS * 97 / 100);
    assert_true(held_as_words < MODELS * 90 / 100);
    assert_true(held_by_mean < MODELS * 90 / 100);
}

/* ---- the definition ---- */

/* The fewest errors by the recurrence of the definition, for texts of letters. */
static int64_t distance(const char *a, const char *b)
{
    int64_t table[34][34];
    for (int i = 0; i <= (int)strlen(a); i++)
        for (int j = 0; j <= (int)strlen(b); j++) {
            int64_t best = i == 0 ? j : j == 0 ? i : table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (i > 0 && table[i - 1][j] + 1 < best)
                best = table[i - 1][j] + 1;
            if (j > 0 && table[i][j - 1] + 1 < best)
                best = table[i][j - 1] + 1;
            table[i][j] = best;
        }
    return table[strlen(a)][strlen(b)];
}

static void random_letters(struct rng *rng, char *text, int longest)
{
    int length = (int)(rng_uniform(rng) * (longest + 1));
    for (int i = 0; i < length; i++)
        text[i] = (char)('a' + (int)(rng_uniform(rng) * 3));
    text[length] = 0;
}

static void random_texts_have_the_fewest_errors(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 14, 0);
    for (int i = 0; i < 5000; i++) {
        char a[34], b[34];
        struct error_counts counts;
        random_letters(&rng, a, 33);
        random_letters(&rng, b, 33);
        assert_ok(error_rate_characters(a, b, &counts));
        if (error_sum(&counts) != distance(a, b) || error_reference(&counts) != (int64_t)strlen(a) ||
            error_hypothesis(&counts) != (int64_t)strlen(b) || counts.substitutions < 0 || counts.deletions < 0 ||
            counts.insertions < 0 || counts.hits < 0)
            fail_msg("\"%s\" and \"%s\": %lld errors expected, %lld found", a, b, (long long)distance(a, b),
                     (long long)error_sum(&counts));
    }
}

/* ---- hostile texts ---- */

static char *repeated(const char *piece, int64_t count)
{
    size_t length = strlen(piece);
    char *text = malloc((size_t)count * length + 1), *end = text;
    for (int64_t i = 0; i < count; i++, end += length)
        memcpy(end, piece, length);
    *end = 0;
    return text;
}

static void hostile_texts(void **state)
{
    (void)state;
    struct error_counts counts;
    char *huge = repeated("\xE6\x97\xA5", 3000000), *words = repeated("ab ", 3000000),
         *other = repeated("ba ", 3000000);
    assert_ok(error_rate_words(huge, "a b", &counts)); /* one word of 9 MB */
    assert_true(counts.substitutions == 1 && counts.insertions == 1);
    assert_ok(error_rate_characters(huge, "a", &counts));
    assert_true(counts.substitutions == 1 && counts.deletions == 2999999);
    assert_ok(error_rate_characters(huge, huge, &counts)); /* what is equal needs no table */
    assert_true(counts.hits == 3000000 && error_sum(&counts) == 0);
    assert_ok(error_rate_words(words, "ba", &counts));
    assert_true(counts.substitutions == 1 && counts.deletions == 2999999);
    assert_fails(error_rate_words(words, other, &counts), STATUS_USAGE, "3000000 and 3000000 elements");
    assert_fails(error_rate_words("a", "b\xFF", &counts), STATUS_CORRUPT,
                 "the hypothesis: byte 2 of the text is not UTF-8");
    assert_fails(error_rate_characters("\xED\xA0\x80", "b", &counts), STATUS_CORRUPT, "the reference: byte 1");
    assert_fails(error_rate_characters("ok\xE6\x97", "b", &counts), STATUS_CORRUPT, "byte 3");
    free(huge);
    free(words);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_those_of_jiwer),
        cmocka_unit_test(errors_are_those_of_jiwer_in_the_large_set),
        cmocka_unit_test(cases_by_hand),
        cmocka_unit_test(rates_by_hand),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(random_texts_have_the_fewest_errors),
        cmocka_unit_test(hostile_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
