/* Ids to text: the bytes of the pieces with U+2581 as a space; runs of byte pieces give the UTF-8 characters that they
 * spell, and U+FFFD for each byte that is part of none. Control pieces give nothing. */
#include "text/sentencepiece_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct decoder {
    const struct sentencepiece *model;
    char *text; /* NULL while only the size is counted */
    size_t size;
};

static void put(struct decoder *decoder, const char *bytes, size_t size)
{
    if (decoder->text)
        memcpy(decoder->text + decoder->size, bytes, size);
    decoder->size += size;
}

static void put_piece(struct decoder *decoder, const char *text, size_t size)
{
    while (size > 0) {
        const char *space = memmem(text, size, SPACE_SYMBOL, SPACE_SYMBOL_SIZE);
        size_t before = space ? (size_t)(space - text) : size;
        put(decoder, text, before);
        if (!space)
            break;
        put(decoder, " ", 1);
        text += before + SPACE_SYMBOL_SIZE;
        size -= before + SPACE_SYMBOL_SIZE;
    }
}

/* The run of byte pieces that begins at ids; returns its length. */
static int64_t put_bytes(struct decoder *decoder, const int32_t *ids, int64_t count)
{
    const struct piece *pieces = decoder->model->pieces;
    int64_t run = 0;
    while (run < count && pieces[ids[run]].type == PIECE_BYTE)
        run++;
    for (int64_t at = 0; at < run;) {
        char character[4] = {0};
        size_t size = 0;
        for (; size < 4 && at + (int64_t)size < run; size++)
            character[size] = (char)pieces[ids[at + (int64_t)size]].byte;
        size_t length = utf8_character(character, size);
        if (length > 0)
            put(decoder, character, length);
        else
            put(decoder, REPLACEMENT, REPLACEMENT_SIZE);
        at += length ? (int64_t)length : 1;
    }
    return run;
}

static void decode(struct decoder *decoder, const int32_t *ids, int64_t count, bool strip_prefix)
{
    const struct sentencepiece *model = decoder->model;
    /* A space symbol at the very start was put there by the dummy prefix. With remove_extra_whitespaces every piece is
     * stripped of one until text appears. */
    bool at_start = strip_prefix && (model->add_dummy_prefix || model->remove_extra_whitespaces);
    bool stripped = false;
    for (int64_t i = 0; i < count;) {
        const struct piece *piece = &model->pieces[ids[i]];
        if (piece->type == PIECE_BYTE) {
            i += put_bytes(decoder, ids + i, count - i);
            continue;
        }
        i++;
        if (stripped || decoder->size > 0)
            at_start = false;
        if (piece->type == PIECE_CONTROL)
            continue;
        if (piece->type == PIECE_UNKNOWN) {
            put(decoder, model->unk_surface, strlen(model->unk_surface));
            continue;
        }
        bool strip =
            at_start && piece->size >= SPACE_SYMBOL_SIZE && memcmp(piece->text, SPACE_SYMBOL, SPACE_SYMBOL_SIZE) == 0;
        size_t skipped = strip ? SPACE_SYMBOL_SIZE : 0;
        stripped = strip && !model->remove_extra_whitespaces;
        put_piece(decoder, piece->text + skipped, (size_t)piece->size - skipped);
    }
}

enum status sentencepiece_decode(const struct sentencepiece *model, const int32_t *ids, int64_t count,
                                 bool strip_prefix, char **text, int64_t *size)
{
    *text = NULL;
    *size = 0;
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= model->count)
            return status_set(STATUS_USAGE,
                              "id %" PRId32 " at position %" PRId64 " is not a text piece: the model has %" PRId32
                              " pieces",
                              ids[i], i, model->count);
    struct decoder decoder = {.model = model};
    decode(&decoder, ids, count, strip_prefix);
    size_t needed = decoder.size;
    decoder = (struct decoder){.model = model, .text = malloc(needed + 1)};
    if (!decoder.text)
        return status_set(STATUS_INTERNAL, "no memory for a text of %zu bytes", needed);
    decode(&decoder, ids, count, strip_prefix);
    decoder.text[needed] = 0;
    *text = decoder.text;
    *size = (int64_t)needed;
    return STATUS_OK;
}
