/* The tables of kinds and reasons as functions. */
#include "data/prepare/import/import.h"

#include <string.h>

const char *import_kind_name(enum import_kind kind)
{
    static const char *const names[] = {
#define NAME(upper, lower, options, help) #lower,
        IMPORT_KIND_LIST(NAME)
#undef NAME
    };
    return names[kind];
}

int import_kind_options(enum import_kind kind)
{
    static const int allowed[] = {
#define ALLOWED(upper, lower, options, help) options,
        IMPORT_KIND_LIST(ALLOWED)
#undef ALLOWED
    };
    return allowed[kind];
}

enum status import_kind_parse(const char *name, enum import_kind *kind)
{
    for (int i = 0; i < IMPORT_KINDS; i++)
        if (strcmp(name, import_kind_name((enum import_kind)i)) == 0) {
            *kind = (enum import_kind)i;
            return STATUS_OK;
        }
#define LISTED(upper, lower, options, help) #lower ", "
    static const char list[] = IMPORT_KIND_LIST(LISTED);
#undef LISTED
    return status_set(STATUS_USAGE, "KIND: expected one of %.*s; found \"%s\"", (int)sizeof list - 3, list, name);
}

static const struct {
    bool rejects;
    const char *text, *advice;
} reasons[] = {
#define ENTRY(upper, rejected, text, advice) {rejected, text, advice},
    IMPORT_REASON_LIST(ENTRY)
#undef ENTRY
};

const char *import_reason_text(enum import_reason reason)
{
    return reasons[reason].text;
}

const char *import_reason_advice(enum import_reason reason)
{
    return reasons[reason].advice;
}

bool import_reason_rejects(enum import_reason reason)
{
    return reasons[reason].rejects;
}
