/* The command line that all programs share. */
#include "support/test_support.h"

#include "core/utf8.h"
#include "programs/common/program.h"
#include "programs/common/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct program_option options[] = {
    {"--text", "TEXT", "a piece of text", true}, {"--count", "N", "how many", false},
    {"--quick", NULL, "a flag", false},          {"--out", "DIR", "a folder", false},
    {"--from", "auto|PATH", "a place", false},   {"--get", "KEY.PATH", "no path", false},
};
static const struct program program = {
    .name = "sample",
    .usage = "--config FILE",
    .summary = "Nothing.",
    .example = "sample",
    .options = options,
    .option_count = 6,
    .takes_config = true,
    .takes_arguments = true,
};
static const struct program strict = {.name = "strict", .options = options, .option_count = 3, .takes_config = true};

enum { MOST = 12 };

static enum status parse(const struct program *which, const char *const *words, struct program_arguments *arguments)
{
    static char copies[MOST][80];
    char *argv[MOST + 1];
    int argc = 0;
    for (; argc < MOST && words[argc]; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    return program_parse(which, argc, argv, arguments);
}

static void order_and_values_are_kept(void **state)
{
    (void)state;
    static const char *const words[] = {"sample", "--text", "a=b",     "one.wav", "--text=-x", "--config",
                                        "c.yaml", "k.a=1",  "--quick", "--",      "--text",    NULL};
    struct program_arguments arguments;
    assert_ok(parse(&program, words, &arguments));
    static const struct program_argument expected[] = {
        {"--text", "a=b"}, {NULL, "one.wav"}, {"--text", "-x"}, {"--quick", NULL}, {NULL, "--text"}};
    assert_int_equal(arguments.count, 5);
    for (int i = 0; i < 5; i++) {
        assert_true(!arguments.items[i].option == !expected[i].option);
        assert_true(!arguments.items[i].value == !expected[i].value);
        if (expected[i].option)
            assert_string_equal(arguments.items[i].option, expected[i].option);
        if (expected[i].value)
            assert_string_equal(arguments.items[i].value, expected[i].value);
    }
    assert_string_equal(arguments.config, "c.yaml");
    assert_int_equal(arguments.override_count, 1);
    assert_string_equal(arguments.overrides[0], "k.a=1");
    assert_true(program_flag(&arguments, "--quick"));
    assert_string_equal(program_value(&arguments, "--text", "none"), "-x");
    assert_string_equal(program_value(&arguments, "--count", "none"), "none");
    program_arguments_free(&arguments);
}

static void home_folders_are_replaced_in_paths(void **state)
{
    (void)state;
    static const char *const words[] = {"sample", "--text", "~/a",   "~/b", "--config=~/c", "--out=~",
                                        "--from", "~/d",    "--get", "~/e", "~f",           NULL};
    struct program_arguments arguments;
    setenv("HOME", "/home/somebody", 1);
    assert_ok(parse(&program, words, &arguments));
    assert_string_equal(program_value(&arguments, "--text", ""), "~/a");
    assert_string_equal(program_value(&arguments, "--out", ""), "/home/somebody");
    assert_string_equal(program_value(&arguments, "--from", ""), "/home/somebody/d");
    assert_string_equal(program_value(&arguments, "--get", ""), "~/e");
    assert_string_equal(arguments.config, "/home/somebody/c");
    assert_string_equal(arguments.items[1].value, "/home/somebody/b");
    assert_string_equal(arguments.items[arguments.count - 1].value, "~f");
    program_arguments_free(&arguments);
    static const char *const other[] = {"sample", "--out", "~root/x", NULL};
    assert_fails(parse(&program, other, &arguments), STATUS_USAGE, "--out: ~root/x: expected a path");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *part;
    } cases[] = {
        {{"strict", "--txt", "a"}, "unknown option --txt; did you mean --text?"},
        {{"strict", "--confg=a"}, "unknown option --confg; did you mean --config?"},
        {{"strict", "--text"}, "option --text needs a value: TEXT"},
        {{"strict", "--quick=1"}, "option --quick takes no value"},
        {{"strict", "--count", "1", "--count", "2"}, "option --count is given twice"},
        {{"strict", "--config", "1", "--config", "2"}, "option --config is given twice"},
        {{"strict", "a.wav"}, "unexpected argument \"a.wav\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct program_arguments arguments;
        assert_fails(parse(&strict, cases[i].words, &arguments), STATUS_USAGE, cases[i].part);
    }
}

static void integers_are_ranged(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "3x", "0", "11", "99999999999999999999"};
    struct program_arguments arguments;
    int64_t value;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *words[] = {"sample", "--count", bad[i], NULL};
        assert_ok(parse(&program, words, &arguments));
        assert_fails(program_integer(&arguments, "--count", 1, 10, 5, &value), STATUS_USAGE, "between 1 and 10");
        program_arguments_free(&arguments);
    }
    static const char *const good[] = {"sample", "--count", "10", NULL}, *const absent[] = {"sample", NULL};
    assert_ok(parse(&program, good, &arguments));
    assert_ok(program_integer(&arguments, "--count", 1, 10, 5, &value));
    assert_int_equal(value, 10);
    program_arguments_free(&arguments);
    assert_ok(parse(&program, absent, &arguments));
    assert_ok(program_integer(&arguments, "--count", 1, 10, 5, &value));
    assert_int_equal(value, 5);
    program_arguments_free(&arguments);
}

static void settings_know_their_defaults(void **state)
{
    (void)state;
    struct program_arguments arguments;
    struct settings settings;
    static const char *const words[] = {"sample", "prepare.manifests=a.jsonl,b.jsonl", "prepare.output=out", NULL};
    assert_ok(parse(&program, words, &arguments));
    assert_ok(settings_load(&arguments, SETTINGS_PREPARE | SETTINGS_TOKENIZER, &settings));
    assert_int_equal(settings.prepare.manifests.count, 2);
    assert_string_equal(settings.prepare.manifests.items[1], "b.jsonl");
    assert_int_equal(settings.prepare.fit.count, 0);
    assert_string_equal(settings.tokenizer.text_model, "");
    assert_int_equal(settings.tokenizer.units, 100);
    settings_free(&settings);
    program_arguments_free(&arguments);
    static const char *const none[] = {"sample", NULL};
    assert_ok(parse(&program, none, &arguments));
    assert_fails(settings_load(&arguments, SETTINGS_PREPARE, &settings), STATUS_USAGE, "prepare.manifests");
    settings_free(&settings);
    assert_ok(settings_load(&arguments, SETTINGS_TOKENIZER, &settings));
    settings_free(&settings);
    program_arguments_free(&arguments);
}

/* What bash makes of a command line that was written down, as the arguments with a NUL behind each. */
static int64_t read_by_bash(const char *line, char *read, size_t room)
{
    char path[700], command[900];
    snprintf(path, sizeof path, "%s/command", test_directory());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "printf '%%s\\0' %s\n", line);
    fclose(file);
    snprintf(command, sizeof command, "LC_ALL=C.UTF-8 bash '%s'", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    int64_t size = (int64_t)fread(read, 1, room, pipe);
    assert_int_equal(pclose(pipe), 0);
    return size;
}

static void command_lines_can_be_run_again(void **state)
{
    (void)state;
    enum { WORDS = 400, LONGEST = 24 };
    static char words[WORDS][LONGEST + 1], expected[WORDS * (LONGEST + 1)], found[sizeof expected + 1];
    static const char *const pieces[] = {"a",    "'",   "\\", "$x", "\n", "\xe9", "\xc3\xa9", "\x1b", "\xe2\x80\xae",
                                         " ",    "!",   "#",  "1",  "~",  "\"",   "`",        "*",    "=",
                                         "\x7f", "\xff"};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 93, 0);
    char *argv[WORDS];
    size_t used = 0;
    for (int i = 0; i < WORDS; i++) {
        int count = (int)rng_below(&rng, 7);
        for (int j = 0; j < count; j++)
            strcat(words[i], pieces[rng_below(&rng, sizeof pieces / sizeof *pieces)]);
        argv[i] = words[i];
        memcpy(expected + used, words[i], strlen(words[i]) + 1);
        used += strlen(words[i]) + 1;
    }
    char *line = program_command_line(WORDS, argv);
    assert_non_null(line);
    for (const char *at = line; *at;) { /* text that a terminal shows and JSON can hold */
        uint32_t code;
        size_t size = utf8_decode(at, SIZE_MAX, &code);
        assert_true(size > 0 && !utf8_is_unsafe(code));
        at += size;
    }
    assert_int_equal(read_by_bash(line, found, sizeof found), used);
    assert_memory_equal(found, expected, used);
    free(line);
    char *plain[] = {"bin/train", "--config", "caf\xc3\xa9.yaml", "train.run=a b"};
    line = program_command_line(4, plain);
    assert_string_equal(line, "bin/train --config caf\xc3\xa9.yaml 'train.run=a b'");
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_values_are_kept),    cmocka_unit_test(home_folders_are_replaced_in_paths),
        cmocka_unit_test(mistakes_are_named),           cmocka_unit_test(integers_are_ranged),
        cmocka_unit_test(settings_know_their_defaults), cmocka_unit_test(command_lines_can_be_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
