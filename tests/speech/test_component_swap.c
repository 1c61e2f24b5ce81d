/* An embedded tokenizer whose unit encoder and vocoder have been replaced: package, prepare and generate use what is in
 * the set (rates, sizes, fingerprints, units, sound and files), while pitch and style work as before. */
#include "support/files.h"
#include "support/scripted_speech.h"
#include "support/speech_clips.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include "data/prepare/prepare_internal.h"
#include "generate/generator.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "package/speech_folder.h"

#include <stdlib.h>
#include <string.h>

static const char CLIP[] = "/usr/share/pocketsphinx/test/data/cards/001.wav"; /* clips[0] */

enum { RATE = 50, HOP = 320, SIZE = 7, CODES = 8, SPOKEN = 10, BOS = 1, SPEECH_TAG = TINY_PIECES + 1 };

static struct speech_clip clips[SPEECH_CLIPS];
static struct tiny_corpus corpus;
static char folder[700];
static struct script units_script, vocoder_script;

static int set_up(void **state)
{
    (void)state;
    const struct speech_fit_options options = {
        .units = 12, .pitch_codes = CODES, .style_codes = 4, .iterations = 3, .seed = 5};
    speech_clips_load(clips);
    speech_clips_fit(clips, 0, SPEECH_CLIPS, &options, 0, "tokenizer", folder);
    tiny_corpus_make(1, test_seed(), &corpus);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    speech_clips_free(clips);
    return 0;
}

/* The embedded set with a unit encoder of 50 units per second and a vocoder of its own. */
static struct speech *open_swapped(void)
{
    struct speech *speech;
    units_script = (struct script){.hop = HOP, .size = SIZE, .mark = 1};
    vocoder_script = (struct script){.hop = SPOKEN, .mark = 3};
    assert_ok(speech_folder_open(folder, &speech));
    assert_string_equal(speech->kind, "embedded");
    speech_encoder_remove(&speech->encoder[STREAM_HUBERT]);
    speech->encoder[STREAM_HUBERT] = scripted_encoder(STREAM_HUBERT, &units_script);
    speech_vocoder_remove(&speech->vocoder);
    speech->vocoder = scripted_vocoder(&vocoder_script, scripted_fingerprint(1));
    assert_ok(speech_check(speech));
    return speech;
}

static void expect_counting(const uint16_t *values, int64_t count)
{
    assert_int_equal(count, clips[0].count / HOP);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(values[i], i % SIZE);
}

static bool same_hash(struct sha256 a, struct sha256 b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static void pitch_and_style_do_not_notice(void **state)
{
    (void)state;
    struct speech *embedded, *swapped = open_swapped();
    struct units before, after;
    assert_ok(speech_folder_open(folder, &embedded));
    assert_ok(speech_encode(embedded, clips[0].samples, clips[0].count, "cards", STREAMS_ALL, &before));
    assert_ok(speech_encode(swapped, clips[0].samples, clips[0].count, "cards", STREAMS_ALL, &after));
    expect_counting(after.values[STREAM_HUBERT], after.count[STREAM_HUBERT]);
    for (int stream = STREAM_PITCH; stream <= STREAM_STYLE; stream++) {
        assert_true(same_hash(swapped->encoder[stream].fingerprint, embedded->encoder[stream].fingerprint));
        assert_true(before.count[stream] > 0);
        assert_int_equal(after.count[stream], before.count[stream]);
        assert_memory_equal(after.values[stream], before.values[stream],
                            (size_t)before.count[stream] * sizeof(uint16_t));
    }
    units_free(&before);
    units_free(&after);
    speech_free(embedded);
    speech_free(swapped);
}

/* The embedded vocoder knows whose units it speaks. */
static void the_vocoder_of_other_units_is_refused(void **state)
{
    (void)state;
    struct speech *speech;
    char embedded[65], message[200];
    assert_ok(speech_folder_open(folder, &speech));
    sha256_hex(&speech->encoder[STREAM_HUBERT].fingerprint, embedded);
    speech_encoder_remove(&speech->encoder[STREAM_HUBERT]);
    units_script = (struct script){.hop = HOP, .size = SIZE, .mark = 1};
    speech->encoder[STREAM_HUBERT] = scripted_encoder(STREAM_HUBERT, &units_script);
    snprintf(message, sizeof message, "encoder %.16s, found units of encoder 0101010101010101", embedded);
    assert_fails(speech_check(speech), STATUS_USAGE, message);
    struct components_options options = {.text_model = corpus.text_model, .speech = speech, .expressive = true};
    struct components *components = NULL;
    assert_fails(components_load(&options, &components), STATUS_USAGE, message);
    assert_null(components);
    assert_int_equal(units_script.destroyed, 1); /* the set was taken over */
}

static struct components *load(struct speech *speech, bool expressive)
{
    struct components_options options = {.text_model = corpus.text_model, .speech = speech, .expressive = expressive};
    struct components *components;
    assert_ok(components_load(&options, &components));
    return components;
}

static void the_package_describes_the_set(void **state)
{
    (void)state;
    struct components *components = load(open_swapped(), true);
    const struct speech_encoder *encoder = components->speech->encoder;
    assert_int_equal(components->vocabulary.hubert_count, SIZE);
    assert_int_equal(components->vocabulary.pitch_count, CODES);
    assert_int_equal(components->rates.rate[STREAM_HUBERT].numerator, RATE);
    assert_int_equal(components->rates.rate[STREAM_HUBERT].denominator, 1);
    assert_int_equal(components->rates.rate[STREAM_PITCH].numerator, 25);
    assert_int_equal(components->rates.rate[STREAM_PITCH].denominator, 2);
    assert_true(same_hash(components->fingerprints[COMPONENT_HUBERT], scripted_fingerprint(1)));
    assert_true(same_hash(components->fingerprints[COMPONENT_PITCH], encoder[STREAM_PITCH].fingerprint));
    assert_true(same_hash(components->fingerprints[COMPONENT_STYLE], encoder[STREAM_STYLE].fingerprint));
    assert_true(same_hash(components->fingerprints[COMPONENT_VOCODER], scripted_fingerprint(3)));
    components_free(components);
    assert_int_equal(units_script.destroyed, 1);
    assert_int_equal(vocoder_script.destroyed, 1);
}

/* Expressive models need pitch and style, all need units. */
static void a_set_that_lacks_a_stream_is_refused(void **state)
{
    (void)state;
    struct speech *speech = open_swapped();
    speech_encoder_remove(&speech->encoder[STREAM_PITCH]);
    struct components_options options = {.text_model = corpus.text_model, .speech = speech, .expressive = true};
    struct components *components = NULL;
    assert_fails(components_load(&options, &components), STATUS_USAGE, "no encoder of pitch units");
    speech = open_swapped();
    speech_encoder_remove(&speech->encoder[STREAM_PITCH]);
    speech_encoder_remove(&speech->encoder[STREAM_STYLE]);
    components = load(speech, false);
    assert_int_equal(components->vocabulary.pitch_count, 0);
    assert_int_equal(components->rates.rate[STREAM_PITCH].numerator, 0);
    components_free(components);
    options = (struct components_options){.text_model = corpus.text_model, .speech = open_swapped()};
    speech_encoder_remove(&options.speech->encoder[STREAM_HUBERT]);
    assert_fails(components_load(&options, &components), STATUS_USAGE, "no encoder of hubert units");
}

/* A checkpoint holds the set's own files, and is read by their kind. */
static void checkpoints_hold_the_files_of_the_set(void **state)
{
    (void)state;
    static const char description[] =
        "{\"format\": \"spiritlm-speech-tokenizer\", \"version\": 1, \"kind\": \"scripted\"}\n";
    const char *own = test_path("scripted"), *checkpoint = test_path("checkpoint");
    struct atomic_directory *directory;
    assert_ok(atomic_directory_begin(own, false, &directory));
    assert_ok(atomic_directory_add(directory, "tokenizer.json", description, sizeof description - 1));
    assert_ok(atomic_directory_commit(directory));
    struct speech *none, *speech = open_swapped();
    assert_int_equal(speech->file_count, 3);
    for (int64_t f = 0; f < speech->file_count; f++) {
        free(speech->files[f].name);
        free(speech->files[f].data);
    }
    speech->file_count = 0;
    assert_ok(speech_add_file(speech, own, "tokenizer.json"));
    assert_ok(speech_add_file(speech, own, "MANIFEST"));
    struct components *components = load(speech, true);
    assert_ok(atomic_directory_begin(checkpoint, false, &directory));
    assert_ok(components_write(components, directory));
    assert_ok(atomic_directory_commit(directory));
    components_free(components);
    assert_true(
        same_file(test_path("checkpoint/speech_tokenizer/tokenizer.json"), test_path("scripted/tokenizer.json")));
    assert_true(same_file(test_path("checkpoint/speech_tokenizer/MANIFEST"), test_path("scripted/MANIFEST")));
    assert_fails(components_load_checkpoint(checkpoint, &components), STATUS_CORRUPT,
                 "speech_tokenizer/tokenizer.json: kind is \"scripted\", expected \"embedded\"");
    assert_fails(speech_folder_open(own, &none), STATUS_CORRUPT,
                 "scripted/tokenizer.json: kind is \"scripted\", expected \"embedded\"");
    assert_null(none);
}

static void the_embedded_files_are_those_of_its_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"tokenizer.json", "tokenizer.safetensors", "MANIFEST"};
    struct components_options options = {.text_model = corpus.text_model, .speech_folder = folder, .expressive = true};
    struct components *components, *again;
    struct atomic_directory *directory;
    const char *checkpoint = test_path("embedded");
    assert_ok(components_load(&options, &components));
    assert_string_equal(components->speech_folder, folder);
    assert_ok(atomic_directory_begin(checkpoint, false, &directory));
    assert_ok(components_write(components, directory));
    assert_ok(atomic_directory_commit(directory));
    for (size_t f = 0; f < sizeof names / sizeof *names; f++)
        assert_true(
            same_file(test_path("embedded/speech_tokenizer/%s", names[f]), test_path("tokenizer/%s", names[f])));
    assert_ok(components_load_checkpoint(checkpoint, &again));
    assert_memory_equal(again->fingerprints, components->fingerprints, sizeof components->fingerprints);
    components_free(components);
    components_free(again);
}

static void prompts_hear_through_the_set(void **state)
{
    (void)state;
    const struct piece piece = {PIECE_AUDIO, CLIP};
    for (int expressive = 0; expressive < 2; expressive++) {
        struct components *components = load(open_swapped(), expressive);
        const struct vocabulary *vocabulary = &components->vocabulary;
        struct script unused = {.hop = 1000, .size = CODES};
        struct prompt prompt;
        if (!expressive) { /* a Base model computes no pitch */
            speech_encoder_remove(&components->speech->encoder[STREAM_PITCH]);
            components->speech->encoder[STREAM_PITCH] = scripted_encoder(STREAM_PITCH, &unused);
        }
        assert_ok(prompt_create(components, &piece, 1, OUTPUT_ANY, &prompt));
        assert_int_equal(prompt.ids[0], BOS);
        assert_int_equal(prompt.ids[1], SPEECH_TAG);
        int64_t heard = 0, others = 0;
        for (int64_t i = 2; i < prompt.count; i++)
            if (vocabulary_kind(vocabulary, prompt.ids[i]) == TOKEN_HUBERT)
                assert_int_equal(prompt.ids[i] - vocabulary->hubert_base, heard++ % SIZE);
            else
                others++;
        assert_int_equal(heard, clips[0].count / HOP); /* neighbours differ, so none were merged */
        assert_true(expressive ? others > 0 : others == 0);
        assert_int_equal(unused.calls, 0);
        prompt_free(&prompt);
        components_free(components);
    }
}

static void output_speaks_through_the_set(void **state)
{
    (void)state;
    struct components *components = load(open_swapped(), true);
    const struct vocabulary *vocabulary = &components->vocabulary;
    const struct prompt prompt = {.in_speech = true, .state = {0, 0}};
    const int32_t ids[] = {vocabulary->hubert_base + 2, vocabulary->pitch_base + 1, vocabulary->hubert_base + 6};
    struct output_piece *pieces;
    int64_t count;
    assert_ok(output_split(components, &prompt, ids, 3, NULL, &pieces, &count));
    assert_int_equal(count, 1);
    assert_string_equal(pieces[0].text, "[Hu2][Pi1][Hu6]");
    assert_int_equal(pieces[0].sample_count, 2 * SPOKEN);
    for (int i = 0; i < 2 * SPOKEN; i++)
        assert_true(pieces[0].samples[i] == (i < SPOKEN ? 0.02f : 0.06f));
    output_pieces_free(pieces, count);
    speech_vocoder_remove(&components->speech->vocoder);
    assert_ok(output_split(components, &prompt, ids, 3, NULL, &pieces, &count));
    assert_int_equal(count, 1);
    assert_string_equal(pieces[0].text, "[Hu2][Pi1][Hu6]");
    assert_null(pieces[0].samples);
    output_pieces_free(pieces, count);
    components_free(components);
}

static void prepare_stores_what_the_set_gives(void **state)
{
    (void)state;
    const struct prepare_settings settings = {.minimum_seconds = 0.1, .maximum_seconds = 60, .ready = {.label = ""}};
    const struct prepare_options options = {.prepare = &settings};
    struct prepare_dataset datasets[] = {{.kind = DATASET_SPEECH, .shard_rows = 4},
                                         {.kind = DATASET_SPEECH, .shard_rows = 4, .ready = true}};
    struct prepare prepare = {.options = &options, .datasets = datasets, .dataset_count = 2, .speech = open_swapped()};
    assert_ok(prepare_identify(&prepare));
    for (int d = 0; d < 2; d++) {
        const struct shard_fingerprints *fingerprints = &datasets[d].fingerprints;
        assert_true(same_hash(fingerprints->stream[STREAM_HUBERT], scripted_fingerprint(1)));
        assert_true(same_hash(fingerprints->stream[STREAM_PITCH], prepare.speech->encoder[STREAM_PITCH].fingerprint));
        assert_int_equal(fingerprints->rates.rate[STREAM_HUBERT].numerator, RATE);
        assert_int_equal(fingerprints->rates.rate[STREAM_HUBERT].denominator, 1);
    }
    char id[] = "a", audio[sizeof CLIP], speaker[] = "cards";
    uint16_t ready[] = {1, 6, 7, 0};
    struct manifest_row row = {.id = id, .audio = audio, .speaker = speaker, .channel = -1, .end = -1};
    struct row_worker worker = {0};
    struct made_row made;
    memcpy(audio, CLIP, sizeof CLIP);
    assert_ok(prepare_row(&prepare, &datasets[0], &row, &worker, &made));
    assert_string_equal(made.reason, "");
    expect_counting(made.row.units.values[STREAM_HUBERT], made.row.units.count[STREAM_HUBERT]);
    assert_int_equal(made.row.units.count[STREAM_PITCH], clips[0].count / 1280);
    assert_string_equal(units_script.heard, "cards");
    made_row_free(&made);
    row = (struct manifest_row){.id = id, .units = {ready, NULL, NULL}, .unit_count = {4, 0, 0}};
    assert_ok(prepare_row(&prepare, &datasets[1], &row, &worker, &made));
    assert_string_equal(made.reason, "unit out of range: hubert 7, the tokenizer has 7");
    made_row_free(&made);
    row.unit_count[STREAM_HUBERT] = 2;
    assert_ok(prepare_row(&prepare, &datasets[1], &row, &worker, &made));
    assert_string_equal(made.reason, "");
    assert_int_equal(made.row.duration, 2 * 16000 / RATE);
    made_row_free(&made);
    row_worker_free(&worker);
    speech_free(prepare.speech);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pitch_and_style_do_not_notice),
        cmocka_unit_test(the_vocoder_of_other_units_is_refused),
        cmocka_unit_test(the_package_describes_the_set),
        cmocka_unit_test(a_set_that_lacks_a_stream_is_refused),
        cmocka_unit_test(checkpoints_hold_the_files_of_the_set),
        cmocka_unit_test(the_embedded_files_are_those_of_its_folder),
        cmocka_unit_test(prompts_hear_through_the_set),
        cmocka_unit_test(output_speaks_through_the_set),
        cmocka_unit_test(prepare_stores_what_the_set_gives),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
