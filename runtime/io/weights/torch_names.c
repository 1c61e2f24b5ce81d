/* The list of all tensors of a PyTorch file by their dotted names. The tree is walked through twice, to count and to fill.
 * A container can be used in any number of places, so that a small file could describe a tree of any size: steps are
 * counted, and containers without tensors are not entered. */
#include "io/weights/torch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LIMIT = 1024, STEPS_LIMIT = 4000000 };

struct walk {
    struct torch_archive *archive;
    char name[NAME_LIMIT + 1];
    int64_t steps, count;
    bool fill;
};

static enum status visit(struct walk *walk, struct torch_value *value, int64_t length);

/* Appends a dot and a key; the new length, or -1. */
static int64_t append_key(struct walk *walk, int64_t length, const struct torch_value *key, int64_t place)
{
    char number[32];
    const char *text = number;
    int64_t size;
    if (key && key->kind == TORCH_STRING) {
        text = key->text;
        size = key->size;
    } else if (key && key->kind != TORCH_INTEGER) {
        size = snprintf(number, sizeof number, "[%lld]", (long long)place);
    } else {
        size = snprintf(number, sizeof number, "%lld", (long long)(key ? key->integer : place));
    }
    bool dot = length > 0;
    if (size > NAME_LIMIT - length - dot || memchr(text, 0, (size_t)size))
        return -1;
    walk->name[length] = '.';
    memcpy(walk->name + length + dot, text, (size_t)size);
    return length + dot + size;
}

static enum status visit_items(struct walk *walk, const struct torch_items *items, bool dict, int64_t length)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < items->count && result == STATUS_OK; i += dict ? 2 : 1) {
        struct torch_value *item = &items->values[i + dict];
        if (++walk->steps > STEPS_LIMIT)
            return status_set(STATUS_CORRUPT, "%s: the same values are used in too many places",
                              walk->archive->file.path);
        bool container = item->kind == TORCH_LIST || item->kind == TORCH_TUPLE || item->kind == TORCH_DICT;
        if (item->kind != TORCH_TENSOR && !(container && item->items->has_tensors))
            continue;
        int64_t longer = append_key(walk, length, dict ? &items->values[i] : NULL, dict ? i / 2 : i);
        if (longer < 0)
            return status_set(STATUS_CORRUPT, "%s: a tensor's name is longer than %d bytes or has a NUL",
                              walk->archive->file.path, NAME_LIMIT);
        result = visit(walk, item, longer);
    }
    return result;
}

/* No deeper than TORCH_DEPTH_LIMIT, which torch_objects_finish has checked. */
static enum status visit(struct walk *walk, struct torch_value *value, int64_t length)
{
    void *name;
    if (value->kind != TORCH_TENSOR) {
        bool container = value->kind == TORCH_LIST || value->kind == TORCH_TUPLE || value->kind == TORCH_DICT;
        return container ? visit_items(walk, value->items, value->kind == TORCH_DICT, length) : STATUS_OK;
    }
    if (!walk->fill) {
        walk->count++;
        return STATUS_OK;
    }
    enum status result = pickle_take(&walk->archive->memory, length + 1, &name);
    if (result != STATUS_OK)
        return status_prefix(result, "%s", walk->archive->file.path);
    memcpy(name, walk->name, (size_t)length);
    value->tensor->name = name;
    walk->archive->tensors[walk->archive->count++] = *value->tensor;
    return STATUS_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct stored_tensor *)a)->name, ((const struct stored_tensor *)b)->name);
}

enum status torch_names_list(struct torch_archive *archive)
{
    enum status result = STATUS_OK;
    void *memory;
    struct walk walk = {.archive = archive};
    TRY(visit(&walk, &archive->root, 0));
    result = pickle_take(&archive->memory, walk.count * (int64_t)sizeof *archive->tensors, &memory);
    if (result != STATUS_OK)
        return status_prefix(result, "%s", archive->file.path);
    archive->tensors = memory;
    walk.fill = true;
    walk.steps = 0;
    TRY(visit(&walk, &archive->root, 0));
    if (archive->count > 1)
        qsort(archive->tensors, (size_t)archive->count, sizeof *archive->tensors, compare_names);
    for (int64_t i = 1; i < archive->count; i++)
        if (compare_names(&archive->tensors[i - 1], &archive->tensors[i]) == 0)
            FAIL(STATUS_CORRUPT, "%s: two tensors have the name \"%.200s\"", archive->file.path,
                 archive->tensors[i].name);
fail:
    return result;
}
