/* The manifest: what is read, and every error with file and line. */
#include "support/files.h"
#include "support/test_support.h"

#include "data/manifest.h"
#include "io/config.h"

#include <stdio.h>
#include <stdlib.h>
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
    assert_ok(manifest_read(path, NULL, &manifest));
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

/* What is wrong with a row is said in the row; the others are there. */
static void rows_have_faults_of_their_own(void **state)
{
    (void)state;
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"{\"text\": \"t\"}", "\"id\" is missing"},
        {"{\"id\": 3, \"text\": \"t\"}", "\"id\" must be a string"},
        {"{\"id\": \"\", \"text\": \"t\"}", "\"id\" is missing or empty"},
        {"{\"id\": \"a\"}", "none of \"text\", \"audio\" and \"hubert\""},
        {"{\"id\": \"a\", \"text\": \"\"}", "none of \"text\", \"audio\" and \"hubert\""},
        {"{\"id\": \"a\", \"text\": 1}", "\"text\" must be a string"},
        {"{\"id\": \"a\", \"text\": \"\\u0000\"}", "not valid JSON"},
        {"{\"id\": \"a\", \"text\": \"\xff\"}", "not valid JSON"},
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
         "\"words\": \"t\" (number 2) does not occur"},
        {"{\"id\": \"a\", \"audio\": \"x\", \"text\": \"t u\", \"words\": [[\"-\", 1, 2]]}",
         "none of its \"words\" has a letter"},
        {"{\"id\": \"a\", \"text\": \"t\", \"id\": \"a\"}", "duplicate"},
        {"{\"id\": \"a\", \"text\": \"t\", \"n\": 123456789012345678901234567890}", "too big integer"},
        {"{\"id\": \"a\", \"audio\": \"~nobody/x.wav\"}", "\"audio\": ~nobody/x.wav: expected a path"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[700];
        struct manifest manifest;
        snprintf(text, sizeof text, "{\"id\": \"good\", \"text\": \"t\"}\n%s\n{\"id\": \"last\", \"text\": \"u\"}\n",
                 cases[i].line);
        assert_ok(manifest_read(write_manifest(text, -1), NULL, &manifest));
        assert_int_equal(manifest.count, 3);
        assert_int_equal(manifest.faults, 1);
        const struct manifest_row *row = manifest.rows + 1;
        if (!row->fault || !strstr(row->fault, cases[i].part) || strncmp(row->fault, "line 2: ", 8) != 0)
            fail_msg("%s: expected a fault in line 2 with \"%s\", found \"%s\"", cases[i].line, cases[i].part,
                     row->fault ? row->fault : "none");
        assert_int_equal(row->line, 2);
        assert_true(!row->text && !row->audio && !row->meta && !row->speaker && !row->words && !row->units[0]);
        assert_true(row->word_count == 0 && row->unit_count[0] == 0);
        assert_true(!row->id || strcmp(row->id, "a") == 0);
        assert_null(manifest.rows[0].fault);
        assert_string_equal(manifest.rows[2].text, "u");
        manifest_free(&manifest);
        assert_fails(manifest_read(write_manifest(cases[i].line, -1), NULL, &manifest), STATUS_CORRUPT,
                     "none of its 1 rows can be used; the first: line 1: ");
    }
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
        {"{\"id\": \"good\", \"text\": \"t\"}", "\"good\" was already used on line 1"},
        {"audio,text", "not valid JSON"},
        {"{\"id\": \"good\", \"text\": 3}", "\"good\" was already used on line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[700];
        struct manifest manifest;
        snprintf(text, sizeof text, "{\"id\": \"good\", \"text\": \"t\"}\n%s\n", cases[i].line);
        const char *path = write_manifest(text, -1);
        assert_fails(manifest_read(path, NULL, &manifest), STATUS_CORRUPT, cases[i].part);
        assert_non_null(strstr(status_text(), "m.jsonl:2"));
        assert_null(manifest.rows);
    }
}

/* Other tools' names of our keys and misspelt ones, which would otherwise be taken for labels. */
static void foreign_keys_are_refused_by_our_name(void **state)
{
    (void)state;
    static const char *const refused[][2] = {
        {"audio_filepath", "audio"},
        {"audio_path", "audio"},
        {"path", "audio"},
        {"wav", "audio"},
        {"Audio_Filepath", "audio"},
        {"audio-path", "audio"},
        {"file name", "audio"},
        {"auido", "audio"},
        {"adio", "audio"},
        {"audios", "audio"},
        {"AUDIO", "audio"},
        {"transcript", "text"},
        {"sentence", "text"},
        {"txet", "text"},
        {"tex", "text"},
        {"Text", "text"},
        {"wrods", "words"},
        {"word", "words"},
        {"alignments", "words"},
        {"speeker", "speaker"},
        {"client_id", "speaker"},
        {"chanel", "channel"},
        {"offset", "begin"},
        {"Begin", "begin"},
        {"ends", "end"},
        {"hubret", "hubert"},
        {"f0", "pitch"},
        {"stlye", "style"},
    };
    static const char *const labels[] = {"source", "lang",  "gender",  "emotion", "ids",  "it",
                                         "split",  "score", "dataset", "accent",  "year", "style_of_speech"};
    struct manifest manifest;
    char text[700], found[200];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct config_list kept = {(const char **)(uintptr_t)&refused[i][0], 1};
        snprintf(text, sizeof text, "{\"id\": \"a\", \"text\": \"t\"}\n{\"id\": \"b\", \"%s\": 1, \"text\": \"t\"}",
                 refused[i][0]);
        snprintf(found, sizeof found, "m.jsonl:2: unknown key \"%s\"; did you mean \"%s\"?", refused[i][0],
                 refused[i][1]);
        assert_fails(manifest_read(write_manifest(text, -1), NULL, &manifest), STATUS_CORRUPT, found);
        assert_non_null(strstr(status_text(), "manifest.labels"));
        assert_ok(manifest_read(write_manifest(text, -1), &kept, &manifest));
        snprintf(found, sizeof found, "{\"%s\": 1}", refused[i][0]);
        assert_string_equal(manifest.rows[1].meta, found);
        manifest_free(&manifest);
    }
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        snprintf(text, sizeof text, "{\"id\": \"b\", \"%s\": 1, \"text\": \"t\"}", labels[i]);
        assert_ok(manifest_read(write_manifest(text, -1), NULL, &manifest));
        assert_non_null(manifest.rows[0].meta);
        manifest_free(&manifest);
    }
    assert_fails(
        manifest_read(write_manifest("{\"id\": \"b\", \"text\": \"t\", \"duration\": 2}", -1), NULL, &manifest),
        STATUS_CORRUPT, "\"duration\"; the audio itself");
    const char *own = "text";
    struct config_list wrong = {&own, 1};
    assert_fails(manifest_read(write_manifest("{\"id\": \"b\", \"text\": \"t\"}", -1), &wrong, &manifest), STATUS_USAGE,
                 "manifest.labels: \"text\"");
}

static void byte_order_marks_are_skipped(void **state)
{
    (void)state;
    struct manifest manifest;
    static const char utf8[] =
        "\xef\xbb\xbf{\"id\": \"a\", \"text\": \"t\"}\n\xef\xbb\xbf{\"id\": \"b\", \"text\": \"\xc3\xa9\"}\n";
    static const char utf16[] =
        "\xff\xfe{\0\"\0i\0d\0\"\0:\0\"\0\xe9\0\"\0,\0\"\0t\0e\0x\0t\0\"\0:\0\"\0\x3d\xd8\x00\xde\"\0}\0";
    assert_ok(manifest_read(write_manifest(utf8, -1), NULL, &manifest)); /* two files, one behind the other */
    assert_int_equal(manifest.count, 2);
    assert_string_equal(manifest.rows[0].id, "a");
    manifest_free(&manifest);
    assert_ok(manifest_read(write_manifest(utf16, sizeof utf16 - 1), NULL, &manifest));
    assert_string_equal(manifest.rows[0].id, "\xc3\xa9");
    assert_string_equal(manifest.rows[0].text, "\xf0\x9f\x98\x80");
    manifest_free(&manifest);
}

static void home_folders_are_found(void **state)
{
    (void)state;
    struct manifest manifest;
    setenv("HOME", "/home/somebody", 1);
    assert_ok(manifest_read(
        write_manifest("{\"id\": \"a\", \"audio\": \"~/x.wav\"}\n{\"id\": \"b\", \"audio\": \"~x.wav\"}", -1), NULL,
        &manifest));
    assert_string_equal(manifest.rows[0].audio, "/home/somebody/x.wav");
    char expected[700];
    snprintf(expected, sizeof expected, "%s/~x.wav", test_directory());
    assert_string_equal(manifest.rows[1].audio, expected);
    manifest_free(&manifest);
}

static void whole_files_are_refused(void **state)
{
    (void)state;
    struct manifest manifest;
    assert_fails(manifest_read("/nonexistent/m.jsonl", NULL, &manifest), STATUS_USAGE, "/nonexistent/m.jsonl");
    assert_fails(manifest_read(write_manifest("", -1), NULL, &manifest), STATUS_CORRUPT, "no rows");
    assert_fails(manifest_read(write_manifest("\n \n", -1), NULL, &manifest), STATUS_CORRUPT, "no rows");
    assert_fails(manifest_read(write_manifest("{\"id\": \"a\", \"text\": \"t\"}\0\n", 26), NULL, &manifest),
                 STATUS_CORRUPT, "m.jsonl:1");
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
        enum status status = manifest_read(write_manifest(copy, size), NULL, &manifest);
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
        cmocka_unit_test(rows_have_faults_of_their_own),
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(foreign_keys_are_refused_by_our_name),
        cmocka_unit_test(byte_order_marks_are_skipped),
        cmocka_unit_test(home_folders_are_found),
        cmocka_unit_test(whole_files_are_refused),
        cmocka_unit_test(damaged_manifests_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
