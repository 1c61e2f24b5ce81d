/* One interface over the two kinds of text models. A SentencePiece model keeps its file, since a checkpoint's tokenizer.model is
 * that file with tags and units behind its pieces; a byte-level model is written anew from what it is. */
#include "text/text_model.h"

#include "core/array.h"
#include "core/log.h"
#include "core/path.h"
#include "text/byte_bpe.h"
#include "text/sentencepiece.h"
#include "text/sentencepiece_gguf.h"
#include "text/tagged_model.h"
#include "text/tokenizer_json.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_LIMIT = 256 << 20 };

struct text_model {
    char *name;                          /* for errors */
    struct sentencepiece *sentencepiece; /* one of the two */
    struct byte_bpe *byte_bpe;
    void *file; /* of a SentencePiece model */
    int64_t file_size;
    atomic_llong *dropped;
    struct sentencepiece **tagged; /* [1]: the model in which tags and units are pieces; NULL until it is asked for */
};

/* ---- loading ---- */

static bool is_there(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* The first byte of JSON that is not white space; a SentencePiece file begins with the key of its first field. */
static bool is_json(const char *data, int64_t size)
{
    int64_t at = size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (at < size && strchr(" \t\r\n", data[at]))
        at++;
    return at < size && data[at] == '{';
}

/* BOS and EOS are not in tokenizer.json; without the file beside it there are none. */
static enum status load_config_beside(struct text_model *model)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    void *data = NULL;
    int64_t size = 0;
    const char *slash = strrchr(model->name, '/');
    TRY(path_format(path, "%.*stokenizer_config.json", slash ? (int)(slash - model->name) + 1 : 0, model->name));
    if (!is_there(path))
        return STATUS_OK;
    TRY(file_read(path, FILE_LIMIT, &data, &size));
    TRY(byte_bpe_load_config(path, data, size, model->byte_bpe));
fail:
    free(data);
    return result;
}

static enum status load_gguf(struct text_model *model)
{
    enum status result = STATUS_OK;
    struct gguf *file;
    struct gguf_string kind;
    TRY(gguf_open(model->name, &file));
    TRY(gguf_get_string(file, "tokenizer.ggml.model", true, &kind));
    if (kind.size == 5 && memcmp(kind.text, "llama", 5) == 0) {
        TRY(sentencepiece_file_of_gguf(file, &model->file, &model->file_size));
        TRY(sentencepiece_load_memory(model->name, model->file, model->file_size, &model->sentencepiece));
    } else {
        TRY(byte_bpe_load_gguf(file, &model->byte_bpe));
    }
fail:
    gguf_close(file);
    return result;
}

static enum status load_file(struct text_model *model)
{
    enum status result = STATUS_OK;
    char start[4] = "";
    FILE *file = fopen(model->name, "rb");
    if (file) { /* file_read says why not, where it does not open */
        (void)!fread(start, 1, sizeof start, file);
        fclose(file);
    }
    if (memcmp(start, "GGUF", sizeof start) == 0)
        return load_gguf(model);
    TRY(file_read(model->name, FILE_LIMIT, &model->file, &model->file_size));
    if (!is_json(model->file, model->file_size))
        return sentencepiece_load_memory(model->name, model->file, model->file_size, &model->sentencepiece);
    TRY(byte_bpe_load_json(model->name, model->file, model->file_size, &model->byte_bpe));
    free(model->file);
    model->file = NULL;
    TRY(load_config_beside(model));
fail:
    return result;
}

/* The file of a folder that holds the text model. Meta's weights lie in folders below that of their tokenizer. */
static enum status find_file(const char *path, char file[PATH_BYTES])
{
    static const char *const names[] = {"tokenizer.model", "tokenizer.json", "params.json"};
    enum status result = STATUS_OK;
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return path_format(file, "%s", path);
    for (int i = 0; i < 3; i++) {
        TRY(path_format(file, "%s/%s", path, names[i]));
        if (!is_there(file))
            continue;
        if (i < 2)
            return STATUS_OK;
        TRY(path_format(file, "%s/../tokenizer.model", path));
        if (is_there(file))
            return STATUS_OK;
        FAIL(STATUS_USAGE, "%s: tokenizer.model is neither there nor one folder up", path);
    }
    FAIL(STATUS_USAGE, "%s: neither tokenizer.model nor tokenizer.json is there", path);
fail:
    return result;
}

enum status text_model_load(const char *path, struct text_model **out)
{
    enum status result = STATUS_OK;
    char file[PATH_BYTES];
    struct text_model *model = calloc(1, sizeof *model);
    *out = NULL;
    if (!model || !(model->dropped = calloc(1, sizeof *model->dropped)) ||
        !(model->tagged = calloc(1, sizeof *model->tagged)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(find_file(path, file));
    if (!(model->name = strdup(file)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(load_file(model));
    *out = model;
    return STATUS_OK;
fail:
    text_model_free(model);
    return result;
}

void text_model_free(struct text_model *model)
{
    if (!model)
        return;
    sentencepiece_free(model->sentencepiece);
    byte_bpe_free(model->byte_bpe);
    free(model->file);
    free(model->name);
    if (model->tagged)
        sentencepiece_free(*model->tagged);
    free(model->tagged);
    free(model->dropped);
    free(model);
}

/* ---- what it is ---- */

bool text_model_is_byte_level(const struct text_model *model)
{
    return model->byte_bpe;
}

int32_t text_model_size(const struct text_model *model)
{
    return model->byte_bpe ? byte_bpe_size(model->byte_bpe) : sentencepiece_size(model->sentencepiece);
}

int32_t text_model_bos(const struct text_model *model)
{
    return model->byte_bpe ? byte_bpe_bos(model->byte_bpe) : sentencepiece_bos(model->sentencepiece);
}

int32_t text_model_eos(const struct text_model *model)
{
    return model->byte_bpe ? byte_bpe_eos(model->byte_bpe) : sentencepiece_eos(model->sentencepiece);
}

int32_t text_model_unk(const struct text_model *model)
{
    return model->byte_bpe ? byte_bpe_unk(model->byte_bpe) : sentencepiece_unk(model->sentencepiece);
}

bool text_model_adds_bos(const struct text_model *model)
{
    return !model->byte_bpe || *byte_bpe_note(model->byte_bpe);
}

bool text_model_is_control(const struct text_model *model, int32_t id)
{
    return model->byte_bpe ? byte_bpe_is_control(model->byte_bpe, id)
                           : sentencepiece_is_control(model->sentencepiece, id);
}

const char *text_model_piece(const struct text_model *model, int32_t id, int64_t *length)
{
    return model->byte_bpe ? byte_bpe_piece(model->byte_bpe, id, length)
                           : sentencepiece_piece(model->sentencepiece, id, length);
}

struct sha256 text_model_fingerprint(const struct text_model *model)
{
    return model->byte_bpe ? byte_bpe_fingerprint(model->byte_bpe) : sentencepiece_fingerprint(model->sentencepiece);
}

/* ---- text ---- */

static void count_dropped(const struct text_model *model, int64_t dropped)
{
    if (dropped > 0 && atomic_fetch_add(model->dropped, dropped) == 0)
        log_warning(
            "%s: the text model has no piece for %d of the 256 bytes; where a text has one of them it is dropped",
            model->name, (int)byte_bpe_missing_bytes(model->byte_bpe));
}

int64_t text_model_dropped(const struct text_model *model)
{
    return atomic_load(model->dropped);
}

enum status text_model_encode(const struct text_model *model, const char *text, int64_t size, bool dummy_prefix,
                              int32_t **ids, int64_t *count)
{
    int64_t dropped = 0;
    if (!model->byte_bpe)
        return sentencepiece_encode(model->sentencepiece, text, size, dummy_prefix, ids, count);
    enum status result = byte_bpe_encode(model->byte_bpe, text, size, ids, count, &dropped);
    count_dropped(model, dropped);
    return result;
}

enum status text_model_encode_prefix(const struct text_model *model, int32_t **ids, int64_t *count)
{
    *ids = NULL;
    *count = 0;
    return model->byte_bpe ? STATUS_OK : sentencepiece_encode_prefix(model->sentencepiece, ids, count);
}

/* With one dummy prefix per document the whole string is encoded by the model in which tags and units are pieces, the one
 * that checkpoints hold: equal ids whatever the string. */
static enum status encode_whole(const struct text_model *model, const struct vocabulary *vocabulary, const char *text,
                                int32_t **ids, int64_t *count)
{
    enum status result = STATUS_OK;
    void *file = NULL;
    int64_t size;
    if (!*model->tagged) {
        TRY(tagged_model_write("tokenizer.model", model->file, model->file_size, vocabulary, &file, &size));
        TRY(sentencepiece_load_tagged("tokenizer.model", file, size, model->tagged));
    }
    TRY(sentencepiece_encode(*model->tagged, text, (int64_t)strlen(text), true, ids, count));
fail:
    free(file);
    return result;
}

/* Stretches between tags and units one by one, each with the dummy prefix if there is one. */
static enum status encode_spans(const struct text_model *model, const struct vocabulary *vocabulary, const char *text,
                                int32_t **ids, int64_t *count)
{
    enum status result = STATUS_OK;
    int64_t room = 0, more, length = 0;
    int32_t *span = NULL;
    while (*text) {
        int32_t token = vocabulary_find_token(vocabulary, text, &length);
        int64_t size = token >= 0 ? length : 0;
        more = token >= 0 ? 1 : 0;
        if (token < 0) {
            while (text[size] && vocabulary_find_token(vocabulary, text + size, &length) < 0)
                size++;
            TRY(text_model_encode(model, text, size, true, &span, &more));
        }
        TRY(array_grow(ids, &room, *count + more, "tokens of a prompt"));
        if (more > 0)
            memcpy(*ids + *count, token >= 0 ? &token : span, (size_t)more * sizeof **ids);
        *count += more;
        text += size;
        free(span);
        span = NULL;
    }
    return STATUS_OK;
fail:
    free(span);
    free(*ids);
    *ids = NULL;
    return result;
}

enum status text_model_encode_tagged(const struct text_model *model, const struct vocabulary *vocabulary,
                                     const char *text, int32_t **ids, int64_t *count)
{
    *ids = NULL;
    *count = 0;
    if (!model->byte_bpe && vocabulary->dummy_prefix == DUMMY_PREFIX_DOCUMENT)
        return encode_whole(model, vocabulary, text, ids, count);
    return encode_spans(model, vocabulary, text, ids, count);
}

enum status text_model_decode(const struct text_model *model, const int32_t *ids, int64_t count, bool strip_prefix,
                              char **text, int64_t *size)
{
    return model->byte_bpe ? byte_bpe_decode(model->byte_bpe, ids, count, text, size)
                           : sentencepiece_decode(model->sentencepiece, ids, count, strip_prefix, text, size);
}

/* ---- checkpoints ---- */

enum status text_model_check_tags(const struct text_model *model, const struct vocabulary *vocabulary)
{
    return model->byte_bpe ? byte_bpe_check_tags(model->name, model->byte_bpe, vocabulary)
                           : tagged_model_check(model->name, model->sentencepiece, vocabulary);
}

static enum status match_byte_level(const struct text_model *model, const struct vocabulary *vocabulary)
{
    int32_t count = byte_bpe_tag_count(model->byte_bpe), expected = vocabulary->size - vocabulary->text_size;
    if (count != 0 && count != expected)
        return status_set(STATUS_CORRUPT, "%s: %d tags and units at the end, the vocabulary has %d", model->name,
                          (int)count, (int)expected);
    for (int32_t id = vocabulary->text_size; count && id < vocabulary->size; id++) {
        char tag[16];
        int64_t length;
        const char *found = byte_bpe_piece(model->byte_bpe, id, &length);
        vocabulary_token_name(vocabulary, id, tag);
        if ((size_t)length != strlen(tag) || memcmp(found, tag, (size_t)length) != 0)
            return status_set(STATUS_CORRUPT, "%s: piece %d is %.*s, in the vocabulary it is %s", model->name, (int)id,
                              (int)length, found, tag);
    }
    return STATUS_OK;
}

enum status text_model_match_tags(const struct text_model *model, const struct vocabulary *vocabulary)
{
    return model->byte_bpe ? match_byte_level(model, vocabulary)
                           : tagged_model_match(model->name, model->sentencepiece, vocabulary);
}

/* Tags and units at the end of the file whose names begin so. */
static int32_t count_tags(const struct text_model *model, int32_t tags, const char *start)
{
    const size_t size = strlen(start);
    int32_t count = 0;
    for (int32_t id = text_model_size(model); id < text_model_size(model) + tags; id++) {
        int64_t length;
        const char *name = text_model_piece(model, id, &length);
        count += (size_t)length > size && memcmp(name, start, size) == 0;
    }
    return count;
}

enum status text_model_read_vocabulary(const struct text_model *model, bool *found, struct vocabulary *vocabulary)
{
    enum status result = STATUS_OK;
    const int32_t tags =
        model->byte_bpe ? byte_bpe_tag_count(model->byte_bpe) : sentencepiece_tag_count(model->sentencepiece);
    *found = tags > 0;
    if (!*found)
        return STATUS_OK;
    TRY(vocabulary_create(text_model_size(model), text_model_bos(model), text_model_eos(model), text_model_unk(model),
                          count_tags(model, tags, "[Hu"), count_tags(model, tags, "[Pi"),
                          count_tags(model, tags, "[St"), count_tags(model, tags, "[ASR") > 0, vocabulary));
    vocabulary->dummy_prefix = DUMMY_PREFIX_DOCUMENT;
    TRY(text_model_match_tags(model, vocabulary));
fail:
    return result;
}

const char *text_model_obstacle(const struct text_model *model)
{
    return model->byte_bpe ? NULL : tokenizer_json_obstacle(model->sentencepiece);
}

enum status text_model_write(const struct text_model *model, const struct vocabulary *vocabulary,
                             struct atomic_directory *directory)
{
    enum status result = STATUS_OK;
    void *tagged = NULL;
    int64_t size = 0;
    char *json = NULL, *config = NULL;
    if (model->byte_bpe) {
        TRY(byte_bpe_write_json(model->byte_bpe, vocabulary, &json, &config));
    } else {
        TRY(tagged_model_write("tokenizer.model", model->file, model->file_size, vocabulary, &tagged, &size));
        TRY(atomic_directory_add(directory, "tokenizer.model", tagged, size));
        if (text_model_obstacle(model))
            goto fail; /* training has warned of it at its start */
        TRY(tokenizer_json_write(model->sentencepiece, vocabulary, &json, &config));
    }
    TRY(atomic_directory_add(directory, "tokenizer.json", json, (int64_t)strlen(json)));
    TRY(atomic_directory_add(directory, "tokenizer_config.json", config, (int64_t)strlen(config)));
fail:
    free(tagged);
    free(json);
    free(config);
    return result;
}
