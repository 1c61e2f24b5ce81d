/* index.json of a dataset folder: what `prepare --stage index` publishes after it has verified every shard. */
#ifndef SPIRITLM_DATA_SHARD_INDEX_H
#define SPIRITLM_DATA_SHARD_INDEX_H

#include "core/path.h"
#include "data/shard.h"

struct shard_entry {
    int64_t rows, bytes;
    struct sha256 hash;
};

struct shard_index {
    enum dataset_kind kind;
    struct sha256 made_from; /* of the manifest, the settings and the fingerprints: equal when nothing has to be done */
    struct shard_fingerprints fingerprints;
    struct shard_entry *shards;
    int64_t shard_count;
    struct shard_totals totals;
    int64_t rejects;
    struct sha256 rejects_hash; /* of rejects.jsonl */
};

/* The file carries the SHA-256 of its own contents. STATUS_USAGE: no such file; STATUS_CORRUPT: damaged. */
enum status shard_index_read(const char *folder, struct shard_index *index);
enum status shard_index_write(const char *folder, const struct shard_index *index);
void shard_index_free(struct shard_index *index);

/* "FOLDER/shard_00012.h5" into path. */
enum status shard_path(const char *folder, int64_t shard, char path[PATH_BYTES]);

#endif
