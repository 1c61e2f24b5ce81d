/* flite keeps the structure of what it speaks: sentence, words, syllables and phones with their times. It gives word
 * times without any aligner, which is why the aligner can be measured against them. Emotions are made with the three
 * controls that a voice has: tempo, and mean and deviation of its pitch. */
#include "data/demo/synthesize.h"

#include "io/audio/audio.h"

#include <flite/cst_cg.h>
#include <flite/flite.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Declared here because the voice libraries have no headers. */
cst_voice *register_cmu_us_slt(const char *directory);
cst_voice *register_cmu_us_rms(const char *directory);
cst_voice *register_cmu_us_awb(const char *directory);

const char *const synthetic_voice_names[SYNTHETIC_VOICES] = {"slt", "rms", "awb"};
const char *const synthetic_emotion_names[SYNTHETIC_EMOTIONS] = {"neutral", "happy", "sad"};

struct prosody {
    float stretch;         /* factor on all durations */
    float mean, deviation; /* factors on the voice's own F0 statistics */
};

static const struct prosody prosodies[SYNTHETIC_EMOTIONS] = {
    {1.0f, 1.0f, 1.0f}, {0.9f, 1.35f, 1.6f}, {1.2f, 0.82f, 0.6f}};

static cst_voice *voices[SYNTHETIC_VOICES];
static cst_cg_db databases[SYNTHETIC_VOICES];

static enum status get_voice(enum synthetic_voice which, cst_voice **voice, const cst_cg_db **database)
{
    if (voices[which] == NULL) {
        flite_init();
        cst_voice *made = which == VOICE_SLT   ? register_cmu_us_slt(NULL)
                          : which == VOICE_RMS ? register_cmu_us_rms(NULL)
                                               : register_cmu_us_awb(NULL);
        if (made == NULL || !feat_present(made->features, "cg_db"))
            return status_set(STATUS_INTERNAL, "flite's voice %s cannot be loaded", synthetic_voice_names[which]);
        /* rms has a second F0 model ("spamf0") that ignores the target mean and deviation: a copy of its table makes it
         * speak with its first model, which it has as well. */
        databases[which] = *val_cg_db(feat_val(made->features, "cg_db"));
        databases[which].spamf0 = 0;
        feat_set(made->features, "cg_db", cg_db_val(&databases[which]));
        voices[which] = made;
    }
    *voice = voices[which];
    *database = &databases[which];
    return STATUS_OK;
}

/* The sample at a time in seconds, limited to the sound. */
static int32_t sample_at(float seconds, int64_t count)
{
    double sample = (double)seconds * AUDIO_RATE + 0.5;
    return sample < 0 ? 0 : sample > (double)count ? (int32_t)count : (int32_t)sample;
}

static int64_t count_words(const char *text)
{
    int64_t count = 0;
    for (size_t i = 0; text[i] != '\0';) {
        i += strspn(text + i, " \n\t");
        count += text[i] != '\0';
        i += strcspn(text + i, " \n\t");
    }
    return count;
}

/* Times of the tokens: from the first phone of the first word to the last phone of the last one. */
static enum status take_times(cst_utterance *utterance, const char *text, struct synthesis *synthesis)
{
    int64_t room = count_words(text);
    size_t at = 0;
    synthesis->words = calloc((size_t)room + 1, sizeof *synthesis->words);
    if (synthesis->words == NULL)
        return status_set(STATUS_INTERNAL, "out of memory for %lld words", (long long)room);
    for (const cst_item *token = relation_head(utt_relation(utterance, "Token")); token != NULL;
         token = item_next(token)) {
        const cst_item *first = item_daughter(token), *last = item_last_daughter(token);
        if (first == NULL) /* only punctuation */
            continue;
        at += strspn(text + at, " \n\t");
        size_t length = strcspn(text + at, " \n\t");
        const char *name = item_name(token);
        bool found = synthesis->word_count < room && memmem(text + at, length, name, strlen(name)) != NULL;
        if (!found)
            return status_set(STATUS_USAGE, "flite's word \"%s\" is not the text's word \"%.*s\"", name, (int)length,
                              text + at);
        struct aligned_word *word = &synthesis->words[synthesis->word_count++];
        const cst_item *first_word = item_as(first, "SylStructure"), *last_word = item_as(last, "SylStructure");
        word->start = sample_at(ffeature_float(first_word, "R:SylStructure.daughter1.daughter1.R:Segment.p.end"),
                                synthesis->count);
        word->end =
            sample_at(ffeature_float(last_word, "R:SylStructure.daughtern.daughtern.R:Segment.end"), synthesis->count);
        word->text_begin = (int32_t)at;
        word->text_end = (int32_t)(at + length);
        at += length;
    }
    if (synthesis->word_count != room)
        return status_set(STATUS_USAGE, "flite finds %lld of the text's %lld words", (long long)synthesis->word_count,
                          (long long)room);
    return STATUS_OK;
}

enum status synthesize(const char *text, enum synthetic_voice which, enum synthetic_emotion emotion,
                       struct synthesis *synthesis)
{
    enum status result = STATUS_OK;
    cst_voice *voice = NULL;
    const cst_cg_db *database = NULL;
    cst_utterance *utterance = NULL;
    *synthesis = (struct synthesis){0};
    if (count_words(text) == 0)
        return status_set(STATUS_USAGE, "flite finds nothing to say in an empty text");
    TRY(get_voice(which, &voice, &database));
    const struct prosody *prosody = &prosodies[emotion];
    flite_feat_set_float(voice->features, "duration_stretch", prosody->stretch);
    flite_feat_set_float(voice->features, "int_f0_target_mean", database->f0_mean * prosody->mean);
    flite_feat_set_float(voice->features, "int_f0_target_stddev", database->f0_stddev * prosody->deviation);
    srand(1); /* the noise of voiceless sounds comes from rand(): the same text always sounds the same */
    utterance = flite_synth_text(text, voice);
    const cst_wave *wave = utterance == NULL ? NULL : utt_wave(utterance);
    if (wave == NULL || wave->num_samples <= 0)
        FAIL(STATUS_USAGE, "flite finds nothing to say in \"%.60s\"", text);
    if (wave->sample_rate != AUDIO_RATE || wave->num_channels != 1)
        FAIL(STATUS_INTERNAL, "flite's voice %s speaks at %d Hz, expected %d Hz", synthetic_voice_names[which],
             wave->sample_rate, AUDIO_RATE);
    synthesis->count = wave->num_samples;
    synthesis->samples = malloc((size_t)synthesis->count * sizeof *synthesis->samples);
    if (synthesis->samples == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for %lld samples", (long long)synthesis->count);
    for (int64_t i = 0; i < synthesis->count; i++)
        synthesis->samples[i] = (float)wave->samples[i] / 32768.0f;
    TRY(take_times(utterance, text, synthesis));
    delete_utterance(utterance);
    return STATUS_OK;
fail:
    if (utterance != NULL)
        delete_utterance(utterance);
    synthesis_free(synthesis);
    return result;
}

void synthesis_free(struct synthesis *synthesis)
{
    free(synthesis->samples);
    free(synthesis->words);
    *synthesis = (struct synthesis){0};
}
