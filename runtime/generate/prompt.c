/* The ids that training would have shown the model for the same pieces, made by the same functions: text is trimmed and
 * encoded piece by piece, speech is encoded, merged and deduplicated. A unit string names pitch and style only where
 * they change, so those in force at its end are kept for the speech that follows. */
#include "generate/prompt.h"

#include "core/array.h"
#include "io/audio/audio.h"
#include "text/white_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status append(struct prompt *prompt, const int32_t *ids, int64_t count)
{
    enum status result = array_grow(&prompt->ids, &prompt->capacity, prompt->count + count, "tokens of a prompt");
    if (result != STATUS_OK)
        return result;
    if (count)
        memcpy(prompt->ids + prompt->count, ids, (size_t)count * sizeof *ids);
    prompt->count += count;
    return STATUS_OK;
}

bool piece_is_blank(const struct piece *piece)
{
    int64_t begin = 0, end = (int64_t)strlen(piece->content);
    trim_white_space(piece->content, &begin, &end);
    return piece->kind == PIECE_TEXT && begin == end;
}

/* Whether a piece under its tag, if it has one, goes on with what stands before: it is not the prompt's first. */
static bool continues(const struct vocabulary *vocabulary, const struct prompt *prompt)
{
    int64_t tags = 0;
    for (int64_t i = 0; i < prompt->count; i++)
        tags += vocabulary_kind(vocabulary, prompt->ids[i]) == TOKEN_TAG;
    return tags > 1 || (tags > 0 && vocabulary_kind(vocabulary, prompt->ids[prompt->count - 1]) != TOKEN_TAG);
}

/* As training encodes a piece (data/interleave.c): without the white space at its ends, with a dummy prefix of its own
 * unless it follows a tag and the document has the only one. A space before a piece that goes on is the user's to give by
 * giving the piece. */
static enum status append_text(const struct components *components, const char *given, struct prompt *prompt)
{
    int32_t *ids = NULL;
    int64_t count = 0, begin = 0, end = (int64_t)strlen(given);
    enum status result = STATUS_OK;
    char *text = NULL;
    trim_white_space(given, &begin, &end);
    if (begin == end)
        return STATUS_OK;
    const struct vocabulary *vocabulary = &components->vocabulary;
    bool after_text = prompt->count > 0 && vocabulary_kind(vocabulary, prompt->ids[prompt->count - 1]) == TOKEN_TEXT;
    bool space = (vocabulary->span_space && continues(vocabulary, prompt)) ||
                 (text_model_is_byte_level(components->text) && after_text);
    if (asprintf(&text, "%s%.*s", space ? " " : "", (int)(end - begin), given + begin) < 0) {
        text = NULL;
        FAIL(STATUS_INTERNAL, "no memory for a piece of text");
    }
    TRY(text_model_encode(components->text, text, end - begin + space,
                          !space && (vocabulary->dummy_prefix == DUMMY_PREFIX_SPAN || after_text), &ids, &count));
    TRY(append(prompt, ids, count));
fail:
    free(text);
    free(ids);
    return result;
}

static enum status append_merged(const struct components *components, const struct merged_unit *merged, int64_t count,
                                 struct prompt *prompt)
{
    enum status result = STATUS_OK;
    struct spoken_unit *spoken = NULL;
    int64_t spoken_count = 0;
    int32_t *ids = malloc((size_t)(count + 1) * sizeof *ids);
    if (!ids)
        FAIL(STATUS_INTERNAL, "no memory for %lld units", (long long)count);
    TRY(merged_to_ids(&components->vocabulary, merged, count, ids));
    TRY(append(prompt, ids, count));
    TRY(units_unmerge(merged, count, DEFAULT_STYLE, &prompt->state, &spoken,
                      &spoken_count)); /* for the state it leaves */
fail:
    free(spoken);
    free(ids);
    return result;
}

enum status prompt_append_samples(const struct components *components, const char *name, const float *samples,
                                  int64_t sample_count, struct prompt *prompt)
{
    enum status result = STATUS_OK;
    int64_t count = 0;
    struct units units = {0};
    struct merged_unit *merged = NULL;
    unsigned streams = components->vocabulary.pitch_count ? STREAMS_ALL : STREAMS_BASE;
    if (!components->speech)
        FAIL(STATUS_USAGE, "%s: this model has no speech tokenizer, so it cannot read audio; pass units instead", name);
    TRY(speech_encode(components->speech, samples, sample_count, NULL, streams, &units));
    if (units.count[STREAM_HUBERT] == 0)
        FAIL(STATUS_USAGE, "%s: %lld samples at 16 kHz are too short for a speech unit", name, (long long)sample_count);
    TRY(units_merge(&units, &components->rates, 0, -1, streams, &merged, &count));
    TRY(append_merged(components, merged, count, prompt));
fail:
    free(merged);
    units_free(&units);
    return result;
}

static enum status append_audio(const struct components *components, const char *path, struct prompt *prompt)
{
    enum status result = STATUS_OK;
    float *samples = NULL;
    int64_t count = 0;
    if (components->speech)
        TRY(audio_read(path, -1, &samples, &count));
    TRY(prompt_append_samples(components, path, samples, count, prompt));
fail:
    free(samples);
    return result;
}

static enum status append_units(const struct components *components, const char *text, struct prompt *prompt)
{
    struct merged_unit *merged = NULL;
    int64_t count = 0;
    enum status result = STATUS_OK;
    /* Typed by a user rather than read from a file of ours: a mistake, not damage. */
    if (merged_from_string(text, &components->vocabulary, &merged, &count) != STATUS_OK)
        return STATUS_USAGE;
    TRY(append_merged(components, merged, count, prompt));
fail:
    free(merged);
    return result;
}

/* With the modality and units in force at its end. */
static enum status append_string(const struct components *components, const char *text, struct prompt *prompt)
{
    enum status result = STATUS_OK;
    const struct vocabulary *vocabulary = &components->vocabulary;
    int32_t *ids = NULL;
    int64_t count = 0;
    TRY(text_model_encode_tagged(components->text, vocabulary, text, &ids, &count));
    TRY(append(prompt, ids, count));
    for (int64_t i = 0; i < count; i++) {
        enum token_kind kind = vocabulary_kind(vocabulary, ids[i]);
        if (kind == TOKEN_TAG)
            prompt->in_speech = ids[i] == vocabulary->speech_tag || ids[i] == vocabulary->tts_tag;
        else if (kind == TOKEN_PITCH)
            prompt->state.pitch = ids[i] - vocabulary->pitch_base;
        else if (kind == TOKEN_STYLE)
            prompt->state.style = ids[i] - vocabulary->style_base;
    }
fail:
    free(ids);
    return result;
}

enum status prompt_append_piece(const struct components *components, const struct piece *piece, struct prompt *prompt)
{
    switch (piece->kind) {
    case PIECE_TEXT:
        return append_text(components, piece->content, prompt);
    case PIECE_AUDIO:
        return append_audio(components, piece->content, prompt);
    case PIECE_UNITS:
        return append_units(components, piece->content, prompt);
    case PIECE_STRING:
        return append_string(components, piece->content, prompt);
    }
    return status_set(STATUS_INTERNAL, "unknown kind of piece %d", (int)piece->kind);
}

enum status prompt_append_tag(const struct components *components, bool speech, struct prompt *prompt)
{
    prompt->in_speech = speech;
    if (components->vocabulary.text_tag < 0)
        return speech
                   ? status_set(STATUS_USAGE, "this is a model of text alone, which neither hears nor speaks; continue "
                                              "it with train (model.initialize_from)")
                   : STATUS_OK;
    return append(prompt, speech ? &components->vocabulary.speech_tag : &components->vocabulary.text_tag, 1);
}

/* BOS, as in training, if the text model has one, and the dummy prefix of the document. */
enum status prompt_append_beginning(const struct components *components, bool bos, struct prompt *prompt)
{
    enum status result = STATUS_OK;
    int32_t *ids = NULL;
    int64_t count = 0;
    if (bos && components->vocabulary.bos >= 0)
        TRY(append(prompt, &components->vocabulary.bos, 1));
    if (components->vocabulary.dummy_prefix == DUMMY_PREFIX_DOCUMENT)
        TRY(text_model_encode_prefix(components->text, &ids, &count));
    TRY(append(prompt, ids, count));
fail:
    free(ids);
    return result;
}

/* A prompt that is one string: what it says is all there is, but for BOS and the output's tag. */
static enum status create_from_string(const struct components *components, const char *text,
                                      enum output_modality output, struct prompt *prompt)
{
    enum status result = STATUS_OK;
    bool speech = output == OUTPUT_SPEECH;
    *prompt = (struct prompt){.state = {-1, -1}};
    if (components->vocabulary.bos >= 0)
        TRY(append(prompt, &components->vocabulary.bos, 1));
    TRY(append_string(components, text, prompt));
    bool tagged = false;
    for (int64_t i = 0; i < prompt->count; i++)
        tagged = tagged || vocabulary_kind(&components->vocabulary, prompt->ids[i]) == TOKEN_TAG;
    if (output != OUTPUT_ANY && (!tagged || prompt->in_speech != speech))
        TRY(prompt_append_tag(components, speech, prompt));
    return STATUS_OK;
fail:
    prompt_free(prompt);
    return result;
}

enum status prompt_create(const struct components *components, const struct piece *pieces, int64_t count,
                          enum output_modality output, struct prompt *prompt)
{
    enum status result = STATUS_OK;
    bool tagged = false;
    if (count == 1 && pieces[0].kind == PIECE_STRING)
        return create_from_string(components, pieces[0].content, output, prompt);
    *prompt = (struct prompt){.state = {-1, -1}};
    for (int64_t i = 0; i < count; i++)
        if (pieces[i].kind == PIECE_STRING)
            FAIL(STATUS_USAGE, "a prompt with its tags spelled out must be the only piece");
    TRY(prompt_append_beginning(components, true, prompt));
    for (int64_t i = 0; i < count; i++) {
        bool speech = pieces[i].kind != PIECE_TEXT;
        if (piece_is_blank(&pieces[i]))
            continue;
        if (!tagged || speech != prompt->in_speech)
            TRY(prompt_append_tag(components, speech, prompt));
        tagged = true;
        TRY(prompt_append_piece(components, &pieces[i], prompt));
    }
    if (output != OUTPUT_ANY && (!tagged || prompt->in_speech != (output == OUTPUT_SPEECH)))
        TRY(prompt_append_tag(components, output == OUTPUT_SPEECH, prompt));
    return STATUS_OK;
fail:
    prompt_free(prompt);
    return result;
}

void prompt_free(struct prompt *prompt)
{
    free(prompt->ids);
    *prompt = (struct prompt){0};
}
