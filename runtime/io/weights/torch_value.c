/* Looking up plain values of a PyTorch file by key or by path, as configurations are read. */
#include "io/weights/torch_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_text(const struct torch_value *value, const char *text, size_t length)
{
    return value->kind == TORCH_STRING && value->size == (int64_t)length && memcmp(value->text, text, length) == 0;
}

bool torch_value_is(const struct torch_value *value, const char *text)
{
    return is_text(value, text, strlen(text));
}

static const struct torch_value *get(const struct torch_value *dict, const char *key, size_t length)
{
    if (dict->kind != TORCH_DICT)
        return NULL;
    for (int64_t i = 0; i + 1 < dict->items->count; i += 2)
        if (is_text(&dict->items->values[i], key, length))
            return &dict->items->values[i + 1];
    return NULL;
}

const struct torch_value *torch_value_get(const struct torch_value *dict, const char *key)
{
    return get(dict, key, strlen(key));
}

/* The value that the longest possible beginning of `path` leads to; its length in *length. */
static const struct torch_value *step(const struct torch_value *value, const char *path, size_t *length)
{
    if (value->kind == TORCH_LIST || value->kind == TORCH_TUPLE) {
        *length = strspn(path, "0123456789");
        if (*length == 0 || *length > 9 || (path[*length] != '.' && path[*length] != 0))
            return NULL;
        int64_t index = strtol(path, NULL, 10);
        return index < value->items->count ? &value->items->values[index] : NULL;
    }
    for (*length = strlen(path); *length > 0; (*length)--) {
        const struct torch_value *found = path[*length] == '.' || path[*length] == 0 ? get(value, path, *length) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

const struct torch_value *torch_value_find(const struct torch_value *value, const char *path)
{
    while (value && *path) {
        size_t length = 0;
        value = step(value, path, &length);
        path += length;
        path += *path == '.';
    }
    return value;
}

int64_t torch_value_count(const struct torch_value *value)
{
    switch (value->kind) {
    case TORCH_LIST:
    case TORCH_TUPLE:
        return value->items->count;
    case TORCH_DICT:
        return value->items->count / 2;
    default:
        return 0;
    }
}

bool torch_value_integer(const struct torch_value *value, int64_t *integer)
{
    if (value->kind == TORCH_INTEGER)
        *integer = value->integer;
    else if (value->kind == TORCH_REAL && fabs(value->real) <= 0x1p53 && trunc(value->real) == value->real)
        *integer = (int64_t)value->real;
    else
        return false;
    return true;
}

bool torch_value_real(const struct torch_value *value, double *real)
{
    if (value->kind == TORCH_REAL)
        *real = value->real;
    else if (value->kind == TORCH_INTEGER)
        *real = (double)value->integer;
    else
        return false;
    return true;
}
