/* Files of transcripts, and the report that is made of two of them, with values worked out by hand. */
#include "support/files.h"
#include "support/test_support.h"

#include "core/hash.h"
#include "eval/transcripts/wer_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCE "84-1-0000 THE CAT SAT ON THE MAT\n84-1-0001 A DOG\n\n84-1-0002\tGOOD MORNING  \n84-1-0010\n"
#define HYPOTHESIS                                                                                                     \
    "{\"id\": \"84-1-0010\", \"text\": \"uh\"}\n{\"id\": \"84-1-0002\", \"text\": \"Good morning!\", \"more\": 1}\n"   \
    "{\"id\": \"84-1-0001\", \"text\": \"\"}\n{\"id\": \"84-1-0000\", \"text\": \"the cat sat in a mat\"}"

static enum status evaluate(const char *reference, const char *hypothesis, struct wer_options options,
                            struct wer_report *report)
{
    enum status result = wer_evaluate(reference, hypothesis, &options, report);
    if (result != STATUS_OK)
        wer_report_free(report);
    return result;
}

static void write_pair(const char *reference, const char *hypothesis)
{
    write_text(test_path("reference.trans.txt"), reference);
    write_text(test_path("hypothesis.jsonl"), hypothesis);
}

static int64_t sample_count(const struct wer_report *report, size_t index, const char *kind, const char *count)
{
    const json_t *sample = json_array_get(report->samples, index);
    return json_integer_value(json_object_get(json_object_get(sample, kind), count));
}

/* THE CAT SAT ON THE MAT: 2 substitutions of 6; A DOG: 2 deletions of 2; GOOD MORNING: 0 of 2; nothing: 1 insertion. */
static void report_by_hand(void **state)
{
    (void)state;
    struct wer_report report;
    write_pair(REFERENCE, HYPOTHESIS);
    assert_ok(evaluate(test_path("reference.trans.txt"), test_path("hypothesis.jsonl"),
                       (struct wer_options){.form = TEXT_FORM_LIBRISPEECH}, &report));
    assert_int_equal(report.n, 4);
    assert_int_equal(report.n_expected, 4);
    assert_int_equal(report.missing + report.surplus + report.duplicates, 0);
    assert_string_equal(report.protocol, "librispeech");
    assert_int_equal(report.words.total.substitutions, 2);
    assert_int_equal(report.words.total.deletions, 2);
    assert_int_equal(report.words.total.insertions, 1);
    assert_int_equal(report.words.total.hits, 6);
    assert_int_equal(report.words.empty_references, 1);
    assert_true(fabs(report.words.corpus.value - 0.5) < 1e-15);
    /* residuals: 2 - 3, 2 - 1, 0 - 1, 1 - 0 */
    assert_true(fabs(report.words.corpus.standard_error - sqrt(4.0 / 3 * 4) / 10) < 1e-15);
    assert_true(fabs(report.words.mean.value - (2.0 / 6 + 1 + 0 + 1) / 4) < 1e-15);
    /* characters: ON THE to IN A has O to I, T to A, H and E lost; A DOG lost 5; UH has 2 more; 22 + 5 + 12 in all */
    assert_int_equal(error_reference(&report.characters.total), 22 + 5 + 12);
    assert_int_equal(error_sum(&report.characters.total), 4 + 5 + 2);
    assert_int_equal(json_array_size(report.samples), 4);
    assert_int_equal(sample_count(&report, 0, "words", "substitutions"), 2);
    assert_int_equal(sample_count(&report, 1, "words", "deletions"), 2);
    assert_int_equal(sample_count(&report, 2, "words", "hits"), 2);
    assert_int_equal(sample_count(&report, 3, "characters", "insertions"), 2);
    const json_t *sample = json_array_get(report.samples, 2);
    assert_string_equal(json_string_value(json_object_get(sample, "id")), "84-1-0002");
    assert_string_equal(json_string_value(json_object_get(sample, "hypothesis")), "Good morning!");
    assert_string_equal(json_string_value(json_object_get(sample, "hypothesis_form")), "GOOD MORNING");
    struct sha256 hash = sha256_of(HYPOTHESIS, strlen(HYPOTHESIS));
    assert_memory_equal(&report.hypothesis_hash, &hash, sizeof hash);
    wer_report_free(&report);

    /* As they are, every word but those of the empty pairs differs in case. */
    assert_ok(
        evaluate(test_path("reference.trans.txt"), test_path("hypothesis.jsonl"), (struct wer_options){0}, &report));
    assert_int_equal(report.words.total.substitutions, 8);
    assert_int_equal(report.words.total.hits, 0);
    assert_null(json_object_get(json_array_get(report.samples, 0), "reference_form"));
    wer_report_free(&report);

    assert_ok(evaluate(test_path("reference.trans.txt"), test_path("hypothesis.jsonl"),
                       (struct wer_options){.form = TEXT_FORM_WHISPER_ENGLISH}, &report));
    assert_int_equal(error_sum(&report.words.total), 4); /* "uh" is no word there */
    assert_string_equal(report.protocol, "whisper-english without spellings");
    wer_report_free(&report);
}

/* The same lines in any order, as UTF-16, with CRLF and a byte order mark, give the same numbers. */
static void written_otherwise(void **state)
{
    (void)state;
    static const char *const references[] = {
        "84-1-0010\r\n84-1-0002 GOOD MORNING\r\n84-1-0001\tA DOG\r\n  84-1-0000  THE CAT SAT ON THE MAT\r\n",
        "\xEF\xBB\xBF"
        "84-1-0001 A DOG\n84-1-0000 THE CAT SAT ON THE MAT\n84-1-0010 \n84-1-0002 GOOD MORNING",
    };
    for (int i = 0; i < 3; i++) {
        struct wer_report report;
        write_pair(references[i % 2], HYPOTHESIS);
        if (i == 2) { /* little-endian UTF-16 */
            char wide[1000] = "\xFF\xFE";
            int64_t size = 2;
            for (const char *c = REFERENCE; *c; c++, size += 2)
                wide[size] = *c;
            write_plainly(test_path("reference.trans.txt"), wide, size);
        }
        assert_ok(evaluate(test_path("reference.trans.txt"), test_path("hypothesis.jsonl"),
                           (struct wer_options){.form = TEXT_FORM_LIBRISPEECH}, &report));
        assert_int_equal(report.n, 4);
        assert_int_equal(error_sum(&report.words.total), 5);
        assert_int_equal(report.words.total.hits, 6);
        wer_report_free(&report);
    }
}

static void keys_and_integer_ids(void **state)
{
    (void)state;
    struct wer_report report;
    struct wer_options options = {.reference_keys = {"utterance", "asr"}, .hypothesis_keys = {NULL, "prediction"}};
    write_text(test_path("a.jsonl"), "{\"utterance\": 9223372036854775807, \"asr\": \"a\", \"id\": \"x\"}\n"
                                     "{\"utterance\": \"9223372036854775806\", \"asr\": \"b\"}\n"
                                     "{\"utterance\": -9223372036854775808, \"asr\": \"c\"}\n");
    write_text(test_path("b.jsonl"), "{\"id\": 9223372036854775806, \"prediction\": \"b\"}\n"
                                     "{\"id\": -9223372036854775808, \"prediction\": \"c\"}\n"
                                     "{\"id\": \"9223372036854775807\", \"prediction\": \"a\"}\n");
    assert_ok(evaluate(test_path("a.jsonl"), test_path("b.jsonl"), options, &report));
    assert_int_equal(report.words.total.hits, 3);
    assert_int_equal(error_sum(&report.words.total), 0);
    wer_report_free(&report);
    options.hypothesis_keys.text = "text";
    assert_fails(evaluate(test_path("a.jsonl"), test_path("b.jsonl"), options, &report), STATUS_CORRUPT, "b.jsonl:1");
}

static void lone_and_doubled_ids(void **state)
{
    (void)state;
    struct wer_report report;
    const struct wer_options strict = {0}, skip = {.skip = true};
    const char *reference = test_path("reference.trans.txt"), *hypothesis = test_path("hypothesis.jsonl");
    write_pair("a x\nb y\nc z\nd w\n", "{\"id\": \"b\", \"text\": \"y\"}\n{\"id\": \"d\", \"text\": \"w\"}\n");
    assert_fails(evaluate(reference, hypothesis, strict, &report), STATUS_CORRUPT,
                 "hypothesis.jsonl: no hypothesis for a (");
    assert_fails(evaluate(reference, hypothesis, strict, &report), STATUS_CORRUPT,
                 "reference.trans.txt:1); 2 of 4 are missing");
    assert_ok(evaluate(reference, hypothesis, skip, &report));
    assert_int_equal(report.n, 2);
    assert_int_equal(report.n_expected, 4);
    assert_int_equal(report.missing, 2);
    assert_int_equal(report.words.total.hits, 2);
    wer_report_free(&report);

    write_pair("b y\n", "{\"id\": \"b\", \"text\": \"y\"}\n\n{\"id\": \"B\", \"text\": \"w\"}\n");
    assert_fails(evaluate(reference, hypothesis, strict, &report), STATUS_CORRUPT,
                 "hypothesis.jsonl:3: transcript B is not in");
    assert_ok(evaluate(reference, hypothesis, skip, &report));
    assert_int_equal(report.n, 1);
    assert_int_equal(report.surplus, 1);
    wer_report_free(&report);

    write_pair("b y\na x\nb z\nc v\nb q\n", "{\"id\": \"b\", \"text\": \"y\"}\n{\"id\": \"c\", \"text\": \"v\"}\n"
                                            "{\"id\": \"c\", \"text\": \"u\"}\n{\"id\": \"a\", \"text\": \"x\"}\n");
    assert_fails(evaluate(reference, hypothesis, strict, &report), STATUS_CORRUPT,
                 "reference.trans.txt:3: transcript b is already in line 1");
    assert_ok(evaluate(reference, hypothesis, skip, &report)); /* the first of each counts */
    assert_int_equal(report.n, 3);
    assert_int_equal(report.n_expected, 3);
    assert_int_equal(report.duplicates, 3);
    assert_int_equal(report.words.total.hits, 3);
    wer_report_free(&report);

    write_pair("a x\n", "{\"id\": \"b\", \"text\": \"y\"}\n");
    assert_fails(evaluate(reference, hypothesis, skip, &report), STATUS_CORRUPT, "no id in common");
}

static void files_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *error;
        enum status status;
    } cases[] = {
        {"a.csv", "id,text\n", "the ending .jsonl or .txt", STATUS_USAGE},
        {"a.jsonl", "", "there is no transcript", STATUS_CORRUPT},
        {"a.txt", "\n \n", "there is no transcript", STATUS_CORRUPT},
        {"a.jsonl", "\n{\"id\": \"a\", \"text\": \"b\"\n", "a.jsonl:2", STATUS_CORRUPT},
        {"a.jsonl", "[\"a\"]\n", "a.jsonl:1: expected an object", STATUS_CORRUPT},
        {"a.jsonl", "{\"id\": \"a\"}\n", "text", STATUS_CORRUPT},
        {"a.jsonl", "{\"text\": \"a\"}\n", "id", STATUS_CORRUPT},
        {"a.jsonl", "{\"id\": \"\", \"text\": \"a\"}\n", "a.jsonl:1: the id is empty", STATUS_CORRUPT},
        {"a.jsonl", "{\"id\": 1.5, \"text\": \"a\"}\n", "a.jsonl:1", STATUS_CORRUPT},
        {"a.jsonl", "{\"id\": \"a\", \"text\": null}\n", "a.jsonl:1", STATUS_CORRUPT},
        {"a.jsonl", "{\"id\": \"a\", \"text\": \"\\u0000\"}\n", "a.jsonl:1", STATUS_CORRUPT},
        {"a.jsonl", "{\"id\": \"a\", \"text\": \"\xFF\"}\n", "a.jsonl:1", STATUS_CORRUPT},
        {"a.txt", "b c\na b\xC3\n", "a.txt:2: transcript a: byte 2 of the text is not UTF-8", STATUS_CORRUPT},
        {"a.txt", "\xC3 b\n", "a.txt:1: the id: byte 1", STATUS_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct transcripts transcripts;
        write_text(test_path("%s", cases[i].name), cases[i].text);
        assert_fails(transcripts_read(test_path("%s", cases[i].name), (struct transcript_keys){0}, true, &transcripts),
                     cases[i].status, cases[i].error);
        transcripts_free(&transcripts);
    }
    struct transcripts transcripts;
    assert_fails(transcripts_read(test_path("missing.txt"), (struct transcript_keys){0}, false, &transcripts),
                 STATUS_USAGE, "missing.txt");
    transcripts_free(&transcripts);
    write_plainly(test_path("a.txt"), "a b\nc \0d\n", 9);
    assert_fails(transcripts_read(test_path("a.txt"), (struct transcript_keys){0}, false, &transcripts), STATUS_CORRUPT,
                 "a.txt:2: the line contains a NUL");
    transcripts_free(&transcripts);
}

/* Lines up to the limit are read, one byte more is refused; bytes at random are refused or read, nothing else. */
static void hostile_files(void **state)
{
    (void)state;
    struct transcripts transcripts;
    char *text = malloc(TRANSCRIPT_LINE_LIMIT + 16);
    memset(text, 'x', TRANSCRIPT_LINE_LIMIT + 1);
    text[1] = ' ';
    text[TRANSCRIPT_LINE_LIMIT] = '\n';
    write_plainly(test_path("long.txt"), text, TRANSCRIPT_LINE_LIMIT + 1);
    assert_ok(transcripts_read(test_path("long.txt"), (struct transcript_keys){0}, false, &transcripts));
    assert_int_equal(strlen(transcripts.items[0].text), TRANSCRIPT_LINE_LIMIT - 2);
    transcripts_free(&transcripts);
    text[TRANSCRIPT_LINE_LIMIT] = 'x';
    write_plainly(test_path("long.txt"), text, TRANSCRIPT_LINE_LIMIT + 1);
    assert_fails(transcripts_read(test_path("long.txt"), (struct transcript_keys){0}, false, &transcripts),
                 STATUS_CORRUPT, "long.txt:1: expected a line of at most 10485760 bytes");
    transcripts_free(&transcripts);
    free(text);

    struct rng rng = rng_make(test_seed(), RNG_TEST, 16, 0);
    static const char alphabet[] = "ab{}[]\":,\\ \t\r\n\xC3\xA9\xFF\xFE\xEF\xBB\xBFu0idtext";
    int64_t read = 0;
    for (int i = 0; i < 4000; i++) {
        char bytes[64];
        int64_t size = (int64_t)(rng_uniform(&rng) * sizeof bytes);
        for (int64_t j = 0; j < size; j++)
            bytes[j] = alphabet[(int)(rng_uniform(&rng) * (double)sizeof alphabet)]; /* its NUL too */
        const char *path = i % 2 ? test_path("random.jsonl") : test_path("random.txt");
        write_plainly(path, bytes, size);
        enum status result = transcripts_read(path, (struct transcript_keys){0}, i % 4 < 2, &transcripts);
        assert_true(result == STATUS_OK || result == STATUS_CORRUPT);
        read += result == STATUS_OK;
        transcripts_free(&transcripts);
    }
    assert_true(read > 20);
}

/* Every id is found, none beside them, however many there are and in whatever order. */
static void ids_are_found(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct transcripts transcripts;
    char *text = malloc(COUNT * 24), *end = text;
    for (int i = 0; i < COUNT; i++)
        end += sprintf(end, "%d word%d\n", i * 7919 % COUNT * 2, i);
    write_text(test_path("many.txt"), text);
    free(text);
    assert_ok(transcripts_read(test_path("many.txt"), (struct transcript_keys){0}, false, &transcripts));
    assert_int_equal(transcripts.count, COUNT);
    for (int i = -1; i < 2 * COUNT + 1; i++) {
        char id[24];
        snprintf(id, sizeof id, "%d", i);
        const struct transcript *found = transcripts_find(&transcripts, id);
        if (i >= 0 && i < 2 * COUNT && i % 2 == 0)
            assert_string_equal(found->id, id);
        else
            assert_null(found);
    }
    transcripts_free(&transcripts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_by_hand),         cmocka_unit_test(written_otherwise),
        cmocka_unit_test(keys_and_integer_ids),   cmocka_unit_test(lone_and_doubled_ids),
        cmocka_unit_test(files_that_are_refused), cmocka_unit_test(hostile_files),
        cmocka_unit_test(ids_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
