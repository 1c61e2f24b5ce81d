/* What prepare leaves out or changes is listed and warned of, and another threshold does not align again. */
#include "support/files.h"
#include "support/test_support.h"

#include "core/hash.h"
#include "data/datasets.h"
#include "data/demo/synthesize.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/json.h"
#include "io/text_file.h"

#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPOKEN = 8 };

static const char *const sentences[SPOKEN] = {
    "the lazy dog sleeps", "four score and seven years", "please enter your number", "in the beginning god created",
    "to be or not to be",  "our fathers brought forth",  "the quick brown fox",      "good morning everyone"};

/* Eight spoken sentences, four of them with another one's text, and silence. */
static void write_corpus(void)
{
    static float silence[AUDIO_RATE];
    FILE *file = fopen(test_path("speech.jsonl"), "w");
    assert_non_null(file);
    for (int i = 0; i < SPOKEN; i++) {
        struct synthesis synthesis;
        char name[16];
        snprintf(name, sizeof name, "s%d.wav", i);
        assert_ok(synthesize(sentences[i], (enum synthetic_voice)(i % SYNTHETIC_VOICES), EMOTION_NEUTRAL, &synthesis));
        assert_ok(wav_write(test_path("%s", name), synthesis.samples, synthesis.count));
        synthesis_free(&synthesis);
        fprintf(file, "{\"id\": \"s%d\", \"audio\": \"%s\", \"text\": \"%s\"}\n", i, name,
                sentences[i < 4 ? i : (i + 1) % SPOKEN]);
    }
    assert_ok(wav_write(test_path("silence.wav"), silence, AUDIO_RATE));
    fprintf(file, "{\"id\": \"z\", \"audio\": \"silence.wav\", \"text\": \"hello there\"}\n");
    fclose(file);
    write_text(test_path("c.yaml"),
               "tokenizer:\n  folder: tokenizer\n  units: 12\n  pitch_codes: 4\n  style_codes: 2\n  iterations: 3\n"
               "prepare:\n  threads: 2\n  manifests: [speech.jsonl]\n");
}

/* The program's exit code; its messages go into `text`. */
static int prepare(char *text, size_t size, const char *output, const char *settings)
{
    return run_command(text, size, "cd '%s' && '%s/prepare' --config c.yaml prepare.output='%s' %s", test_directory(),
                       TEST_PROGRAM_DIRECTORY, output, settings);
}

static char *read_whole(const char *path)
{
    char *text = NULL;
    int64_t size = 0;
    assert_ok(text_file_read(path, 1 << 24, &text, &size));
    return text;
}

static int set_up(void **state)
{
    (void)state;
    write_corpus();
    return 0;
}

static int lines_with(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

static bool same_folders(const char *a, const char *b)
{
    char text[4000];
    return run_command(text, sizeof text, "cd '%s' && diff -r '%s' '%s'", test_directory(), a, b) == 0;
}

static void rejected_rows_are_warned_of_and_kept_when_asked(void **state)
{
    (void)state;
    char text[20000];
    assert_int_equal(prepare(text, sizeof text, "plain", ""), 0);
    char *rejects = read_whole(test_path("plain/speech/rejects.jsonl")),
         *report = read_whole(test_path("plain/speech/report.json"));
    int mismatched = lines_with(rejects, "aligned: ") + lines_with(rejects, "score too low");
    assert_int_equal(mismatched, 4);
    assert_int_equal(lines_with(rejects, "{\"id\": \"z\", \"reason\": \"no sound\"}"), 1);
    assert_int_equal(lines_with(rejects, "\n"), 5);
    assert_int_equal(lines_with(text, "warning: "), lines_with(report, "\"no sound\"") +
                                                        lines_with(report, "\"not aligned\"") +
                                                        lines_with(report, "\"alignment score too low\""));
    assert_non_null(strstr(text, "1 of 9 rows (11 %) rejected: no sound"));
    assert_non_null(strstr(text, "prepare.keep_unaligned"));
    free(rejects);
    free(report);
    /* Kept: no words, listed as changed; silence is no speech. */
    assert_int_equal(prepare(text, sizeof text, "kept", "prepare.keep_unaligned=true"), 0);
    rejects = read_whole(test_path("kept/speech/rejects.jsonl"));
    char *changes = read_whole(test_path("kept/speech/changes.jsonl"));
    assert_string_equal(rejects, "{\"id\": \"z\", \"reason\": \"no sound\"}\n");
    assert_int_equal(lines_with(changes, "\"change\": \"kept without words: "), 4);
    assert_int_equal(lines_with(changes, "\n"), 4);
    assert_non_null(strstr(text, "4 of 9 rows (44 %) changed: kept without words"));
    free(rejects);
    free(changes);
    struct dataset *dataset = NULL;
    assert_ok(dataset_open(test_path("kept/speech"), &dataset));
    assert_int_equal(dataset_rows(dataset), SPOKEN);
    for (int i = 0; i < SPOKEN; i++) {
        struct shard_row row;
        assert_ok(dataset_row(dataset, i, &row));
        assert_true(row.units.count[STREAM_HUBERT] > 0 && row.text_length > 0);
        assert_int_equal(row.word_count > 0, i < 4);
    }
    dataset_close(dataset);
}

/* Puts another score into the store, as only a reader of the store can know it; the hash is made right. */
static void add_to_scores(const char *path, double more)
{
    char *text = read_whole(path), hash[65];
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    for (char *line = text; *line; line += strcspn(line, "\n") + 1) {
        json_t *object = NULL;
        double score;
        assert_ok(jdoc_parse(path, line, (int64_t)strcspn(line, "\n"), &object));
        if (jdoc_has(object, "score")) {
            assert_ok(jdoc_get_number(path, object, "score", &score));
            json_object_set_new(object, "score", json_real(score + more));
        }
        char *written = jdoc_text(object, 0);
        if (!jdoc_has(object, "sha256"))
            fputs(written, file);
        free(written);
        json_decref(object);
    }
    fflush(file);
    struct sha256 check = sha256_of(out, size);
    sha256_hex(&check, hash);
    fprintf(file, "{\"sha256\": \"%s\"}\n", hash);
    fclose(file);
    assert_ok(atomic_write(path, out, (int64_t)size));
    free(out);
    free(text);
}

static void another_threshold_does_not_align_again(void **state)
{
    (void)state;
    char text[20000];
    assert_int_equal(prepare(text, sizeof text, "first", ""), 0);
    assert_true(same_folders("plain", "first"));
    /* The threshold decides anew over what the store holds. */
    add_to_scores(test_path("first/speech/parts/00000.alignments"), 100);
    assert_int_equal(prepare(text, sizeof text, "first", "prepare.align_threshold=50"), 0);
    char *rejects = read_whole(test_path("first/speech/rejects.jsonl"));
    assert_int_equal(lines_with(rejects, "score too low"), 0);
    free(rejects);
    add_to_scores(test_path("first/speech/parts/00000.alignments"), -100);
    /* There and back: the folder is the same as one that never had another threshold. */
    assert_int_equal(prepare(text, sizeof text, "first", "prepare.align_threshold=-1"), 0);
    assert_int_equal(prepare(text, sizeof text, "first", ""), 0);
    char *before = read_whole(test_path("plain/speech/rejects.jsonl")),
         *after = read_whole(test_path("first/speech/rejects.jsonl"));
    assert_string_equal(before, after);
    /* A damaged store is not believed. */
    static const char *const spoils[] = {"sed -i 's/\"score\": -/\"score\": /'", "truncate -s -1", "sed -i '1d'"};
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        assert_int_equal(
            run_command(text, sizeof text, "%s '%s'", spoils[i], test_path("first/speech/parts/00000.alignments")), 0);
        assert_int_equal(unlink(test_path("first/speech/shard_00000.h5")), 0);
        assert_int_equal(prepare(text, sizeof text, "first", ""), 0);
        assert_non_null(strstr(text, "00000.alignments: damaged"));
        assert_true(same_folders("plain", "first"));
    }
    /* Without alignment nothing of it is left. */
    assert_int_equal(prepare(text, sizeof text, "first", "prepare.align=false"), 0);
    assert_int_not_equal(access(test_path("first/speech/parts/00000.alignments"), F_OK), 0);
    free(before);
    free(after);
}

static void every_change_is_listed(void **state)
{
    (void)state;
    char text[20000];
    float loud[AUDIO_RATE];
    for (int i = 0; i < AUDIO_RATE; i++)
        loud[i] = (float)(1.002 * sin(0.05 * i));
    SF_INFO info = {.samplerate = AUDIO_RATE, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    SNDFILE *sound = sf_open(test_path("loud.wav"), SFM_WRITE, &info);
    assert_int_equal(sf_writef_float(sound, loud, AUDIO_RATE), AUDIO_RATE);
    sf_close(sound);
    for (int i = 0; i < AUDIO_RATE; i++)
        loud[i] *= 0.5f;
    assert_ok(wav_write(test_path("tone.wav"), loud, AUDIO_RATE));
    write_text(
        test_path("speech.jsonl"),
        "{\"id\": \"loud\", \"audio\": \"loud.wav\"}\n"
        "{\"id\": \"end\", \"audio\": \"tone.wav\", \"begin\": 0.2, \"end\": 1.04}\n"
        "{\"id\": \"far\", \"audio\": \"tone.wav\", \"begin\": 0.2, \"end\": 1.2}\n"
        "{\"id\": \"cut\", \"audio\": \"tone.wav\", \"text\": \"a b\", \"words\": [[\"a\", 0.1, 0.5], [\"b\", 0.6, "
        "1.05]]}\n"
        "{\"id\": \"moved\", \"audio\": \"tone.wav\", \"text\": \"a b c\", \"words\": [[\"a\", 0.1, 0.5], [\"b\", 0.4, "
        "0.6], [\"c\", 0.55, 0.7]]}\n"
        "{\"id\": \"both\", \"audio\": \"tone.wav\", \"text\": \"a b\", \"words\": [[\"a\", 0.1, 0.5], [\"b\", 0.4, "
        "1.01]]}\n"
        "{\"id\": \"good\", \"audio\": \"tone.wav\", \"text\": \"a b\", \"words\": [[\"a\", 0.1, 0.5], [\"b\", 0.5, "
        "1]]}\n");
    assert_int_equal(prepare(text, sizeof text, "changed", ""), 0);
    char *changes = read_whole(test_path("changed/speech/changes.jsonl")),
         *report = read_whole(test_path("changed/speech/report.json"));
    static const char *const expected[] = {
        "{\"change\": \"audio: ",
        "% of its samples are beyond -1 to 1 (the largest is 1.002) and were clipped\", \"id\": \"loud\"}\n",
        "{\"change\": \"segment cut at the audio's end: by 0.040 s\", \"id\": \"end\"}\n",
        "{\"change\": \"words cut at the audio's end: 1\", \"id\": \"cut\"}\n",
        "{\"change\": \"words moved to the end of the word before: 2\", \"id\": \"moved\"}\n",
        "{\"change\": \"words cut at the audio's end: 1\", \"id\": \"both\"}\n",
        "{\"change\": \"words moved to the end of the word before: 1\", \"id\": \"both\"}\n",
    };
    const char *at = changes; /* in the manifest's order */
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        at = strstr(at, expected[i]);
        if (!at)
            fail_msg("not listed: %s in\n%s", expected[i], changes);
    }
    assert_int_equal(lines_with(changes, "\n"), 6);
    assert_int_equal(lines_with(changes, "good"), 0);
    assert_non_null(strstr(report, "\"words cut at the audio's end\": 2"));
    assert_non_null(strstr(text, "2 of 7 rows (29 %) changed: words moved to the end of the word before"));
    free(changes);
    free(report);
}

/* pocketsphinx ends the program when it gets no memory; it ends as we do then. */
static void shortage_of_memory_in_the_aligner_has_our_exit_code(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its shadow needs terabytes of address space */
#endif
    char text[20000];
    int code = -1, of_aligner = 0;
    write_corpus();
    for (int kilobytes = 60000; kilobytes < 2000000 && code != 0; kilobytes += 7000) {
        char output[64];
        snprintf(output, sizeof output, "limited-%d", kilobytes);
        code = run_command(text, sizeof text,
                           "cd '%s' && ulimit -v %d && timeout 60 '%s/prepare' --config c.yaml "
                           "prepare.output=%s "
                           "prepare.threads=1",
                           test_directory(), kilobytes, TEST_PROGRAM_DIRECTORY, output);
        if (code != 0 && code != STATUS_INTERNAL && !strstr(text, "error while loading shared libraries"))
            fail_msg("exit code %d with %d kB: %s", code, kilobytes, text);
        of_aligner += strstr(text, "error: alignment: pocketsphinx gave up") != NULL;
    }
    assert_int_equal(code, 0);
    assert_true(of_aligner > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rejected_rows_are_warned_of_and_kept_when_asked),
        cmocka_unit_test(another_threshold_does_not_align_again),
        cmocka_unit_test(every_change_is_listed),
        cmocka_unit_test(shortage_of_memory_in_the_aligner_has_our_exit_code),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
