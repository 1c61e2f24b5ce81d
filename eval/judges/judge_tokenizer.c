/* What stands around a text, and which pieces stand for no text, is not in vocab.json: RoBERTa's five names, of which the folder may
 * rename the two that matter (cls_token, sep_token). */
#include "eval/judges/judge_tokenizer.h"

#include "core/path.h"
#include "io/text_file.h"
#include "text/byte_bpe.h"
#include "text/special_tokens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t file_size_limit = INT64_C(1) << 28;
enum { BEGIN, END, SPECIALS };

struct judge_tokenizer {
    struct byte_bpe *model;
    int32_t ids[SPECIALS]; /* before and behind a text */
    struct sha256 fingerprint;
};

/* ---- reading ---- */

static enum status read_specials(const char *folder, struct special_token tokens[static SPECIALS])
{
    enum status result = STATUS_OK;
    static const char *const files[] = {"special_tokens_map.json", "tokenizer_config.json"};
    struct special_switch prefix = {.key = "add_prefix_space"};
    struct special_tokens specials = {tokens, SPECIALS, &prefix, 1};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        TRY(special_tokens_read(folder, files[i], &specials));
        if (prefix.on)
            FAIL(STATUS_CORRUPT, "%s/%s: add_prefix_space is not supported", folder, files[i]);
    }
fail:
    return result;
}

static enum status load_pair(const char *vocabulary_path, const char *merges_path, const struct special_token *tokens,
                             struct byte_bpe **model)
{
    enum status result = STATUS_OK;
    const char *const control[] = {
        tokens[BEGIN].text, tokens[END].text, "<s>", "</s>", "<pad>", "<unk>", "<mask>", NULL};
    char *vocabulary = NULL, *merges = NULL;
    struct byte_bpe_files files = {.vocabulary_name = vocabulary_path, .merges_name = merges_path, .control = control};
    TRY(text_file_read(vocabulary_path, file_size_limit, &vocabulary, &files.vocabulary.size));
    TRY(text_file_read(merges_path, file_size_limit, &merges, &files.merges.size));
    files.vocabulary.bytes = vocabulary;
    files.merges.bytes = merges;
    TRY(byte_bpe_load_files(&files, model));
fail:
    free(vocabulary);
    free(merges);
    return result;
}

static enum status load_json(const char *path, struct byte_bpe **model)
{
    char *text = NULL;
    int64_t size = 0;
    enum status result = text_file_read(path, file_size_limit, &text, &size);
    if (result == STATUS_OK)
        result = byte_bpe_load_json(path, text, size, model);
    free(text);
    return result;
}

/* *path is the file that holds the pieces: for errors. */
static enum status load_model(const char *folder, const struct special_token *tokens, char path[static PATH_BYTES],
                              struct byte_bpe **model)
{
    enum status result = STATUS_OK;
    char merges[PATH_BYTES];
    TRY(path_format(path, "%s/vocab.json", folder));
    TRY(path_format(merges, "%s/merges.txt", folder));
    bool vocabulary_there = access(path, F_OK) == 0, merges_there = access(merges, F_OK) == 0;
    if (vocabulary_there && merges_there)
        return load_pair(path, merges, tokens, model);
    TRY(path_format(path, "%s/tokenizer.json", folder));
    if (access(path, F_OK) == 0)
        return load_json(path, model);
    FAIL(STATUS_USAGE, "%s: %s missing, and there is no tokenizer.json", folder,
         vocabulary_there ? "merges.txt is"
         : merges_there   ? "vocab.json is"
                          : "vocab.json and merges.txt are");
fail:
    return result;
}

static enum status find_specials(const char *path, const struct special_token *tokens,
                                 struct judge_tokenizer *tokenizer)
{
    for (int i = 0; i < SPECIALS; i++) {
        const char *text = tokens[i].text;
        int32_t id = byte_bpe_find(tokenizer->model, text, (int64_t)strlen(text));
        if (id < 0)
            return status_set(STATUS_CORRUPT, "%s: no piece \"%s\", which is the %s", path, text, tokens[i].key);
        tokenizer->ids[i] = id;
    }
    return STATUS_OK;
}

static enum status read_folder(const char *folder, int64_t vocabulary, struct judge_tokenizer *tokenizer)
{
    enum status result = STATUS_OK;
    struct special_token tokens[SPECIALS] = {{"cls_token", "<s>"}, {"sep_token", "</s>"}};
    char path[PATH_BYTES];
    TRY(read_specials(folder, tokens));
    TRY(load_model(folder, tokens, path, &tokenizer->model));
    if (byte_bpe_size(tokenizer->model) > vocabulary)
        FAIL(STATUS_CORRUPT, "%s: ids up to %" PRId32 ", but the model has %" PRId64 " embeddings", path,
             byte_bpe_size(tokenizer->model) - 1, vocabulary);
    if (byte_bpe_missing_bytes(tokenizer->model) > 0)
        FAIL(STATUS_CORRUPT, "%s: %" PRId32 " bytes have no piece, so that texts would lose characters", path,
             byte_bpe_missing_bytes(tokenizer->model));
    TRY(find_specials(path, tokens, tokenizer));
    struct sha256 model = byte_bpe_fingerprint(tokenizer->model);
    struct sha256_stream *hash = sha256_start();
    sha256_add(hash, "judge tokenizer 1", 17);
    sha256_add(hash, &model, sizeof model);
    sha256_add(hash, tokenizer->ids, sizeof tokenizer->ids);
    tokenizer->fingerprint = sha256_finish(hash);
fail:
    return result;
}

enum status judge_tokenizer_open(const char *folder, int64_t vocabulary, struct judge_tokenizer **out)
{
    struct judge_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    *out = NULL;
    if (!tokenizer)
        return status_set(STATUS_INTERNAL, "no memory for a tokenizer");
    enum status result = read_folder(folder, vocabulary, tokenizer);
    if (result == STATUS_OK)
        *out = tokenizer;
    else
        judge_tokenizer_close(tokenizer);
    return result;
}

void judge_tokenizer_close(struct judge_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    byte_bpe_free(tokenizer->model);
    free(tokenizer);
}

const struct sha256 *judge_tokenizer_fingerprint(const struct judge_tokenizer *tokenizer)
{
    return &tokenizer->fingerprint;
}

/* ---- encoding ---- */

enum status judge_tokenizer_encode(const struct judge_tokenizer *tokenizer, const char *text, int64_t limit,
                                   int32_t **ids, int64_t *count, bool *truncated)
{
    enum status result = STATUS_OK;
    int32_t *pieces = NULL;
    int64_t pieces_count, dropped;
    *ids = NULL;
    TRY(byte_bpe_encode(tokenizer->model, text, (int64_t)strlen(text), &pieces, &pieces_count, &dropped));
    int64_t kept = pieces_count < limit - SPECIALS ? pieces_count : limit - SPECIALS;
    if (!(*ids = malloc((size_t)(kept + SPECIALS) * sizeof **ids)))
        FAIL(STATUS_INTERNAL, "no memory for the ids of a text");
    (*ids)[0] = tokenizer->ids[BEGIN];
    memcpy(*ids + 1, pieces, (size_t)kept * sizeof **ids);
    (*ids)[kept + 1] = tokenizer->ids[END];
    *count = kept + SPECIALS;
    *truncated = kept < pieces_count;
fail:
    free(pieces);
    return result;
}
