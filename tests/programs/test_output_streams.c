/* Output that is a pipe, an open file or standard output itself: it gets the rows and nothing else. The summary, and what would
 * otherwise be a file beside it, goes to standard error, and no file appears anywhere. */
#include "support/files.h"
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

/* In an empty folder; must leave the rows in `rows`, other output in `out` and `err`. $I is the import of two texts, one of
 * them bad. */
static const struct way {
    const char *command;
    bool summary_on_stdout;
} ways[] = {
    {"$I --output /dev/stdout 2> err > rows; : > out", false},
    {"$I --output - 2> err > rows; : > out", false},
    {"$I --output /dev/stdout 2> err | cat > rows; : > out", false},
    {"$I --output - 2> err | cat > rows; : > out", false},
    {"$I --output /dev/fd/1 2> err > rows; : > out", false},
    {"$I --output /proc/self/fd/1 2> err | cat > rows; : > out", false},
    {"$I --output /dev/fd/3 3> rows > out 2> err", false},
    {"$I --output /dev/fd/3 3>> rows > out 2> err", false},
    {"$I --output /dev/stderr 2> err > out; grep '^{\"id\"' err > rows", true}, /* with the warnings */
    {"mkfifo ../pipe; cat ../pipe > rows & $I --output ../pipe > out 2> err; wait; rm ../pipe", false},
    {"ln -s /dev/stdout ../link; $I --output ../link 2> err > rows; : > out; rm ../link", false},
    {"bash -c '\"$B\"/import text ../texts --output >(cat > rows) > out 2> err; while ! [ -s rows ]; do sleep 0.01; "
     "done'",
     false},
};

static char folder[600];

static int in_world(char *text, size_t size, const char *command)
{
    return run_command(text, size, "D='%s' B='%s'; I=\"$B/import text ../texts\"; export D B I; cd \"$D\"; %s", folder,
                       TEST_PROGRAM_DIRECTORY, command);
}

static void must_run(char *text, size_t size, const char *command)
{
    int code = in_world(text, size, command);
    if (code != 0)
        fail_msg("%s: exit %d: %s", command, code, text);
}

static int make_world(void **state)
{
    (void)state;
    char text[4000];
    snprintf(folder, sizeof folder, "%s/world", test_directory());
    must_run(text, sizeof text,
             "mkdir -p \"$D/texts\" && cd \"$D\" && echo hello > texts/a.txt && echo well > texts/b.txt && "
             "printf '\\377\\376\\000' > texts/c.txt && mkdir here");
    return 0;
}

static void rows_come_alone(void **state)
{
    (void)state;
    char text[8000], command[600];
    must_run(text, sizeof text,
             "cd here && $I --output ../expected.jsonl | grep -q 'expected.jsonl: 2 rows' && cd .. && "
             "test -s expected.rejects.jsonl");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        must_run(text, sizeof text, "rm -rf here/*; ls /dev > devices");
        snprintf(command, sizeof command, "cd here; %s", ways[i].command);
        must_run(text, sizeof text, command);
        snprintf(command, sizeof command, "cd here; cmp rows ../expected.jsonl # %.400s", ways[i].command);
        must_run(text, sizeof text, command);
        must_run(text, sizeof text,
                 ways[i].summary_on_stdout ? "grep -q ': 2 rows' here/out"
                                           : "! test -s here/out && grep -q ': 2 rows' here/err");
        if (!ways[i].summary_on_stdout)
            must_run(text, sizeof text, "grep -q '\"rejected\": true, \"source\": \"c.txt\"' here/err");
        must_run(text, sizeof text, "ls -A here | sed '/^\\(rows\\|out\\|err\\)$/d'; ls /dev | diff - devices");
        assert_string_equal(text, "");
    }
}

static void parts_need_files(void **state)
{
    (void)state;
    char text[8000];
    static const char *const outputs[] = {"-", "/dev/stdout", "/dev/null"};
    for (size_t i = 0; i < 3; i++) {
        char command[300];
        snprintf(command, sizeof command, "cd here; $I --split a=0.5,b=0.5 --split-by document --output %s",
                 outputs[i]);
        assert_int_equal(in_world(text, sizeof text, command), STATUS_USAGE);
        assert_non_null(strstr(text, "--split writes several files"));
    }
}

/* A pipe in place of a wav file gets the sound alone. */
static void sound_comes_alone(void **state)
{
    (void)state;
    char text[8000];
    static unsigned char sound[44 + 32000];
    memcpy(sound,
           "RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0"
           "data\0\x7d\0\0",
           44);
    for (int i = 0; i < 16000; i++) {
        int value = (i % 80 - 40) * (i % 1600) / 8;
        sound[44 + 2 * i] = (unsigned char)value;
        sound[45 + 2 * i] = (unsigned char)(value >> 8);
    }
    write_plainly(test_path("world/a.wav"), sound, sizeof sound);
    write_text_in(folder, "rows.jsonl", "{\"id\": \"a\", \"audio\": \"a.wav\"}\n");
    write_text_in(folder, "c.yaml",
                  "tokenizer:\n  folder: tokenizer\n  units: 24\n  pitch_codes: 4\n  iterations: 3\n"
                  "prepare:\n  manifests: [rows.jsonl]\n  output: out\n");
    must_run(text, sizeof text, "$B/prepare --config c.yaml --stage fit");
    must_run(text, sizeof text,
             "$B/tokenize --config c.yaml --decode --output file.wav '[Hu1][Hu2][Hu3]' | grep -q 'file.wav: 3 units'");
    must_run(text, sizeof text,
             "mkfifo pipe.wav; cat pipe.wav > got.wav & $B/tokenize --config c.yaml --decode "
             "--output pipe.wav '[Hu1][Hu2][Hu3]' > said 2> err; wait; cmp got.wav file.wav && ! test -s said "
             "&& grep -q '3 units' err");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_alone),
        cmocka_unit_test(parts_need_files),
        cmocka_unit_test(sound_comes_alone),
    };
    return cmocka_run_group_tests(tests, make_world, NULL);
}
