/* What SentencePiece does in one step, the tokenizers library does in a row: the normaliser puts U+2581 before the text and
 * in the place of spaces, the pre-tokenizer cuts at tags and units (each stands alone), and what lies between is merged by
 * rank. Tags and units are in the vocabulary of the model and are found there whole ("ignore_merges"). They are not "added
 * tokens", around which transformers treats spaces differently.
 *
 * BOS, EOS and UNK are added tokens, as for every LLaMA: transformers recognises them where they are spelled out in a text,
 * SentencePiece does not. */
#include "text/tokenizer_json.h"

#include "io/json.h"
#include "text/tokenizer_merges.h"
#include "text/tokenizer_patterns.h"

#include <stdlib.h>
#include <string.h>

/* ---- what can be expressed ---- */

/* A character within a piece that is no piece by itself: SentencePiece merges it all the same. */
static bool has_lone_character(const struct sentencepiece *text, const struct piece *piece)
{
    for (int32_t at = 0; at < piece->size;) {
        size_t length = utf8_character(piece->text + at, (size_t)(piece->size - at));
        int32_t id = length > 0 ? piece_lookup(text, piece->text + at, length) : -1;
        if (id < 0 || text->pieces[id].type != PIECE_NORMAL)
            return true;
        at += (int32_t)length;
    }
    return false;
}

static bool is_utf8(const struct piece *piece)
{
    size_t length;
    for (int32_t at = 0; at < piece->size; at += (int32_t)length)
        if ((length = utf8_character(piece->text + at, (size_t)(piece->size - at))) == 0)
            return false;
    return true;
}

const char *tokenizer_json_obstacle(const struct sentencepiece *text)
{
    if (text->whitespace_as_suffix)
        return "it writes white space behind words (treat_whitespace_as_suffix)";
    if (!text->escape_whitespaces)
        return "it does not escape white space";
    if (text->unused_count > 0)
        return "it has pieces of type UNUSED";
    for (int32_t id = 0; id < text->count; id++) {
        const struct piece *piece = &text->pieces[id];
        if (!is_utf8(piece))
            return "a piece is not valid UTF-8";
        if (memchr(piece->text, ' ', (size_t)piece->size) && piece_mergeable(piece))
            return "a piece holds a space";
        if (piece->type == PIECE_NORMAL && has_lone_character(text, piece))
            return "a piece holds a character that is not a piece by itself";
    }
    return NULL;
}

/* ---- the parts ---- */

static json_t *piece_json(const struct sentencepiece *text, int32_t id)
{
    return id < 0 ? json_null() : json_stringn(text->pieces[id].text, (size_t)text->pieces[id].size);
}

static json_t *added_tokens(const struct sentencepiece *text)
{
    json_t *list = json_array();
    const int32_t ids[] = {text->unk, text->bos, text->eos};
    int lost = 0;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] >= 0)
            lost |= json_array_append_new(list, json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (int)ids[i],
                                                          "content", piece_json(text, ids[i]), "single_word", 0,
                                                          "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    if (lost) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *replace(const char *kind, const char *pattern, const char *content)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", kind, pattern, "content", content);
}

static json_t *normalizer(const struct sentencepiece *text)
{
    json_t *steps = json_array();
    int lost = 0;
    if (text->remove_extra_whitespaces) {
        lost |= json_array_append_new(steps, replace("Regex", " {2,}", " "));
        lost |= json_array_append_new(steps, replace("Regex", "\\A ", ""));
        lost |= json_array_append_new(steps, replace("Regex", "[ " SPACE_SYMBOL "]+\\z", ""));
    }
    if (text->add_dummy_prefix)
        lost |= json_array_append_new(steps, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", SPACE_SYMBOL));
    lost |= json_array_append_new(steps, replace("String", " ", SPACE_SYMBOL));
    if (lost) {
        json_decref(steps);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps);
}

static json_t *split(const char *pattern)
{
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pattern, "behavior", "Isolated",
                     "invert", 0);
}

static enum status pre_tokenizer(const struct sentencepiece *text, const struct vocabulary *vocabulary, json_t **made)
{
    enum status result = STATUS_OK;
    char *tags = NULL, *unreachable = NULL;
    json_t *steps = json_array();
    TRY(pattern_of_tags(text, vocabulary, &tags));
    TRY(pattern_of_unreachable(text, &unreachable));
    if ((tags && json_array_append_new(steps, split(tags)) != 0) ||
        (unreachable && json_array_append_new(steps, split(unreachable)) != 0))
        FAIL(STATUS_INTERNAL, "no memory for tokenizer.json");
    *made = json_array_size(steps) ? json_pack("{s:s, s:O}", "type", "Sequence", "pretokenizers", steps) : json_null();
fail:
    json_decref(steps);
    free(tags);
    free(unreachable);
    return result;
}

static json_t *post_processor(const struct sentencepiece *text)
{
    if (text->bos < 0)
        return json_null();
    const char *bos = text->pieces[text->bos].text;
    return json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}],"
                     " s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}], s:{s:{s:s, s:[i], s:[s]}}}",
                     "type", "TemplateProcessing", "single", "SpecialToken", "id", bos, "type_id", 0, "Sequence", "id",
                     "A", "type_id", 0, "pair", "SpecialToken", "id", bos, "type_id", 0, "Sequence", "id", "A",
                     "type_id", 0, "SpecialToken", "id", bos, "type_id", 1, "Sequence", "id", "B", "type_id", 1,
                     "special_tokens", bos, "id", bos, "ids", (int)text->bos, "tokens", bos);
}

static json_t *decoder(const struct sentencepiece *text)
{
    json_t *steps =
        json_pack("[o, {s:s}, {s:s}]", replace("String", SPACE_SYMBOL, " "), "type", "ByteFallback", "type", "Fuse");
    if (steps && (text->add_dummy_prefix || text->remove_extra_whitespaces) &&
        json_array_append_new(
            steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0)) != 0) {
        json_decref(steps);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

static json_t *vocabulary_json(const struct sentencepiece *text, const struct vocabulary *vocabulary)
{
    json_t *ids = json_object();
    int lost = 0;
    for (int32_t id = 0; id < text->count; id++)
        lost |= json_object_set_new(ids, text->pieces[id].text, json_integer(id));
    for (int32_t id = vocabulary->text_size; id < vocabulary->size; id++) {
        char name[16];
        vocabulary_token_name(vocabulary, id, name);
        lost |= json_object_set_new(ids, name, json_integer(id));
    }
    if (lost) {
        json_decref(ids);
        return NULL;
    }
    return ids;
}

static enum status merges_json(const struct sentencepiece *text, json_t **made)
{
    enum status result = STATUS_OK;
    struct merge *merges = NULL;
    int64_t count = 0;
    json_t *list = json_array();
    TRY(tokenizer_merges(text, &merges, &count));
    for (int64_t i = 0; i < count; i++) {
        const struct piece *piece = &text->pieces[merges[i].piece];
        int32_t left = merges[i].left;
        if (json_array_append_new(list, json_sprintf("%.*s %s", (int)left, piece->text, piece->text + left)) != 0)
            FAIL(STATUS_INTERNAL, "no memory for %lld merges", (long long)count);
    }
    *made = json_incref(list);
fail:
    json_decref(list);
    free(merges);
    return result;
}

/* ---- the files ---- */

static enum status tokenizer_text(const struct sentencepiece *text, const struct vocabulary *vocabulary, char **written)
{
    enum status result = STATUS_OK;
    json_t *merges = NULL, *cuts = NULL, *root = NULL;
    TRY(merges_json(text, &merges));
    TRY(pre_tokenizer(text, vocabulary, &cuts));
    root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:O, s:o, s:o,"
                     " s:{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:O}}",
                     "version", "1.0", "truncation", "padding", "added_tokens", added_tokens(text), "normalizer",
                     normalizer(text), "pre_tokenizer", cuts, "post_processor", post_processor(text), "decoder",
                     decoder(text), "model", "type", "BPE", "dropout", "unk_token", piece_json(text, text->unk),
                     "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1, "byte_fallback",
                     (int)text->byte_fallback, "ignore_merges", 1, "vocab", vocabulary_json(text, vocabulary), "merges",
                     merges);
    *written = root ? jdoc_text(root, 1) : NULL;
    if (!*written)
        FAIL(STATUS_INTERNAL, "no memory for tokenizer.json");
fail:
    json_decref(merges);
    json_decref(cuts);
    json_decref(root);
    return result;
}

/* `legacy` is for LlamaTokenizer, which reads tokenizer.model: with it, the whole string goes to SentencePiece. */
static enum status config_text(const struct sentencepiece *text, char **written)
{
    json_t *root = json_pack("{s:s, s:o, s:o, s:o, s:b, s:b, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                             "bos_token", piece_json(text, text->bos), "eos_token", piece_json(text, text->eos),
                             "unk_token", piece_json(text, text->unk), "add_bos_token", text->bos >= 0, "add_eos_token",
                             0, "legacy", 1, "clean_up_tokenization_spaces", 0);
    *written = root ? jdoc_text(root, 2) : NULL;
    json_decref(root);
    return *written ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for tokenizer_config.json");
}

enum status tokenizer_json_write(const struct sentencepiece *text, const struct vocabulary *vocabulary,
                                 char **tokenizer, char **config)
{
    enum status result = STATUS_OK;
    *tokenizer = *config = NULL;
    TRY(tokenizer_text(text, vocabulary, tokenizer));
    TRY(config_text(text, config));
    return STATUS_OK;
fail:
    free(*tokenizer);
    *tokenizer = NULL;
    return result;
}
