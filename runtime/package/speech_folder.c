/* From a folder to a set of speech components. The folder is verified and its kind is read here, once for all kinds;
 * its contents are read by the kind. */
#include "package/speech_folder.h"

#include "io/atomic_file.h"
#include "io/json.h"
#include "package/speech_composed.h"
#include "speech/embedded/embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* open: fills an empty set from a verified folder and its tokenizer.json; what it has filled in is freed by the caller,
 * after a failure too. */
static const struct speech_kind {
    const char *name;
    enum status (*open)(const char *folder, const json_t *description, struct speech *speech);
} kinds[] = {
    {EMBEDDED_KIND, embedded_open},
    {COMPOSED_KIND, composed_open},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static enum status find_kind(const char *where, const json_t *description, const struct speech_kind **kind)
{
    enum status result = STATUS_OK;
    const char *format, *name;
    char known[200] = "";
    int64_t version;
    TRY(jdoc_get_string(where, description, "format", &format));
    if (strcmp(format, SPEECH_FORMAT) != 0)
        FAIL(STATUS_CORRUPT, "%s: format is \"%s\", expected \"%s\"", where, format, SPEECH_FORMAT);
    TRY(jdoc_get_int(where, description, "version", 1, INT32_MAX, &version));
    if (version != SPEECH_FORMAT_VERSION)
        FAIL(STATUS_CORRUPT, "%s: expected version %d, found version %lld", where, (int)SPEECH_FORMAT_VERSION,
             (long long)version);
    TRY(jdoc_get_string(where, description, "kind", &name));
    for (size_t k = 0; k < KINDS; k++) {
        size_t used = strlen(known);
        *kind = &kinds[k];
        if (strcmp(name, kinds[k].name) == 0)
            return STATUS_OK;
        snprintf(known + used, sizeof known - used, "%s\"%s\"", k ? " or " : "", kinds[k].name);
    }
    FAIL(STATUS_CORRUPT, "%s: kind is \"%s\", expected %s", where, name, known);
fail:
    return result;
}

enum status speech_folder_open(const char *folder, struct speech **out)
{
    enum status result = STATUS_OK;
    struct speech *speech = NULL;
    const struct speech_kind *kind;
    json_t *description = NULL;
    char where[4096];
    *out = NULL;
    if (snprintf(where, sizeof where, "%s/tokenizer.json", folder) >= (int)sizeof where)
        FAIL(STATUS_USAGE, "%s: the path is too long", folder);
    TRY(directory_verify(folder, true));
    TRY(jdoc_read(where, &description));
    TRY(find_kind(where, description, &kind));
    if (!(speech = calloc(1, sizeof *speech)))
        FAIL(STATUS_INTERNAL, "%s: no memory for a speech tokenizer", folder);
    speech->kind = kind->name;
    TRY(kind->open(folder, description, speech));
    TRY(speech_check(speech));
    *out = speech;
    speech = NULL;
fail:
    json_decref(description);
    speech_free(speech);
    return result;
}
