/* The last pass over the values of a pickle: what is not plain becomes opaque, and the tree is made safe to walk through.
 * Lists and dicts can be put into themselves while a pickle is read, and every container can be used any number of times,
 * so each is entered once and remembers how high the tree below it is. */
#include "io/weights/torch_objects.h"

#include <stdlib.h>
#include <string.h>

#define REFUSE(...) status_set(STATUS_CORRUPT, __VA_ARGS__)

static void make_plain(struct torch_value *value)
{
    switch (value->kind) {
    case PICKLE_CLASS: {
        const struct torch_class *class = value->class;
        bool dtype = class->known == KNOWN_DTYPE || class->known == KNOWN_DTYPE_OTHER;
        *value =
            dtype
                ? (struct torch_value){.kind = TORCH_STRING, .text = class->name, .size = (int64_t)strlen(class->name)}
                : (struct torch_value){.kind = TORCH_OPAQUE, .class_name = class->name};
        return;
    }
    case PICKLE_STORAGE:
        *value = (struct torch_value){.kind = TORCH_OPAQUE, .class_name = value->storage->class_name};
        return;
    case PICKLE_DTYPE:
        *value = (struct torch_value){.kind = TORCH_OPAQUE, .class_name = "numpy.dtype"};
        return;
    case PICKLE_ARRAY: {
        struct torch_tensor *tensor = value->array->tensor;
        *value = tensor ? (struct torch_value){.kind = TORCH_TENSOR, .tensor = &tensor->tensor}
                        : (struct torch_value){.kind = TORCH_OPAQUE, .class_name = "numpy.ndarray"};
        return;
    }
    default:
        return;
    }
}

static int compare_texts(const void *a, const void *b)
{
    const struct torch_value *left = *(const struct torch_value *const *)a;
    const struct torch_value *right = *(const struct torch_value *const *)b;
    int64_t common = left->size < right->size ? left->size : right->size;
    int order = common > 0 ? memcmp(left->text, right->text, (size_t)common) : 0;
    return order != 0 ? order : left->size < right->size ? -1 : left->size > right->size;
}

/* Python's dicts have each key once. */
static enum status check_keys(const struct torch_items *items)
{
    enum status result = STATUS_OK;
    int64_t count = 0;
    const struct torch_value **keys = malloc((size_t)(items->count / 2 + 1) * sizeof *keys);
    if (!keys)
        return status_set(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < items->count; i += 2)
        if (items->values[i].kind == TORCH_STRING)
            keys[count++] = &items->values[i];
    qsort(keys, (size_t)count, sizeof *keys, compare_texts);
    for (int64_t i = 1; result == STATUS_OK && i < count; i++)
        if (compare_texts(&keys[i - 1], &keys[i]) == 0)
            result = REFUSE("a dict has the key \"%.*s\" twice", (int)(keys[i]->size < 200 ? keys[i]->size : 200),
                            keys[i]->text);
    free(keys);
    return result;
}

static enum status finish(struct torch_value *value, int depth)
{
    make_plain(value);
    if (value->kind != TORCH_LIST && value->kind != TORCH_TUPLE && value->kind != TORCH_DICT)
        return STATUS_OK;
    struct torch_items *items = value->items;
    if (items->entered)
        return REFUSE("a value contains itself");
    if (depth + items->height > TORCH_DEPTH_LIMIT)
        return REFUSE("values nested deeper than %d levels", TORCH_DEPTH_LIMIT);
    if (items->height > 0)
        return STATUS_OK;
    int height = 0;
    items->entered = true;
    for (int64_t i = 0; i < items->count; i++) {
        struct torch_value *item = &items->values[i];
        enum status result = finish(item, depth + 1);
        if (result != STATUS_OK)
            return result;
        bool container = item->kind == TORCH_LIST || item->kind == TORCH_TUPLE || item->kind == TORCH_DICT;
        height = container && item->items->height > height ? item->items->height : height;
        items->has_tensors |= item->kind == TORCH_TENSOR || (container && item->items->has_tensors);
    }
    items->height = height + 1;
    items->entered = false;
    return value->kind == TORCH_DICT ? check_keys(items) : STATUS_OK;
}

enum status torch_objects_finish(struct torch_objects *objects, struct torch_value *root)
{
    enum status result = finish(root, 0);
    return result == STATUS_OK ? result : status_prefix(result, "%s", objects->memory->path);
}
