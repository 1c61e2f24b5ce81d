/* parts/NNNNN.json: what the shards stage tells the index stage about one shard. Parts may be made on different
 * machines, so everything that passes from one stage to the next is in files, and is verified when it is read. */
#include "data/prepare/prepare_internal.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_FORMAT = 2 };

enum status shard_record_path(const char *folder, int64_t shard, char path[PATH_BYTES])
{
    return path_format(path, "%s/parts/%05lld.json", folder, (long long)shard);
}

enum status shard_record_write(const char *folder, int64_t shard, const struct shard_record *record)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL;
    struct sha256 rejects_hash =
        sha256_of(record->rejects ? record->rejects : "", record->rejects ? strlen(record->rejects) : 0);
    const char *changes = record->changes ? record->changes : "";
    struct sha256 changes_hash = sha256_of(changes, strlen(changes));
    json_t *root =
        json_pack("{s:i, s:o, s:I, s:I, s:o, s:I, s:s, s:o, s:s, s:o}", "format", RECORD_FORMAT, "made_from",
                  jdoc_hash(&record->made_from), "rows", (json_int_t)record->entry.rows, "bytes",
                  (json_int_t)record->entry.bytes, "sha256", jdoc_hash(&record->entry.hash), "reject_count",
                  (json_int_t)record->reject_count, "rejects", record->rejects ? record->rejects : "", "rejects_sha256",
                  jdoc_hash(&rejects_hash), "changes", changes, "changes_sha256", jdoc_hash(&changes_hash));
    TRY(shard_record_path(folder, shard, path));
    if (!root || !(text = jdoc_text(root, 1)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    free(text);
    json_decref(root);
    return result;
}

/* A text whose hash is beside it; allocated. */
static enum status read_lines(const char *where, const json_t *root, const char *key, const char *hash_key,
                              char **lines)
{
    enum status result = STATUS_OK;
    const char *text = NULL;
    struct sha256 expected, found;
    TRY(jdoc_get_string(where, root, key, &text));
    TRY(jdoc_get_hash(where, root, hash_key, &expected));
    found = sha256_of(text, strlen(text));
    if (memcmp(found.bytes, expected.bytes, sizeof found.bytes) != 0)
        FAIL(STATUS_CORRUPT, "%s: damaged: the %s do not match their SHA-256", where, key);
    *lines = strdup(text);
    if (!*lines)
        FAIL(STATUS_INTERNAL, "%s: out of memory", where);
fail:
    return result;
}

static enum status read_root(const char *where, const json_t *root, struct shard_record *record)
{
    enum status result = STATUS_OK;
    int64_t format = 0;
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not a JSON object", where);
    TRY(jdoc_get_int(where, root, "format", RECORD_FORMAT, RECORD_FORMAT, &format));
    TRY(jdoc_get_hash(where, root, "made_from", &record->made_from));
    TRY(jdoc_get_int(where, root, "rows", 0, SHARD_ROWS, &record->entry.rows));
    TRY(jdoc_get_int(where, root, "bytes", 0, SHARD_MAX_BYTES, &record->entry.bytes));
    TRY(jdoc_get_hash(where, root, "sha256", &record->entry.hash));
    TRY(jdoc_get_int(where, root, "reject_count", 0, SHARD_ROWS, &record->reject_count));
    TRY(read_lines(where, root, "rejects", "rejects_sha256", &record->rejects));
    TRY(read_lines(where, root, "changes", "changes_sha256", &record->changes));
fail:
    return result;
}

enum status shard_record_read(const char *folder, int64_t shard, struct shard_record *record)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    json_t *root = NULL;
    memset(record, 0, sizeof *record);
    TRY(shard_record_path(folder, shard, path));
    TRY(jdoc_read(path, &root));
    TRY(read_root(path, root, record));
fail:
    json_decref(root);
    if (result != STATUS_OK)
        shard_record_free(record);
    return result;
}

void shard_record_free(struct shard_record *record)
{
    free(record->rejects);
    free(record->changes);
    memset(record, 0, sizeof *record);
}
