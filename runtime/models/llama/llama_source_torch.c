/* A Llama in files of PyTorch: pytorch_model.bin of a Hugging Face folder, alone or in shards that an index names. */
#include "models/llama/llama_source_internal.h"

#include "core/path.h"
#include "io/weight_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -1: not open. */
static int64_t find_archive(const struct llama_source *source, const char *name)
{
    for (int64_t i = 0; i < source->archive_count; i++)
        if (strcmp(source->archive_names[i], name) == 0)
            return i;
    return -1;
}

/* Opens the files of an index, whose every tensor must be where it says. */
static enum status open_indexed(struct llama_source *source, const char *index_path)
{
    enum status result = STATUS_OK;
    json_t *index, *map, *file_name;
    const char *tensor;
    TRY(weight_map_read(index_path, &index, &map));
    json_object_foreach(map, tensor, file_name)
    {
        const char *name = json_string_value(file_name);
        if (find_archive(source, name) < 0) {
            result = llama_source_open_archive(source, name);
            if (result == STATUS_USAGE) /* the user named the folder; the index named this file */
                result = STATUS_CORRUPT;
            TRY(result);
        }
        if (!torch_archive_find(source->archives[find_archive(source, name)], tensor))
            FAIL(STATUS_CORRUPT, "%s: tensor %.200s is not in %s", index_path, tensor, name);
    }
    for (int64_t i = 0; i < source->archive_count; i++)
        for (int64_t t = 0; t < torch_archive_count(source->archives[i]); t++) {
            const char *name = torch_archive_tensor(source->archives[i], t)->name;
            const char *owner = json_string_value(json_object_get(map, name));
            if (!owner || strcmp(owner, source->archive_names[i]) != 0)
                FAIL(STATUS_CORRUPT, "%s: tensor %.200s is in %s, but the index does not have it there", index_path,
                     name, source->archive_names[i]);
        }
fail:
    json_decref(index);
    return result;
}

enum status llama_source_open_torch(struct llama_source *source)
{
    enum status result = STATUS_OK;
    char index[PATH_BYTES];
    TRY(path_format(index, "%s/pytorch_model.bin.index.json", source->path));
    if (llama_folder_has(source->path, "pytorch_model.bin"))
        TRY(llama_source_open_archive(source, "pytorch_model.bin"));
    else
        TRY(open_indexed(source, index));
    int64_t count = 0;
    for (int64_t i = 0; i < source->archive_count; i++)
        count += torch_archive_count(source->archives[i]);
    TRY(llama_source_reserve(source, count, count));
    for (int64_t i = 0; i < source->archive_count; i++)
        for (int64_t t = 0; t < torch_archive_count(source->archives[i]); t++) {
            const struct stored_tensor *tensor = torch_archive_tensor(source->archives[i], t);
            llama_source_add(source, tensor->name, tensor, 0);
        }
fail:
    return result;
}
