/* docs/own_corpus.md as its reader follows it: every command of the page runs as it is printed, in a folder with the programs
 * and configs/, on a small corpus of files as people have them. Only the number of steps is lowered. */
#include "support/files.h"
#include "support/test_support.h"

#include "io/audio/audio.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA "/usr/share/pocketsphinx/test/data/"
#define AUSTEN DATA "librivox/sense_and_sensibility_01_austen_64kb-"

static char output[1 << 16];

/* Runs a command in the test's folder, which is also its home; fails on another exit code. */
static const char *expect(int code, const char *command)
{
    int found = run_command(output, sizeof output, "cd '%s' && export HOME=\"$PWD\" && %s", test_directory(), command);
    if (found != code)
        fail_msg("%s: exit %d, expected %d: %s", command, found, code, output);
    return output;
}

/* Recordings in two folders, one with blanks and letters beyond ASCII in its name; an empty file, and a text without audio. */
static int make_corpus(void **state)
{
    static const struct {
        const char *from, *to, *text;
    } clips[] = {
        {DATA "cards/001.wav", "cards/one", "ten of clubs"},
        {DATA "cards/002.wav", "cards/two", "four queen of clubs"},
        {DATA "cards/003.wav", "cards/three", "seven of clubs"},
        {DATA "cards/004.wav", "cards/four", "five five"},
        {DATA "cards/005.wav", "cards/five", "eight of spades four of clubs seven of hearts"},
        {AUSTEN "0870.wav", "Gr\303\274\303\237e an alle/a",
         "And Mister John Dashwood had then leisure to consider how much there might be prudently in his power to do "
         "for "
         "them."},
        {AUSTEN "0880.wav", "Gr\303\274\303\237e an alle/b", "He was not an ill disposed young man,"},
        {AUSTEN "0890.wav", "Gr\303\274\303\237e an alle/c",
         "unless to be rather cold hearted and rather selfish is to be ill disposed."},
        {AUSTEN "0920.wav", "Gr\303\274\303\237e an alle/d",
         "Had he married a more amiable woman, he might have been made still more respectable than he was."},
        {AUSTEN "0930.wav", "Gr\303\274\303\237e an alle/e", "He might even have been made amiable himself."},
    };
    (void)state;
    expect(0, "ln -s '" TEST_PROGRAM_DIRECTORY "' bin && ln -s '" TEST_SOURCE_DIRECTORY "/configs' configs && "
              "mkdir -p recordings/cards 'recordings/Gr\303\274\303\237e an alle' texts");
    for (size_t i = 0; i < sizeof clips / sizeof *clips; i++) {
        char command[1000];
        snprintf(command, sizeof command,
                 "cp '%s' 'recordings/%s.wav' && printf '%%s\\r\\n' '%s' > 'recordings/%s.txt'", clips[i].from,
                 clips[i].to, clips[i].text, clips[i].to);
        expect(0, command);
    }
    expect(0, "touch recordings/cards/empty.wav recordings/.DS_Store && echo of nothing > recordings/notes.txt");
    expect(0, "for i in $(seq 60); do printf 'On the %s. day he was not ill disposed, and had leisure to consider what "
              "he had "
              "done.\\n\\n' $i; done > texts/book.txt");
    return 0;
}

/* The next command of the page, a line that is indented by four blanks, as `line`; NULL at the page's end. */
static const char *next_command(const char *at, char line[2000])
{
    while (*at) {
        const size_t length = strcspn(at, "\n");
        const char *next = at + length + (at[length] == '\n');
        if (strncmp(at, "    ", 4) == 0) {
            assert_true(length < 1900);
            snprintf(line, 2000, "%.*s", (int)length - 4, at + 4);
            return next;
        }
        at = next;
    }
    return NULL;
}

static void expect_speech(const char *name)
{
    float *samples;
    int64_t count;
    double energy = 0;
    assert_ok(audio_read(test_path("%s", name), -1, &samples, &count));
    assert_true(count >= AUDIO_RATE); /* 100 tokens of which most are units of 40 ms: more than a second */
    for (int64_t i = 0; i < count; i++)
        energy += (double)samples[i] * (double)samples[i];
    assert_true(energy > 1e-6 * (double)count); /* not silence */
    free(samples);
}

static void the_page_leads_to_speech(void **state)
{
    (void)state;
    char *page = NULL, line[2000];
    int64_t size = 0;
    int commands = 0, trainings = 0;
    assert_ok(text_file_read(TEST_SOURCE_DIRECTORY "/docs/own_corpus.md", 1 << 20, &page, &size));
    for (const char *at = page; (at = next_command(at, line)) != NULL; commands++) {
        const bool trains = strncmp(line, "bin/train ", 10) == 0;
        if (trains)
            strcat(line, " train.steps=4 train.validate_every=2 train.save_every=2 train.warmup_steps=2");
        trainings += trains;
        expect(0, line);
        if (strstr(line, "bin/import folder"))
            assert_non_null(strstr(output, "1 rejected: there is no audio file for it"));
        if (strstr(line, "bin/prepare"))
            assert_non_null(strstr(output, "empty.wav"));
        if (strstr(line, "bin/generate") && strstr(line, "--output speech"))
            assert_non_null(strstr(output, "s of speech"));
    }
    free(page);
    assert_int_equal(commands, 10);
    assert_int_equal(trainings, 2);
    expect_speech("out/own/samples/sample_0_0.wav");
    expect_speech("out/own/samples/sample_2_0.wav");
    expect(0, "ls out/own/run/report.html out/own/run/evaluation/results_learning.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(the_page_leads_to_speech, make_corpus)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
