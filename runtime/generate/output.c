/* Splits generated ids into runs of text and of speech. A piece ends where the kind of its tokens changes, with or
 * without a tag: a model may omit a tag, and nothing that it generated is dropped. */
#include "generate/generator.h"

#include <stdlib.h>
#include <string.h>

static void id_to_unit(const struct vocabulary *vocabulary, int32_t id, struct merged_unit *unit)
{
    enum token_kind kind = vocabulary_kind(vocabulary, id);
    *unit = (struct merged_unit){.run = 1};
    if (kind == TOKEN_HUBERT) {
        unit->stream = STREAM_HUBERT;
        unit->value = (uint16_t)(id - vocabulary->hubert_base);
    } else if (kind == TOKEN_PITCH) {
        unit->stream = STREAM_PITCH;
        unit->value = (uint16_t)(id - vocabulary->pitch_base);
    } else {
        unit->stream = STREAM_STYLE;
        unit->value = (uint16_t)(id - vocabulary->style_base);
    }
}

static enum status speak(const struct components *components, const int32_t *ids, int64_t count,
                         struct unit_state *state, struct thread_pool *pool, struct output_piece *piece)
{
    enum status result = STATUS_OK;
    struct spoken_unit *spoken = NULL;
    int64_t spoken_count = 0;
    struct merged_unit *merged = calloc((size_t)count + 1, sizeof *merged);
    if (!merged)
        FAIL(STATUS_INTERNAL, "no memory for %lld units", (long long)count);
    for (int64_t i = 0; i < count; i++)
        id_to_unit(&components->vocabulary, ids[i], &merged[i]);
    TRY(merged_to_string(merged, count, &piece->text));
    piece->size = (int64_t)strlen(piece->text);
    TRY(units_unmerge(merged, count, DEFAULT_STYLE, state, &spoken, &spoken_count));
    if (components->speech && components->speech->vocoder.synthesise && spoken_count > 0)
        TRY(speech_synthesise(components->speech, spoken, NULL, spoken_count, pool, &piece->samples,
                              &piece->sample_count));
fail:
    free(spoken);
    free(merged);
    return result;
}

static bool is_unit(const struct vocabulary *vocabulary, int32_t id)
{
    enum token_kind kind = vocabulary_kind(vocabulary, id);
    return kind == TOKEN_HUBERT || kind == TOKEN_PITCH || kind == TOKEN_STYLE;
}

enum status output_split(const struct components *components, const struct prompt *prompt, const int32_t *ids,
                         int64_t count, struct thread_pool *pool, struct output_piece **out, int64_t *out_count)
{
    enum status result = STATUS_OK;
    const struct vocabulary *vocabulary = &components->vocabulary;
    struct unit_state state = prompt->state;
    int64_t pieces_count = 0;
    *out = NULL;
    *out_count = 0;
    struct output_piece *pieces = calloc((size_t)count + 1, sizeof *pieces);
    if (!pieces)
        return status_set(STATUS_INTERNAL, "no memory for %lld pieces", (long long)count);
    for (int64_t begin = 0; begin < count;) {
        if (vocabulary_kind(vocabulary, ids[begin]) == TOKEN_TAG) {
            begin++;
            continue;
        }
        bool speech = is_unit(vocabulary, ids[begin]);
        int64_t end = begin;
        while (end < count && vocabulary_kind(vocabulary, ids[end]) != TOKEN_TAG &&
               is_unit(vocabulary, ids[end]) == speech)
            end++;
        struct output_piece *piece = &pieces[pieces_count++];
        piece->speech = speech;
        if (speech)
            TRY(speak(components, ids + begin, end - begin, &state, pool, piece));
        else
            TRY(text_model_decode(components->text, ids + begin, end - begin, false, &piece->text, &piece->size));
        begin = end;
    }
    *out = pieces;
    *out_count = pieces_count;
    return STATUS_OK;
fail:
    output_pieces_free(pieces, pieces_count);
    return result;
}

void output_pieces_free(struct output_piece *pieces, int64_t count)
{
    for (int64_t i = 0; pieces && i < count; i++) {
        free(pieces[i].text);
        free(pieces[i].samples);
    }
    free(pieces);
}
