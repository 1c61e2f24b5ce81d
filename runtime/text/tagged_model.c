/* A protocol buffer lists repeated fields in the order of their ids, whatever lies between them, so pieces added at the end
 * of the file get the ids that follow the text's. Everything else in the file stays as it is.
 *
 * Tags found at the end of a file are recognised by their names in the fixed order of the id map (text/vocabulary.h). This
 * is also how the released models store theirs. */
#include "text/tagged_model.h"
#include "text/protobuf.h"
#include "text/sentencepiece_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 16, PIECE_BYTES = NAME_BYTES + 11 /* keys, lengths, score, type */ };

static bool is_tag(const struct piece *piece, const char *name)
{
    return piece->type == PIECE_USER_DEFINED && strcmp(piece->text, name) == 0;
}

static int32_t skip_units(const struct piece *pieces, int32_t count, int32_t at, const char *stream)
{
    char name[NAME_BYTES];
    for (int32_t unit = 0; at < count; unit++, at++) {
        snprintf(name, sizeof name, "[%s%" PRId32 "]", stream, unit);
        if (!is_tag(&pieces[at], name))
            break;
    }
    return at;
}

int32_t tag_pieces(const struct piece *pieces, int32_t count)
{
    int32_t first = 0;
    while (first < count && !is_tag(&pieces[first], "[Text]"))
        first++;
    if (first + 1 >= count || !is_tag(&pieces[first + 1], "[Speech]"))
        return 0;
    int32_t at = first + 2;
    static const char *const streams[] = {"Hu", "Pi", "St"};
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        at = skip_units(pieces, count, at, streams[i]);
    if (at + 2 == count && is_tag(&pieces[at], "[ASR]") && is_tag(&pieces[at + 1], "[TTS]"))
        at = count;
    return at == count ? count - first : 0;
}

enum status tagged_model_check(const char *name, const struct sentencepiece *text, const struct vocabulary *vocabulary)
{
    for (int32_t id = vocabulary->text_size; id < vocabulary->size; id++) {
        char tag[NAME_BYTES];
        vocabulary_token_name(vocabulary, id, tag);
        int32_t found = sentencepiece_find(text, tag);
        if (found >= 0)
            return status_set(STATUS_USAGE,
                              "%s: piece %" PRId32
                              " is \"%s\", which is how a tag or unit of the vocabulary is spelled; "
                              "train a text model without this piece",
                              name, found, tag);
    }
    return STATUS_OK;
}

enum status tagged_model_match(const char *name, const struct sentencepiece *text, const struct vocabulary *vocabulary)
{
    int32_t count = sentencepiece_tag_count(text), expected = vocabulary->size - vocabulary->text_size;
    if (count == 0)
        return STATUS_OK;
    if (count != expected)
        return status_set(STATUS_CORRUPT, "%s: %" PRId32 " tags and units at the end, the vocabulary has %" PRId32,
                          name, count, expected);
    for (int32_t id = vocabulary->text_size; id < vocabulary->size; id++) {
        char tag[NAME_BYTES];
        int64_t length;
        const char *found = sentencepiece_piece(text, id, &length);
        vocabulary_token_name(vocabulary, id, tag);
        if (strcmp(found, tag) != 0)
            return status_set(STATUS_CORRUPT, "%s: piece %" PRId32 " is %s, in the vocabulary it is %s", name, id,
                              found, tag);
    }
    return STATUS_OK;
}

/* `ModelProto.pieces` with the piece's text, score 0 and type; every length fits in one byte. */
static size_t put_tag(uint8_t *bytes, const char *tag)
{
    uint8_t length = (uint8_t)strlen(tag);
    uint8_t *at = bytes;
    *at++ = 1 << 3 | PROTOBUF_BYTES;
    *at++ = (uint8_t)(length + 9);
    *at++ = 1 << 3 | PROTOBUF_BYTES;
    *at++ = length;
    memcpy(at, tag, length);
    at += length;
    *at++ = 2 << 3 | PROTOBUF_FIXED32;
    memset(at, 0, 4);
    at += 4;
    *at++ = 3 << 3 | PROTOBUF_VARINT;
    *at++ = PIECE_USER_DEFINED;
    return (size_t)(at - bytes);
}

enum status tagged_model_write(const char *name, const void *file, int64_t size, const struct vocabulary *vocabulary,
                               void **tagged, int64_t *tagged_size)
{
    enum status result = STATUS_OK;
    struct protobuf message = {.data = file, .size = (size_t)size, .name = name};
    struct protobuf_field field;
    size_t written = 0, tags = (size_t)(vocabulary->size - vocabulary->text_size);
    int32_t pieces = 0;
    uint8_t *bytes = malloc((size_t)size + tags * PIECE_BYTES);
    if (!bytes)
        FAIL(STATUS_INTERNAL, "%s: no memory for a copy with %zu tags and units", name, tags);
    for (bool found;;) {
        size_t start = message.at;
        TRY(protobuf_next(&message, &field, &found));
        if (!found)
            break;
        if (field.number == 1 && pieces++ >= vocabulary->text_size)
            continue;
        memcpy(bytes + written, message.data + start, message.at - start);
        written += message.at - start;
    }
    for (int32_t id = vocabulary->text_size; id < vocabulary->size; id++) {
        char tag[NAME_BYTES];
        vocabulary_token_name(vocabulary, id, tag);
        written += put_tag(bytes + written, tag);
    }
    *tagged = bytes;
    *tagged_size = (int64_t)written;
    return STATUS_OK;
fail:
    free(bytes);
    return result;
}
