/* Files of prompts: what each line means, which lines are refused, and which files. */
#include "support/files.h"
#include "support/test_support.h"

#include "core/path.h"
#include "generate/describe.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct prompt_settings defaults = {OUTPUT_ANY, 1, 0, 200, 1};

static enum status read_text(const char *text, struct prompt_file *file)
{
    write_plainly(test_path("prompts.jsonl"), text, (int64_t)strlen(text));
    return prompt_file_read(test_path("prompts.jsonl"), &defaults, file);
}

static void expect_piece(const struct piece *piece, enum piece_kind kind, const char *content)
{
    assert_int_equal(piece->kind, kind);
    assert_string_equal(piece->content, content);
}

static void lines_are_what_they_say(void **state)
{
    (void)state;
    struct prompt_file file;
    char sound[PATH_BYTES];
    assert_ok(
        read_text("\xef\xbb\xbf{\"id\": \"a/\xc3\xa9\", \"text\": \" ten \"}\r\n"
                  " \t\r\n"
                  "{\"id\": 17, \"units\": \"[Hu1]\", \"output\": \"speech\", \"seed\": 9223372036854775807}\n"
                  "{\"id\": null, \"speech\": \"[St2][Pi0][Hu11]\", \"samples\": 4096}\n"
                  "{\"speech\": \"sub/[Hu1].wav\", \"min_new_tokens\": 3, \"max_new_tokens\": 4}\n"
                  "{\"id\": \"p\", \"output\": \"text\", \"pieces\": [{\"text\": \"x\"}, {\"speech\": \"/a.flac\"}, "
                  "{\"speech\": \"[Hu1]x\"}, {\"units\": \"[Hu1]x\"}]}\n"
                  "{\"id\": \"nothing\", \"pieces\": []}\n"
                  "{\"string\": \" [Text]the cat [Speech][Hu12]\", \"output\": \"text\", \"samples\": 2}\n"
                  "{\"string\": \" \\n\"}",
                  &file));
    assert_int_equal(file.count, 8);
    for (int64_t i = 0; i < file.count; i++)
        assert_null(file.lines[i].error);
    const struct prompt_line *line = file.lines;
    assert_string_equal(line[0].id, "a/\xc3\xa9");
    assert_int_equal(line[0].line, 1);
    expect_piece(&line[0].pieces[0], PIECE_TEXT, " ten ");
    assert_memory_equal(&line[0].settings, &defaults, sizeof defaults);
    assert_string_equal(line[1].id, "17");
    assert_int_equal(line[1].line, 3);
    assert_int_equal(line[1].settings.output, OUTPUT_SPEECH);
    assert_true(line[1].settings.seed == INT64_MAX);
    expect_piece(&line[1].pieces[0], PIECE_UNITS, "[Hu1]");
    assert_string_equal(line[2].id, "line-4");
    assert_int_equal(line[2].settings.samples, 4096);
    expect_piece(&line[2].pieces[0], PIECE_UNITS, "[St2][Pi0][Hu11]");
    snprintf(sound, sizeof sound, "%s", test_path("sub/[Hu1].wav")); /* beside the file of prompts */
    expect_piece(&line[3].pieces[0], PIECE_AUDIO, sound);
    assert_int_equal(line[3].settings.min_new_tokens, 3);
    assert_int_equal(line[3].settings.max_new_tokens, 4);
    assert_int_equal(line[4].piece_count, 4);
    assert_int_equal(line[4].settings.output, OUTPUT_TEXT);
    expect_piece(&line[4].pieces[1], PIECE_AUDIO, "/a.flac");
    snprintf(sound, sizeof sound, "%s", test_path("[Hu1]x"));
    expect_piece(&line[4].pieces[2], PIECE_AUDIO, sound);
    expect_piece(&line[4].pieces[3], PIECE_UNITS, "[Hu1]x"); /* the model's vocabulary refuses it */
    assert_int_equal(line[5].piece_count, 0);
    assert_int_equal(line[6].piece_count, 1);
    expect_piece(&line[6].pieces[0], PIECE_STRING, " [Text]the cat [Speech][Hu12]"); /* as it stands */
    assert_int_equal(line[6].settings.output, OUTPUT_TEXT);
    assert_int_equal(line[6].settings.samples, 2);
    expect_piece(&line[7].pieces[0], PIECE_STRING, " \n");
    prompt_file_free(&file);
}

/* Each stands between two good lines, which stay good. */
static void a_bad_line_is_bad_alone(void **state)
{
    (void)state;
    static const struct {
        const char *line, *id, *part;
    } cases[] = {
        {"{", "line-2", "not valid JSON"},
        {"nonsense", "line-2", "not valid JSON"},
        {"{\"id\": \"x\", \"text\": \"a\"} {\"id\": \"y\", \"text\": \"b\"}", "line-2", "not valid JSON"},
        {"[\"text\"]", "line-2", "must be a JSON object"},
        {"\"text\"", "line-2", "must be a JSON object"},
        {"{\"id\": \"x\", \"text\": \"\\ud800\"}", "line-2", "not valid JSON"},
        {"{\"id\": \"x\", \"text\": \"a\xff\"}", "line-2", "0xff"},
        {"{\"id\": \"x\", \"text\": \"a\", \"text\": \"b\"}", "line-2", "text"},
        {"{\"id\": \"x\"}", "x", "expected one of \"text\", \"speech\", \"units\" and \"string\""},
        {"{\"id\": \"x\", \"text\": \"a\", \"string\": \"[Text]a\"}", "x", "expected one of"},
        {"{\"id\": \"x\", \"string\": \"a\", \"pieces\": []}", "x", "expected one of"},
        {"{\"id\": \"x\", \"pieces\": [{\"string\": \"[Text]a\"}]}", "x", "piece 1: \"string\" is a whole prompt"},
        {"{\"id\": \"x\", \"pieces\": [{\"text\": \"b\"}, {\"string\": \"a\", \"text\": \"b\"}]}", "x",
         "piece 2: \"string\" is a whole prompt"},
        {"{\"id\": \"x\", \"string\": \"\"}", "x", "\"string\" is empty"},
        {"{\"id\": \"x\", \"string\": [\"a\"]}", "x", "should be a string, found"},
        {"{\"id\": \"x\", \"strings\": \"a\"}", "x", "did you mean \"string\"?"},
        {"{\"id\": \"x\", \"text\": \"a\", \"units\": \"[Hu1]\"}", "x", "expected one of"},
        {"{\"id\": \"x\", \"text\": \"a\", \"pieces\": []}", "x", "expected one of"},
        {"{\"id\": \"x\", \"pieces\": {\"text\": \"a\"}}", "x", "expected one of"},
        {"{\"id\": \"x\", \"pieces\": [\"a\"]}", "x", "piece 1: expected an object"},
        {"{\"id\": \"x\", \"pieces\": [{\"text\": \"a\"}, {}]}", "x", "piece 2: expected an object"},
        {"{\"id\": \"x\", \"pieces\": [{\"text\": \"a\", \"speech\": \"b\"}]}", "x", "piece 1: expected an object"},
        {"{\"id\": \"x\", \"pieces\": [{\"text\": \"a\", \"seed\": 1}]}", "x", "unknown key \"seed\""},
        {"{\"id\": \"x\", \"text\": \"\"}", "x", "\"text\" is empty"},
        {"{\"id\": \"x\", \"text\": \" \\n\\t\"}", "x", "\"text\" is empty"},
        {"{\"id\": \"x\", \"speech\": \"\"}", "x", "\"speech\" is empty"},
        {"{\"id\": \"x\", \"text\": 5}", "x", "should be a string, found a whole number"},
        {"{\"id\": \"x\", \"text\": null}", "x", "should be a string, found null"},
        {"{\"id\": \"\", \"text\": \"a\"}", "line-2", "\"id\" should be"},
        {"{\"id\": 1.5, \"text\": \"a\"}", "line-2", "\"id\" should be"},
        {"{\"id\": [\"x\"], \"text\": \"a\"}", "line-2", "\"id\" should be"},
        {"{\"id\": \"x\", \"text\": \"a\", \"output\": \"audio\"}", "x", "expected text, speech or any"},
        {"{\"id\": \"x\", \"text\": \"a\", \"outptu\": \"text\"}", "x", "did you mean \"output\"?"},
        {"{\"id\": \"x\", \"prompt\": \"a\"}", "x", "unknown key \"prompt\""},
        {"{\"id\": \"x\", \"text\": \"a\", \"seed\": -1}", "x", "\"seed\" is -1"},
        {"{\"id\": \"x\", \"text\": \"a\", \"seed\": 9223372036854775808}", "line-2", "2"},
        {"{\"id\": \"x\", \"text\": \"a\", \"samples\": 0}", "x", "\"samples\" is 0"},
        {"{\"id\": \"x\", \"text\": \"a\", \"samples\": 4097}", "x", "\"samples\" is 4097"},
        {"{\"id\": \"x\", \"text\": \"a\", \"samples\": true}", "x", "found true or false"},
        {"{\"id\": \"x\", \"text\": \"a\", \"max_new_tokens\": 0}", "x", "\"max_new_tokens\" is 0"},
        {"{\"id\": \"x\", \"text\": \"a\", \"min_new_tokens\": -5}", "x", "\"min_new_tokens\" is -5"},
        {"{\"id\": \"x\", \"speech\": \"~nobody/a.wav\"}", "x", "~nobody"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[4096], place[32];
        struct prompt_file file;
        snprintf(text, sizeof text, "{\"text\": \"first\"}\n%s\n{\"text\": \"last\"}\n", cases[i].line);
        assert_ok(read_text(text, &file));
        assert_int_equal(file.count, 3);
        assert_null(file.lines[0].error);
        assert_null(file.lines[2].error);
        assert_string_equal(file.lines[0].id, "line-1");
        assert_string_equal(file.lines[2].id, "line-3");
        if (!file.lines[1].error || !strstr(file.lines[1].error, cases[i].part) ||
            strcmp(file.lines[1].id, cases[i].id) != 0)
            fail_msg("%s: id %s, error %s", cases[i].line, file.lines[1].id, file.lines[1].error);
        snprintf(place, sizeof place, "prompts.jsonl:2: "); /* a reader finds the line */
        assert_non_null(strstr(file.lines[1].error, place));
        json_t *described;
        assert_ok(prompt_error_describe(&file.lines[1], &described));
        assert_string_equal(json_string_value(json_object_get(described, "id")), cases[i].id);
        assert_string_equal(json_string_value(json_object_get(described, "error")), file.lines[1].error);
        json_decref(described);
        prompt_file_free(&file);
    }
}

static void expect_file_refused(const char *text, enum status code, const char *part)
{
    struct prompt_file file;
    assert_fails(read_text(text, &file), code, part);
    assert_null(file.lines);
    assert_int_equal(file.count, 0);
}

static void files_without_a_usable_prompt_are_refused(void **state)
{
    (void)state;
    struct prompt_file file;
    expect_file_refused("", STATUS_CORRUPT, "no prompts");
    expect_file_refused("\n \r\n\t\n", STATUS_CORRUPT, "no prompts");
    expect_file_refused("And the king said\n", STATUS_CORRUPT, "prompts.jsonl:1: ");
    expect_file_refused("And the king said\nunto them\n", STATUS_CORRUPT, "none of the other prompts");
    expect_file_refused("[{\"text\": \"a\"}]", STATUS_CORRUPT, "must be a JSON object");
    expect_file_refused("{\n\"text\": \"a\"\n}", STATUS_CORRUPT, "prompts.jsonl:1: ");
    expect_file_refused(
        "{\"id\": \"a\", \"text\": \"1\"}\n{\"id\": 5, \"text\": \"2\"}\n{\"id\": \"b\", \"text\": \"3\"}\n"
        "{\"id\": \"b\", \"text\": \"4\"}\n{\"id\": \"5\", \"text\": \"5\"}\n",
        STATUS_CORRUPT, "prompts.jsonl:4: the id \"b\" was already used on line 3");
    expect_file_refused("{\"id\": \"line-2\", \"text\": \"1\"}\n{\"text\": \"2\"}\n", STATUS_CORRUPT,
                        "the id \"line-2\" was already used on line 1");
    assert_fails(prompt_file_read(test_path("missing.jsonl"), &defaults, &file), STATUS_USAGE, "missing.jsonl");
    assert_fails(prompt_file_read(test_path("."), &defaults, &file), STATUS_IO, "directory");
}

/* UTF-16, as a shell of Windows writes it, through a pipe. */
static void a_pipe_is_read_to_its_end(void **state)
{
    (void)state;
    static const char line[] = "{\"id\": \"a\", \"speech\": \"x.wav\"}\n";
    int ends[2];
    char path[64];
    struct prompt_file file;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "\xff\xfe", 2), 2);
    for (size_t i = 0; line[i]; i++)
        assert_int_equal(write(ends[1], (const char[2]){line[i], 0}, 2), 2);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_ok(prompt_file_read(path, &defaults, &file));
    assert_int_equal(file.count, 1);
    expect_piece(&file.lines[0].pieces[0], PIECE_AUDIO, "x.wav"); /* not in /dev/fd */
    prompt_file_free(&file);
    close(ends[0]);
}

static void streams_have_a_limit(void **state)
{
    (void)state;
    char *text;
    int64_t size;
    FILE *zeros = fopen("/dev/zero", "r");
    assert_non_null(zeros);
    assert_fails(text_stream_read(zeros, "zeros", 1 << 20, &text, &size), STATUS_CORRUPT, "at most 1048576 bytes");
    fclose(zeros);
    write_plainly(test_path("t"), "\xef\xbb\xbfx\n", 5);
    FILE *file = fopen(test_path("t"), "r");
    assert_ok(text_stream_read(file, "t", 5, &text, &size));
    assert_int_equal(size, 2);
    assert_string_equal(text, "x\n");
    free(text);
    rewind(file);
    assert_fails(text_stream_read(file, "t", 4, &text, &size), STATUS_CORRUPT, "at most 4 bytes");
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_what_they_say),
        cmocka_unit_test(a_bad_line_is_bad_alone),
        cmocka_unit_test(files_without_a_usable_prompt_are_refused),
        cmocka_unit_test(a_pipe_is_read_to_its_end),
        cmocka_unit_test(streams_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
