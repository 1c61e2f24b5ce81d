/* The reader of .model files: a protocol buffer (sentencepiece_model.proto) that is checked whole before it is used.
 *   ModelProto      1 pieces (repeated: 1 piece, 2 score, 3 type), 2 trainer_spec, 3 normalizer_spec,
 *                   5 denormalizer_spec
 *   TrainerSpec     3 model_type, 24 treat_whitespace_as_suffix, 35 byte_fallback, 44 unk_surface, 46 bos_piece,
 *                   47 eos_piece
 *   NormalizerSpec  1 name, 2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces,
 *                   5 escape_whitespaces
 * Other fields do not change what the encoder does and are skipped. A message that occurs twice is read twice, which
 * merges the two as protocol buffers require. */
#include "io/atomic_file.h"
#include "text/protobuf.h"
#include "text/sentencepiece_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t file_size_limit = INT64_C(1) << 30;

/* Bytes inside the file. */
struct span {
    const uint8_t *bytes;
    size_t size;
};

/* What the loader keeps until the pieces are known. */
struct reading {
    struct sentencepiece *model;
    size_t arena_used;
    uint64_t model_type;
    struct span unk_surface, bos_piece, eos_piece;
    bool has_unk_surface;
    struct span normalizer_name;
};

static enum status take_bool(const struct protobuf *message, const struct protobuf_field *field, const char *what,
                             bool *value)
{
    enum status status = protobuf_expect(message, field, PROTOBUF_VARINT, what);
    if (status == STATUS_OK)
        *value = field->value != 0;
    return status;
}

static enum status take_bytes(const struct protobuf *message, const struct protobuf_field *field, const char *what,
                              struct span *value)
{
    enum status status = protobuf_expect(message, field, PROTOBUF_BYTES, what);
    if (status == STATUS_OK)
        *value = (struct span){field->bytes, field->size};
    return status;
}

/* ---- pieces ---- */

static enum status read_piece(struct reading *reading, struct protobuf message)
{
    enum status result = STATUS_OK;
    int32_t id = reading->model->count;
    struct span text = {0};
    float score = 0;
    uint64_t type = PIECE_NORMAL;
    struct protobuf_field field;
    for (bool found;;) {
        TRY(protobuf_next(&message, &field, &found));
        if (!found)
            break;
        if (field.number == 1) {
            TRY(take_bytes(&message, &field, "the bytes of a piece", &text));
        } else if (field.number == 2) {
            TRY(protobuf_expect(&message, &field, PROTOBUF_FIXED32, "the score of a piece"));
            uint32_t bits = (uint32_t)field.value;
            memcpy(&score, &bits, sizeof score);
        } else if (field.number == 3) {
            TRY(protobuf_expect(&message, &field, PROTOBUF_VARINT, "the type of a piece"));
            type = field.value;
        }
    }
    if (text.size < 1 || text.size > PIECE_SIZE_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: piece %" PRId32 " has %zu bytes, expected 1 to %d", message.name, id, text.size,
             (int)PIECE_SIZE_LIMIT);
    if (memchr(text.bytes, 0, text.size))
        FAIL(STATUS_CORRUPT, "%s: piece %" PRId32 " holds a NUL byte", message.name, id);
    if (!isfinite(score))
        FAIL(STATUS_CORRUPT, "%s: expected a finite score of piece %" PRId32 ", found %f", message.name, id,
             (double)score);
    if (type < PIECE_NORMAL || type > PIECE_BYTE)
        FAIL(STATUS_CORRUPT, "%s: piece %" PRId32 " has type %" PRIu64 ", expected 1 to 6", message.name, id, type);

    char *copy = reading->model->arena + reading->arena_used;
    memcpy(copy, text.bytes, text.size);
    reading->arena_used += text.size + 1;
    reading->model->pieces[reading->model->count++] =
        (struct piece){.text = copy, .size = (int32_t)text.size, .score = score, .type = (uint8_t)type};
fail:
    return result;
}

/* Counts the pieces of the file and makes room for them. The arena has a NUL after each: an upper bound that the
 * file's own size limits. */
static enum status make_room(struct sentencepiece *model, struct protobuf message)
{
    enum status result = STATUS_OK;
    size_t pieces = 0, bytes = 0;
    struct protobuf_field field;
    for (bool found;;) {
        TRY(protobuf_next(&message, &field, &found));
        if (!found)
            break;
        if (field.number == 1) {
            pieces++;
            bytes += field.size + 1;
        }
    }
    if (pieces < 1 || pieces > PIECE_COUNT_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: %zu pieces, expected 1 to %d", message.name, pieces, (int)PIECE_COUNT_LIMIT);
    model->pieces = calloc(pieces, sizeof *model->pieces);
    model->arena = calloc(bytes, 1);
    if (!model->pieces || !model->arena)
        FAIL(STATUS_INTERNAL, "%s: no memory for %zu pieces", message.name, pieces);
fail:
    return result;
}

/* ---- the specifications ---- */

static enum status read_trainer(struct reading *reading, struct protobuf message)
{
    enum status result = STATUS_OK;
    struct sentencepiece *model = reading->model;
    struct protobuf_field field;
    for (bool found;;) {
        TRY(protobuf_next(&message, &field, &found));
        if (!found)
            break;
        switch (field.number) {
        case 3:
            TRY(protobuf_expect(&message, &field, PROTOBUF_VARINT, "model_type"));
            reading->model_type = field.value;
            break;
        case 24:
            TRY(take_bool(&message, &field, "treat_whitespace_as_suffix", &model->whitespace_as_suffix));
            break;
        case 35:
            TRY(take_bool(&message, &field, "byte_fallback", &model->byte_fallback));
            break;
        case 44:
            TRY(take_bytes(&message, &field, "unk_surface", &reading->unk_surface));
            reading->has_unk_surface = true;
            break;
        case 46:
            TRY(take_bytes(&message, &field, "bos_piece", &reading->bos_piece));
            break;
        case 47:
            TRY(take_bytes(&message, &field, "eos_piece", &reading->eos_piece));
            break;
        default:
            break;
        }
    }
fail:
    return result;
}

static enum status read_normalizer(struct reading *reading, struct protobuf message)
{
    enum status result = STATUS_OK;
    struct sentencepiece *model = reading->model;
    struct span map = {0};
    struct protobuf_field field;
    for (bool found;;) {
        TRY(protobuf_next(&message, &field, &found));
        if (!found)
            break;
        switch (field.number) {
        case 1:
            TRY(take_bytes(&message, &field, "the normalizer's name", &reading->normalizer_name));
            break;
        case 2:
            TRY(take_bytes(&message, &field, "precompiled_charsmap", &map));
            break;
        case 3:
            TRY(take_bool(&message, &field, "add_dummy_prefix", &model->add_dummy_prefix));
            break;
        case 4:
            TRY(take_bool(&message, &field, "remove_extra_whitespaces", &model->remove_extra_whitespaces));
            break;
        case 5:
            TRY(take_bool(&message, &field, "escape_whitespaces", &model->escape_whitespaces));
            break;
        default:
            break;
        }
    }
    struct span name = reading->normalizer_name;
    if (name.size > 0 && !(name.size == 8 && memcmp(name.bytes, "identity", 8) == 0))
        FAIL(STATUS_CORRUPT, "%s: the model normalises its text with \"%.*s\"; only \"identity\" is supported",
             message.name, (int)(name.size < 40 ? name.size : 40), (const char *)name.bytes);
    if (map.size > 0)
        FAIL(STATUS_CORRUPT, "%s: the normalizer has a character map of %zu bytes; only \"identity\" is supported",
             message.name, map.size);
fail:
    return result;
}

static enum status refuse_denormalizer(struct protobuf message)
{
    enum status result = STATUS_OK;
    struct protobuf_field field;
    for (bool found;;) {
        TRY(protobuf_next(&message, &field, &found));
        if (!found)
            break;
        if (field.number == 2 && field.size > 0)
            FAIL(STATUS_CORRUPT, "%s: the denormalizer has a character map, which is not supported", message.name);
    }
fail:
    return result;
}

static enum status read_model(struct reading *reading, struct protobuf message)
{
    enum status result = STATUS_OK;
    TRY(make_room(reading->model, message));
    struct protobuf_field field;
    for (bool found;;) {
        TRY(protobuf_next(&message, &field, &found));
        if (!found)
            break;
        if (field.number < 1 || field.number > 5 || field.number == 4)
            continue;
        TRY(protobuf_expect(&message, &field, PROTOBUF_BYTES, "a part of the model"));
        struct protobuf inside = protobuf_inside(&message, &field);
        switch (field.number) {
        case 1:
            TRY(read_piece(reading, inside));
            break;
        case 2:
            TRY(read_trainer(reading, inside));
            break;
        case 3:
            TRY(read_normalizer(reading, inside));
            break;
        default:
            TRY(refuse_denormalizer(inside));
            break;
        }
    }
    static const char *const types[] = {"none", "unigram", "bpe", "word", "char"};
    if (reading->model_type != 2) {
        if (reading->model_type < sizeof types / sizeof *types)
            FAIL(STATUS_CORRUPT, "%s: expected a model of type bpe, found type %s", message.name,
                 types[reading->model_type]);
        FAIL(STATUS_CORRUPT, "%s: expected a model of type 2 (bpe), found type %" PRIu64, message.name,
             reading->model_type);
    }
fail:
    return result;
}

/* ---- what the pieces must be together ---- */

static enum status check_bytes(struct sentencepiece *model, const char *name)
{
    for (int byte = 0; byte < 256; byte++)
        model->byte_ids[byte] = -1;
    for (int32_t id = 0; id < model->count; id++) {
        struct piece *piece = &model->pieces[id];
        if (piece->type != PIECE_BYTE)
            continue;
        if (!model->byte_fallback)
            return status_set(STATUS_CORRUPT, "%s: piece %" PRId32 " is a byte, but byte_fallback is off", name, id);
        char written[8] = "";
        unsigned byte;
        if (piece->size != 6 || sscanf(piece->text, "<0x%2X>", &byte) != 1 ||
            (snprintf(written, sizeof written, "<0x%02X>", byte & 0xff), strcmp(written, piece->text) != 0))
            return status_set(STATUS_CORRUPT, "%s: byte piece %" PRId32 " is \"%.40s\", expected <0x00> to <0xFF>",
                              name, id, piece->text);
        piece->byte = (uint8_t)byte;
        model->byte_ids[byte] = id;
    }
    for (int byte = 0; model->byte_fallback && byte < 256; byte++)
        if (model->byte_ids[byte] < 0)
            return status_set(STATUS_CORRUPT, "%s: byte_fallback is on, but there is no piece <0x%02X>", name,
                              (unsigned)byte);
    return STATUS_OK;
}

static enum status check_unknown(struct sentencepiece *model, const char *name)
{
    model->unk = -1;
    for (int32_t id = 0; id < model->count; id++) {
        if (model->pieces[id].type != PIECE_UNKNOWN)
            continue;
        if (model->unk >= 0)
            return status_set(STATUS_CORRUPT, "%s: pieces %" PRId32 " and %" PRId32 " are both unknown pieces", name,
                              model->unk, id);
        model->unk = id;
    }
    return model->unk >= 0 ? STATUS_OK : status_set(STATUS_CORRUPT, "%s: no unknown piece", name);
}

/* The id of a control piece by the name that the trainer recorded, or else by its usual name; -1: none. */
static int32_t find_control(const struct sentencepiece *model, struct span noted, const char *usual)
{
    int32_t id = noted.size > 0 ? piece_lookup(model, (const char *)noted.bytes, noted.size)
                                : piece_lookup(model, usual, strlen(usual));
    return id >= 0 && model->pieces[id].type == PIECE_CONTROL ? id : -1;
}

/* A text of the file that the decoder prints; C string, so it ends at a NUL. */
static char *copy_surface(const struct reading *reading)
{
    if (!reading->has_unk_surface)
        return strdup(" \xE2\x81\x87 ");
    return reading->unk_surface.size > 0 ? strndup((const char *)reading->unk_surface.bytes, reading->unk_surface.size)
                                         : strdup("");
}

static enum status load(const char *name, const void *data, int64_t size, bool tagged, struct sentencepiece **model)
{
    enum status result = STATUS_OK;
    *model = NULL;
    struct sentencepiece *made = calloc(1, sizeof *made);
    if (!made)
        FAIL(STATUS_INTERNAL, "%s: out of memory", name);
    if (size < 0 || size > file_size_limit)
        FAIL(STATUS_CORRUPT, "%s: %" PRId64 " bytes, expected at most %" PRId64, name, size, file_size_limit);
    made->add_dummy_prefix = made->remove_extra_whitespaces = made->escape_whitespaces = true;
    struct reading reading = {.model = made, .model_type = 1};
    TRY(read_model(&reading, (struct protobuf){.data = data, .size = (size_t)size, .name = name}));
    made->tag_count = tagged ? 0 : tag_pieces(made->pieces, made->count);
    made->count -= made->tag_count;
    TRY(piece_tables_build(made, name));
    TRY(check_unknown(made, name));
    TRY(check_bytes(made, name));
    made->bos = find_control(made, reading.bos_piece, "<s>");
    made->eos = find_control(made, reading.eos_piece, "</s>");
    made->unk_surface = copy_surface(&reading);
    if (!made->unk_surface)
        FAIL(STATUS_INTERNAL, "%s: out of memory", name);
    *model = made;
    return STATUS_OK;
fail:
    sentencepiece_free(made);
    return result;
}

enum status sentencepiece_load_memory(const char *name, const void *data, int64_t size, struct sentencepiece **model)
{
    return load(name, data, size, false, model);
}

enum status sentencepiece_load_tagged(const char *name, const void *data, int64_t size, struct sentencepiece **model)
{
    return load(name, data, size, true, model);
}

enum status sentencepiece_load(const char *path, struct sentencepiece **model)
{
    *model = NULL;
    void *data;
    int64_t size;
    enum status status = file_read(path, file_size_limit, &data, &size);
    if (status != STATUS_OK)
        return status;
    status = sentencepiece_load_memory(path, data, size, model);
    free(data);
    return status;
}

void sentencepiece_free(struct sentencepiece *model)
{
    if (!model)
        return;
    free(model->pieces);
    free(model->arena);
    free(model->table);
    free(model->user);
    free(model->unk_surface);
    free(model);
}
