/* Where a shard lies. The first time it is written under its own name. Where a published index vouches for a file of that
 * name, the new one waits in parts/ until the new index is ready, so that the old dataset stays whole for its readers
 * however the preparation ends. */
#include "data/prepare/prepare_internal.h"

#include "io/atomic_file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status staged_path(const struct prepare_dataset *dataset, int64_t number, char path[PATH_BYTES])
{
    return path_format(path, "%s/parts/shard_%05lld.h5", dataset->folder, (long long)number);
}

enum status prepare_new_shard_path(const struct prepare_dataset *dataset, int64_t number, char path[PATH_BYTES])
{
    char index[PATH_BYTES];
    struct stat information;
    enum status result = path_format(index, "%s/index.json", dataset->folder);
    if (result != STATUS_OK)
        return result;
    return stat(index, &information) == 0 ? staged_path(dataset, number, path)
                                          : shard_path(dataset->folder, number, path);
}

/* The one in parts/ may be older than the record: then it is not the one that was asked for. */
enum status prepare_open_shard(const struct prepare_dataset *dataset, int64_t number, const struct sha256 *hash,
                               char path[PATH_BYTES], struct shard **shard)
{
    enum status result = STATUS_OK;
    struct stat information;
    TRY(staged_path(dataset, number, path));
    if (stat(path, &information) == 0 && shard_open(path, hash, shard) == STATUS_OK)
        return STATUS_OK;
    TRY(shard_path(dataset->folder, number, path));
    TRY(shard_open(path, hash, shard));
fail:
    return result;
}

bool prepare_has_staged(const struct prepare_dataset *dataset)
{
    char path[PATH_BYTES];
    struct stat information;
    for (int64_t k = 0; k < dataset->shards; k++)
        if (staged_path(dataset, k, path) == STATUS_OK && stat(path, &information) == 0)
            return true;
    return false;
}

/* One that is not what the index names is removed: it was superseded, or its maker was killed. */
static enum status publish_shard(const struct prepare_dataset *dataset, int64_t number, const struct sha256 *hash,
                                 bool *moved)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], target[PATH_BYTES];
    struct stat information;
    struct shard *shard = NULL;
    TRY(staged_path(dataset, number, path));
    if (stat(path, &information) != 0 && errno == ENOENT)
        return STATUS_OK;
    bool wanted = shard_open(path, hash, &shard) == STATUS_OK;
    shard_close(shard);
    TRY(shard_path(dataset->folder, number, target));
    if ((wanted ? rename(path, target) : unlink(path)) != 0 && errno != ENOENT) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot take the place of %s", path, target);
        goto fail;
    }
    *moved = true;
fail:
    return result;
}

enum status prepare_publish_shards(const struct prepare_dataset *dataset, const struct shard_entry *shards)
{
    enum status result = STATUS_OK;
    char parts[PATH_BYTES];
    bool moved = false;
    for (int64_t k = 0; k < dataset->shards; k++)
        TRY(publish_shard(dataset, k, &shards[k].hash, &moved));
    TRY(path_format(parts, "%s/parts", dataset->folder));
    if (moved)
        TRY(sync_folder(parts));
    if (moved)
        TRY(sync_folder(dataset->folder));
fail:
    return result;
}
