/* Generated pieces as JSON. Text may hold any bytes, JSON may not: what is not UTF-8 is given as hexadecimal digits too. */
#include "generate/describe.h"

#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NULL when out of memory. */
static json_t *hexadecimal(const char *bytes, int64_t size)
{
    char *text = malloc((size_t)(2 * size + 1));
    if (!text)
        return NULL;
    for (int64_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
    json_t *value = json_stringn(text, (size_t)(2 * size));
    free(text);
    return value;
}

enum status output_piece_describe(const struct output_piece *piece, json_t **object)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    int64_t size = 0;
    bool malformed = false;
    *object = NULL;
    TRY(utf8_repair(piece->text, piece->size, false, &text, &size, &malformed));
    *object = json_pack("{s:s, s:s%}", "kind", piece->speech ? "speech" : "text", piece->speech ? "units" : "text",
                        text, (size_t)size);
    if (!*object || (malformed && json_object_set_new(*object, "bytes", hexadecimal(piece->text, piece->size)) != 0)) {
        json_decref(*object);
        *object = NULL;
        FAIL(STATUS_INTERNAL, "no memory to describe a piece of %lld bytes", (long long)piece->size);
    }
fail:
    free(text);
    return result;
}
