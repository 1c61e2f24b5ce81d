/* Reading the folder; what texts become is in ctc_text.c. */
#include "text/ctc_vocabulary_internal.h"

#include "core/path.h"
#include "core/utf8.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES_LIMIT = 1 << 20 };

/* ---- the tokens that have a meaning of their own ---- */

struct special_tokens {
    char pad[64], delimiter[64];
};

/* A token is written as a text or as an object that holds it. */
static enum status take_token(const char *path, const json_t *root, const char *key, char token[static 64])
{
    const char *value;
    const json_t *object = json_object_get(root, key);
    enum status result = json_is_object(object) ? jdoc_get_string(path, object, "content", &value)
                                                : jdoc_get_string(path, root, key, &value);
    if (result != STATUS_OK)
        return result;
    if (strlen(value) >= 64)
        return status_set(STATUS_CORRUPT, "%s: %s is longer than 63 bytes", path, key);
    strcpy(token, value);
    return STATUS_OK;
}

static enum status read_specials(const char *folder, const char *name, struct special_tokens *tokens, bool *capitals)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    char path[PATH_BYTES];
    TRY(path_format(path, "%s/%s", folder, name));
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    TRY(jdoc_read(path, &root));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not a JSON object", path);
    if (jdoc_has(root, "pad_token"))
        TRY(take_token(path, root, "pad_token", tokens->pad));
    if (jdoc_has(root, "word_delimiter_token"))
        TRY(take_token(path, root, "word_delimiter_token", tokens->delimiter));
    if (jdoc_has(root, "do_lower_case"))
        TRY(jdoc_get_bool(path, root, "do_lower_case", capitals));
fail:
    json_decref(root);
    return result;
}

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
    struct special_tokens tokens = {.pad = "<pad>", .delimiter = "|"};
    json_t *root = NULL;
    char path[PATH_BYTES];
    TRY(read_specials(folder, "special_tokens_map.json", &tokens, &vocabulary->capitals));
    TRY(read_specials(folder, "tokenizer_config.json", &tokens, &vocabulary->capitals));
    TRY(path_format(path, "%s/vocab.json", folder));
    if (access(path, F_OK) != 0)
        FAIL(STATUS_USAGE, "%s: missing: a model that aligns has the vocabulary of its characters beside its weights",
             path);
    TRY(jdoc_read(path, &root));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not a JSON object", path);
    TRY(check_ids(path, root, vocabulary));
    vocabulary->blank = id_of(root, json_object_get(root, "<blank>") ? "<blank>" : tokens.pad);
    vocabulary->delimiter = id_of(root, tokens.delimiter);
    if (vocabulary->blank < 0)
        FAIL(STATUS_CORRUPT, "%s: neither \"<blank>\" nor the pad token \"%s\", which would be the blank", path,
             tokens.pad);
    if (vocabulary->delimiter == vocabulary->blank)
        FAIL(STATUS_CORRUPT, "%s: \"%s\" is the blank and the word delimiter", path, tokens.delimiter);
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
