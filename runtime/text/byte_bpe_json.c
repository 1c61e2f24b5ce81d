/* tokenizer.json describes a pipeline of many possible steps; those of a byte-level model are few. Every member is looked
 * at: what makes no difference to ids (offsets, padding) is skipped, what would make one and is not done here is refused.
 * Members come in any order, so that a first pass notes where the large ones are; pieces are read before merges. */
#include "text/byte_bpe_json.h"
#include "text/byte_bpe_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t file_size_limit = INT64_C(1) << 28;

struct reading {
    const char *name;
    struct scan_buffer buffer;
    struct byte_bpe_pipeline pipeline;
    bool ignore_merges, fallback;          /* fallback: something stands for bytes without a piece */
    struct scan added, vocabulary, merges; /* at their values */
    int64_t last_id;
    struct byte_bpe *model;
};

/* ---- pieces ---- */

struct added_token {
    struct byte_bpe_text content;
    int64_t id;
    bool special;
};

/* Flags other than "special" say how the token is found in a text, where it is not found at all here. */
static enum status read_added_token(struct reading *reading, struct scan *scan, struct added_token *token, char *copy)
{
    enum { ID, CONTENT, SPECIAL, FLAGS };
    static const char *const keys[] = {"id",     "content", "special",    "single_word",
                                       "lstrip", "rstrip",  "normalized", NULL};
    enum status result = STATUS_OK;
    struct scan_text key, content;
    uint32_t seen = 0;
    bool found, ignored;
    *token = (struct added_token){0};
    TRY(scan_object(scan, "an added token"));
    for (int which;;) {
        TRY(scan_member(scan, &key, &found));
        if (!found)
            break;
        TRY(byte_bpe_take_key(reading->name, "an added token", keys, key, &seen, &which));
        switch (which) {
        case ID:
            TRY(scan_integer(scan, "the id of an added token", 0, BYTE_BPE_COUNT_LIMIT - 1, &token->id));
            break;
        case CONTENT:
            TRY(scan_string(scan, "the content of an added token", &content));
            token->content = (struct byte_bpe_text){copy, content.size};
            if (content.size <= BYTE_BPE_PIECE_SIZE_LIMIT) /* a longer one is refused by its size */
                memcpy(copy, content.bytes, (size_t)content.size);
            break;
        case SPECIAL:
            TRY(scan_bool(scan, "true or false for \"special\"", &token->special));
            break;
        default:
            TRY(scan_bool(scan, "true or false for a flag of an added token", &ignored));
            break;
        }
    }
    for (int needed = ID; needed <= CONTENT; needed++)
        if (!(seen >> needed & 1))
            FAIL(STATUS_CORRUPT, "%s: an added token without \"%s\"", reading->name, keys[needed]);
fail:
    return result;
}

/* Only the largest id where there is no model yet. */
static enum status read_added(struct reading *reading)
{
    enum status result = STATUS_OK;
    struct scan scan = reading->added;
    struct added_token token;
    char content[BYTE_BPE_PIECE_SIZE_LIMIT];
    bool found;
    if (!scan.name || scan_kind(&scan) == SCAN_NULL)
        return STATUS_OK;
    TRY(scan_list(&scan, "a list of added tokens"));
    for (;;) {
        TRY(scan_element(&scan, &found));
        if (!found)
            break;
        TRY(read_added_token(reading, &scan, &token, content));
        if (token.id > reading->last_id)
            reading->last_id = token.id;
        if (!reading->model)
            continue;
        if (reading->model->pieces[token.id].type != BYTE_BPE_UNUSED)
            FAIL(STATUS_CORRUPT, "%s: two added tokens have the id %" PRId64, reading->name, token.id);
        TRY(byte_bpe_put_piece(reading->name, reading->model, token.id, token.content,
                               token.special ? BYTE_BPE_CONTROL : BYTE_BPE_USER_DEFINED));
    }
fail:
    return result;
}

/* A piece of the vocabulary, which may be an added token too: then under the same id. */
static enum status put_piece(struct reading *reading, int64_t id, struct byte_bpe_text text)
{
    const struct byte_bpe *model = reading->model;
    const struct byte_bpe_piece *present = &model->pieces[id];
    if (present->type == BYTE_BPE_UNUSED)
        return byte_bpe_put_piece(reading->name, reading->model, id, text, BYTE_BPE_NORMAL);
    if (present->type != BYTE_BPE_NORMAL && present->size == text.size &&
        memcmp(model->arena + present->start, text.bytes, (size_t)text.size) == 0)
        return STATUS_OK;
    return status_set(STATUS_CORRUPT, "%s: two pieces have the id %" PRId64, reading->name, id);
}

static enum status read_vocabulary(struct reading *reading)
{
    enum status result = STATUS_OK;
    struct scan scan = reading->vocabulary;
    struct scan_text key;
    int64_t id;
    bool found;
    TRY(scan_object(&scan, "an object as the model's \"vocab\""));
    for (;;) {
        TRY(scan_member(&scan, &key, &found));
        if (!found)
            break;
        TRY(scan_integer(&scan, "the id of a piece", 0, BYTE_BPE_COUNT_LIMIT - 1, &id));
        if (id > reading->last_id)
            reading->last_id = id;
        if (reading->model)
            TRY(put_piece(reading, id, (struct byte_bpe_text){key.bytes, key.size}));
    }
fail:
    return result;
}

/* ---- merges ---- */

/* "a b", or ["a", "b"] as newer files have it. */
static enum status read_merge(struct reading *reading, struct scan *scan)
{
    enum status result = STATUS_OK;
    struct byte_bpe_text left = {0}, right = {0};
    struct scan_text text;
    char copy[BYTE_BPE_PIECE_SIZE_LIMIT];
    bool found;
    if (scan_kind(scan) != SCAN_LIST) {
        TRY(scan_string(scan, "a merge", &text));
        return byte_bpe_put_merge_line(reading->name, reading->model, (struct byte_bpe_text){text.bytes, text.size});
    }
    TRY(scan_list(scan, "a merge"));
    for (int i = 0;; i++) {
        TRY(scan_element(scan, &found));
        if (found != (i < 2))
            FAIL(STATUS_CORRUPT, "%s: merge %" PRId32 " should be two pieces", reading->name,
                 reading->model->merge_count);
        if (!found)
            break;
        TRY(scan_string(scan, "a piece of a merge", &text));
        if (text.size > BYTE_BPE_PIECE_SIZE_LIMIT)
            FAIL(STATUS_CORRUPT, "%s: merge %" PRId32 " needs a piece of %" PRId64 " bytes, expected at most %d",
                 reading->name, reading->model->merge_count, text.size, (int)BYTE_BPE_PIECE_SIZE_LIMIT);
        if (i == 0)
            memcpy(copy, text.bytes, (size_t)text.size);
        *(i == 0 ? &left : &right) = (struct byte_bpe_text){i == 0 ? copy : text.bytes, text.size};
    }
    return byte_bpe_put_merge(reading->name, reading->model, left, right);
fail:
    return result;
}

static enum status read_merges(struct reading *reading)
{
    enum status result = STATUS_OK;
    struct scan scan = reading->merges;
    int64_t count = 0;
    bool found;
    TRY(scan_list(&scan, "a list as the model's \"merges\""));
    for (;; count++) {
        TRY(scan_element(&scan, &found));
        if (!found)
            break;
        TRY(scan_skip(&scan));
    }
    TRY(byte_bpe_finish_pieces(reading->name, reading->model, count));
    scan = reading->merges;
    TRY(scan_list(&scan, "a list as the model's \"merges\""));
    for (int64_t i = 0; i < count; i++) {
        TRY(scan_element(&scan, &found));
        TRY(read_merge(reading, &scan));
    }
fail:
    return result;
}

/* ---- the parts ---- */

static enum status skip_null(struct reading *reading, struct scan *scan, const char *what)
{
    if (scan_kind(scan) != SCAN_NULL)
        return status_set(STATUS_CORRUPT, "%s: %s changes the pieces of a text and is not supported; expected null",
                          reading->name, what);
    return scan_skip(scan);
}

/* null, or an empty text as GPT-2's file has it. */
static enum status skip_affix(struct reading *reading, struct scan *scan, const char *what)
{
    struct scan_text text;
    if (scan_kind(scan) != SCAN_TEXT)
        return skip_null(reading, scan, what);
    enum status result = scan_string(scan, what, &text);
    if (result == STATUS_OK && text.size > 0)
        return status_set(STATUS_CORRUPT, "%s: %s is \"%.*s\", which is not supported; expected null", reading->name,
                          what, scan_shown(text), text.bytes);
    return result;
}

static enum status skip_dropout(struct reading *reading, struct scan *scan)
{
    int64_t dropout;
    if (scan_kind(scan) != SCAN_NUMBER)
        return skip_null(reading, scan, "dropout");
    if (scan->size - scan->at > 3 && memcmp(scan->text + scan->at, "0.0", 3) == 0)
        return scan_skip(scan);
    return scan_integer(scan, "the model's dropout", 0, 0, &dropout);
}

enum model_key {
    TYPE,
    DROPOUT,
    UNKNOWN,
    PREFIX,
    SUFFIX,
    FUSE_UNKNOWN,
    BYTE_FALLBACK,
    IGNORE_MERGES,
    VOCABULARY,
    MERGES
};
static const char *const model_keys[] = {"type",
                                         "dropout",
                                         "unk_token",
                                         "continuing_subword_prefix",
                                         "end_of_word_suffix",
                                         "fuse_unk",
                                         "byte_fallback",
                                         "ignore_merges",
                                         "vocab",
                                         "merges",
                                         NULL};

static enum status check_type(const struct reading *reading, struct scan *scan)
{
    struct scan_text type;
    enum status result = scan_string(scan, "the model's type", &type);
    if (result != STATUS_OK || scan_text_is(type, "BPE"))
        return result;
    return status_set(STATUS_CORRUPT, "%s: expected a model of type BPE, found type \"%.*s\"", reading->name,
                      scan_shown(type), type.bytes);
}

static enum status read_model_member(struct reading *reading, struct scan *scan, enum model_key key)
{
    bool flag = false;
    enum status result;
    switch (key) {
    case TYPE:
        return check_type(reading, scan);
    case DROPOUT:
        return skip_dropout(reading, scan);
    case UNKNOWN:
        reading->fallback |= scan_kind(scan) != SCAN_NULL;
        return scan_skip(scan);
    case PREFIX:
    case SUFFIX:
        return skip_affix(reading, scan, model_keys[key]);
    case FUSE_UNKNOWN:
        return scan_bool(scan, "true or false for \"fuse_unk\"", &flag);
    case BYTE_FALLBACK:
        result = scan_bool(scan, "true or false for \"byte_fallback\"", &flag);
        reading->fallback |= flag;
        return result;
    case IGNORE_MERGES:
        return scan_bool(scan, "true or false for \"ignore_merges\"", &reading->ignore_merges);
    case VOCABULARY:
        reading->vocabulary = *scan;
        return scan_skip(scan);
    case MERGES:
        reading->merges = *scan;
        return scan_skip(scan);
    }
    return STATUS_OK;
}

static enum status read_model(struct reading *reading, struct scan *scan)
{
    enum status result = STATUS_OK;
    struct scan_text key;
    uint32_t seen = 0;
    bool found;
    TRY(scan_object(scan, "an object as \"model\""));
    for (int which;;) {
        TRY(scan_member(scan, &key, &found));
        if (!found)
            break;
        TRY(byte_bpe_take_key(reading->name, "\"model\"", model_keys, key, &seen, &which));
        TRY(read_model_member(reading, scan, (enum model_key)which));
    }
    for (int needed = VOCABULARY; needed <= MERGES; needed++)
        if (!(seen >> needed & 1))
            FAIL(STATUS_CORRUPT, "%s: the model has no \"%s\"", reading->name, model_keys[needed]);
fail:
    return result;
}

static enum status read_file(struct reading *reading, struct scan *scan)
{
    enum { MODEL, ADDED, STEPS };
    static const char *const keys[] = {"model",      "added_tokens",  "version",        "truncation", "padding",
                                       "normalizer", "pre_tokenizer", "post_processor", "decoder",    NULL};
    enum status result = STATUS_OK;
    struct scan_text key;
    uint32_t seen = 0;
    bool found;
    TRY(scan_object(scan, "an object"));
    for (int which;;) {
        TRY(scan_member(scan, &key, &found));
        if (!found)
            break;
        TRY(byte_bpe_take_key(reading->name, "the file", keys, key, &seen, &which));
        if (which == MODEL) {
            TRY(read_model(reading, scan));
        } else if (which == ADDED) {
            reading->added = *scan;
            TRY(scan_skip(scan));
        } else {
            TRY(byte_bpe_read_step(&reading->pipeline, scan, keys[which]));
        }
    }
    TRY(scan_end(scan));
    if (!(seen >> MODEL & 1))
        FAIL(STATUS_CORRUPT, "%s: \"model\" is missing", reading->name);
    if (!reading->pipeline.cuts_words)
        FAIL(STATUS_CORRUPT, "%s: no pre_tokenizer, so its model is not byte-level", reading->name);
fail:
    return result;
}

/* ---- tags ---- */

static bool is_tag(const struct byte_bpe *model, int64_t id, const char *tag)
{
    const struct byte_bpe_piece *piece = &model->pieces[id];
    return id < model->count && piece->type == BYTE_BPE_USER_DEFINED && piece->size == (int32_t)strlen(tag) &&
           memcmp(model->arena + piece->start, tag, strlen(tag)) == 0;
}

static int32_t skip_units(const struct byte_bpe *model, int32_t at, const char *stream)
{
    char tag[24];
    for (int32_t unit = 0;; unit++, at++) {
        snprintf(tag, sizeof tag, "[%s%" PRId32 "]", stream, unit);
        if (!is_tag(model, at, tag))
            return at;
    }
}

/* How many pieces at the end are tags and units, in the order of the id map (text/vocabulary.h). */
static int32_t count_tags(const struct byte_bpe *model)
{
    int32_t first = byte_bpe_lookup(model, "[Text]", 6, true);
    if (first < 1 || !is_tag(model, first, "[Text]") || !is_tag(model, first + 1, "[Speech]"))
        return 0;
    int32_t at = skip_units(model, first + 2, "Hu");
    at = skip_units(model, at, "Pi");
    at = skip_units(model, at, "St");
    if (is_tag(model, at, "[ASR]") && is_tag(model, at + 1, "[TTS]"))
        at += 2;
    return at == model->count ? at - first : 0;
}

enum status byte_bpe_load_json(const char *name, const void *data, int64_t size, struct byte_bpe **model)
{
    enum status result = STATUS_OK;
    struct reading reading = {.name = name, .pipeline = {.name = name}, .last_id = -1};
    *model = NULL;
    if (size < 0 || size > file_size_limit)
        FAIL(STATUS_CORRUPT, "%s: %" PRId64 " bytes, expected at most %" PRId64, name, size, file_size_limit);
    struct scan scan = scan_start(name, data, size, &reading.buffer);
    TRY(read_file(&reading, &scan));
    TRY(read_added(&reading));
    TRY(read_vocabulary(&reading));
    TRY(byte_bpe_start(name, reading.last_id + 1, &reading.model));
    reading.model->pattern = reading.pipeline.pattern;
    reading.model->ignore_merges = reading.ignore_merges;
    if (reading.pipeline.note)
        reading.model->note = reading.pipeline.note;
    TRY(read_added(&reading));
    TRY(read_vocabulary(&reading));
    TRY(read_merges(&reading));
    if (reading.fallback && reading.model->missing_bytes > 0)
        FAIL(STATUS_CORRUPT,
             "%s: %" PRId32 " bytes have no piece, and the model's unk_token or byte_fallback, which would stand for "
             "them, is not supported",
             name, reading.model->missing_bytes);
    reading.model->tag_count = count_tags(reading.model);
    reading.model->count -= reading.model->tag_count;
    *model = reading.model;
    reading.model = NULL;
fail:
    free(reading.buffer.bytes);
    byte_bpe_free(reading.model);
    return result;
}

/* ---- tokenizer_config.json ---- */

/* null, a text, or an object with "content". */
static enum status read_special(const char *name, struct scan *scan, const struct byte_bpe *model, int32_t *id)
{
    enum status result = STATUS_OK;
    struct scan_text key, text;
    struct scan content = *scan;
    bool found;
    if (scan_kind(scan) == SCAN_NULL)
        return scan_skip(scan);
    if (scan_kind(scan) == SCAN_OBJECT) {
        content.name = NULL;
        TRY(scan_object(scan, "a token"));
        for (;;) {
            TRY(scan_member(scan, &key, &found));
            if (!found)
                break;
            if (scan_text_is(key, "content"))
                content = *scan;
            TRY(scan_skip(scan));
        }
        if (!content.name)
            FAIL(STATUS_CORRUPT, "%s: a token without \"content\"", name);
    } else {
        TRY(scan_skip(scan));
    }
    TRY(scan_string(&content, "a token's text", &text));
    *id = byte_bpe_lookup_spelled(model, (struct byte_bpe_text){text.bytes, text.size});
    if (*id < 0 || *id >= model->count)
        FAIL(STATUS_CORRUPT, "%s: the token \"%.*s\" is not a piece of the model", name, scan_shown(text), text.bytes);
fail:
    return result;
}

enum status byte_bpe_load_config(const char *name, const void *data, int64_t size, struct byte_bpe *model)
{
    enum status result = STATUS_OK;
    struct scan_buffer buffer = {0};
    struct scan_text key;
    int32_t bos = -1, eos = -1;
    bool found;
    struct scan scan = scan_start(name, data, size, &buffer);
    TRY(scan_object(&scan, "an object"));
    for (;;) {
        TRY(scan_member(&scan, &key, &found));
        if (!found)
            break;
        if (scan_text_is(key, "bos_token"))
            TRY(read_special(name, &scan, model, &bos));
        else if (scan_text_is(key, "eos_token"))
            TRY(read_special(name, &scan, model, &eos));
        else
            TRY(scan_skip(&scan));
    }
    TRY(scan_end(&scan));
    model->bos = bos;
    model->eos = eos;
fail:
    free(buffer.bytes);
    return result;
}
