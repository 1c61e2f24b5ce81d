/* The manifest: what is read, and every error with file and line. */
#include "support/files.h"
#include "support/test_support.h"

#include "data/manifest.h"

#include <stdio.h>
#include <string.h>

static const char *write_manifest(const char *text, int64_t size)
{
    const char *path = test_path("m.jsonl");
    write_plainly(path, text, size < 0 ? (int64_t)strlen(text) : size);
    return path;
}

static void rows_are_read(void **state)
{
    (void)state;
    struct manifest manifest;
    const char *text = "{\"id\": \"a\", \"audio\": \"x/a.wav\", \"text\": \"Hello, \\\"World\\\"!\", \"speaker\": "
                       "\"rm\", \"channel\": 1,"
                       " \"words\": [[\"hello\", 0.1, 0.42], [\"WORLD\", 0.4, 0.8]], \"begin\": 1.5, \"end\": 3,"
                       " \"synthetic\": false, \"source\": \"s\"}\r\n"
                       "\n"
                       "{\"id\": \"b\", \"audio\": \"/abs/b.wav\", \"text\": \"\", \"speaker\": null}\n"
                       "{\"id\": \"c\", \"hubert\": [5, 5, 65535], \"pitch\": [0], \"style\": []}\n"
                       "{\"id\": \"d\", \"text\": \"a text alone\"}";
    const char *path = write_manifest(text, -1);
    assert_ok(manifest_read(path, &manifest));
    assert_int_equal(manifest.count, 4);
    struct sha256 hash = sha256_of(text, strlen(text));
    assert_memory_equal(manifest.hash.bytes, hash.bytes, 32);

    const struct manifest_row *row = manifest.rows;
    char audio[700];
    snprintf(audio, sizeof audio, "%s/x/a.wav", test_directory());
    assert_string_equal(row->audio, audio);
    assert_string_equal(row->speaker, "rm");
    assert_string_equal(row->meta, "{\"source\": \"s\", \"synthetic\": false}");
    assert_int_equal(row->channel, 1);
    assert_true(row->begin == 1.5 && row->end == 3);
    assert_int_equal(row->line, 1);
    assert_int_equal(row->word_count, 2);
    /* 0.1 s = 1600, 0.42 s = 6720; the second begins inside the first and is moved to its end. */
    static const struct aligned_word words[] = {{1600, 6720, 0, 6}, {6720, 12800, 7, 15}};
    assert_memory_equal(row->words, words, sizeof words);

    assert_string_equal(row[1].audio, "/abs/b.wav");
    assert_null(row[1].text);
    assert_null(row[1].speaker);
    assert_null(row[1].meta);
    assert_int_equal(row[1].channel, -1);
    assert_true(row[1].end < 0);
    assert_int_equal(row[1].line, 3);
    assert_int_equal(row[2].unit_count[0], 3);
    assert_int_equal(row[2].units[0][2], 65535);
    assert_int_equal(row[2].unit_count[1], 1);
    assert_null(row[2].units[2]);
    assert_string_equal(row[3].text, "a text alone");
    manifest_free(&manifest);
}

static void errors_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"[1]", "must be a JSON object"},
        {"{\"id\": \"a\"", "m.jsonl:2"},
        {"{\"id\": \"a\"} x", "m.jsonl:2"},
        {"{\"text\": \"t\"}", "\"id\" is missing"},
        {"{\"id\": 3, \"text\": \"t\"}", "\"id\" must be a string"},
        {"{\"id\": \"\", \"text\": \"t\"}", "\"id\" is missing or empty"},
        {"{\"id\": \"good\", \"text\": \"t\"}", "\"good\" was already used on line 1"},
        {"{\"id\": \"a\"}", "none of \"text\", \"audio\" and \"hubert\""},
        {"{\"id\": \"a\", \"text\": \"\"}", "none of \"text\", \"audio\" and \"hubert\""},
        {"{\"id\": \"a\", \"text\": 1}", "\"text\" must be a string"},
        {"{\"id\": \"a\", \"text\": \"\\u0000\"}", "m.jsonl:2"},
        {"{\"id\": \"a\", \"text\": \"\xff\"}", "m.jsonl:2"},
        {"{\"id\": \"a\", \"audio\": true}", "\"audio\" must be a string"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"channel\": -1}", "\"channel\" must be an integer"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"channel\": 0.5}", "\"channel\" must be an integer"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"begin\": -1}", "\"begin\" must be seconds"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"end\": \"1\"}", "\"end\" must be seconds"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"end\": 1e9}", "\"end\" must be seconds"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"begin\": 2, \"end\": 2}", "is not after"},
        {"{\"id\": \"a\", \"text\": \"x\", \"begin\": 2}", "without \"audio\""},
        {"{\"id\": \"a\", \"hubert\": [1, -1]}", "\"hubert\"[1] must be an integer between 0 and 65535"},
        {"{\"id\": \"a\", \"hubert\": [65536]}", "\"hubert\"[0] must be"},
        {"{\"id\": \"a\", \"hubert\": [1.0]}", "\"hubert\"[0] must be"},
        {"{\"id\": \"a\", \"hubert\": 1}", "\"hubert\" must be a list"},
        {"{\"id\": \"a\", \"text\": \"t\", \"pitch\": [1]}", "without \"hubert\""},
        {"{\"id\": \"a\", \"audio\": \"x\", \"words\": [[\"t\", 0, 1]]}", "\"words\" without \"text\""},
        {"{\"id\": \"a\", \"text\": \"t\", \"words\": [[\"t\", 0, 1]]}", "\"words\" without \"audio\""},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t\", \"words\": {}}", "\"words\" must be a list"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t\", \"words\": [[\"t\", 0]]}", "\"words\"[0] must be"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t\", \"words\": [[1, 0, 1]]}", "\"words\"[0] must be"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t\", \"words\": [[\"t\", 1, 0.5]]}", "times 1 to 0.5"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t\", \"words\": [[\"t\", -1, 0.5]]}", "times -1 to 0.5"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t u\", \"words\": [[\"t\", 1, 2], [\"u\", 0.5, 3]]}",
         "\"words\"[1] lies before"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t u\", \"words\": [[\"t\", 1, 3], [\"u\", 2, 2.5]]}",
         "\"words\"[1] lies before"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t u\", \"words\": [[\"u\", 1, 2], [\"t\", 2, 3]]}",
         "\"words\"[1]: \"t\" does not occur"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t u\", \"words\": [[\"-\", 1, 2]]}", "\"-\" does not occur"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[700];
        struct manifest manifest;
        snprintf(text, sizeof text, "{\"id\": \"good\", \"text\": \"t\"}\n%s\n", cases[i].line);
        const char *path = write_manifest(text, -1);
        assert_fails(manifest_read(path, &manifest), STATUS_CORRUPT, cases[i].part);
        assert_non_null(strstr(status_text(), "m.jsonl:2"));
        assert_null(manifest.rows);
    }
}

static void whole_files_are_refused(void **state)
{
    (void)state;
    struct manifest manifest;
    assert_fails(manifest_read("/nonexistent/m.jsonl", &manifest), STATUS_USAGE, "/nonexistent/m.jsonl");
    assert_fails(manifest_read(write_manifest("", -1), &manifest), STATUS_CORRUPT, "no rows");
    assert_fails(manifest_read(write_manifest("\n \n", -1), &manifest), STATUS_CORRUPT, "no rows");
    assert_fails(manifest_read(write_manifest("{\"id\": \"a\", \"text\": \"t\"}\0\n", 26), &manifest), STATUS_CORRUPT,
                 "m.jsonl:1");
}

static void words_are_found_in_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words[8];
        int32_t ranges[16];
    } cases[] = {
        {"The cat's ice-cream", {"the", "cat's", "ice", "cream"}, {0, 3, 4, 9, 10, 14, 14, 19}},
        {"an apple a day", {"an", "a", "day"}, {0, 2, 9, 10, 11, 14}},
        {"cannot stop", {"can", "not", "stop"}, {0, 3, 3, 6, 7, 11}},
        {"They've \xe2\x80\x9cgone\xe2\x80\x9d \xe2\x80\x94 away",
         {"they", "ve", "gone", "away"},
         {0, 5, 5, 7, 8, 18, 23, 27}},
        {"\xc3\x89t\xc3\xa9 \xd0\x9c\xd0\xb8\xd1\x80",
         {"\xc3\xa9T\xc3\x89", "\xd0\xbc\xd0\x98\xd0\xa0"},
         {0, 5, 6, 12}},
        {"\xc0\x80 two", {"two"}, {3, 6}}, /* nor does an overlong NUL end a text */
        {"one, (two) three", {" one", "two", "Three."}, {0, 4, 5, 10, 11, 16}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t position = 0;
        for (int j = 0; j < 8 && cases[i].words[j]; j++) {
            int32_t begin = -1, end = -1;
            assert_true(manifest_find_word(cases[i].text, cases[i].words[j], &position, &begin, &end));
            if (begin != cases[i].ranges[2 * j] || end != cases[i].ranges[2 * j + 1])
                fail_msg("\"%s\" in \"%s\": %d..%d, expected %d..%d", cases[i].words[j], cases[i].text, begin, end,
                         cases[i].ranges[2 * j], cases[i].ranges[2 * j + 1]);
        }
    }
    int64_t position = 0;
    int32_t begin, end;
    assert_false(manifest_find_word("apple", "pple", &position, &begin, &end));
    assert_false(manifest_find_word("a b", "ab", &position, &begin, &end));
    assert_false(manifest_find_word("a b", "", &position, &begin, &end));
    assert_false(manifest_find_word("", "a", &position, &begin, &end));
    assert_false(manifest_find_word("\xc1\xa1", "a", &position, &begin, &end)); /* an overlong "a" is not an "a" */
    assert_int_equal(position, 0);
}

/* Random bytes and random cuts: errors, never a crash. */
static void damaged_manifests_never_crash(void **state)
{
    (void)state;
    static const char text[] =
        "{\"id\": \"a\", \"audio\": \"x\", \"text\": \"hello there\", \"words\": [[\"hello\", 0.1, 0.5]], \"q\": [1]}\n"
        "{\"id\": \"b\", \"hubert\": [1, 2, 3], \"pitch\": [4], \"begin\": 0}\n{\"id\": \"c\", \"text\": "
        "\"\xc3\xa9\"}\n";
    struct rng rng = rng_make(test_seed(), RNG_TEST, 34, 0);
    int read = 0;
    for (int i = 0; i < 1000; i++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        for (uint64_t changes = 1 + rng_below(&rng, 3); changes > 0; changes--)
            copy[rng_below(&rng, sizeof text - 1)] = (char)rng_below(&rng, 256);
        struct manifest manifest;
        int64_t size = rng_below(&rng, 4) ? (int64_t)sizeof text - 1 : (int64_t)rng_below(&rng, sizeof text);
        enum status status = manifest_read(write_manifest(copy, size), &manifest);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        read += status == STATUS_OK;
        if (status == STATUS_OK)
            manifest_free(&manifest);
    }
    printf("%d of 1000 damaged manifests were still valid\n", read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(whole_files_are_refused),
        cmocka_unit_test(words_are_found_in_the_text),
        cmocka_unit_test(damaged_manifests_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
