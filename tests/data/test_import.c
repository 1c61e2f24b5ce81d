/* Importers, each on files written by the format's own tools where these are available: the TextGrids were written by
 * Praat (tests/oracles/make_textgrids.praat), one CTM by lhotse (tests/oracles/make_ctm.py). The other CTM, the whisper
 * JSON (whisper's own writer needs its weights to have something to write) and LibriSpeech's layout are written here
 * according to the formats' definitions. The results are read back through manifest_read. */
#include "support/files.h"
#include "support/import_files.h"
#include "support/test_support.h"

#include "data/manifest.h"
#include "data/prepare/import/import.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_golden(const char *golden, const char *name)
{
    char path[700];
    snprintf(path, sizeof path, "import/%s", golden);
    put_file(name, "");
    copy_golden(path, test_path("%s", name));
}

static void run_import(struct import_options options, const char *source, struct import_counts *counts,
                       struct manifest *manifest)
{
    options.source = test_path("%s", source);
    options.output = test_path("out.jsonl");
    assert_ok(import_run(&options, counts));
    assert_ok(manifest_read(options.output, NULL, manifest));
    assert_int_equal(manifest->count, counts->rows);
}

/* The row's words and times, as "word@start-end ..." in samples at 16 kHz. */
static void assert_words(const struct manifest_row *row, const char *expected)
{
    char text[2000] = "";
    size_t used = 0;
    for (int64_t i = 0; i < row->word_count; i++) {
        const struct aligned_word *word = row->words + i;
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%.*s@%d-%d", i ? " " : "",
                             word->text_end - word->text_begin, row->text + word->text_begin, word->start, word->end);
    }
    assert_string_equal(text, expected);
}

static void folders_of_audio_and_text(void **state)
{
    (void)state;
    put_audio("folder/anna/b.flac");
    put_file("folder/anna/b.txt", "\xef\xbb\xbf Two\r\n lines\t here \n");
    put_audio("folder/anna/a.WAV");
    put_audio("folder/bert/deep/c.mp3");
    put_file("folder/bert/deep/c.txt", "Bonjour \xc3\x80 tous");
    put_audio("folder/root.ogg");
    put_file("folder/root.txt", " \n");
    put_audio("folder/.hidden/x.wav");
    put_file("folder/notes.md", "no audio");
    struct import_counts counts;
    struct manifest manifest;
    run_import((struct import_options){.kind = IMPORT_FOLDER, .speaker_folders = true}, "folder", &counts, &manifest);
    assert_int_equal(manifest.count, 4);
    static const char *const ids[] = {"anna/a", "anna/b", "bert/deep/c", "root"};
    static const char *const texts[] = {NULL, "Two lines here", "Bonjour \xc3\x80 tous", NULL};
    static const char *const speakers[] = {"anna", "anna", "bert", NULL};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(manifest.rows[i].id, ids[i]);
        assert_true(!manifest.rows[i].text == !texts[i]);
        if (texts[i])
            assert_string_equal(manifest.rows[i].text, texts[i]);
        assert_true(!manifest.rows[i].speaker == !speakers[i]);
        if (speakers[i])
            assert_string_equal(manifest.rows[i].speaker, speakers[i]);
    }
    assert_string_equal(manifest.rows[1].audio, test_path("folder/anna/b.flac"));
    assert_int_equal(counts.reasons[IMPORT_SPEECH_ALONE], 2);
    assert_int_equal(counts.with_text, 2);
    manifest_free(&manifest);
    run_import((struct import_options){.kind = IMPORT_FOLDER, .speaker = "one", .lowercase = true}, "folder", &counts,
               &manifest);
    assert_string_equal(manifest.rows[3].speaker, "one");
    assert_string_equal(manifest.rows[1].text, "two lines here");
    manifest_free(&manifest);
}

static void librispeech_layout(void **state)
{
    (void)state;
    put_audio("libri/1272/128104/1272-128104-0000.flac");
    put_audio("libri/1272/128104/1272-128104-0001.flac");
    put_audio("libri/84/121123/84-121123-0000.flac");
    put_file("libri/1272/128104/1272-128104.trans.txt",
             "1272-128104-0000 MISTER QUILTER IS THE APOSTLE\n1272-128104-0001 NOR IS\n1272-128104-0002 NO AUDIO\n");
    put_file("libri/84/121123/84-121123.trans.txt", "84-121123-0000 GO DO YOU HEAR");
    put_file("libri/README.TXT", "about");
    struct import_counts counts;
    struct manifest manifest;
    run_import((struct import_options){.kind = IMPORT_LIBRISPEECH, .lowercase = true}, "libri", &counts, &manifest);
    assert_int_equal(manifest.count, 3);
    assert_string_equal(manifest.rows[0].id, "1272-128104-0000");
    assert_string_equal(manifest.rows[0].text, "mister quilter is the apostle");
    assert_string_equal(manifest.rows[0].speaker, "1272");
    assert_string_equal(manifest.rows[2].speaker, "84");
    assert_string_equal(manifest.rows[2].audio, test_path("libri/84/121123/84-121123-0000.flac"));
    assert_int_equal(counts.reasons[IMPORT_NO_AUDIO], 1);
    manifest_free(&manifest);
    put_file("broken/a.trans.txt", "only-an-id\n");
    struct import_options options = {
        .kind = IMPORT_LIBRISPEECH, .source = test_path("broken"), .output = test_path("x")};
    assert_fails(import_run(&options, &counts), STATUS_CORRUPT, "a.trans.txt:1");
}

/* Words with times keep their case and are found all the same. */
static void lower_case_of_all_scripts(void **state)
{
    (void)state;
    put_audio("lower/a.wav");
    put_audio("lower/b.wav");
    put_file("lower/a.json", "{\"text\": \"ΟΔΟΣ İSTANBUL STRAẞE ÉCOLE Ж\", \"segments\": [{\"words\": ["
                             "{\"word\": \"ΟΔΟΣ\", \"start\": 0, \"end\": 1}, "
                             "{\"word\": \"İSTANBUL\", \"start\": 1, \"end\": 2}, "
                             "{\"word\": \"STRAẞE\", \"start\": 2, \"end\": 3}, "
                             "{\"word\": \"ÉCOLE\", \"start\": 3, \"end\": 4}, "
                             "{\"word\": \"Ж\", \"start\": 4, \"end\": 5}]}]}");
    /* 4,000,000 bytes that become 6,000,000, more than a row may have. */
    enum { LETTERS = 2000000 };
    char *text = malloc(2 * LETTERS + 1);
    for (int i = 0; i < LETTERS; i++)
        memcpy(text + 2 * i, "İ", 3);
    put_file("lower_text/a.txt", text);
    put_file("lower_text/b.txt", "ÀÉ");
    free(text);
    struct import_counts counts;
    struct manifest manifest;
    run_import((struct import_options){.kind = IMPORT_WHISPER, .lowercase = true}, "lower", &counts, &manifest);
    assert_int_equal(manifest.count, 1);
    assert_string_equal(manifest.rows[0].text, "οδος i̇stanbul straße école ж");
    assert_int_equal(manifest.rows[0].word_count, 5);
    assert_int_equal(manifest.rows[0].words[4].end, 5 * 16000);
    manifest_free(&manifest);
    run_import((struct import_options){.kind = IMPORT_TEXT, .lowercase = true}, "lower_text", &counts, &manifest);
    assert_int_equal(manifest.count, 1);
    assert_string_equal(manifest.rows[0].text, "àé");
    assert_int_equal(counts.reasons[IMPORT_TOO_LONG], 1);
    manifest_free(&manifest);
}

static void ctm_of_lhotse(void **state)
{
    (void)state;
    put_audio("ctm/one.wav");
    put_audio("ctm/two.WAV"); /* as some recorders write it */
    put_golden("lhotse.ctm", "ctm/lhotse.ctm");
    struct import_counts counts;
    struct manifest manifest;
    run_import((struct import_options){.kind = IMPORT_CTM}, "ctm/lhotse.ctm", &counts, &manifest);
    assert_int_equal(manifest.count, 3);
    assert_string_equal(manifest.rows[0].id, "one");
    assert_int_equal(manifest.rows[0].channel, -1);
    assert_words(manifest.rows, "hello@1600-6720 there@8000-12800");
    assert_string_equal(manifest.rows[1].id, "two-0");
    assert_int_equal(manifest.rows[1].channel, 0);
    assert_words(manifest.rows + 1, "well@0-6400");
    assert_string_equal(manifest.rows[2].id, "two-1");
    assert_int_equal(manifest.rows[2].channel, 1);
    assert_words(manifest.rows + 2, "yes@8000-12000 indeed@12000-20000");
    assert_string_equal(manifest.rows[2].text, "yes indeed");
    manifest_free(&manifest);
}

static void ctm_by_its_definition(void **state)
{
    (void)state;
    put_audio("nist/sw1.wav");
    put_file("nist/x.ctm", ";; comment\n\nsw1 B 1.00 0.50 THERE 0.98\nsw1 A 0.10 0.25 hi 0.9 lex\n"
                           "sw1 A 0.30 0.20 you\r\nsw1 A 0.6 0.1 [noise]\nsw2 1 0 1 lost\n");
    struct import_counts counts;
    struct manifest manifest;
    run_import((struct import_options){.kind = IMPORT_CTM, .audio = test_path("nist")}, "nist/x.ctm", &counts,
               &manifest);
    assert_int_equal(manifest.count, 2);
    assert_words(manifest.rows, "hi@1600-5600 you@5600-8000");
    assert_int_equal(manifest.rows[0].channel, 0);
    assert_int_equal(manifest.rows[1].channel, 1);
    assert_int_equal(counts.reasons[IMPORT_NO_AUDIO], 1);
    manifest_free(&manifest);
    put_audio("nist/u.wav");
    static const struct {
        const char *text, *part;
    } bad[] = {{"u 1 0 1\n", "x.ctm:1"},     {";;\nu 1 zero 1 w\n", "x.ctm:2"}, {"u 1 0 -1 w\n", "x.ctm:1"},
               {"u 1 nan 1 w\n", "x.ctm:1"}, {"../u 1 0 1 w\n", "leads out"},   {"", "found nothing of the kind ctm"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file("nist/x.ctm", bad[i].text);
        struct import_options options = {.kind = IMPORT_CTM, .source = test_path("nist/x.ctm"), .output = "x"};
        enum status code = i == sizeof bad / sizeof *bad - 1 ? STATUS_USAGE : STATUS_CORRUPT;
        assert_fails(import_run(&options, &counts), code, bad[i].part);
    }
}

static void textgrids_of_praat(void **state)
{
    (void)state;
    static const char *const names[] = {"long", "short", "unicode"};
    struct import_counts counts;
    struct manifest manifest;
    for (int i = 0; i < 3; i++) {
        char name[100];
        snprintf(name, sizeof name, "grid%d/clip.TextGrid", i);
        snprintf(name, sizeof name, "grid%d/%s.TextGrid", i, names[i]);
        char golden[100];
        snprintf(golden, sizeof golden, "%s.TextGrid", names[i]);
        put_golden(golden, name);
        snprintf(name, sizeof name, "grid%d/%s.wav", i, names[i]);
        put_audio(name);
        snprintf(name, sizeof name, "grid%d", i);
        run_import((struct import_options){.kind = IMPORT_TEXTGRID}, name, &counts, &manifest);
        assert_int_equal(manifest.count, 1);
        assert_string_equal(manifest.rows[0].id, names[i]);
        assert_words(manifest.rows, i < 2 ? "say@4000-10000 \"quoted\"@10000-16000 it's@27200-35200"
                                          : "say@4000-10000 \"quoted\"@10000-16000 caf\xc3\xa9@27200-35200");
        manifest_free(&manifest);
    }
    put_golden("single.TextGrid", "grid3/a.TextGrid");
    put_audio("grid3/sound/a.wav");
    run_import((struct import_options){.kind = IMPORT_TEXTGRID, .audio = test_path("grid3/sound")}, "grid3/a.TextGrid",
               &counts, &manifest);
    assert_words(manifest.rows, "hello@0-8000 there@8000-16000");
    manifest_free(&manifest);
}

static void broken_textgrids_are_refused(void **state)
{
    (void)state;
    struct import_counts counts;
    put_audio("bad/a.wav");
    struct import_options options = {
        .kind = IMPORT_TEXTGRID, .source = test_path("bad/a.TextGrid"), .output = test_path("bad/out.jsonl")};
    put_golden("binary.TextGrid", "bad/a.TextGrid");
    assert_fails(import_run(&options, &counts), STATUS_CORRUPT, "binary TextGrid");
    put_golden("long.TextGrid", "bad/a.TextGrid");
    options.tier = "nothing";
    assert_fails(import_run(&options, &counts), STATUS_CORRUPT, "no interval tier is named \"nothing\"");
    options.tier = "events";
    assert_fails(import_run(&options, &counts), STATUS_CORRUPT, "no interval tier is named \"events\"");
    options.tier = NULL;
    /* Every truncation of both formats: refused with a line, or (when only white space at the end is lost) accepted. */
    static const char *const names[] = {"long.TextGrid", "short.TextGrid"};
    for (int i = 0; i < 2; i++) {
        char path[700];
        void *data;
        int64_t size, accepted = 0;
        snprintf(path, sizeof path, "%s/import/%s", TEST_GOLDEN_DIRECTORY, names[i]);
        assert_ok(file_read(path, 1 << 20, &data, &size));
        for (int64_t cut = 0; cut < size; cut += i ? 1 : 7) {
            write_plainly(options.source, data, cut);
            enum status status = import_run(&options, &counts);
            accepted += status == STATUS_OK;
            if (status != STATUS_OK) {
                assert_int_equal(status, STATUS_CORRUPT);
                assert_non_null(strstr(status_text(), "a.TextGrid:"));
            }
        }
        assert_true(accepted <= 2);
        free(data);
    }
}

static void whisper_json(void **state)
{
    (void)state;
    /* openai-whisper with word_timestamps=True: words keep their leading space and punctuation. */
    put_file(
        "whisper/a.json",
        "{\"text\": \" Hello, world. It is 5 o'clock.\", \"segments\": [{\"id\": 0, \"seek\": 0, \"start\": 0.0,"
        " \"end\": 1.0, \"text\": \" Hello, world.\", \"tokens\": [1], \"temperature\": 0.0, \"words\":"
        " [{\"word\": \" Hello,\", \"start\": 0.0, \"end\": 0.5, \"probability\": 0.9},"
        " {\"word\": \" world.\", \"start\": 0.5, \"end\": 0.98, \"probability\": 0.8}]},"
        " {\"id\": 1, \"text\": \" It is 5 o'clock.\", \"words\": [{\"word\": \" It\", \"start\": 0.94, \"end\": 1.2},"
        " {\"word\": \" is\", \"start\": 1.2, \"end\": 1.3}, {\"word\": \" -\", \"start\": 1.3, \"end\": 1.3},"
        " {\"word\": \" 5\"}, {\"word\": \" o'clock.\", \"start\": 1.5, \"end\": 2.0}]}], \"language\": \"en\"}");
    put_file("whisper/b.json", "{\"file_name\": \"b\", \"aligned_text\": [[\" one\", 0.1, 0.2], [\" two\", 0.25, 0.5]],"
                               " \"text\": \"One two\"}");
    put_file("whisper/c.json", "{\"alignments\": [[\"left\", [0.1, 0.4], \"SPEAKER_MAIN\"], [\"right\", [0.4, 0.7],"
                               " \"SPEAKER_MAIN\"]]}");
    put_audio("whisper/a.flac");
    put_audio("whisper/b.wav");
    put_audio("whisper/c.wav");
    put_file("whisper/d.json", "{\"segments\": []}");
    struct import_counts counts;
    struct manifest manifest;
    run_import((struct import_options){.kind = IMPORT_WHISPER}, "whisper", &counts, &manifest);
    assert_int_equal(manifest.count, 3);
    assert_string_equal(manifest.rows[0].text, "Hello, world. It is 5 o'clock.");
    assert_words(manifest.rows, "Hello,@0-8000 world.@8000-15680 It@15680-19200 is@19200-20800 o'clock.@24000-32000");
    assert_words(manifest.rows + 1, "One@1600-3200 two@4000-8000");
    assert_words(manifest.rows + 2, "left@1600-6400 right@6400-11200");
    assert_int_equal(counts.reasons[IMPORT_NO_AUDIO], 1);
    manifest_free(&manifest);
    static const char *const bad[] = {"[]", "{}", "{\"segments\": [{\"words\": [{\"start\": 1}]}]}",
                                      "{\"aligned_text\": ["};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file("whisper/a.json", bad[i]);
        struct import_options options = {.kind = IMPORT_WHISPER, .source = test_path("whisper/a.json"), .output = "x"};
        assert_fails(import_run(&options, &counts), STATUS_CORRUPT, "a.json");
    }
}

/* Each format with the mark that Windows' programs put at the beginning: the first line is not lost, nor refused. */
static void byte_order_marks_are_skipped(void **state)
{
    (void)state;
#define MARK "\xef\xbb\xbf"
    static const struct {
        enum import_kind kind;
        const char *source, *file, *text;
    } cases[] = {
        {IMPORT_CTM, "mark/x.ctm", "mark/x.ctm", MARK "a 1 0.1 0.2 he\r\na 1 0.4 0.2 said\r\n"},
        {IMPORT_WHISPER, "mark", "mark/a.json",
         MARK "{\"aligned_text\": [[\" he\", 0.1, 0.3], [\" said\", 0.4, 0.6]]}"},
        {IMPORT_TEXTGRID, "mark", "mark/a.TextGrid",
         MARK "\"ooTextFile\"\n\"TextGrid\"\n0\n1\n<exists>\n1\n\"IntervalTier\"\n\"words\"\n0\n1\n2\n0.1\n0."
              "3\n\"he\"\n0.4\n"
              "0.6\n\"said\"\n"},
        {IMPORT_FOLDER, "mark", "mark/a.txt", MARK "he said\r\n"},
        {IMPORT_LIBRISPEECH, "mark", "mark/1/2/1-2.trans.txt", MARK "1-2-3 he said\r\n"},
    };
    put_audio("mark/1/2/1-2-3.flac");
    put_audio("mark/a.wav");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct import_counts counts;
        struct manifest manifest;
        put_file(cases[i].file, cases[i].text);
        run_import((struct import_options){.kind = cases[i].kind}, cases[i].source, &counts, &manifest);
        const struct manifest_row *row = manifest.rows + manifest.count - 1;
        assert_string_equal(row->text, "he said");
        assert_string_equal(row->id, cases[i].kind == IMPORT_LIBRISPEECH ? "1-2-3" : "a");
        if (cases[i].kind != IMPORT_LIBRISPEECH && cases[i].kind != IMPORT_FOLDER)
            assert_words(row, "he@1600-4800 said@6400-9600");
        assert_int_equal(counts.reasons[IMPORT_NO_AUDIO], 0);
        manifest_free(&manifest);
    }
}

static void nothing_to_import(void **state)
{
    (void)state;
    struct import_counts counts;
    put_file("empty/readme", "");
    for (int kind = 0; kind < IMPORT_KINDS; kind++) {
        struct import_options options = {.kind = (enum import_kind)kind, .source = test_path("missing"), .output = "x"};
        assert_fails(import_run(&options, &counts), STATUS_USAGE, "missing");
    }
    struct import_options options = {.kind = IMPORT_FOLDER, .source = test_path("empty"), .output = "x"};
    assert_fails(import_run(&options, &counts), STATUS_USAGE, "nothing of the kind folder");
    put_audio("twice/a.wav");
    put_audio("twice/a.flac");
    options.source = test_path("twice");
    options.output = test_path("twice.jsonl");
    assert_ok(import_run(&options, &counts));
    assert_int_equal(counts.rows, 1);
    assert_int_equal(counts.reasons[IMPORT_SAME_ID], 1);
}

/* A manifest beside its audio can be moved with it. */
static void paths_below_the_manifest_are_relative(void **state)
{
    (void)state;
    put_audio("move/sound/a.wav");
    struct import_counts counts;
    struct import_options options = {
        .kind = IMPORT_FOLDER, .source = test_path("move/sound"), .output = test_path("move/m.jsonl")};
    assert_ok(import_run(&options, &counts));
    void *data;
    int64_t size;
    assert_ok(file_read(options.output, 1 << 20, &data, &size));
    assert_string_equal(data, "{\"audio\": \"sound/a.wav\", \"id\": \"a\"}\n");
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_of_audio_and_text),
        cmocka_unit_test(librispeech_layout),
        cmocka_unit_test(lower_case_of_all_scripts),
        cmocka_unit_test(ctm_of_lhotse),
        cmocka_unit_test(ctm_by_its_definition),
        cmocka_unit_test(textgrids_of_praat),
        cmocka_unit_test(broken_textgrids_are_refused),
        cmocka_unit_test(whisper_json),
        cmocka_unit_test(byte_order_marks_are_skipped),
        cmocka_unit_test(nothing_to_import),
        cmocka_unit_test(paths_below_the_manifest_are_relative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
