/* Tags and units are written twice: in the model's vocabulary, where the library takes an added token's id from, and as
 * added tokens, which it cuts out of a text before anything else. Control and user-defined pieces are written in the same
 * way, so that reading the file gives their types back; unused ones are left out. */
#include "io/json_scan.h"
#include "text/byte_alphabet.h"
#include "text/byte_bpe_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(FILE *out, const char *text, int64_t size)
{
    putc('"', out);
    for (int64_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < ' ')
            fprintf(out, "\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else
            putc(byte, out);
    }
    putc('"', out);
}

/* A piece as files spell it. */
static void put_piece(FILE *out, const struct byte_bpe *model, int32_t id)
{
    char spelled[2 * BYTE_BPE_PIECE_SIZE_LIMIT];
    const struct byte_bpe_piece *piece = &model->pieces[id];
    const char *bytes = model->arena + piece->start;
    if (piece->literal)
        put_text(out, bytes, piece->size);
    else
        put_text(out, spelled, alphabet_write(bytes, piece->size, spelled));
}

static void put_added(FILE *out, int32_t id, bool special, bool *first)
{
    fprintf(out,
            "%s{\"id\":%" PRId32 ",\"special\":%s,\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
            "\"normalized\":false,\"content\":",
            *first ? "" : ",\n", id, special ? "true" : "false");
    *first = false;
}

static void put_added_tokens(FILE *out, const struct byte_bpe *model, const struct vocabulary *vocabulary)
{
    bool first = true;
    for (int32_t id = 0; id < model->count; id++) {
        uint8_t type = model->pieces[id].type;
        if (type != BYTE_BPE_CONTROL && type != BYTE_BPE_USER_DEFINED)
            continue;
        put_added(out, id, type == BYTE_BPE_CONTROL, &first);
        put_piece(out, model, id);
        putc('}', out);
    }
    for (int32_t id = vocabulary->text_size; id < vocabulary->size; id++) {
        char tag[16];
        vocabulary_token_name(vocabulary, id, tag);
        put_added(out, id, false, &first);
        fprintf(out, "\"%s\"}", tag);
    }
}

static void put_pre_tokenizer(FILE *out, enum word_pattern pattern)
{
    const char *before = "", *use_regex = "true";
    if (pattern == WORDS_SMOLLM)
        before = "{\"type\":\"Digits\",\"individual_digits\":true},";
    fprintf(out, "{\"type\":\"Sequence\",\"pretokenizers\":[%s", before);
    if (pattern == WORDS_LLAMA3) {
        const char *expression = word_pattern_expression(pattern);
        fprintf(out, "{\"type\":\"Split\",\"behavior\":\"Isolated\",\"invert\":false,\"pattern\":{\"Regex\":");
        put_text(out, expression, (int64_t)strlen(expression));
        fprintf(out, "}},");
        use_regex = "false";
    }
    fprintf(out, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":%s}]}",
            use_regex);
}

static void put_model(FILE *out, const struct byte_bpe *model, const struct vocabulary *vocabulary)
{
    fprintf(
        out,
        "{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
        "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":%s,\n\"vocab\":{\n",
        model->ignore_merges ? "true" : "false");
    const char *between = "";
    for (int32_t id = 0; id < model->count; id++) {
        if (model->pieces[id].type == BYTE_BPE_UNUSED)
            continue;
        fputs(between, out);
        put_piece(out, model, id);
        fprintf(out, ":%" PRId32, id);
        between = ",\n";
    }
    for (int32_t id = vocabulary->text_size; id < vocabulary->size; id++) {
        char tag[16];
        vocabulary_token_name(vocabulary, id, tag);
        fprintf(out, "%s\"%s\":%" PRId32, between, tag, id);
        between = ",\n";
    }
    fprintf(out, "\n},\n\"merges\":[");
    for (int32_t rank = 0; rank < model->merge_count; rank++) {
        const struct byte_bpe_merge *merge = &model->merges[rank];
        fprintf(out, "%s[", rank > 0 ? ",\n" : "\n");
        put_piece(out, model, merge->left);
        putc(',', out);
        put_piece(out, model, merge->right);
        putc(']', out);
    }
    fprintf(out, "\n]}");
}

/* Closes the stream; *text is then the caller's. */
static enum status finish(FILE *out, char **text, const char *name)
{
    bool broken = ferror(out);
    if (fclose(out) == 0 && !broken)
        return STATUS_OK;
    free(*text);
    *text = NULL;
    return status_set(STATUS_INTERNAL, "no memory for %s", name);
}

static enum status write_tokenizer(const struct byte_bpe *model, const struct vocabulary *vocabulary, char **text)
{
    size_t size;
    FILE *out = open_memstream(text, &size);
    if (!out)
        return status_set(STATUS_INTERNAL, "no memory for tokenizer.json");
    fprintf(out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n\"added_tokens\":[\n");
    put_added_tokens(out, model, vocabulary);
    fprintf(out, "],\n\"normalizer\":null,\n\"pre_tokenizer\":");
    put_pre_tokenizer(out, model->pattern);
    fprintf(out, ",\n\"post_processor\":null,\n\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
                 "\"trim_offsets\":true,\"use_regex\":true},\n\"model\":");
    put_model(out, model, vocabulary);
    fprintf(out, "}\n");
    return finish(out, text, "tokenizer.json");
}

/* Only a control or added piece can be a special token: transformers would find another one's text in every document. */
static void put_special(FILE *out, const char *key, const struct byte_bpe *model, int32_t id)
{
    fprintf(out, "  \"%s\": ", key);
    if (id >= 0 && (byte_bpe_type(model, id) == BYTE_BPE_CONTROL || byte_bpe_type(model, id) == BYTE_BPE_USER_DEFINED))
        put_piece(out, model, id);
    else
        fprintf(out, "null");
    fprintf(out, ",\n");
}

static enum status write_config(const struct byte_bpe *model, const struct vocabulary *vocabulary, char **text)
{
    size_t size;
    FILE *out = open_memstream(text, &size);
    if (!out)
        return status_set(STATUS_INTERNAL, "no memory for tokenizer_config.json");
    fprintf(out, "{\n  \"add_prefix_space\": false,\n");
    put_special(out, "bos_token", model, vocabulary->bos);
    fprintf(out, "  \"clean_up_tokenization_spaces\": false,\n");
    put_special(out, "eos_token", model, vocabulary->eos);
    fprintf(out, "  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n");
    return finish(out, text, "tokenizer_config.json");
}

enum status byte_bpe_write_json(const struct byte_bpe *model, const struct vocabulary *vocabulary, char **tokenizer,
                                char **config)
{
    enum status result = STATUS_OK;
    *tokenizer = *config = NULL;
    if (vocabulary->text_size != model->count)
        FAIL(STATUS_INTERNAL, "the vocabulary has %" PRId32 " text pieces, the text model %" PRId32,
             vocabulary->text_size, model->count);
    TRY(write_tokenizer(model, vocabulary, tokenizer));
    TRY(write_config(model, vocabulary, config));
    return STATUS_OK;
fail:
    free(*tokenizer);
    *tokenizer = NULL;
    return result;
}
