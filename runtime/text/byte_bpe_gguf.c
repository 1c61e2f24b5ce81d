/* GGUF stores a model as parallel lists under tokenizer.ggml: pieces, their types, merges as "a b". Which pattern cuts words
 * is a name (.pre); that Llama 3 takes whole words as pieces is a part of that name, since the file has no key for it. */
#include "text/byte_bpe_internal.h"

#include <inttypes.h>
#include <string.h>

static enum status check_kind(const struct gguf *file)
{
    enum status result = STATUS_OK;
    struct gguf_string kind;
    bool prefix = false;
    TRY(gguf_get_string(file, "tokenizer.ggml.model", true, &kind));
    if (kind.size != 4 || memcmp(kind.text, "gpt2", 4) != 0)
        FAIL(STATUS_CORRUPT, "%s: tokenizer.ggml.model: expected gpt2, a byte-level model, found \"%.*s\"",
             gguf_path(file), kind.size < 40 ? (int)kind.size : 40, kind.text);
    TRY(gguf_get_bool(file, "tokenizer.ggml.add_space_prefix", false, &prefix));
    if (prefix)
        FAIL(STATUS_CORRUPT, "%s: tokenizer.ggml.add_space_prefix is true, which is not supported", gguf_path(file));
fail:
    return result;
}

static enum status find_pattern(const struct gguf *file, struct byte_bpe *model)
{
    enum status result = STATUS_OK;
    struct gguf_string pre;
    TRY(gguf_get_string(file, "tokenizer.ggml.pre", true, &pre));
    if (!word_pattern_find(pre.text, pre.size, &model->pattern))
        FAIL(STATUS_CORRUPT, "%s: the pre-tokenizer \"%.*s\" (tokenizer.ggml.pre) is not known; known are %s",
             gguf_path(file), pre.size < 40 ? (int)pre.size : 40, pre.text, word_pattern_list());
    model->ignore_merges = model->pattern == WORDS_LLAMA3;
fail:
    return result;
}

static enum status read_pieces(const struct gguf *file, const struct gguf_value *tokens, struct byte_bpe *model)
{
    enum status result = STATUS_OK;
    const struct gguf_value *types = NULL;
    TRY(gguf_get_array(file, "tokenizer.ggml.token_type", false, GGUF_I32, tokens->count, &types));
    for (int64_t id = 0; id < tokens->count; id++) {
        struct gguf_string text = gguf_element_string(tokens, id);
        double type = types ? gguf_element_number(types, id) : BYTE_BPE_NORMAL;
        if (!(type >= BYTE_BPE_NORMAL && type <= BYTE_BPE_BYTE))
            FAIL(STATUS_CORRUPT, "%s: piece %" PRId64 " is of type %g, expected 1 to 5", gguf_path(file), id, type);
        TRY(byte_bpe_put_piece(gguf_path(file), model, id, (struct byte_bpe_text){text.text, text.size},
                               (uint8_t)type));
    }
fail:
    return result;
}

static enum status read_merges(const struct gguf *file, struct byte_bpe *model)
{
    enum status result = STATUS_OK;
    const struct gguf_value *merges = NULL;
    TRY(gguf_get_array(file, "tokenizer.ggml.merges", true, GGUF_STRING, -1, &merges));
    TRY(byte_bpe_finish_pieces(gguf_path(file), model, merges->count));
    for (int64_t rank = 0; rank < merges->count; rank++) {
        struct gguf_string line = gguf_element_string(merges, rank);
        TRY(byte_bpe_put_merge_line(gguf_path(file), model, (struct byte_bpe_text){line.text, line.size}));
    }
fail:
    return result;
}

static enum status read_specials(const struct gguf *file, struct byte_bpe *model)
{
    enum status result = STATUS_OK;
    int64_t bos = -1, eos = -1;
    bool add_bos = false, add_eos = false;
    TRY(gguf_get_integer(file, "tokenizer.ggml.bos_token_id", false, 0, model->count - 1, &bos));
    TRY(gguf_get_integer(file, "tokenizer.ggml.eos_token_id", false, 0, model->count - 1, &eos));
    TRY(gguf_get_bool(file, "tokenizer.ggml.add_bos_token", false, &add_bos));
    TRY(gguf_get_bool(file, "tokenizer.ggml.add_eos_token", false, &add_eos));
    model->bos = (int32_t)bos;
    model->eos = (int32_t)eos;
    if (add_bos || add_eos)
        model->note = "it asks for BOS or EOS around each text (add_bos_token, add_eos_token), which is not done here";
fail:
    return result;
}

enum status byte_bpe_load_gguf(const struct gguf *file, struct byte_bpe **model)
{
    enum status result = STATUS_OK;
    const struct gguf_value *tokens = NULL;
    struct byte_bpe *made = NULL;
    *model = NULL;
    TRY(check_kind(file));
    TRY(gguf_get_array(file, "tokenizer.ggml.tokens", true, GGUF_STRING, -1, &tokens));
    TRY(byte_bpe_start(gguf_path(file), tokens->count, &made));
    TRY(find_pattern(file, made));
    TRY(read_pieces(file, tokens, made));
    TRY(read_merges(file, made));
    TRY(read_specials(file, made));
    *model = made;
    return STATUS_OK;
fail:
    byte_bpe_free(made);
    return result;
}
