/* The properties of a loaded byte-level model, and its fingerprint, which covers what decides the ids of a text and the
 * text of ids, in a form that does not depend on whether it came from GGUF or from tokenizer.json. */
#include "text/byte_bpe.h"

#include "text/byte_bpe_internal.h"

#include <inttypes.h>
#include <string.h>

int32_t byte_bpe_size(const struct byte_bpe *model)
{
    return model->count;
}

int32_t byte_bpe_tag_count(const struct byte_bpe *model)
{
    return model->tag_count;
}

int32_t byte_bpe_bos(const struct byte_bpe *model)
{
    return model->bos;
}

int32_t byte_bpe_eos(const struct byte_bpe *model)
{
    return model->eos;
}

int32_t byte_bpe_unk(const struct byte_bpe *model)
{
    (void)model;
    return -1;
}

enum byte_bpe_type byte_bpe_type(const struct byte_bpe *model, int32_t id)
{
    return id >= 0 && id < model->count ? model->pieces[id].type : BYTE_BPE_UNUSED;
}

bool byte_bpe_is_control(const struct byte_bpe *model, int32_t id)
{
    enum byte_bpe_type type = byte_bpe_type(model, id);
    return type == BYTE_BPE_CONTROL || type == BYTE_BPE_UNUSED;
}

int32_t byte_bpe_missing_bytes(const struct byte_bpe *model)
{
    return model->missing_bytes;
}

const char *byte_bpe_pre_tokenizer(const struct byte_bpe *model)
{
    return word_pattern_name(model->pattern);
}

const char *byte_bpe_note(const struct byte_bpe *model)
{
    return model->note;
}

const char *byte_bpe_piece(const struct byte_bpe *model, int32_t id, int64_t *length)
{
    if (id < 0 || id >= model->count + model->tag_count || model->pieces[id].size == 0) {
        *length = 0;
        return "";
    }
    *length = model->pieces[id].size;
    return model->arena + model->pieces[id].start;
}

int32_t byte_bpe_find(const struct byte_bpe *model, const char *bytes, int64_t size)
{
    int32_t id = byte_bpe_lookup(model, bytes, size, false);
    if (id < 0)
        id = byte_bpe_lookup(model, bytes, size, true);
    return id < model->count ? id : -1;
}

enum status byte_bpe_check_tags(const char *name, const struct byte_bpe *model, const struct vocabulary *vocabulary)
{
    for (int32_t id = vocabulary->text_size; id < vocabulary->size; id++) {
        char tag[16];
        vocabulary_token_name(vocabulary, id, tag);
        int32_t found = byte_bpe_find(model, tag, (int64_t)strlen(tag));
        if (found >= 0)
            return status_set(STATUS_USAGE,
                              "%s: piece %" PRId32
                              " is \"%s\", which is how a tag or unit of the vocabulary is spelled; "
                              "use a text model without this piece",
                              name, found, tag);
    }
    return STATUS_OK;
}

/* ---- the fingerprint ---- */

static void add_u32(struct sha256_stream *stream, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    sha256_add(stream, bytes, sizeof bytes);
}

struct sha256 byte_bpe_fingerprint(const struct byte_bpe *model)
{
    static const char version[] = "byte-level bpe 1";
    struct sha256_stream *stream = sha256_start();
    const char *pattern = word_pattern_name(model->pattern);
    sha256_add(stream, version, sizeof version);
    sha256_add(stream, pattern, strlen(pattern) + 1);
    add_u32(stream, model->ignore_merges);
    add_u32(stream, (uint32_t)model->count);
    for (int32_t id = 0; id < model->count; id++) {
        const struct byte_bpe_piece *piece = &model->pieces[id];
        add_u32(stream, piece->type);
        add_u32(stream, piece->literal);
        add_u32(stream, (uint32_t)piece->size);
        sha256_add(stream, model->arena + piece->start, (size_t)piece->size);
    }
    add_u32(stream, (uint32_t)model->merge_count);
    for (int32_t rank = 0; rank < model->merge_count; rank++) {
        add_u32(stream, (uint32_t)model->merges[rank].left);
        add_u32(stream, (uint32_t)model->merges[rank].right);
    }
    return sha256_finish(stream);
}
