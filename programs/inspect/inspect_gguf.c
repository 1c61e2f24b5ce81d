/* GGUF as text: the values by key that its owner put there, and the tensors. */
#include "core/utf8.h"
#include "io/weights/gguf.h"
#include "programs/inspect/inspect.h"
#include "text/text_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARRAY_SHOWN = 6, TEXT_SHOWN = 60 };

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

/* By the file's own names and in its order: of an architecture other than Llama. */
static enum status print_gguf_tensors(const char *path, const struct gguf *file, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    int64_t elements = 0, bytes = 0;
    for (int64_t i = 0; i < gguf_tensor_count(file); i++) {
        const struct stored_tensor *tensor = gguf_tensor(file, i);
        TRY(inspect_stored_tensor(path, tensor, options));
        elements += stored_tensor_elements(tensor);
        bytes += tensor->bytes;
    }
    inspect_print_sum(gguf_tensor_count(file), elements, bytes);
    if (options->verify)
        printf("  verified: every number is finite\n");
fail:
    return result;
}

enum status inspect_gguf(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct gguf *file;
    struct gguf_string architecture = {0};
    TRY(gguf_open(path, &file));
    utf8_print(stdout, "%s: GGUF version %d\n", path, (int)gguf_version(file));
    for (int64_t i = 0; i < gguf_value_count(file); i++)
        print_value(gguf_value(file, i));
    if (gguf_find(file, "tokenizer.ggml.model"))
        TRY(inspect_text_model(path, options));
    if (gguf_find(file, "general.architecture"))
        TRY(gguf_get_string(file, "general.architecture", true, &architecture));
    /* A file may hold a text model alone. */
    if (gguf_tensor_count(file) > 0 && architecture.size == 5 && memcmp(architecture.text, "llama", 5) == 0)
        TRY(inspect_llama(path, options));
    else
        TRY(print_gguf_tensors(path, file, options));
fail:
    gguf_close(file);
    return result;
}
