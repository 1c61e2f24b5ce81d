/* The index is accepted only when it is byte for byte what this file would write for its contents. A checksum alone
 * covers the values and would not see damage in the space between them; but such damage shows that the file was hit,
 * and nobody knows what else was. */
#include "data/shard_index.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_FORMAT = 1, TEXT_INDENT = 1, INDEX_MAX_BYTES = 256 << 20 };

static const int64_t COUNT_LIMIT = INT64_MAX / 4;

const char *dataset_kind_name(enum dataset_kind kind)
{
    return kind == DATASET_TEXT ? "text" : "speech";
}

enum status shard_path(const char *folder, int64_t shard, char path[PATH_BYTES])
{
    return path_format(path, "%s/shard_%05lld.h5", folder, (long long)shard);
}

/* ---- writing ---- */

static json_t *fingerprints_json(const struct shard_fingerprints *fingerprints)
{
    json_t *object = json_object();
    for (int stream = 0; object && stream < STREAM_COUNT; stream++) {
        const struct rational *rate = &fingerprints->rates.rate[stream];
        if (rate->numerator == 0)
            continue;
        json_t *entry = json_pack("{s:o, s:[I,I]}", "sha256", jdoc_hash(&fingerprints->stream[stream]), "rate",
                                  (json_int_t)rate->numerator, (json_int_t)rate->denominator);
        if (json_object_set_new(object, unit_stream_name((enum unit_stream)stream), entry) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *totals_json(const struct shard_totals *totals)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:[I,I,I], s:[I,I,I]}", "rows", (json_int_t)totals->rows,
                     "aligned_rows", (json_int_t)totals->aligned_rows, "words", (json_int_t)totals->words, "samples",
                     (json_int_t)totals->samples, "aligned_samples", (json_int_t)totals->aligned_samples, "text_bytes",
                     (json_int_t)totals->text_bytes, "units", (json_int_t)totals->units[0],
                     (json_int_t)totals->units[1], (json_int_t)totals->units[2], "codes", (json_int_t)totals->codes[0],
                     (json_int_t)totals->codes[1], (json_int_t)totals->codes[2]);
}

static json_t *shards_json(const struct shard_index *index)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < index->shard_count; i++) {
        json_t *entry = json_pack("{s:I, s:I, s:o}", "rows", (json_int_t)index->shards[i].rows, "bytes",
                                  (json_int_t)index->shards[i].bytes, "sha256", jdoc_hash(&index->shards[i].hash));
        if (json_array_append_new(list, entry) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* The hash for "check": of the object's text without that key. */
static enum status content_hash(const char *where, const json_t *root, struct sha256 *hash)
{
    json_t *rest = json_copy((json_t *)(uintptr_t)root);
    char *text = NULL;
    if (rest) {
        json_object_del(rest, "check");
        text = jdoc_text(rest, 0);
    }
    json_decref(rest);
    if (!text)
        return status_set(STATUS_INTERNAL, "%s: out of memory", where);
    *hash = sha256_of(text, strlen(text));
    free(text);
    return STATUS_OK;
}

enum status shard_index_write(const char *folder, const struct shard_index *index)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    char *text = NULL;
    struct sha256 check;
    json_t *root = json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:I, s:o}", "format", INDEX_FORMAT, "kind",
                             dataset_kind_name(index->kind), "made_from", jdoc_hash(&index->made_from), "fingerprints",
                             fingerprints_json(&index->fingerprints), "totals", totals_json(&index->totals), "shards",
                             shards_json(index), "rejects", (json_int_t)index->rejects, "rejects_sha256",
                             jdoc_hash(&index->rejects_hash));
    TRY(path_format(path, "%s/index.json", folder));
    if (!root)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(content_hash(path, root, &check));
    if (json_object_set_new(root, "check", jdoc_hash(&check)) != 0 || !(text = jdoc_text(root, TEXT_INDENT)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    free(text);
    json_decref(root);
    return result;
}

/* ---- reading ---- */

static enum status get_integers(const char *where, const json_t *object, const char *key, int count, int64_t *values)
{
    const json_t *list = json_object_get(object, key);
    if (!json_is_array(list) || json_array_size(list) != (size_t)count)
        return status_set(STATUS_CORRUPT, "%s: \"%s\" must be a list of %d integers", where, key, count);
    for (int i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        values[i] = json_integer_value(item);
        if (!json_is_integer(item) || values[i] < 0 || values[i] > COUNT_LIMIT)
            return status_set(STATUS_CORRUPT, "%s: \"%s\"[%d] must be a count", where, key, i);
    }
    return STATUS_OK;
}

static enum status read_fingerprints(const char *where, const json_t *root, struct shard_fingerprints *fingerprints)
{
    enum status result = STATUS_OK;
    const json_t *object = json_object_get(root, "fingerprints");
    if (!json_is_object(object))
        FAIL(STATUS_CORRUPT, "%s: \"fingerprints\" must be an object", where);
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const json_t *entry = json_object_get(object, unit_stream_name((enum unit_stream)stream));
        int64_t rate[2] = {0, 1};
        if (entry) {
            TRY(jdoc_get_hash(where, entry, "sha256", &fingerprints->stream[stream]));
            TRY(get_integers(where, entry, "rate", 2, rate));
            if (rate[0] < 1 || rate[1] < 1)
                FAIL(STATUS_CORRUPT, "%s: a rate of %s must be positive", where,
                     unit_stream_name((enum unit_stream)stream));
        }
        fingerprints->rates.rate[stream] = (struct rational){rate[0], rate[1]};
    }
fail:
    return result;
}

static enum status read_totals(const char *where, const json_t *root, struct shard_totals *totals)
{
    enum status result = STATUS_OK;
    const json_t *object = json_object_get(root, "totals");
    TRY(jdoc_get_int(where, object, "rows", 0, COUNT_LIMIT, &totals->rows));
    TRY(jdoc_get_int(where, object, "aligned_rows", 0, COUNT_LIMIT, &totals->aligned_rows));
    TRY(jdoc_get_int(where, object, "words", 0, COUNT_LIMIT, &totals->words));
    TRY(jdoc_get_int(where, object, "samples", 0, COUNT_LIMIT, &totals->samples));
    TRY(jdoc_get_int(where, object, "aligned_samples", 0, COUNT_LIMIT, &totals->aligned_samples));
    TRY(jdoc_get_int(where, object, "text_bytes", 0, COUNT_LIMIT, &totals->text_bytes));
    TRY(get_integers(where, object, "units", STREAM_COUNT, totals->units));
    TRY(get_integers(where, object, "codes", STREAM_COUNT, totals->codes));
fail:
    return result;
}

static enum status read_shards(const char *where, const json_t *root, struct shard_index *index)
{
    enum status result = STATUS_OK;
    const json_t *list = json_object_get(root, "shards");
    if (!json_is_array(list))
        FAIL(STATUS_CORRUPT, "%s: \"shards\" must be a list", where);
    size_t count = json_array_size(list);
    index->shards = calloc(count + 1, sizeof *index->shards);
    if (!index->shards)
        FAIL(STATUS_INTERNAL, "%s: out of memory", where);
    int64_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        struct shard_entry *entry = index->shards + i;
        const json_t *object = json_array_get(list, i);
        TRY(jdoc_get_int(where, object, "rows", 0, SHARD_ROWS, &entry->rows));
        TRY(jdoc_get_int(where, object, "bytes", 0, SHARD_MAX_BYTES, &entry->bytes));
        TRY(jdoc_get_hash(where, object, "sha256", &entry->hash));
        rows += entry->rows;
    }
    index->shard_count = (int64_t)count;
    if (rows != index->totals.rows)
        FAIL(STATUS_CORRUPT, "%s: the shards have %lld rows, but \"totals\" says %lld", where, (long long)rows,
             (long long)index->totals.rows);
fail:
    return result;
}

static enum status read_root(const char *where, const json_t *root, struct shard_index *index)
{
    enum status result = STATUS_OK;
    const char *kind = NULL;
    int64_t format = 0;
    struct sha256 check, found;
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not an index: expected a JSON object", where);
    TRY(jdoc_get_int(where, root, "format", 0, 1000, &format));
    if (format != INDEX_FORMAT)
        FAIL(STATUS_CORRUPT, "%s: an index of format %lld; this program reads format %d", where, (long long)format,
             INDEX_FORMAT);
    TRY(jdoc_get_hash(where, root, "check", &check));
    TRY(content_hash(where, root, &found));
    if (memcmp(check.bytes, found.bytes, sizeof check.bytes) != 0)
        FAIL(STATUS_CORRUPT, "%s: damaged index: its contents do not match \"check\"", where);
    TRY(jdoc_get_string(where, root, "kind", &kind));
    if (strcmp(kind, "text") != 0 && strcmp(kind, "speech") != 0)
        FAIL(STATUS_CORRUPT, "%s: unknown kind \"%s\"", where, kind);
    index->kind = strcmp(kind, "text") == 0 ? DATASET_TEXT : DATASET_SPEECH;
    TRY(jdoc_get_hash(where, root, "made_from", &index->made_from));
    TRY(read_fingerprints(where, root, &index->fingerprints));
    TRY(read_totals(where, root, &index->totals));
    TRY(read_shards(where, root, index));
    TRY(jdoc_get_int(where, root, "rejects", 0, COUNT_LIMIT, &index->rejects));
    TRY(jdoc_get_hash(where, root, "rejects_sha256", &index->rejects_hash));
fail:
    return result;
}

/* "check" covers the values; a flipped bit in the space between two of them would change nothing that it covers, but is
 * damage all the same. */
static enum status check_text(const char *where, const json_t *root, const char *text, int64_t size)
{
    char *written = jdoc_text(root, TEXT_INDENT);
    if (!written)
        return status_set(STATUS_INTERNAL, "%s: out of memory", where);
    bool same = (int64_t)strlen(written) == size && memcmp(written, text, (size_t)size) == 0;
    free(written);
    return same ? STATUS_OK
                : status_set(STATUS_CORRUPT,
                             "%s: damaged index: its bytes are not those that its contents would be written as", where);
}

enum status shard_index_read(const char *folder, struct shard_index *index)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    json_t *root = NULL;
    void *text = NULL;
    int64_t size = 0;
    memset(index, 0, sizeof *index);
    TRY(path_format(path, "%s/index.json", folder));
    TRY(file_read(path, INDEX_MAX_BYTES, &text, &size));
    TRY(jdoc_parse(path, text, size, &root));
    TRY(read_root(path, root, index));
    TRY(check_text(path, root, text, size));
fail:
    free(text);
    json_decref(root);
    if (result != STATUS_OK)
        shard_index_free(index);
    return result;
}

void shard_index_free(struct shard_index *index)
{
    free(index->shards);
    memset(index, 0, sizeof *index);
}
