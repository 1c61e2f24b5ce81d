/* A row that is in the dataset otherwise than in the manifest says so: changes.jsonl lists each way. */
#include "data/prepare/prepare_internal.h"

#include <stdarg.h>
#include <stdio.h>

void made_row_change(struct made_row *made, const char *format, ...)
{
    va_list arguments;
    if (made->change_count == CHANGES)
        return;
    va_start(arguments, format);
    vsnprintf(made->changes[made->change_count++], REASON_LENGTH, format, arguments);
    va_end(arguments);
}
