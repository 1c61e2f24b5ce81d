/* From GGUF's arrays back to SentencePiece's protocol buffer (sentencepiece_model.proto): one message per piece, then what the
 * trainer and the normaliser note. Converters drop everything else; byte pieces mean that byte fallback is on, and BOS and
 * EOS are noted by name. */
#include "text/sentencepiece_gguf.h"

#include "text/protobuf.h"
#include "text/sentencepiece_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BPE = 2, MESSAGE_BYTES = 64 /* keys, lengths and numbers around the bytes of a piece or a note */ };

struct writer {
    uint8_t *bytes;
    size_t size;
};

static void put_varint(struct writer *writer, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        writer->bytes[writer->size++] = (uint8_t)(value | 128);
    writer->bytes[writer->size++] = (uint8_t)value;
}

static void put_number(struct writer *writer, uint32_t field, uint64_t value)
{
    put_varint(writer, field << 3 | PROTOBUF_VARINT);
    put_varint(writer, value);
}

static void put_bytes(struct writer *writer, uint32_t field, const void *bytes, int64_t size)
{
    put_varint(writer, field << 3 | PROTOBUF_BYTES);
    put_varint(writer, (uint64_t)size);
    memcpy(writer->bytes + writer->size, bytes, (size_t)size);
    writer->size += (size_t)size;
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 128; value >>= 7)
        size++;
    return size;
}

static void put_piece(struct writer *writer, struct gguf_string text, float score, int64_t type)
{
    size_t inside = 1 + varint_size((uint64_t)text.size) + (size_t)text.size + 5 + 2;
    put_varint(writer, 1 << 3 | PROTOBUF_BYTES);
    put_varint(writer, inside);
    put_bytes(writer, 1, text.text, text.size);
    put_varint(writer, 2 << 3 | PROTOBUF_FIXED32);
    memcpy(writer->bytes + writer->size, &score, sizeof score);
    writer->size += sizeof score;
    put_number(writer, 3, (uint64_t)type);
}

struct arrays {
    const struct gguf_value *tokens, *scores, *types;
    int64_t bos, eos; /* -1: none */
    bool dummy_prefix, extra_spaces;
    bool byte_fallback;
    size_t bytes; /* of all pieces */
};

static enum status read_special(const struct gguf *file, const char *key, int64_t count, int64_t *id)
{
    *id = -1;
    return gguf_get_integer(file, key, false, 0, count - 1, id);
}

static enum status read_arrays(const struct gguf *file, struct arrays *arrays)
{
    enum status result = STATUS_OK;
    *arrays = (struct arrays){.dummy_prefix = true};
    TRY(gguf_get_array(file, "tokenizer.ggml.tokens", true, GGUF_STRING, -1, &arrays->tokens));
    int64_t count = arrays->tokens->count;
    TRY(gguf_get_array(file, "tokenizer.ggml.scores", true, GGUF_F32, count, &arrays->scores));
    TRY(gguf_get_array(file, "tokenizer.ggml.token_type", true, GGUF_I32, count, &arrays->types));
    TRY(read_special(file, "tokenizer.ggml.bos_token_id", count, &arrays->bos));
    TRY(read_special(file, "tokenizer.ggml.eos_token_id", count, &arrays->eos));
    TRY(gguf_get_bool(file, "tokenizer.ggml.add_space_prefix", false, &arrays->dummy_prefix));
    TRY(gguf_get_bool(file, "tokenizer.ggml.remove_extra_whitespaces", false, &arrays->extra_spaces));
    for (int64_t i = 0; i < count; i++) {
        struct gguf_string text = gguf_element_string(arrays->tokens, i);
        int64_t type = gguf_element_integer(arrays->types, i);
        if (text.size > PIECE_SIZE_LIMIT || type < PIECE_NORMAL || type > PIECE_BYTE)
            FAIL(STATUS_CORRUPT, "%s: piece %" PRId64 " of tokenizer.ggml has %" PRId64 " bytes and kind %" PRId64,
                 gguf_path(file), i, text.size, type);
        arrays->byte_fallback = arrays->byte_fallback || type == PIECE_BYTE;
        arrays->bytes += (size_t)text.size + MESSAGE_BYTES;
    }
fail:
    return result;
}

/* trainer_spec: kind of model, byte fallback, the names of BOS and EOS. */
static void put_trainer(struct writer *writer, const struct arrays *arrays)
{
    uint8_t bytes[2 * PIECE_SIZE_LIMIT + MESSAGE_BYTES];
    struct writer inside = {.bytes = bytes};
    put_number(&inside, 3, BPE);
    put_number(&inside, 35, arrays->byte_fallback);
    const int64_t ids[] = {arrays->bos, arrays->eos};
    for (int i = 0; i < 2; i++)
        if (ids[i] >= 0) {
            struct gguf_string text = gguf_element_string(arrays->tokens, ids[i]);
            put_bytes(&inside, (uint32_t)(46 + i), text.text, text.size);
        }
    put_bytes(writer, 2, inside.bytes, (int64_t)inside.size);
}

static void put_normaliser(struct writer *writer, const struct arrays *arrays)
{
    uint8_t bytes[MESSAGE_BYTES];
    struct writer inside = {.bytes = bytes};
    put_bytes(&inside, 1, "identity", 8);
    put_number(&inside, 3, arrays->dummy_prefix);
    put_number(&inside, 4, arrays->extra_spaces);
    put_number(&inside, 5, true);
    put_bytes(writer, 3, inside.bytes, (int64_t)inside.size);
}

enum status sentencepiece_file_of_gguf(const struct gguf *file, void **data, int64_t *size)
{
    struct arrays arrays;
    *data = NULL;
    *size = 0;
    enum status result = read_arrays(file, &arrays);
    if (result != STATUS_OK)
        return result;
    struct writer writer = {.bytes = malloc(arrays.bytes + 2 * PIECE_SIZE_LIMIT + 4 * MESSAGE_BYTES)};
    if (!writer.bytes)
        return status_set(STATUS_INTERNAL, "%s: no memory for a text model", gguf_path(file));
    for (int64_t i = 0; i < arrays.tokens->count; i++)
        put_piece(&writer, gguf_element_string(arrays.tokens, i), (float)gguf_element_number(arrays.scores, i),
                  gguf_element_integer(arrays.types, i));
    put_trainer(&writer, &arrays);
    put_normaliser(&writer, &arrays);
    *data = writer.bytes;
    *size = (int64_t)writer.size;
    return STATUS_OK;
}
