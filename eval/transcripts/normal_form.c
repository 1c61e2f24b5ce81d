/* utf8proc decomposes single characters and composes a decomposed text. Between the two, marks that follow each other must be
 * put into the order of their combining classes. utf8proc's own function does that by exchanging neighbours, which takes hours
 * for a text of a million marks, as files of strangers may hold; here each run of marks is sorted by counting. */
#include "eval/transcripts/normal_form.h"

#include "core/array.h"
#include "eval/transcripts/characters.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { LONGEST_DECOMPOSITION = 32, CLASSES = 256 };

static int class_of(int32_t code)
{
    return (unsigned char)utf8proc_get_property(code)->combining_class;
}

/* codes[0, count) all have a class above 0; those of one class keep their order. */
static void sort_marks(int32_t *codes, int64_t count, int32_t *sorted)
{
    int64_t places[CLASSES + 1] = {0};
    for (int64_t i = 0; i < count; i++)
        places[class_of(codes[i]) + 1]++;
    for (int c = 0; c < CLASSES; c++)
        places[c + 1] += places[c];
    for (int64_t i = 0; i < count; i++)
        sorted[places[class_of(codes[i])]++] = codes[i];
    memcpy(codes, sorted, (size_t)count * sizeof *codes);
}

static enum status order_marks(int32_t *codes, int64_t count)
{
    int32_t *sorted = NULL;
    int64_t room = 0;
    enum status result = STATUS_OK;
    for (int64_t begin = 0, end; begin < count; begin = end) {
        bool ordered = true;
        end = begin + 1;
        if (class_of(codes[begin]) == 0)
            continue;
        for (; end < count && class_of(codes[end]) > 0; end++)
            ordered = ordered && class_of(codes[end - 1]) <= class_of(codes[end]);
        if (ordered)
            continue;
        TRY(array_grow(&sorted, &room, end - begin, "marks of a text"));
        sort_marks(codes + begin, end - begin, sorted);
    }
fail:
    free(sorted);
    return result;
}

enum status normal_form(const char *text, int64_t size, bool composed, int32_t **codes, int64_t *count)
{
    enum status result = STATUS_OK;
    int32_t *made = NULL;
    int64_t used = 0, room = 0;
    TRY(array_grow(&made, &room, size + LONGEST_DECOMPOSITION, "characters of a text"));
    for (int64_t at = 0, length; at < size; at += length) {
        int boundary = 0;
        uint32_t code = character_at(text, size, at, &length);
        TRY(array_grow(&made, &room, used + LONGEST_DECOMPOSITION, "characters of a text"));
        utf8proc_ssize_t parts =
            code < 0x80 ? 0
                        : utf8proc_decompose_char((utf8proc_int32_t)code, made + used, LONGEST_DECOMPOSITION,
                                                  UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
        if (code < 0x80)
            made[used++] = (int32_t)code;
        else if (parts < 0 || parts > LONGEST_DECOMPOSITION)
            FAIL(STATUS_INTERNAL, "U+%04X cannot be decomposed", (unsigned)code);
        else
            used += parts;
    }
    TRY(order_marks(made, used));
    if (composed)
        used = utf8proc_normalize_utf32(made, used, UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE);
    if (used < 0)
        FAIL(STATUS_INTERNAL, "a text cannot be composed");
    *codes = made;
    *count = used;
    made = NULL;
fail:
    free(made);
    return result;
}
