/* Files of PyTorch as text: tensors, plain values (the configuration that a training run saved beside them) and the classes
 * that the file names. Every text in such a file may be hostile, so each is escaped; and since values can be shared, a small
 * file can describe endlessly many lines, so that they are counted. */
#include "core/utf8.h"
#include "io/weights/torch_archive.h"
#include "programs/inspect/inspect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_SHOWN = 1000, STEPS_LIMIT = 1000000, ITEMS_SHOWN = 16, TEXT_SHOWN = 200, PATH_SHOWN = 1000 };

static enum status print_text(const char *text, int64_t size)
{
    char *printable = NULL;
    int64_t shown = size < TEXT_SHOWN ? size : TEXT_SHOWN;
    enum status result = utf8_printable(text, shown, &printable);
    if (result == STATUS_OK)
        printf("%s%s", printable, shown < size ? "..." : "");
    free(printable);
    return result;
}

/* ---- plain values ---- */

static bool is_container(const struct torch_value *value)
{
    return value->kind == TORCH_LIST || value->kind == TORCH_TUPLE || value->kind == TORCH_DICT;
}

static enum status print_single(const struct torch_value *value)
{
    enum status result = STATUS_OK;
    switch (value->kind) {
    case TORCH_BOOL:
        printf("%s", value->boolean ? "true" : "false");
        break;
    case TORCH_INTEGER:
        printf("%lld", (long long)value->integer);
        break;
    case TORCH_REAL:
        printf("%.9g", value->real);
        break;
    case TORCH_STRING:
        printf("\"");
        result = print_text(value->text, value->size);
        printf("\"");
        break;
    case TORCH_BYTES:
        printf("%lld bytes", (long long)value->size);
        break;
    case TORCH_TENSOR:
        printf("a tensor");
        break;
    case TORCH_OPAQUE:
        printf("an object of ");
        result = print_text(value->class_name, (int64_t)strlen(value->class_name));
        break;
    default:
        printf("none");
    }
    return result;
}

/* A list of single values on one line; false when it is something else. */
static bool fits_on_line(const struct torch_value *value)
{
    if (value->kind != TORCH_LIST && value->kind != TORCH_TUPLE)
        return false;
    int64_t count = torch_value_count(value);
    for (int64_t i = 0; i < count && i < ITEMS_SHOWN; i++)
        if (is_container(&value->items->values[i]) || value->items->values[i].kind == TORCH_TENSOR)
            return false;
    return true;
}

static enum status print_line(const char *path, const struct torch_value *value)
{
    enum status result = STATUS_OK;
    printf("    %s: ", *path ? path : "value");
    if (!is_container(value)) {
        result = print_single(value);
    } else if (torch_value_count(value) == 0) {
        printf("empty");
    } else {
        int64_t count = torch_value_count(value);
        printf("[");
        for (int64_t i = 0; result == STATUS_OK && i < count && i < ITEMS_SHOWN; i++) {
            printf("%s", i ? ", " : "");
            result = print_single(&value->items->values[i]);
        }
        printf(count > ITEMS_SHOWN ? ", ... %lld in all]" : "]", (long long)count);
    }
    printf("\n");
    return result;
}

/* Appends a key, escaped, to the path that ends at `length`; the new length. What does not fit is cut. */
static enum status append_key(char path[PATH_SHOWN], size_t length, const struct torch_value *key, int64_t place,
                              size_t *longer)
{
    char number[32], *text = NULL;
    enum status result = STATUS_OK;
    if (key && key->kind == TORCH_STRING)
        result = utf8_printable(key->text, key->size < TEXT_SHOWN ? key->size : TEXT_SHOWN, &text);
    else
        snprintf(number, sizeof number, key && key->kind != TORCH_INTEGER ? "[%lld]" : "%lld",
                 (long long)(key && key->kind == TORCH_INTEGER ? key->integer : place));
    if (result == STATUS_OK)
        snprintf(path + length, PATH_SHOWN - length, "%s%s", length ? "." : "", text ? text : number);
    *longer = length + strlen(path + length);
    free(text);
    return result;
}

/* What may still be printed, and how many values may still be looked at: a container can be used in any number of places. */
struct budget {
    int64_t lines, steps;
};

/* Everything below `value` but its tensors, a line for each. */
static enum status print_values(char path[PATH_SHOWN], size_t length, const struct torch_value *value,
                                struct budget *left)
{
    enum status result = STATUS_OK;
    bool dict = value->kind == TORCH_DICT;
    if (value->kind == TORCH_TENSOR)
        return STATUS_OK;
    if (!is_container(value) || torch_value_count(value) == 0 || fits_on_line(value)) {
        if (--left->lines >= 0)
            result = print_line(path, value);
        return result;
    }
    for (int64_t i = 0; result == STATUS_OK && left->lines >= 0 && i < torch_value_count(value); i++) {
        size_t longer;
        const struct torch_value *key = dict ? &value->items->values[2 * i] : NULL;
        const struct torch_value *item = &value->items->values[dict ? 2 * i + 1 : i];
        if (--left->steps < 0)
            left->lines = -1;
        if (item->kind == TORCH_TENSOR || left->lines < 0)
            continue;
        result = append_key(path, length, key, i, &longer);
        if (result == STATUS_OK)
            result = print_values(path, longer, item, left);
        path[length] = 0;
    }
    return result;
}

static enum status print_classes(const struct torch_archive *archive)
{
    enum status result = STATUS_OK;
    int64_t count = torch_archive_class_count(archive);
    if (count > 0)
        printf("  classes that it names; none is called:\n");
    for (int64_t i = 0; result == STATUS_OK && i < count; i++) {
        const char *name = torch_archive_class(archive, i);
        printf("    ");
        result = print_text(name, (int64_t)strlen(name));
        printf("\n");
    }
    return result;
}

/* ---- verification ---- */

/* Elements that lie one after the other. */
struct range {
    const unsigned char *begin, *end;
    enum dtype type;
    const char *name; /* of a tensor that they belong to */
    bool copied;
};

/* Finite numbers are asked for; the error names the first that is not. */
static enum status check_elements(const char *path, const struct stored_tensor *tensor)
{
    enum { BLOCK = 4096 };
    float values[BLOCK];
    int64_t total = stored_tensor_elements(tensor);
    for (int64_t begin = 0; begin < total; begin += BLOCK) {
        int64_t count = total - begin < BLOCK ? total - begin : BLOCK;
        stored_tensor_read(tensor, begin, count, values);
        for (int64_t i = 0; i < count; i++)
            if (!isfinite(values[i]))
                return status_set(STATUS_CORRUPT, "%s: tensor %s: expected finite numbers, found %g at %lld", path,
                                  tensor->name, (double)values[i], (long long)(begin + i));
    }
    return STATUS_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *left = a, *right = b;
    if (left->type != right->type)
        return left->type < right->type ? -1 : 1;
    return left->begin < right->begin ? -1 : left->begin > right->begin;
}

/* The same tensor without repetitions; its elements in *elements. */
static struct stored_tensor without_repetitions(const struct stored_tensor *tensor, int64_t *elements)
{
    struct stored_tensor result = *tensor;
    for (int d = 0; d < result.rank; d++)
        if (result.stride[d] == 0 && result.shape[d] > 0)
            result.shape[d] = 1;
    *elements = stored_tensor_elements(&result);
    return result;
}

/* Tensors can share their elements, and a tensor can show the same one many times. So that each element is read about once,
 * ranges are collected and joined; only views with gaps, where the gaps may hold anything, are read one by one, and only as
 * long as that is no more than `budget` elements. */
static enum status collect(const struct torch_archive *archive, const char *path, int64_t budget, struct range *ranges,
                           int64_t *count)
{
    *count = 0;
    for (int64_t i = 0; i < torch_archive_count(archive); i++) {
        int64_t elements, span;
        struct stored_tensor tensor = without_repetitions(torch_archive_tensor(archive, i), &elements);
        if (tensor.type > DTYPE_F64 || elements == 0)
            continue;
        span = tensor.bytes / (int64_t)dtype_size(tensor.type);
        if (!stored_tensor_is_dense(&tensor) && elements < span && elements <= budget) {
            budget -= elements;
            enum status result = check_elements(path, &tensor);
            if (result != STATUS_OK)
                return result;
            continue;
        }
        const unsigned char *begin = tensor.data;
        ranges[(*count)++] = (struct range){begin, begin + tensor.bytes, tensor.type, tensor.name, tensor.copied};
    }
    return STATUS_OK;
}

static enum status check_finite(const struct torch_archive *archive, const char *path)
{
    enum status result = STATUS_OK;
    int64_t count = 0;
    struct range *ranges = malloc((size_t)(torch_archive_count(archive) + 1) * sizeof *ranges);
    if (!ranges)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(collect(archive, path, 1 << 24, ranges, &count));
    qsort(ranges, (size_t)count, sizeof *ranges, compare_ranges);
    for (int64_t i = 0; i < count;) {
        struct range joined = ranges[i++];
        size_t size = dtype_size(joined.type);
        for (; i < count && ranges[i].type == joined.type && ranges[i].begin < joined.end &&
               (size_t)(ranges[i].begin - joined.begin) % size == 0;
             i++)
            joined.end = ranges[i].end > joined.end ? ranges[i].end : joined.end;
        struct stored_tensor tensor = {.name = joined.name,
                                       .type = joined.type,
                                       .rank = 1,
                                       .shape = {(joined.end - joined.begin) / (int64_t)size},
                                       .stride = {1},
                                       .data = joined.begin,
                                       .bytes = joined.end - joined.begin,
                                       .copied = joined.copied};
        TRY(check_elements(path, &tensor));
        stored_tensor_forget(&tensor);
    }
fail:
    free(ranges);
    return result;
}

enum status inspect_torch(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct torch_archive *archive = NULL;
    struct budget left = {VALUES_SHOWN, STEPS_LIMIT};
    double elements = 0, bytes = 0; /* views can repeat an element any number of times */
    char key[PATH_SHOWN] = "";
    TRY(torch_archive_open(path, &archive));
    static const char *const forms[] = {[TORCH_FORM_ZIP] = "PyTorch, zip file",
                                        [TORCH_FORM_STREAM] = "PyTorch, stream as before PyTorch 1.6",
                                        [TORCH_FORM_PICKLE] = "pickle"};
    bool zip = torch_archive_form(archive) == TORCH_FORM_ZIP;
    utf8_print(stdout, "%s: %s\n", path, forms[torch_archive_form(archive)]);
    for (int64_t i = 0; i < torch_archive_count(archive); i++) {
        const struct stored_tensor *tensor = torch_archive_tensor(archive, i);
        TRY(inspect_stored_tensor(path, tensor, &(struct inspect_options){.hash = options->hash}));
        elements += (double)stored_tensor_elements(tensor);
        bytes += (double)stored_tensor_elements(tensor) * (double)dtype_size(tensor->type);
    }
    printf("  %lld tensors, %.0f numbers, %.1f MiB\n", (long long)torch_archive_count(archive), elements,
           bytes / (1 << 20));
    if (torch_archive_root(archive)->kind != TORCH_TENSOR) {
        printf("  values:\n");
        TRY(print_values(key, 0, torch_archive_root(archive), &left));
        if (left.lines < 0)
            printf("    ... and more\n");
    }
    TRY(print_classes(archive));
    if (options->verify) {
        TRY(torch_archive_verify(archive));
        TRY(check_finite(archive, path));
        printf("  verified: %severy number is finite\n", zip ? "every record has its CRC, " : "");
    }
fail:
    torch_archive_close(archive);
    return result;
}
