/* Reading the folder; what texts become is in ctc_text.c. */
#include "text/ctc_vocabulary_internal.h"

#include "core/path.h"
#include "core/utf8.h"
#include "io/json.h"
#include "text/special_tokens.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES_LIMIT = 1 << 20 };

/* ---- the vocabulary ---- */

static int by_code(const void *a, const void *b)
{
    const struct ctc_character *left = a, *right = b;
    return (left->code > right->code) - (left->code < right->code);
}

static enum status check_ids(const char *path, const json_t *root, struct ctc_vocabulary *vocabulary)
{
    const char *key;
    json_t *value;
    size_t count = json_object_size(root);
    if (count == 0 || count > ENTRIES_LIMIT)
        return status_set(STATUS_CORRUPT, "%s: %zu entries, expected 1 to %d", path, count, ENTRIES_LIMIT);
    bool *taken = calloc(ENTRIES_LIMIT, sizeof *taken);
    if (!taken)
        return status_set(STATUS_INTERNAL, "no memory for a vocabulary");
    enum status result = STATUS_OK;
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        if (json_is_object(value))
            FAIL(STATUS_CORRUPT, "%s: \"%.20s\" is a vocabulary of its own: take out the one of your language", path,
                 key);
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= ENTRIES_LIMIT)
            FAIL(STATUS_CORRUPT, "%s: the id of \"%.20s\" is not an integer from 0 to %d", path, key,
                 ENTRIES_LIMIT - 1);
        if (taken[id])
            FAIL(STATUS_CORRUPT, "%s: two entries have the id %d", path, (int)id);
        taken[id] = true;
        if (vocabulary->size <= id)
            vocabulary->size = (int32_t)id + 1;
    }
fail:
    free(taken);
    return result;
}

static int32_t id_of(const json_t *root, const char *token)
{
    const json_t *value = json_object_get(root, token);
    return value ? (int32_t)json_integer_value(value) : -1;
}

/* Entries of one character; others are never what a text has. */
static enum status take_characters(const json_t *root, struct ctc_vocabulary *vocabulary)
{
    const char *key;
    json_t *value;
    vocabulary->characters = calloc(json_object_size(root), sizeof *vocabulary->characters);
    if (!vocabulary->characters)
        return status_set(STATUS_INTERNAL, "no memory for a vocabulary");
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        uint32_t code;
        int32_t id = (int32_t)json_integer_value(value);
        size_t length = utf8_decode(key, SIZE_MAX, &code);
        if (length > 0 && key[length] == '\0' && id != vocabulary->blank && id != vocabulary->delimiter)
            vocabulary->characters[vocabulary->count++] = (struct ctc_character){.code = code, .id = id};
    }
    qsort(vocabulary->characters, (size_t)vocabulary->count, sizeof *vocabulary->characters, by_code);
    return STATUS_OK;
}

/* What each id is called. */
static enum status keep_tokens(const json_t *root, struct ctc_vocabulary *vocabulary)
{
    const char *key;
    json_t *value;
    vocabulary->tokens = calloc((size_t)vocabulary->size, sizeof *vocabulary->tokens);
    if (!vocabulary->tokens)
        return status_set(STATUS_INTERNAL, "no memory for a vocabulary");
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        char **token = &vocabulary->tokens[json_integer_value(value)];
        if (!(*token = strdup(key)))
            return status_set(STATUS_INTERNAL, "no memory for a vocabulary");
    }
    return STATUS_OK;
}

static struct sha256 fingerprint_of(const struct ctc_vocabulary *vocabulary)
{
    struct sha256_stream *hash = sha256_start();
    const int32_t numbers[] = {1 /* version */, vocabulary->blank, vocabulary->delimiter, vocabulary->capitals};
    sha256_add(hash, numbers, sizeof numbers);
    sha256_add(hash, vocabulary->characters, (size_t)vocabulary->count * sizeof *vocabulary->characters);
    return sha256_finish(hash);
}

static enum status read_vocabulary(const char *folder, struct ctc_vocabulary *vocabulary)
{
    enum status result = STATUS_OK;
    struct special_token tokens[] = {{"pad_token", "<pad>"}, {"word_delimiter_token", "|"}};
    struct special_switch capitals = {.key = "do_lower_case"};
    struct special_tokens specials = {tokens, 2, &capitals, 1};
    const char *pad = tokens[0].text, *delimiter = tokens[1].text;
    json_t *root = NULL;
    char path[PATH_BYTES];
    TRY(special_tokens_read(folder, "special_tokens_map.json", &specials));
    TRY(special_tokens_read(folder, "tokenizer_config.json", &specials));
    vocabulary->capitals = capitals.on;
    TRY(path_format(path, "%s/vocab.json", folder));
    if (access(path, F_OK) != 0)
        FAIL(STATUS_USAGE, "%s: missing: a model that aligns has the vocabulary of its characters beside its weights",
             path);
    TRY(jdoc_read(path, &root));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not a JSON object", path);
    TRY(check_ids(path, root, vocabulary));
    vocabulary->blank = id_of(root, json_object_get(root, "<blank>") ? "<blank>" : pad);
    vocabulary->delimiter = id_of(root, delimiter);
    if (vocabulary->blank < 0)
        FAIL(STATUS_CORRUPT, "%s: neither \"<blank>\" nor the pad token \"%s\", which would be the blank", path, pad);
    if (vocabulary->delimiter == vocabulary->blank)
        FAIL(STATUS_CORRUPT, "%s: \"%s\" is the blank and the word delimiter", path, delimiter);
    TRY(keep_tokens(root, vocabulary));
    TRY(take_characters(root, vocabulary));
    if (vocabulary->count == 0)
        FAIL(STATUS_CORRUPT, "%s: no entry is a single character", path);
    vocabulary->fingerprint = fingerprint_of(vocabulary);
fail:
    json_decref(root);
    return result;
}

enum status ctc_vocabulary_open(const char *folder, struct ctc_vocabulary **out)
{
    struct ctc_vocabulary *vocabulary = calloc(1, sizeof *vocabulary);
    *out = NULL;
    if (!vocabulary)
        return status_set(STATUS_INTERNAL, "no memory for a vocabulary");
    enum status result = read_vocabulary(folder, vocabulary);
    if (result == STATUS_OK)
        *out = vocabulary;
    else
        ctc_vocabulary_close(vocabulary);
    return result;
}

void ctc_vocabulary_close(struct ctc_vocabulary *vocabulary)
{
    if (!vocabulary)
        return;
    for (int32_t id = 0; vocabulary->tokens && id < vocabulary->size; id++)
        free(vocabulary->tokens[id]);
    free(vocabulary->tokens);
    free(vocabulary->characters);
    free(vocabulary);
}

int32_t ctc_vocabulary_size(const struct ctc_vocabulary *vocabulary)
{
    return vocabulary->size;
}

int32_t ctc_vocabulary_blank(const struct ctc_vocabulary *vocabulary)
{
    return vocabulary->blank;
}

int32_t ctc_vocabulary_delimiter(const struct ctc_vocabulary *vocabulary)
{
    return vocabulary->delimiter;
}

bool ctc_vocabulary_lowers(const struct ctc_vocabulary *vocabulary)
{
    return vocabulary->capitals;
}

const char *ctc_vocabulary_token(const struct ctc_vocabulary *vocabulary, int32_t id)
{
    return id >= 0 && id < vocabulary->size ? vocabulary->tokens[id] : NULL;
}

const struct sha256 *ctc_vocabulary_fingerprint(const struct ctc_vocabulary *vocabulary)
{
    return &vocabulary->fingerprint;
}

int32_t ctc_vocabulary_find(const struct ctc_vocabulary *vocabulary, uint32_t code)
{
    const struct ctc_character wanted = {.code = code};
    const struct ctc_character *found =
        bsearch(&wanted, vocabulary->characters, (size_t)vocabulary->count, sizeof wanted, by_code);
    return found ? found->id : -1;
}
