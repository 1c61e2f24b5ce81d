/* The tensors of a Llama behind one interface, and their elements in Hugging Face's order: joined from the parts that a
 * model was cut into, the rows of rotary pairs taken apart. */
#include "models/llama/llama_source_internal.h"

#include "core/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what the readers of the layouts fill ---- */

bool llama_folder_has(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    struct stat info;
    return path_format(path, "%s/%s", folder, name) == STATUS_OK && stat(path, &info) == 0;
}

enum status llama_layout_of(const char *path, enum llama_layout *layout)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return status_set_errno(errno == ENOENT || errno == ENOTDIR ? STATUS_USAGE : STATUS_IO, errno,
                                "%s: cannot open", path);
    if (!S_ISDIR(info.st_mode))
        *layout = LLAMA_GGUF;
    else if (!llama_folder_has(path, "config.json") && llama_folder_has(path, "params.json"))
        *layout = LLAMA_META;
    else if (!llama_folder_has(path, "model.safetensors") && !llama_folder_has(path, "model.safetensors.index.json") &&
             (llama_folder_has(path, "pytorch_model.bin") || llama_folder_has(path, "pytorch_model.bin.index.json")))
        *layout = LLAMA_TORCH;
    else
        *layout = LLAMA_SAFETENSORS;
    return STATUS_OK;
}

enum status llama_source_reserve(struct llama_source *source, int64_t tensors, int64_t parts)
{
    source->tensors = calloc((size_t)tensors + 1, sizeof *source->tensors);
    source->names = calloc((size_t)tensors + 1, sizeof *source->names);
    source->stored = calloc((size_t)parts + 1, sizeof *source->stored);
    source->parts = calloc((size_t)parts + 1, sizeof *source->parts);
    if (!source->tensors || !source->names || !source->stored || !source->parts)
        return status_set(STATUS_INTERNAL, "%s: no memory for a list of tensors", source->path);
    return STATUS_OK;
}

void llama_source_add(struct llama_source *source, const char *name, const struct stored_tensor *stored,
                      int64_t rotary_size)
{
    const struct stored_tensor **part = &source->parts[source->part_count];
    source->part_count += source->layout == LLAMA_META ? source->archive_count : 1;
    struct source_tensor *tensor = &source->tensors[source->count++];
    *part = stored;
    *tensor = (struct source_tensor){.name = name,
                                     .type = stored->type,
                                     .block = stored->block,
                                     .rank = stored->rank,
                                     .parts = part,
                                     .part_count = 1,
                                     .rotary_size = rotary_size};
    memcpy(tensor->shape, stored->shape, sizeof tensor->shape);
}

enum status llama_source_open_archive(struct llama_source *source, const char *name)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    char *copy = strdup(name);
    struct torch_archive **archives =
        realloc(source->archives, (size_t)(source->archive_count + 1) * sizeof *source->archives);
    source->archives = archives ? archives : source->archives;
    char **names = realloc(source->archive_names, (size_t)(source->archive_count + 1) * sizeof *source->archive_names);
    source->archive_names = names ? names : source->archive_names;
    if (!copy || !archives || !names)
        FAIL(STATUS_INTERNAL, "%s: out of memory", source->path);
    TRY(path_format(path, "%s/%s", source->path, name));
    TRY(torch_archive_open(path, &source->archives[source->archive_count]));
    source->archive_names[source->archive_count++] = copy;
    copy = NULL;
fail:
    free(copy);
    return result;
}

void llama_source_close_archives(struct llama_source *source)
{
    for (int64_t i = 0; i < source->archive_count; i++) {
        torch_archive_close(source->archives[i]);
        free(source->archive_names[i]);
    }
    free(source->archives);
    free(source->archive_names);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct source_tensor *)a)->name, ((const struct source_tensor *)b)->name);
}

void llama_source_sort(struct llama_source *source)
{
    if (source->count > 1)
        qsort(source->tensors, (size_t)source->count, sizeof *source->tensors, compare_names);
}

void llama_source_close(struct llama_source *source)
{
    if (!source)
        return;
    safetensors_folder_close(source->folder);
    gguf_close(source->gguf);
    llama_source_close_archives(source);
    free(source->tensors);
    free(source->names);
    free(source->stored);
    free(source->parts);
    free(source->path);
    free(source);
}

enum llama_layout llama_source_layout(const struct llama_source *source)
{
    return source->layout;
}

int64_t llama_source_count(const struct llama_source *source)
{
    return source->count;
}

const struct source_tensor *llama_source_tensor(const struct llama_source *source, int64_t index)
{
    return &source->tensors[index];
}

const struct source_tensor *llama_source_find(const struct llama_source *source, const char *name)
{
    const struct source_tensor key = {.name = name};
    return source->count ? bsearch(&key, source->tensors, (size_t)source->count, sizeof *source->tensors, compare_names)
                         : NULL;
}

/* ---- reading ---- */

int64_t source_tensor_elements(const struct source_tensor *tensor)
{
    int64_t count = 1;
    for (int d = 0; d < tensor->rank; d++)
        count *= tensor->shape[d];
    return count;
}

/* Where the file has a row. Within a head of D rows, row i of the first half and row i of the second are its rows 2i and
 * 2i + 1. */
static int64_t stored_row(const struct source_tensor *tensor, int64_t row)
{
    int64_t size = tensor->rotary_size;
    if (!size)
        return row;
    int64_t within = row % size, half = size / 2;
    return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
}

/* Columns [column, column + count) of a stored row. */
static void read_row(const struct source_tensor *tensor, int64_t row, int64_t column, int64_t count, float *values)
{
    const struct stored_tensor *part = tensor->parts[0];
    if (tensor->axis == 0) {
        int64_t rows = part->shape[0];
        part = tensor->parts[row / rows];
        stored_tensor_read(part, row % rows * part->shape[1] + column, count, values);
        return;
    }
    for (int64_t width = part->shape[1]; count > 0;) {
        int64_t within = column % width, taken = width - within < count ? width - within : count;
        part = tensor->parts[column / width];
        stored_tensor_read(part, row * width + within, taken, values);
        values += taken;
        column += taken;
        count -= taken;
    }
}

void source_tensor_read(const struct source_tensor *tensor, int64_t first, int64_t count, float *values)
{
    if (tensor->part_count == 1 && !tensor->rotary_size) {
        stored_tensor_read(tensor->parts[0], first, count, values);
        return;
    }
    int64_t columns = tensor->shape[1];
    while (count > 0) {
        int64_t row = first / columns, column = first % columns;
        int64_t taken = columns - column < count ? columns - column : count;
        read_row(tensor, stored_row(tensor, row), column, taken, values);
        values += taken;
        first += taken;
        count -= taken;
    }
}

const void *source_tensor_in_place(const struct source_tensor *tensor, enum dtype type)
{
    const struct stored_tensor *part = tensor->parts[0];
    bool plain = tensor->part_count == 1 && !tensor->rotary_size && part->block == BLOCK_NONE && part->type == type &&
                 stored_tensor_is_dense(part) && (uintptr_t)part->data % dtype_size(type) == 0;
    return plain ? part->data : NULL;
}

void source_tensor_forget(const struct source_tensor *tensor)
{
    for (int64_t i = 0; i < tensor->part_count; i++)
        stored_tensor_forget(tensor->parts[i]);
}
