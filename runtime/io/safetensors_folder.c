/* A model's folder: one safetensors file, or several with an index that says which file holds which tensor. */
#include "core/array.h"
#include "core/path.h"
#include "io/safetensors.h"

#include "io/weight_map.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct place {
    const struct tensor_info *info;
    const struct safetensors *file;
};

struct safetensors_folder {
    char *path;
    struct safetensors **files;
    char **names; /* of the files, without the folder */
    int64_t file_count, file_capacity;
    struct place *places; /* sorted by name */
    int64_t count;
};

static enum status open_one(struct safetensors_folder *folder, const char *name)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *copy = strdup(name);
    int64_t files = folder->file_capacity, names = folder->file_capacity;
    if (!copy)
        FAIL(STATUS_INTERNAL, "%s: out of memory", folder->path);
    TRY(array_grow(&folder->files, &files, folder->file_count + 1, "files of a model"));
    TRY(array_grow(&folder->names, &names, folder->file_count + 1, "files of a model"));
    folder->file_capacity = names;
    TRY(path_format(path, "%s/%s", folder->path, name));
    TRY(safetensors_open_in_place(path, &folder->files[folder->file_count]));
    folder->names[folder->file_count++] = copy;
    copy = NULL;
fail:
    free(copy);
    return result;
}

static int compare_places(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->info->name, ((const struct place *)b)->info->name);
}

/* All tensors of all files in one table, sorted. */
static enum status collect(struct safetensors_folder *folder)
{
    int64_t total = 0;
    for (int64_t i = 0; i < folder->file_count; i++)
        total += safetensors_count(folder->files[i]);
    folder->places = calloc((size_t)total + 1, sizeof *folder->places);
    if (!folder->places)
        return status_set(STATUS_INTERNAL, "%s: out of memory", folder->path);
    for (int64_t i = 0; i < folder->file_count; i++)
        for (int64_t j = 0; j < safetensors_count(folder->files[i]); j++)
            folder->places[folder->count++] = (struct place){safetensors_info(folder->files[i], j), folder->files[i]};
    if (folder->count > 1)
        qsort(folder->places, (size_t)folder->count, sizeof *folder->places, compare_places);
    for (int64_t i = 0; i + 1 < folder->count; i++)
        if (strcmp(folder->places[i].info->name, folder->places[i + 1].info->name) == 0)
            return status_set(STATUS_CORRUPT, "%s: tensor %.200s is in two files", folder->path,
                              folder->places[i].info->name);
    return STATUS_OK;
}

static const struct place *find_place(const struct safetensors_folder *folder, const char *name)
{
    const struct tensor_info info = {.name = name};
    const struct place key = {.info = &info};
    return folder->count ? bsearch(&key, folder->places, (size_t)folder->count, sizeof *folder->places, compare_places)
                         : NULL;
}

static int64_t find_file(const struct safetensors_folder *folder, const char *name)
{
    for (int64_t i = 0; i < folder->file_count; i++)
        if (strcmp(folder->names[i], name) == 0)
            return i;
    return -1;
}

static enum status open_indexed(struct safetensors_folder *folder, const char *index_path)
{
    enum status result = STATUS_OK;
    json_t *index, *map, *file_name;
    const char *tensor;
    TRY(weight_map_read(index_path, &index, &map));
    json_object_foreach(map, tensor, file_name)
    {
        const char *name = json_string_value(file_name);
        if (find_file(folder, name) < 0) {
            result = open_one(folder, name);
            if (result == STATUS_USAGE) /* the user named the folder; the index named this file */
                result = STATUS_CORRUPT;
            TRY(result);
        }
    }
    TRY(collect(folder));
    json_object_foreach(map, tensor, file_name)
    {
        const struct place *place = find_place(folder, tensor);
        if (!place || place->file != folder->files[find_file(folder, json_string_value(file_name))])
            FAIL(STATUS_CORRUPT, "%s: tensor %.200s is not in %s", index_path, tensor, json_string_value(file_name));
    }
    if ((int64_t)json_object_size(map) != folder->count)
        for (int64_t i = 0; i < folder->count; i++) {
            const struct tensor_info *info = folder->places[i].info;
            assert(info);
            if (!json_object_get(map, info->name))
                FAIL(STATUS_CORRUPT, "%s: tensor %.200s is in a file, but not in the index", index_path, info->name);
        }
fail:
    json_decref(index);
    return result;
}

enum status safetensors_folder_open(const char *path, struct safetensors_folder **out)
{
    enum status result = STATUS_OK;
    struct stat info;
    char single[PATH_BYTES], index[PATH_BYTES];
    struct safetensors_folder *folder = calloc(1, sizeof *folder);
    *out = NULL;
    if (!folder || !(folder->path = strdup(path)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(path_format(single, "%s/model.safetensors", path));
    TRY(path_format(index, "%s/model.safetensors.index.json", path));
    if (stat(path, &info) != 0)
        FAIL(STATUS_USAGE, "%s: no such folder", path);
    if (!S_ISDIR(info.st_mode))
        FAIL(STATUS_USAGE, "%s: expected a folder, found a file", path);
    if (stat(single, &info) == 0) {
        TRY(open_one(folder, "model.safetensors"));
        TRY(collect(folder));
    } else if (stat(index, &info) == 0) {
        TRY(open_indexed(folder, index));
    } else {
        FAIL(STATUS_USAGE, "%s: holds neither model.safetensors nor model.safetensors.index.json", path);
    }
    *out = folder;
    folder = NULL;
fail:
    safetensors_folder_close(folder);
    return result;
}

void safetensors_folder_close(struct safetensors_folder *folder)
{
    if (!folder)
        return;
    for (int64_t i = 0; i < folder->file_count; i++) {
        safetensors_close(folder->files[i]);
        free(folder->names[i]);
    }
    free(folder->files);
    free(folder->names);
    free(folder->places);
    free(folder->path);
    free(folder);
}

int64_t safetensors_folder_count(const struct safetensors_folder *folder)
{
    return folder->count;
}

const struct tensor_info *safetensors_folder_info(const struct safetensors_folder *folder, int64_t index)
{
    return folder->places[index].info;
}

const struct tensor_info *safetensors_folder_find(const struct safetensors_folder *folder, const char *name,
                                                  const void **data)
{
    const struct place *place = find_place(folder, name);
    if (!place)
        return NULL;
    *data = safetensors_data(place->file, place->info);
    return place->info;
}

void safetensors_folder_forget(const struct safetensors_folder *folder, const struct tensor_info *info)
{
    const struct place *place = find_place(folder, info->name);
    if (place)
        safetensors_forget(place->file, place->info);
}
