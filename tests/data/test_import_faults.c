/* What is wrong with one item of a corpus costs that item, or less: the rest is imported, and what was left out or
 * changed is listed. Times that go back are compared with a search of all subsets. */
#include "support/files.h"
#include "support/import_files.h"
#include "support/test_support.h"

#include "data/manifest.h"
#include "data/prepare/import/import_rows.h"
#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- times ---- */

enum { WORDS = 10 };

struct span {
    int start, end; /* tenths of a second */
};

/* The most words that can be kept so that neither starts nor ends go back. */
static int most_in_order(const struct span *spans, int count)
{
    int most = 0;
    for (unsigned subset = 1; subset < 1u << count; subset++) {
        int kept = 0, last = -1;
        bool good = true;
        for (int i = 0; good && i < count; i++) {
            if (!(subset >> i & 1))
                continue;
            good = last < 0 || (spans[i].start >= spans[last].start && spans[i].end >= spans[last].end);
            last = i;
            kept++;
        }
        most = good && kept > most ? kept : most;
    }
    return most;
}

static void random_spans(struct rng *rng, struct span *spans, int count)
{
    for (int i = 0; i < count; i++) {
        spans[i].start = 5 * i + (int)rng_below(rng, 6);
        if (rng_below(rng, 6) == 0)
            spans[i].start = (int)rng_below(rng, 60);
        spans[i].end = spans[i].start + (int)rng_below(rng, 6);
    }
}

static void the_fewest_words_lose_their_times(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 73, 0);
    int64_t rounds = test_is_long() ? 20000 : 100, dropped = 0, untimed = 0;
    put_audio("times/a.wav");
    for (int64_t round = 0; round < rounds; round++) {
        struct span spans[WORDS];
        char text[2000];
        int count = 1 + (int)rng_below(&rng, WORDS), used = sprintf(text, "{\"words\": [");
        struct manifest manifest;
        random_spans(&rng, spans, count);
        for (int i = 0; i < count; i++)
            used += sprintf(text + used, "%s{\"word\": \"w%c\", \"start\": %d.%d, \"end\": %d.%d}", i ? ", " : "",
                            'a' + i, spans[i].start / 10, spans[i].start % 10, spans[i].end / 10, spans[i].end % 10);
        sprintf(text + used, "]}");
        put_file("times/a.json", text);
        struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_WHISPER}, "times");
        int most = most_in_order(spans, count), expected = (count - most) * 3 > count ? 0 : most;
        if (counts.words != expected)
            fail_msg("round %lld: %s: %lld words, expected %d", (long long)round, text, (long long)counts.words,
                     expected);
        assert_int_equal(counts.reasons[IMPORT_TIMES_BACK], expected > 0 ? count - most : 0);
        assert_int_equal(counts.reasons[IMPORT_BAD_TIMES], expected == 0);
        dropped += expected > 0 ? count - most : 0;
        untimed += expected == 0;
        assert_ok(manifest_read(test_path("times.jsonl"), NULL, &manifest));
        assert_int_equal(manifest.rows[0].word_count, expected);
        for (int64_t i = 0; i < expected; i++) { /* a moved start is the only change */
            int index = manifest.rows[0].text[manifest.rows[0].words[i].text_begin + 1] - 'a';
            assert_int_equal(manifest.rows[0].words[i].end, spans[index].end * 1600);
            assert_true(manifest.rows[0].words[i].start >= spans[index].start * 1600);
        }
        manifest_free(&manifest);
    }
    printf("%lld times dropped, %lld rows without times\n", (long long)dropped, (long long)untimed);
    assert_true(dropped > 0 && untimed > 0);
}

/* An hour's words with one outlier at each end: quick, and only the outliers are lost. */
static void long_recordings(void **state)
{
    (void)state;
    enum { LONG = 12000 };
    char *text = malloc(LONG * 64 + 100);
    assert_non_null(text);
    int used = sprintf(text, "{\"word_segments\": [");
    for (int i = 0; i < LONG; i++) {
        double start = i == 3 ? 3500 : i == LONG - 3 ? 0.5 : 0.3 * i;
        used += sprintf(text + used, "%s{\"word\": \"w%d\", \"start\": %.1f, \"end\": %.1f}", i ? ", " : "", i, start,
                        start + 0.2);
    }
    sprintf(text + used, "]}");
    put_audio("hour/a.wav");
    put_file("hour/a.json", text);
    free(text);
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_WHISPER}, "hour");
    assert_int_equal(counts.words, LONG - 2);
    assert_int_equal(counts.reasons[IMPORT_TIMES_BACK], 2);
}

/* "no no no yes" without the first no: the second would be found in its place. */
static void repeated_words(void **state)
{
    (void)state;
    put_audio("twice/a.wav");
    put_file("twice/a.json",
             "{\"text\": \"oh no no yes it is so\", \"words\": [{\"word\": \"oh\", \"start\": 0, \"end\": 0.1},"
             " {\"word\": \"no\"}, {\"word\": \"no\", \"start\": 1, \"end\": 1.5},"
             " {\"word\": \"yes\", \"start\": 2, \"end\": 2.5}, {\"word\": \"it\", \"start\": 3, \"end\": 3.1},"
             " {\"word\": \"is\", \"start\": 3.25, \"end\": 3.5}, {\"word\": \"so\", \"start\": 4, \"end\": 4.5}]}");
    import_ok((struct import_options){.kind = IMPORT_WHISPER}, "twice");
    expect_file("twice.jsonl",
                "{\"audio\": \"twice/a.wav\", \"id\": \"a\", \"text\": \"oh no no yes it is so\", \"words\": "
                "[[\"oh\", 0.0, 0.10000000000000001], [\"yes\", 2.0, 2.5], [\"it\", 3.0, 3.1000000000000001], "
                "[\"is\", 3.25, 3.5], [\"so\", 4.0, 4.5]]}\n");
    expect_notes("twice.rejects.jsonl", "a.json: a word without a valid time: kept in the text\n");
}

/* A folder of audio alone is meant to be one; a few texts that are missing are not. */
static void speech_without_text(void **state)
{
    (void)state;
    put_audio("alone/a.wav");
    put_audio("alone/b.wav");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_FOLDER}, "alone");
    assert_int_equal(counts.reasons[IMPORT_SPEECH_ALONE], 0);
    assert_int_not_equal(access(test_path("alone.rejects.jsonl"), F_OK), 0);
    put_file("alone/b.txt", "one");
    import_ok((struct import_options){.kind = IMPORT_FOLDER}, "alone");
    expect_notes("alone.rejects.jsonl", "a.wav: audio without a text: kept as speech alone\n");
}

static void overlaps_are_moved_and_counted(void **state)
{
    (void)state;
    put_audio("over/u.wav");
    put_file("over/x.ctm", "u 1 0 0.5 a\nu 1 0.48 0.5 b\nu 1 0.75 0.5 c\n");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_CTM}, "over/x.ctm");
    assert_int_equal(counts.words, 3);
    assert_int_equal(counts.reasons[IMPORT_OVERLAP], 1); /* 0.02 s is rounding, 0.23 s is not */
}

/* ---- labels, tiers, channels ---- */

static void labels_that_are_no_words(void **state)
{
    (void)state;
    static const char *const silences[] = {
        "",      " ", "sil", "SIL", "sp", "<eps>", "<sil>", "<p:>",         "[SIL]",     "(sil)",       "!SIL",
        "{pau}", "#", "...", "@",   "-",  "<s>",   "</s>",  "\xe2\x80\x94", "<silence>", "\xe2\x80\x8b"};
    static const char *const noises[] = {"<unk>",       "<UNK>",    "spn",         "[noise]",     "[laughter-x]",
                                         "{LG}",        "{NS}",     "%HESITATION", "%hesitation", "(%uh)",
                                         "++breath++",  "*cough*",  "+um+",        "((xx))",      "<nib>",
                                         "<laugh: ha>", "&=laughs", "!EXIT"};
    static const char *const words[] = {"he",          "noise", "pause", "silence", "p",
                                        "s",           "I",     "(um)",  "it's",    "5",
                                        "50%",         "AT&T",  "Silas", "sps",     "um",
                                        "l'an",        "C++",   "x[1]",  "a>b",     "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
                                        "\xe4\xb8\xad"};
    for (size_t i = 0; i < sizeof silences / sizeof *silences; i++)
        if (!import_is_silence(silences[i]) || !import_is_noise(silences[i]))
            fail_msg("\"%s\" is silence", silences[i]);
    for (size_t i = 0; i < sizeof noises / sizeof *noises; i++)
        if (import_is_silence(noises[i]) || !import_is_noise(noises[i]))
            fail_msg("\"%s\" is noise", noises[i]);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (import_is_silence(words[i]) || import_is_noise(words[i]))
            fail_msg("\"%s\" is a word", words[i]);
}

struct tier {
    const char *name, *labels; /* one label per second, '|' between */
};

/* Praat's short format. */
static void put_tiers(const char *path, const struct tier *tiers, int count)
{
    char text[4000];
    int used = sprintf(text, "\"ooTextFile\"\n\"TextGrid\"\n0\n9\n<exists>\n%d\n", count);
    for (int i = 0; i < count; i++) {
        char labels[500], *state = NULL;
        int number = 1, second = 0;
        for (const char *c = tiers[i].labels; *c; c++)
            number += *c == '|';
        snprintf(labels, sizeof labels, "%s", tiers[i].labels);
        used += sprintf(text + used, "\"IntervalTier\"\n\"%s\"\n0\n9\n%d\n", tiers[i].name, number);
        for (char *label = strtok_r(labels, "|", &state); label; label = strtok_r(NULL, "|", &state), second++)
            used += sprintf(text + used, "%d\n%d\n\"%s\"\n", second, second + 1, strcmp(label, "_") ? label : "");
    }
    put_file(path, text);
}

static void tiers_by_name(void **state)
{
    (void)state;
    static const struct {
        struct tier tiers[3];
        const char *wanted, *text; /* text NULL: rejected */
    } cases[] = {
        {{{"words", "he|said"}, {"phones", "HH|S"}}, NULL, "he said"},
        {{{"Words", "he|said"}, {"Phones", "HH|S"}}, NULL, "he said"},
        {{{"phone", "HH|S"}, {"WORD", "he|said"}}, NULL, "he said"},
        {{{"Alice - phone", "HH|S"}, {"Alice - word", "he|said"}}, NULL, "he said"},
        {{{"MAU", "HH|S"}, {"ORT-MAU", "he|said"}}, NULL, "he said"},
        {{{"phones@A", "HH|S"}, {"words@A", "he|said"}}, NULL, "he said"},
        {{{"alice - words", "one|_|three"}, {"bob - words", "_|two|_"}, {"bob - phones", "T"}}, NULL, "one two three"},
        {{{"words", "one|_|three"}, {"bob - words", "_|two|_"}}, NULL, "one two three"},
        {{{"alice - words", "one|_|three"}, {"bob - words", "_|two|_"}}, "bob - words", "two"},
        {{{"alice - words", "one|_|three"}, {"bob - words", "_|two|_"}}, "BOB - Words", "two"},
        {{{"alice - words", "one|_|three"}, {"bob - words", "_|two|_"}}, "words", "one two three"},
        {{{"Alice - token", "one|_|three"}, {"Alice - sound", "X"}}, "token", "one three"},
        {{{"utterance", "he said so|and left"}}, NULL, "he said so and left"},
        {{{"utterance", "he said so|and left"}, {"notes", "x"}}, "utterance", "he said so and left"},
        {{{"keywords", "one|two"}, {"other", "x"}}, NULL, NULL},
        {{{"wordsmith", "one|two"}, {"other", "x"}}, NULL, NULL},
        {{{"a", "one|two"}, {"b", "x"}}, NULL, NULL},
        {{{"words", "sil|<p:>|_"}}, NULL, NULL},
        {{{"a - words", "two words|_|x"}, {"b - words", "_|y"}}, NULL, "two words y x"},
    };
    put_audio("tiers/good.wav");
    put_audio("tiers/x.wav");
    put_tiers("tiers/good.textgrid",
              (struct tier[]){{"words", "fine"}, {"utterance", "fine"}, {"token", "fine"}, {"bob - words", "fine"}}, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int count = 0;
        struct manifest manifest;
        while (count < 3 && cases[i].tiers[count].name)
            count++;
        put_tiers("tiers/x.TextGrid", cases[i].tiers, count);
        struct import_options options = {.kind = IMPORT_TEXTGRID, .tier = cases[i].wanted};
        struct import_counts counts = import_ok(options, "tiers");
        assert_ok(manifest_read(test_path("tiers.jsonl"), NULL, &manifest));
        if (counts.rows != (cases[i].text ? 2 : 1) || (cases[i].text && strcmp(manifest.rows[1].text, cases[i].text)))
            fail_msg("case %zu: %lld rows, \"%s\"", i, (long long)counts.rows, manifest.rows[counts.rows - 1].text);
        assert_int_equal(counts.rejected, !cases[i].text);
        manifest_free(&manifest);
    }
    put_tiers("one/x.TextGrid", cases[16].tiers, 2);
    put_audio("one/x.wav");
    import_fails((struct import_options){.kind = IMPORT_TEXTGRID}, "one", STATUS_CORRUPT, "there are: \"a\", \"b\"");
}

static void ctm_channels(void **state)
{
    (void)state;
    static const struct {
        const char *channels; /* one character per word of the utterance u */
        bool zero;            /* another utterance has a channel 0 */
        const char *expected; /* the channels of its rows, - for none */
    } cases[] = {{"1", false, "-"},   {"2", false, "1"},   {"A", false, "0"},    {"B", false, "1"}, {"BB", false, "1"},
                 {"12", false, "01"}, {"AB", false, "01"}, {"b", false, "1"},    {"0", false, "-"}, {"1", true, "1"},
                 {"01", false, "01"}, {"13", false, "02"}, {"ABA", false, "01"}, {"0", true, "-"},  {"?", false, "-"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[500] = "", found[10] = "";
        int used = 0;
        struct manifest manifest;
        for (int j = 0; cases[i].channels[j]; j++)
            used += sprintf(text + used, "u %c %d 0.5 w%d\n", cases[i].channels[j], j, j);
        if (cases[i].zero) /* sorts behind u */
            sprintf(text + used, "v 0 0 1 w\nv 1 1 1 w\n");
        put_audio("channels/u.wav");
        put_file("channels/x.ctm", text);
        import_ok((struct import_options){.kind = IMPORT_CTM}, "channels/x.ctm");
        assert_ok(manifest_read(test_path("channels.jsonl"), NULL, &manifest));
        for (int64_t row = 0; row < manifest.count && row < 9; row++)
            found[row] = (char)(manifest.rows[row].channel < 0 ? '-' : '0' + manifest.rows[row].channel);
        if (strcmp(found, cases[i].expected) != 0)
            fail_msg("channels %s: rows of %s, expected %s", cases[i].channels, found, cases[i].expected);
        manifest_free(&manifest);
    }
}

static void ctm_alternatives_and_bad_lines(void **state)
{
    (void)state;
    put_audio("alt/u.wav");
    put_audio("alt/v.wav");
    put_audio("alt/w.wav");
    put_file("alt/x.ctm", "u 1 * * <ALT_BEGIN>\nu 1 0 0.25 he NA lex\nu 1 * * <ALT>\nu 1 0 0.25 she\nu 1 * * <ALT>\n"
                          "u 1 0 0.25 @\nu 1 * * <ALT_END>\nu 1 0.5 0.5 said 0.9 lex\nu 1 1 1 uh 0.9 non-lex\n"
                          "v 1 0 0.5 fine\nv 1 0.5 half cut\nw 1 0 0.5\n");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_CTM}, "alt/x.ctm");
    expect_file("alt.jsonl",
                "{\"audio\": \"alt/u.wav\", \"id\": \"u\", \"text\": \"he said\", \"words\": [[\"he\", 0.0, "
                "0.25], [\"said\", 0.5, 1.0]]}\n");
    assert_int_equal(counts.reasons[IMPORT_ALTERNATIVE], 2);
    assert_int_equal(counts.reasons[IMPORT_NOISE], 1);
    assert_int_equal(counts.reasons[IMPORT_UNREADABLE], 2); /* v and w: a word of theirs is not known */
}

/* ---- JSON ---- */

static void shapes_of_json(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
        int words;
    } cases[] = {
        {"{\"text\": \" He left.\", \"chunks\": [{\"text\": \" He\", \"timestamp\": [0, 0.5]}, {\"text\": \" left.\", "
         "\"timestamp\": [0.5, 1]}]}",
         "He left.", 2},
        {"{\"chunks\": [{\"text\": \" He left\", \"timestamp\": [0, 0.5]}, {\"text\": \" them.\", \"timestamp\": [0.5, "
         "null]}]}",
         "He left them.", 0},
        {"{\"transcription\": [{\"offsets\": {\"from\": 0, \"to\": 500}, \"text\": \" He\"}, {\"offsets\": {\"from\": "
         "500, \"to\": 900}, \"text\": \" left\"}]}",
         "He left", 2},
        {"{\"transcription\": [{\"offsets\": {\"from\": 0, \"to\": 500}, \"text\": \" He left.\"}]}", "He left.", 0},
        {"{\"text\": \"He left.\", \"segments\": [{\"text\": \" He left.\", \"words\": []}], \"words\": [{\"word\": "
         "\"He\", \"start\": 0, \"end\": 1}, {\"word\": \"left\", \"start\": 1, \"end\": 2}]}",
         "He left.", 2},
        {"{\"segments\": [{\"text\": \" He left.\"}, {\"text\": \" So.\", \"words\": [{\"word\": \" So.\", \"start\": "
         "1, "
         "\"end\": 2}]}]}",
         "He left. So.", 1},
        {"{\"segments\": [{\"text\": \" He left.\", \"words\": null}]}", "He left.", 0},
        {"{\"segments\": [{\"text\": \" He\", \"words\": [{\"word\": \" He\", \"start\": NaN, \"end\": Infinity, "
         "\"s\": -Infinity}]}], \"x\": \"NaN \\\" Infinity\"}",
         "He", 0},
        {"{\"text\": \"He left\", \"aligned_text\": [[\" He\", 0, 1], [\" left\", 5]]}", "He left", 1},
        {"{\"text\": \"He left\", \"aligned_text\": [[\" He\", 0, 1], [\" left\", \"x\", 2]]}", "He left", 1},
        {"{\"text\": \"He left\", \"words\": [{\"word\": \"He\", \"start\": 2, \"end\": 1}, {\"word\": \"left\", "
         "\"start\": 1e300, \"end\": 1e301}]}",
         "He left", 0},
        {"{\"text\": \"So long\"}", "So long", 0},
    };
    static const char *const bad[] = {"[]",
                                      "{}",
                                      "",
                                      "{\"segments\": []}",
                                      "{\"text\": \"  \"}",
                                      "{\"text\": 5}",
                                      "{\"text\": \"a\", \"words\": [{\"start\": 1, \"end\": 2}]}",
                                      "{\"text\": \"\xff\"}",
                                      "{\"text\": \"a\", \"words\": [5]}",
                                      "{\"text\": \"a\"",
                                      "null"};
    put_audio("json/a.wav");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct manifest manifest;
        put_file("json/a.json", cases[i].json);
        import_ok((struct import_options){.kind = IMPORT_WHISPER}, "json");
        assert_ok(manifest_read(test_path("json.jsonl"), NULL, &manifest));
        assert_string_equal(manifest.rows[0].text, cases[i].text);
        if (manifest.rows[0].word_count != cases[i].words)
            fail_msg("%s: %d words", cases[i].json, (int)manifest.rows[0].word_count);
        manifest_free(&manifest);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file("json/a.json", bad[i]);
        import_fails((struct import_options){.kind = IMPORT_WHISPER}, "json", STATUS_CORRUPT,
                     "nothing is left of 1: a.json");
    }
}

/* a.wav.words.json and the like. A transcript of other audio with a longer name is not taken. */
static void names_of_transcripts(void **state)
{
    (void)state;
    static const char *const names[] = {"a.json",       "b.JSON",           "c.wav.json",
                                        "d.words.json", "e.wav.words.json", "f.whisper.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[100];
        snprintf(path, sizeof path, "names/%s", names[i]);
        put_file(path, "{\"words\": [[\"he\", 0, 1]]}");
        snprintf(path, sizeof path, "names/%c.wav", names[i][0]);
        put_audio(path);
    }
    put_file("names/a.take2.json", "{\"text\": \"other\"}");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_WHISPER}, "names");
    assert_int_equal(counts.rows, 6);
    assert_int_equal(counts.rejected, 1);
    expect_notes("names.rejects.jsonl", "a.take2.json: there is no audio file for it\n");
}

/* ---- a corpus of which a part is bad ---- */

static void the_good_part_is_imported(void **state)
{
    (void)state;
    static const char *const damages[] = {"{\"segments\": [",
                                          "",
                                          "[]",
                                          "{\"text\": \"\xff\xfe\"}",
                                          "{\"text\": null}",
                                          "{\"segments\": [{\"words\": [{}]}]}",
                                          "\x01\x02"};
    enum { FILES = 200 };
    struct rng rng = rng_make(test_seed(), RNG_TEST, 74, 0);
    int bad = 0;
    char lines[FILES * 60] = "", *end = lines;
    for (int i = 0; i < FILES; i++) {
        char path[100];
        snprintf(path, sizeof path, "part/%03d.wav", i);
        bool audio = rng_below(&rng, 10) > 0, good = rng_below(&rng, 10) > 2;
        if (audio)
            put_audio(path);
        snprintf(path, sizeof path, "part/%03d.json", i);
        put_file(path, good ? "{\"text\": \"he left\"}" : damages[rng_below(&rng, sizeof damages / sizeof *damages)]);
        if (audio && good)
            continue;
        bad++;
        const char *reason = audio ? "" : "there is no audio file for it";
        end += sprintf(end, "%03d.json: %s\n", i, reason);
    }
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_WHISPER}, "part");
    assert_int_equal(counts.rows, FILES - bad);
    assert_int_equal(counts.rejected, bad);
    void *data;
    int64_t size;
    assert_ok(file_read(test_path("part.rejects.jsonl"), 1 << 20, &data, &size));
    const char *at = data;
    char *next = NULL;
    for (char *line = strtok_r(lines, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
        char source[40];
        snprintf(source, sizeof source, "\"source\": \"%.8s\"", line);
        while ((at = strstr(at, "\"rejected\": ")) && strncmp(at, "\"rejected\": false", 17) == 0)
            at++;
        assert_non_null(at);
        const char *found = strstr(at, "\"source\": ");
        assert_true(strncmp(found, source, strlen(source)) == 0); /* each bad one, in order */
        at = found;
    }
    free(data);
}

/* The program warns above 10 %, names the option to change, and leaves files alone when nothing is left. */
static void the_program_warns(void **state)
{
    (void)state;
    char text[4000], path[100], line[4000] = "";
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "warn/%02d.wav", i);
        if (i != 3 && i != 4)
            put_audio(path);
        snprintf(line + strlen(line), 100, "%02d 1 0 1 word\n", i);
    }
    put_file("warn/x.ctm", line);
    const char *command = TEST_PROGRAM_DIRECTORY "/import";
    const char *output = test_path("warn.jsonl"), *source = test_path("warn/x.ctm");
    assert_int_equal(run_command(text, sizeof text, "%s ctm %s --output %s", command, source, output), 0);
    assert_null(strstr(text, "warning")); /* 2 of 20 is not above */
    assert_non_null(strstr(text, "18 rows"));
    assert_non_null(strstr(text, "2 rejected: there is no audio file for it"));
    assert_int_equal(unlink(test_path("warn/05.wav")), 0);
    assert_int_equal(run_command(text, sizeof text, "%s ctm %s --output %s", command, source, output), 0);
    assert_non_null(strstr(text, "warning: "));
    assert_non_null(strstr(text, "3 of 20 utterances were rejected"));
    assert_non_null(strstr(text, "--audio"));
    put_file("none/x.ctm", line);
    assert_int_equal(run_command(text, sizeof text, "%s ctm %s --output %s", command, test_path("none/x.ctm"), output),
                     STATUS_CORRUPT);
    assert_non_null(strstr(text, "nothing is left of 20"));
    assert_int_equal(run_command(text, sizeof text, "wc -l < %s", output), 0);
    assert_int_equal(atoi(text), 17); /* the last good import is still there */
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "warn/%02d.wav", i);
        put_audio(path);
    }
    assert_int_equal(run_command(text, sizeof text, "%s ctm %s --output %s", command, source, output), 0);
    assert_int_not_equal(access(test_path("warn.rejects.jsonl"), F_OK), 0); /* an earlier list would be wrong */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fewest_words_lose_their_times),
        cmocka_unit_test(long_recordings),
        cmocka_unit_test(repeated_words),
        cmocka_unit_test(speech_without_text),
        cmocka_unit_test(overlaps_are_moved_and_counted),
        cmocka_unit_test(labels_that_are_no_words),
        cmocka_unit_test(tiers_by_name),
        cmocka_unit_test(ctm_channels),
        cmocka_unit_test(ctm_alternatives_and_bad_lines),
        cmocka_unit_test(shapes_of_json),
        cmocka_unit_test(names_of_transcripts),
        cmocka_unit_test(the_good_part_is_imported),
        cmocka_unit_test(the_program_warns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
