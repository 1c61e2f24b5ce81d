/* JSON lines, one for each row that was aligned or could not be, and a last one with the hash of the others. They hold what
 * does not depend on the threshold; which rows are accepted is decided anew each time. */
#include "data/prepare/alignment_store.h"

#include "core/array.h"
#include "core/log.h"
#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_LIMIT = 256 << 20 };

struct sha256 alignment_key(const struct sha256 *source, const char *text, const struct sha256 *aligner)
{
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, aligner->bytes, sizeof aligner->bytes);
    sha256_add(stream, source->bytes, sizeof source->bytes);
    sha256_add(stream, text, strlen(text));
    return sha256_finish(stream);
}

static enum status store_path(const char *folder, int64_t shard, char path[PATH_BYTES])
{
    return path_format(path, "%s/parts/%05lld.alignments", folder, (long long)shard);
}

void stored_alignment_free(struct stored_alignment *alignment)
{
    free(alignment->reason);
    free(alignment->words);
    memset(alignment, 0, sizeof *alignment);
}

void alignment_store_free(struct alignment_store *store)
{
    for (int64_t i = 0; i < store->count; i++)
        stored_alignment_free(store->list + i);
    free(store->list);
    memset(store, 0, sizeof *store);
}

enum status stored_alignment_copy(const struct stored_alignment *from, struct stored_alignment *to)
{
    size_t size = (size_t)from->word_count * sizeof *from->words;
    *to = *from;
    to->reason = from->reason ? strdup(from->reason) : NULL;
    to->words = size > 0 ? malloc(size) : NULL;
    if ((from->reason && !to->reason) || (size > 0 && !to->words)) {
        stored_alignment_free(to);
        return status_set(STATUS_INTERNAL, "out of memory for an alignment");
    }
    if (size > 0)
        memcpy(to->words, from->words, size);
    return STATUS_OK;
}

enum status alignment_store_add(struct alignment_store *store, const struct stored_alignment *alignment)
{
    enum status result = array_grow(&store->list, &store->room, store->count + 1, "alignments");
    if (result == STATUS_OK)
        result = stored_alignment_copy(alignment, store->list + store->count);
    store->count += result == STATUS_OK;
    return result;
}

const struct stored_alignment *alignment_store_find(const struct alignment_store *store, const struct sha256 *key)
{
    for (int64_t i = 0; i < store->count; i++)
        if (memcmp(store->list[i].key.bytes, key->bytes, sizeof key->bytes) == 0)
            return store->list + i;
    return NULL;
}

/* ---- writing ---- */

static json_t *describe(const struct stored_alignment *alignment)
{
    if (alignment->reason)
        return json_pack("{s:o, s:s}", "key", jdoc_hash(&alignment->key), "reason", alignment->reason);
    json_t *words = json_array();
    int lost = words == NULL;
    for (int64_t i = 0; i < alignment->word_count && !lost; i++) {
        const struct aligned_word *word = alignment->words + i;
        lost = json_array_append_new(
            words, json_pack("[i, i, i, i]", word->start, word->end, word->text_begin, word->text_end));
    }
    if (!lost)
        return json_pack("{s:o, s:o, s:o}", "key", jdoc_hash(&alignment->key), "score", json_real(alignment->score),
                         "words", words);
    json_decref(words);
    return NULL;
}

static enum status write_lines(FILE *stream, const struct alignment_store *store)
{
    for (int64_t i = 0; i < store->count; i++) {
        json_t *object = describe(store->list + i);
        char *line = object ? jdoc_text(object, 0) : NULL;
        json_decref(object);
        if (line)
            fputs(line, stream);
        free(line);
        if (!line)
            return status_set(STATUS_INTERNAL, "out of memory for alignments");
    }
    return STATUS_OK;
}

enum status alignment_store_write(const char *folder, int64_t shard, const struct alignment_store *store)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL, hash[65];
    size_t size = 0;
    FILE *stream = NULL;
    TRY(store_path(folder, shard, path));
    if (store->count == 0) {
        if (unlink(path) != 0 && errno != ENOENT)
            FAIL(STATUS_IO, "%s: cannot be removed: %s", path, strerror(errno));
        return STATUS_OK;
    }
    stream = open_memstream(&text, &size);
    if (!stream)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(write_lines(stream, store));
    fflush(stream);
    struct sha256 check = sha256_of(text, size);
    sha256_hex(&check, hash);
    fprintf(stream, "{\"sha256\": \"%s\"}\n", hash);
    int failed = fclose(stream);
    stream = NULL;
    if (failed)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(atomic_write(path, text, (int64_t)size));
fail:
    if (stream)
        fclose(stream);
    free(text);
    return result;
}

/* ---- reading ---- */

static enum status read_words(const char *where, const json_t *list, struct stored_alignment *alignment)
{
    size_t count = json_array_size(list);
    alignment->words = calloc(count + 1, sizeof *alignment->words);
    if (!alignment->words)
        return status_set(STATUS_INTERNAL, "%s: out of memory", where);
    for (size_t i = 0; i < count; i++) {
        int times[4];
        if (json_unpack(json_array_get(list, i), "[i, i, i, i!]", times, times + 1, times + 2, times + 3) != 0)
            return status_set(STATUS_CORRUPT, "%s: \"words\"[%zu] is not four integers", where, i);
        alignment->words[i] =
            (struct aligned_word){.start = times[0], .end = times[1], .text_begin = times[2], .text_end = times[3]};
    }
    alignment->word_count = (int64_t)count;
    return STATUS_OK;
}

static enum status read_line(const char *where, const char *line, int64_t length, struct alignment_store *store)
{
    enum status result = STATUS_OK;
    json_t *object = NULL;
    struct stored_alignment alignment = {.score = NAN};
    const char *reason = NULL;
    TRY(jdoc_parse(where, line, length, &object));
    TRY(jdoc_get_hash(where, object, "key", &alignment.key));
    if (jdoc_has(object, "reason")) {
        TRY(jdoc_get_string(where, object, "reason", &reason));
        alignment.reason = strdup(reason);
        if (!alignment.reason)
            FAIL(STATUS_INTERNAL, "%s: out of memory", where);
    } else {
        TRY(jdoc_get_number(where, object, "score", &alignment.score));
        TRY(read_words(where, json_object_get(object, "words"), &alignment));
    }
    TRY(alignment_store_add(store, &alignment));
fail:
    stored_alignment_free(&alignment);
    json_decref(object);
    return result;
}

/* The hash in the last line is over everything before it. */
static bool is_whole(const char *text, int64_t size, int64_t *lines_end)
{
    enum { LAST_LINE = sizeof "{\"sha256\": \"\"}\n" - 1 + 64 };
    char line[LAST_LINE + 1], hash[65];
    if (size < LAST_LINE)
        return false;
    *lines_end = size - LAST_LINE;
    struct sha256 check = sha256_of(text, (size_t)*lines_end);
    sha256_hex(&check, hash);
    snprintf(line, sizeof line, "{\"sha256\": \"%s\"}\n", hash);
    return memcmp(text + *lines_end, line, LAST_LINE) == 0;
}

enum status alignment_store_read(const char *folder, int64_t shard, struct alignment_store *store)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    void *data = NULL;
    int64_t size = 0, end = 0;
    memset(store, 0, sizeof *store);
    TRY(store_path(folder, shard, path));
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    TRY(file_read(path, FILE_LIMIT, &data, &size));
    const char *text = data;
    bool whole = is_whole(text, size, &end);
    for (int64_t at = 0; at < end && whole && result == STATUS_OK;) {
        const char *newline = memchr(text + at, '\n', (size_t)(end - at));
        int64_t length = newline ? newline - (text + at) : end - at;
        result = read_line(path, text + at, length, store);
        at += length + 1;
    }
    if (!whole || result == STATUS_CORRUPT) {
        log_warning("%s: damaged: its rows are aligned again", path);
        alignment_store_free(store);
        result = STATUS_OK;
    }
fail:
    free(data);
    if (result != STATUS_OK)
        alignment_store_free(store);
    return result;
}
