/* One sorted list of stored tensors over whatever files a checkpoint consists of. The list is made when it is opened, so that
 * asking for a tensor is a search and costs no allocation. */
#include "io/weights/named_tensors.h"

#include "core/path.h"
#include "io/mapped_file.h"
#include "io/weight_map.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct archive_file {
    char *name; /* without the folder */
    struct torch_archive *archive;
};

struct named_tensors {
    char *path;
    struct safetensors *file;
    struct safetensors_folder *folder;
    struct archive_file *archives;
    int64_t archive_count;
    struct stored_tensor *tensors;
    int64_t count;
};

/* ---- opening ---- */

static enum status open_archive(struct named_tensors *tensors, const char *path, const char *name)
{
    enum status result = STATUS_OK;
    size_t bytes = (size_t)(tensors->archive_count + 1) * sizeof *tensors->archives;
    struct archive_file *grown = realloc(tensors->archives, bytes);
    if (!grown)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    tensors->archives = grown;
    struct archive_file *archive = &grown[tensors->archive_count];
    *archive = (struct archive_file){.name = strdup(name)};
    if (!archive->name)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    tensors->archive_count++;
    TRY(torch_archive_open(path, &archive->archive));
fail:
    return result;
}

static struct torch_archive *find_archive(const struct named_tensors *tensors, const char *name)
{
    for (int64_t i = 0; i < tensors->archive_count; i++)
        if (strcmp(tensors->archives[i].name, name) == 0)
            return tensors->archives[i].archive;
    return NULL;
}

/* Every tensor of an index must be in the file that it says. */
static enum status open_indexed(struct named_tensors *tensors, const char *index_path)
{
    enum status result = STATUS_OK;
    json_t *index = NULL, *map, *file_name;
    const char *tensor;
    char path[PATH_BYTES];
    TRY(weight_map_read(index_path, &index, &map));
    json_object_foreach(map, tensor, file_name)
    {
        const char *name = json_string_value(file_name);
        if (!find_archive(tensors, name)) {
            TRY(path_format(path, "%s/%s", tensors->path, name));
            result = open_archive(tensors, path, name);
            if (result == STATUS_USAGE) /* the user named the folder; the index named this file */
                result = STATUS_CORRUPT;
            TRY(result);
        }
        if (!torch_archive_find(find_archive(tensors, name), tensor))
            FAIL(STATUS_CORRUPT, "%s: tensor %.200s is not in %s", index_path, tensor, name);
    }
fail:
    json_decref(index);
    return result;
}

static bool exists(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    struct stat info;
    return path_format(path, "%s/%s", folder, name) == STATUS_OK && stat(path, &info) == 0;
}

static enum status open_folder(struct named_tensors *tensors)
{
    static const char single[] = "pytorch_model.bin", index[] = "pytorch_model.bin.index.json";
    char path[PATH_BYTES];
    const char *folder = tensors->path;
    bool torch = exists(folder, single), shards = exists(folder, index);
    if (exists(folder, "model.safetensors") || exists(folder, "model.safetensors.index.json"))
        return safetensors_folder_open(folder, &tensors->folder);
    if (!torch && !shards)
        return status_set(STATUS_USAGE, "%s: neither model.safetensors nor pytorch_model.bin is in this folder",
                          folder);
    enum status result = path_format(path, "%s/%s", folder, torch ? single : index);
    if (result != STATUS_OK)
        return result;
    return torch ? open_archive(tensors, path, single) : open_indexed(tensors, path);
}

/* A file of safetensors begins with the length of its header in 8 bytes and then "{". */
static enum status open_file(struct named_tensors *tensors)
{
    unsigned char head[TORCH_HEAD_BYTES];
    const char *path = tensors->path;
    FILE *file = fopen(path, "rb");
    if (!file)
        return status_set_errno(STATUS_IO, errno, "%s: cannot open", path);
    size_t size = fread(head, 1, sizeof head, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return status_set(STATUS_IO, "%s: cannot read", path);
    if (!torch_archive_begins(head, (int64_t)size) && size > 8 && head[8] == '{')
        return safetensors_open_in_place(path, &tensors->file);
    return open_archive(tensors, path, "");
}

/* ---- the list ---- */

static struct stored_tensor of_safetensors(const struct tensor_info *info, const void *data)
{
    struct stored_tensor stored = {
        .name = info->name, .type = info->type, .rank = info->rank, .bytes = info->bytes, .data = data};
    memcpy(stored.shape, info->shape, sizeof stored.shape);
    stored_tensor_pack(&stored);
    return stored;
}

static int compare_tensors(const void *a, const void *b)
{
    return strcmp(((const struct stored_tensor *)a)->name, ((const struct stored_tensor *)b)->name);
}

static void list_safetensors(struct named_tensors *tensors)
{
    int64_t count = tensors->file ? safetensors_count(tensors->file) : safetensors_folder_count(tensors->folder);
    for (int64_t i = 0; i < count; i++) {
        const struct tensor_info *info;
        const void *data = NULL;
        if (tensors->file) {
            info = safetensors_info(tensors->file, i);
            data = safetensors_data(tensors->file, info);
        } else {
            info = safetensors_folder_info(tensors->folder, i);
            safetensors_folder_find(tensors->folder, info->name, &data);
        }
        tensors->tensors[tensors->count++] = of_safetensors(info, data);
    }
}

static enum status list_tensors(struct named_tensors *tensors)
{
    int64_t count = tensors->file     ? safetensors_count(tensors->file)
                    : tensors->folder ? safetensors_folder_count(tensors->folder)
                                      : 0;
    for (int64_t i = 0; i < tensors->archive_count; i++)
        count += torch_archive_count(tensors->archives[i].archive);
    tensors->tensors = calloc((size_t)count + 1, sizeof *tensors->tensors);
    if (!tensors->tensors)
        return status_set(STATUS_INTERNAL, "%s: no memory for a list of tensors", tensors->path);
    if (tensors->file || tensors->folder)
        list_safetensors(tensors);
    for (int64_t i = 0; i < tensors->archive_count; i++)
        for (int64_t t = 0; t < torch_archive_count(tensors->archives[i].archive); t++)
            tensors->tensors[tensors->count++] = *torch_archive_tensor(tensors->archives[i].archive, t);
    qsort(tensors->tensors, (size_t)tensors->count, sizeof *tensors->tensors, compare_tensors);
    for (int64_t i = 1; i < tensors->count; i++)
        if (compare_tensors(&tensors->tensors[i - 1], &tensors->tensors[i]) == 0)
            return status_set(STATUS_CORRUPT, "%s: two of its files have the tensor %.200s", tensors->path,
                              tensors->tensors[i].name);
    return STATUS_OK;
}

enum status named_tensors_open(const char *path, struct named_tensors **out)
{
    enum status result = STATUS_OK;
    struct stat info;
    struct named_tensors *tensors = calloc(1, sizeof *tensors);
    *out = NULL;
    if (!tensors || !(tensors->path = strdup(path)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    if (stat(path, &info) != 0) {
        result = status_set_errno(errno == ENOENT || errno == ENOTDIR ? STATUS_USAGE : STATUS_IO, errno,
                                  "%s: cannot open", path);
        goto fail;
    }
    TRY(S_ISDIR(info.st_mode) ? open_folder(tensors) : open_file(tensors));
    TRY(list_tensors(tensors));
    *out = tensors;
    return STATUS_OK;
fail:
    named_tensors_close(tensors);
    return result;
}

void named_tensors_close(struct named_tensors *tensors)
{
    if (!tensors)
        return;
    for (int64_t i = 0; i < tensors->archive_count; i++) {
        torch_archive_close(tensors->archives[i].archive);
        free(tensors->archives[i].name);
    }
    free(tensors->archives);
    safetensors_close(tensors->file);
    safetensors_folder_close(tensors->folder);
    free(tensors->tensors);
    free(tensors->path);
    free(tensors);
}

/* ---- asking ---- */

const char *named_tensors_path(const struct named_tensors *tensors)
{
    return tensors->path;
}

const struct torch_value *named_tensors_root(const struct named_tensors *tensors)
{
    return tensors->archive_count == 1 ? torch_archive_root(tensors->archives[0].archive) : NULL;
}

int64_t named_tensors_count(const struct named_tensors *tensors)
{
    return tensors->count;
}

const struct stored_tensor *named_tensors_tensor(const struct named_tensors *tensors, int64_t index)
{
    return &tensors->tensors[index];
}

static int compare_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct stored_tensor *)tensor)->name);
}

const struct stored_tensor *named_tensors_find(const struct named_tensors *tensors, const char *name)
{
    return bsearch(name, tensors->tensors, (size_t)tensors->count, sizeof *tensors->tensors, compare_name);
}

/* "[512, 1, 10]" */
static const char *shape_text(int rank, const int64_t *shape, char text[static 192])
{
    int length = snprintf(text, 192, "[");
    for (int i = 0; i < rank && i < TENSOR_MAX_RANK; i++)
        length += snprintf(text + length, 192 - (size_t)length, "%s%" PRId64, i ? ", " : "", shape[i]);
    snprintf(text + length, 192 - (size_t)length, "]");
    return text;
}

enum status named_tensors_check(const struct named_tensors *tensors, const char *name, int rank, const int64_t *shape)
{
    const struct stored_tensor *tensor = named_tensors_find(tensors, name);
    char expected[192], found[192];
    if (!tensor)
        return status_set(STATUS_CORRUPT, "%s: tensor %s is missing", tensors->path, name);
    if (tensor->rank != rank || memcmp(tensor->shape, shape, (size_t)rank * sizeof *shape) != 0)
        return status_set(STATUS_CORRUPT, "%s: tensor %s: expected shape %s, found %s", tensors->path, name,
                          shape_text(rank, shape, expected), shape_text(tensor->rank, tensor->shape, found));
    if (tensor->block == BLOCK_NONE && tensor->type != DTYPE_F32 && tensor->type != DTYPE_BF16 &&
        tensor->type != DTYPE_F16 && tensor->type != DTYPE_F64)
        return status_set(STATUS_CORRUPT, "%s: tensor %s: expected real numbers, found %s", tensors->path, name,
                          stored_type_name(tensor));
    return STATUS_OK;
}

enum status named_tensors_read(const struct named_tensors *tensors, const char *name, int rank, const int64_t *shape,
                               float *values)
{
    enum status result = named_tensors_check(tensors, name, rank, shape);
    if (result != STATUS_OK)
        return result;
    const struct stored_tensor *tensor = named_tensors_find(tensors, name);
    int64_t count = stored_tensor_elements(tensor);
    stored_tensor_read(tensor, 0, count, values);
    stored_tensor_forget(tensor);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return status_set(STATUS_CORRUPT, "%s: tensor %s: element %" PRId64 " is not finite", tensors->path, name,
                              i);
    return STATUS_OK;
}
