/* Offsets are running sums rounded up to 256 bytes, so the same shapes give the same layout everywhere. Sums are
 * checked for overflow because the sizes come from configurations: what is too large must be refused rather than wrap
 * around to something small. */
#include "core/memory_plan.h"

#include "core/array.h"

#include <stdarg.h>
#include <stdlib.h>

int64_t memory_plan_add(struct memory_plan *plan, int64_t bytes, const char *format, ...)
{
    if (bytes < 0 || bytes > INT64_MAX - MEMORY_ALIGNMENT - plan->total)
        return -1;
    if (array_grow(&plan->entries, &plan->capacity, plan->count + 1, "entries of a memory plan") != STATUS_OK)
        return -1;
    struct memory_entry *entry = &plan->entries[plan->count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(entry->name, sizeof entry->name, format, arguments);
    va_end(arguments);
    entry->offset = plan->total;
    entry->bytes = bytes;
    plan->total += memory_align(bytes);
    return entry->offset;
}

void memory_plan_print(const struct memory_plan *plan, FILE *file)
{
    enum { SHOWN = 3 };
    const struct memory_entry *largest[SHOWN] = {0};
    for (int64_t i = 0; i < plan->count; i++) {
        const struct memory_entry *entry = &plan->entries[i];
        for (int place = 0; place < SHOWN; place++)
            if (!largest[place] || entry->bytes > largest[place]->bytes) {
                for (int j = SHOWN - 1; j > place; j--)
                    largest[j] = largest[j - 1];
                largest[place] = entry;
                break;
            }
    }
    fprintf(file, "  %-26s %10.1f MiB  %5lld entries", plan->name, (double)plan->total / 1048576.0,
            (long long)plan->count);
    for (int place = 0; place < SHOWN && largest[place]; place++)
        fprintf(file, "%s%s %.1f", place ? ", " : "  largest: ", largest[place]->name,
                (double)largest[place]->bytes / 1048576.0);
    fputc('\n', file);
}

void memory_plan_free(struct memory_plan *plan)
{
    free(plan->entries);
    *plan = (struct memory_plan){.name = plan->name};
}
