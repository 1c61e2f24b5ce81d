/* The properties of a loaded model, and its fingerprint, which covers what decides the ids of a text (pieces, their
 * kinds and scores, the flags), not the file's bytes, which another version of the trainer writes differently for the
 * same model. */
#include "text/sentencepiece_internal.h"

#include <string.h>

int32_t sentencepiece_size(const struct sentencepiece *model)
{
    return model->count;
}

int32_t sentencepiece_tag_count(const struct sentencepiece *model)
{
    return model->tag_count;
}

int32_t sentencepiece_unk(const struct sentencepiece *model)
{
    return model->unk;
}

int32_t sentencepiece_bos(const struct sentencepiece *model)
{
    return model->bos;
}

int32_t sentencepiece_eos(const struct sentencepiece *model)
{
    return model->eos;
}

const char *sentencepiece_piece(const struct sentencepiece *model, int32_t id, int64_t *length)
{
    if (id < 0 || id >= model->count + model->tag_count) {
        *length = 0;
        return "";
    }
    *length = model->pieces[id].size;
    return model->pieces[id].text;
}

bool sentencepiece_is_control(const struct sentencepiece *model, int32_t id)
{
    return id >= 0 && id < model->count &&
           (model->pieces[id].type == PIECE_CONTROL || model->pieces[id].type == PIECE_UNKNOWN);
}

int32_t sentencepiece_find(const struct sentencepiece *model, const char *piece)
{
    return piece_lookup(model, piece, strlen(piece));
}

static void add_u32(struct sha256_stream *stream, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    sha256_add(stream, bytes, sizeof bytes);
}

static void add_text(struct sha256_stream *stream, const char *text, size_t size)
{
    add_u32(stream, (uint32_t)size);
    sha256_add(stream, text, size);
}

struct sha256 sentencepiece_fingerprint(const struct sentencepiece *model)
{
    static const char version[] = "sentencepiece bpe identity 1";
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, version, sizeof version);
    uint8_t flags[] = {model->byte_fallback, model->add_dummy_prefix, model->remove_extra_whitespaces,
                       model->escape_whitespaces, model->whitespace_as_suffix};
    sha256_add(stream, flags, sizeof flags);
    add_u32(stream, (uint32_t)model->unk);
    add_u32(stream, (uint32_t)model->bos);
    add_u32(stream, (uint32_t)model->eos);
    add_text(stream, model->unk_surface, strlen(model->unk_surface));
    add_u32(stream, (uint32_t)model->count);
    for (int32_t id = 0; id < model->count; id++) {
        const struct piece *piece = &model->pieces[id];
        float score = piece->score == 0 ? 0 : piece->score; /* -0 sorts like 0 */
        uint32_t bits;
        memcpy(&bits, &score, sizeof bits);
        add_u32(stream, piece->type);
        add_u32(stream, bits);
        add_text(stream, piece->text, (size_t)piece->size);
    }
    return sha256_finish(stream);
}
