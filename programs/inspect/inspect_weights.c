/* Files of weights as text: GGUF, with the values by key that its owner put there; and what any stored tensor is printed as. */
#include "core/hash.h"
#include "core/utf8.h"
#include "io/weights/gguf.h"
#include "models/llama/llama.h"
#include "programs/inspect/inspect.h"
#include "text/text_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096, ARRAY_SHOWN = 6, TEXT_SHOWN = 60 };

/* Reads all numbers, as f32: they must be finite, and the hash is that of their little-endian bytes. */
static enum status read_numbers(const char *path, const struct stored_tensor *tensor, struct sha256 *hash)
{
    float values[BLOCK];
    struct sha256_stream *stream = sha256_start();
    enum status result = STATUS_OK;
    for (int64_t first = 0, count = stored_tensor_elements(tensor); first < count; first += BLOCK) {
        int64_t taken = count - first < BLOCK ? count - first : BLOCK;
        stored_tensor_read(tensor, first, taken, values);
        for (int64_t i = 0; i < taken; i++)
            if (!isfinite(values[i]))
                FAIL(STATUS_CORRUPT, "%s: tensor %s: expected finite numbers, found %g at %" PRId64, path, tensor->name,
                     (double)values[i], first + i);
        sha256_add(stream, values, (size_t)taken * sizeof *values);
    }
    *hash = sha256_finish(stream);
    stored_tensor_forget(tensor);
    return STATUS_OK;
fail:
    (void)sha256_finish(stream);
    return result;
}

enum status inspect_stored_tensor(const char *path, const struct stored_tensor *tensor,
                                  const struct inspect_options *options)
{
    struct sha256 hash;
    char digits[65] = "", *name = NULL;
    /* A view may repeat its numbers endlessly: such a one is not read. */
    bool repeats = tensor->block == BLOCK_NONE &&
                   stored_tensor_elements(tensor) > tensor->bytes / (int64_t)dtype_size(tensor->type);
    bool number = tensor->type <= DTYPE_F64 && !repeats;
    if (number && (options->verify || options->hash)) {
        enum status result = read_numbers(path, tensor, &hash);
        if (result != STATUS_OK)
            return result;
        sha256_hex(&hash, digits);
    }
    enum status printable = utf8_printable(tensor->name, (int64_t)strlen(tensor->name), &name);
    if (printable != STATUS_OK)
        return printable;
    printf("  %s%s%-4s [", options->hash ? digits : "", options->hash && number ? " " : "", stored_type_name(tensor));
    for (int d = 0; d < tensor->rank; d++)
        printf("%s%" PRId64, d ? ", " : "", tensor->shape[d]);
    printf("]  %s\n", name);
    free(name);
    return STATUS_OK;
}

static void print_text(struct gguf_string text)
{
    bool cut = text.size > TEXT_SHOWN;
    utf8_print(stdout, "\"%.*s%s\"", (int)(cut ? TEXT_SHOWN : text.size), text.text, cut ? "..." : "");
}

static void print_element(const struct gguf_value *value, int64_t index)
{
    switch (value->type) {
    case GGUF_STRING:
        print_text(gguf_element_string(value, index));
        break;
    case GGUF_F32:
    case GGUF_F64:
        printf("%g", gguf_element_number(value, index));
        break;
    case GGUF_BOOL:
        fputs(gguf_element_integer(value, index) ? "true" : "false", stdout);
        break;
    default:
        printf("%" PRId64, gguf_element_integer(value, index));
    }
}

static void print_value(const struct gguf_value *value)
{
    utf8_print(stdout, "  %s = ", value->key);
    if (value->is_array)
        printf("%" PRId64 " x %s [", value->count, gguf_type_name(value->type));
    for (int64_t i = 0; i < value->count && i < (value->is_array ? ARRAY_SHOWN : 1); i++) {
        fputs(i ? ", " : "", stdout);
        print_element(value, i);
    }
    puts(!value->is_array ? "" : value->count > ARRAY_SHOWN ? ", ...]" : "]");
}

enum status inspect_gguf(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct gguf *file;
    int64_t elements = 0, bytes = 0;
    TRY(gguf_open(path, &file));
    utf8_print(stdout, "%s: GGUF version %d\n", path, (int)gguf_version(file));
    for (int64_t i = 0; i < gguf_value_count(file); i++)
        print_value(gguf_value(file, i));
    if (gguf_find(file, "tokenizer.ggml.model"))
        TRY(inspect_text_model(path, options));
    for (int64_t i = 0; i < gguf_tensor_count(file); i++) {
        const struct stored_tensor *tensor = gguf_tensor(file, i);
        TRY(inspect_stored_tensor(path, tensor, options));
        elements += stored_tensor_elements(tensor);
        bytes += tensor->bytes;
    }
    printf("  %" PRId64 " tensors, %" PRId64 " numbers, %.1f MiB\n", gguf_tensor_count(file), elements,
           (double)bytes / (1 << 20));
    if (options->verify)
        printf("  verified: every number is finite\n");
fail:
    gguf_close(file);
    return result;
}
