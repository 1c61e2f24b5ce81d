#include "support/sentencepiece_builder.h"

#include "support/test_support.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
    if (bytes->size + size > bytes->room) {
        bytes->room = 2 * (bytes->size + size) + 64;
        bytes->data = realloc(bytes->data, bytes->room);
        if (!bytes->data)
            fail_msg("no memory for %zu bytes", bytes->room);
    }
    if (size > 0)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void put_varint(struct bytes *bytes, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        bytes_add(bytes, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

void put_number(struct bytes *bytes, unsigned field, uint64_t value)
{
    put_varint(bytes, (uint64_t)field << 3);
    put_varint(bytes, value);
}

void put_float(struct bytes *bytes, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_varint(bytes, (uint64_t)field << 3 | 5);
    for (int i = 0; i < 4; i++) {
        uint8_t byte = (uint8_t)(bits >> (8 * i));
        bytes_add(bytes, &byte, 1);
    }
}

void put_bytes(struct bytes *bytes, unsigned field, const void *data, size_t size)
{
    put_varint(bytes, (uint64_t)field << 3 | 2);
    put_varint(bytes, size);
    bytes_add(bytes, data, size);
}

void put_piece(struct bytes *model, const char *text, size_t size, float score, unsigned type)
{
    struct bytes piece = {0};
    put_bytes(&piece, 1, text, size);
    put_float(&piece, 2, score);
    if (type > 0)
        put_number(&piece, 3, type);
    put_bytes(model, 1, piece.data, piece.size);
    bytes_free(&piece);
}

void put_specifications(struct bytes *model, unsigned model_type, int byte_fallback)
{
    struct bytes trainer = {0}, normalizer = {0};
    put_number(&trainer, 3, model_type);
    put_number(&trainer, 35, (uint64_t)byte_fallback);
    put_bytes(model, 2, trainer.data, trainer.size);
    put_bytes(&normalizer, 1, "identity", 8);
    put_number(&normalizer, 4, 0);
    put_bytes(model, 3, normalizer.data, normalizer.size);
    bytes_free(&trainer);
    bytes_free(&normalizer);
}

static bool named(const char *const *pieces, const char *text)
{
    while (*pieces && strcmp(*pieces, text) != 0)
        pieces++;
    return *pieces;
}

struct bytes build_small_model(const char *const *pieces, int byte_fallback)
{
    struct bytes model = {0};
    put_piece(&model, "<unk>", 5, 0, 2);
    put_piece(&model, "<s>", 3, 0, 3);
    put_piece(&model, "</s>", 4, 0, 3);
    for (int byte = 0; byte_fallback && byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        put_piece(&model, text, 6, 0, 6);
    }
    float score = 0;
    for (const char *const *piece = pieces; *piece; piece++)
        put_piece(&model, *piece, strlen(*piece), score--, 0);
    for (char letter = 'a'; letter <= 'z'; letter++) {
        char text[2] = {letter, 0};
        if (!named(pieces, text))
            put_piece(&model, text, 1, score--, 0);
    }
    if (!named(pieces, "\xE2\x96\x81"))
        put_piece(&model, "\xE2\x96\x81", 3, score--, 0);
    put_specifications(&model, 2, byte_fallback);
    return model;
}
