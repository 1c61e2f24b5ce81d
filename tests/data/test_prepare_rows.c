/* A manifest of which three rows in ten are damaged, in every way that concerns one row: the others are in the dataset,
 * each with its words, and each damaged one is listed with its reason. */
#include "support/files.h"
#include "support/random_words.h"
#include "support/test_support.h"

#include "data/datasets.h"
#include "data/prepare/prepare.h"
#include "io/json.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1000, DAMAGED_IN_TEN = 3 };

/* What comes behind {"id": "r7", of a row that cannot be used; two lines have no id of their own. */
static const char *const damages[] = {
    "\"hubert\": [1, 70000], \"text\": \"one two\"}",
    "\"hubert\": [1, -1], \"text\": \"one two\"}",
    "\"hubert\": [1.5]}",
    "\"hubert\": [\"1\"]}",
    "\"hubert\": 1}",
    "\"hubert\": [1], \"text\": [\"one\"]}",
    "\"hubert\": [1], \"text\": \"one \\u0000 two\"}",
    "\"hubert\": [1], \"text\": \"one \xff two\"}",
    "\"hubert\": [1], \"text\": \"one\", \"text\": \"two\"}",
    "\"hubert\": [1], \"speaker\": 7}",
    "\"hubert\": [1], \"channel\": \"left\"}",
    "\"hubert\": [1], \"begin\": 1}",
    "\"pitch\": [1]}",
    "\"text\": \"\"}",
    "\"hubert\": [1], \"weight\": 1e999}",
    "\"hubert\": [1], \"weight\": NaN}",
    "\"hubert\": [1], \"weight\": -Infinity}",
    "\"hubert\": [1], \"text\": \"\\ud800\"}",
    "\"hubert\": [1], \"text\": \"a\x01\"}",
    "\"hubert\": [1], \"audio\": \"~other/a.wav\"}",
    "\"hubert\": [1], \"words\": [[\"one\", 0, 0.01]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": [[\"two\", 0, 0.01]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": [[\"one\", 0.02, 0.01]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": [[\"one\", null, null]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": [[\"one\", NaN, 1]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": [[\"one\", -1, 0.01]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": [[\"one\", 0, 1e300]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": [[\"one\"]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": {\"one\": 0}}",
    "\"hubert\": [1, 2], \"text\": \"one two\", \"words\": [[\"one\", 0.03, 0.04], [\"two\", 0.01, 0.02]]}",
    "\"hubert\": [1, 2], \"text\": \"one\", \"words\": [[\"one\", 0, 99]]}", /* longer than the units */
    "\"hubert\": [1, 2], \"text\": \"\xe2\x80\x94\", \"words\": [[\"\xe2\x80\x94\", 0, 0.01]]}",
};
enum { DAMAGES = sizeof damages / sizeof *damages };

/* A reason too long for its room ends in the middle of a character. */
static void put_long_damage(FILE *file)
{
    fputs("\"audio\": \"~", file);
    for (int i = 0; i < 600; i++)
        fputs("\xe4\xb8\xad", file);
    fputs("/a.wav\"}\n", file);
}

static void write_rows(const char *path, struct rng *rng, bool *damaged)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0, next = 0; i < ROWS; i++) {
        char word[RANDOM_WORD_BYTES];
        damaged[i] = i % 10 >= 10 - DAMAGED_IN_TEN;
        if (damaged[i] && next % (DAMAGES + 1) == DAMAGES) {
            fputs("{\"hubert\": [1]}\n", file);
            next++;
            continue;
        }
        fprintf(file, "{\"id\": \"r%d\", ", i);
        if (damaged[i]) {
            if (next == DAMAGES - 1)
                put_long_damage(file);
            else
                fprintf(file, "%s\n", damages[next % (DAMAGES + 1)]);
            next++;
            continue;
        }
        put_random_word(rng, word);
        char *other = rewrite_word(rng, word);
        fprintf(file, "\"hubert\": [%d, 2], \"text\": \"%s\xe3\x80\x82\", \"words\": [[\"%s\", 0, 0.05]]}\n", i % 50,
                word, other);
        free(other);
    }
    assert_int_equal(fclose(file), 0);
}

static void the_good_rows_are_there_and_the_bad_ones_listed(void **state)
{
    (void)state;
    bool damaged[ROWS];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 73, 0);
    const char *manifest = test_path("rows.jsonl"), *output = test_path("out");
    struct tokenizer_settings tokenizer = {.folder = "none", .text_model = "", .seed = 1};
    struct prepare_settings settings = {.manifests = {&manifest, 1},
                                        .output = output,
                                        .threads = 2,
                                        .shard_rows = 128,
                                        .minimum_seconds = 0.01,
                                        .maximum_seconds = 60,
                                        .ready = {"mine", "25", "25/2", "1"}};
    struct prepare_options options = {
        .tokenizer = &tokenizer, .prepare = &settings, .stages = PREPARE_ALL, .part = 1, .parts = 1};
    write_rows(manifest, &rng, damaged);
    assert_ok(prepare_run(&options));

    struct dataset *dataset = NULL;
    assert_ok(dataset_open(test_path("out/rows"), &dataset));
    char *rejects = NULL;
    int64_t size = 0, row_number = 0;
    assert_ok(text_file_read(test_path("out/rows/rejects.jsonl"), 1 << 20, &rejects, &size));
    char *line = rejects;
    for (int i = 0; i < ROWS; i++) {
        char id[20];
        snprintf(id, sizeof id, "r%d", i);
        if (!damaged[i]) {
            struct shard_row row;
            assert_ok(dataset_row(dataset, row_number++, &row));
            assert_int_equal(row.id_length, strlen(id));
            assert_memory_equal(row.id, id, strlen(id));
            assert_int_equal(row.word_count, 1);
            assert_int_equal(row.words[0].text_end, row.text_length);
            continue;
        }
        json_t *reject = NULL;
        const char *rejected = NULL, *reason = NULL;
        size_t length = strcspn(line, "\n");
        assert_ok(jdoc_parse("rejects", line, (int64_t)length, &reject));
        assert_ok(jdoc_get_string("rejects", reject, "id", &rejected));
        assert_ok(jdoc_get_string("rejects", reject, "reason", &reason));
        char place[32];
        snprintf(place, sizeof place, "line %d: ", i + 1);
        if (strncmp(reason, place, strlen(place)) != 0 && !strstr(reason, "words outside the audio"))
            fail_msg("row %s: the reason is \"%s\"", id, reason);
        if (*rejected) /* a line that could not be read as JSON has none */
            assert_string_equal(rejected, id);
        json_decref(reject);
        line += length + 1;
    }
    assert_int_equal(*line, 0);
    assert_int_equal(dataset_rows(dataset), row_number);
    assert_int_equal(row_number, ROWS / 10 * (10 - DAMAGED_IN_TEN));
    free(rejects);
    dataset_close(dataset);
}

/* Faults of the file, and a corpus of which nothing is left. */
static void whole_files_are_refused(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"{\"id\": \"a\", \"hubert\": [1]}\n{\"id\": \"b\", \"text\": \"t\"}\n", "separate"},
        {"{\"id\": \"x\"}\n{\"id\": \"a\", \"hubert\": [1]}\n{\"id\": \"b\", \"text\": \"t\"}\n", "m.jsonl:3"},
        {"{\"id\": \"a\", \"hubert\": [1]}\n{\"id\": \"a\", \"hubert\": [1]}\n", "already used"},
        {"{\"id\": \"a\", \"hubert\": [1]}\n{\"id\": \"b\", \"hub\n", "not valid JSON"},
        {"id,text\na,b\n", "not valid JSON"},
        {"{\"id\": \"a\"}\n{\"id\": \"b\", \"hubert\": 1}\n", "none of its 2 rows"},
        {"{\"id\": \"a\", \"hubert\": [1], \"text\": \"t\", \"words\": [[\"t\", 0, 99]]}\n{\"id\": \"b\"}\n",
         "none of its 2 rows"},
    };
    const char *manifest = test_path("m.jsonl"), *output = test_path("refused");
    struct tokenizer_settings tokenizer = {.folder = "none", .text_model = "", .seed = 1};
    struct prepare_settings settings = {.manifests = {&manifest, 1},
                                        .output = output,
                                        .threads = 1,
                                        .shard_rows = 128,
                                        .maximum_seconds = 60,
                                        .ready = {"mine", "25", "25/2", "1"}};
    struct prepare_options options = {
        .tokenizer = &tokenizer, .prepare = &settings, .stages = PREPARE_ALL, .part = 1, .parts = 1};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_text(manifest, files[i][0]);
        assert_fails(prepare_run(&options), STATUS_CORRUPT, files[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_good_rows_are_there_and_the_bad_ones_listed),
        cmocka_unit_test(whole_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
