/* The steps of an import, whatever the format: read, sort by id, refuse two rows with the same id, write. Sorting makes
 * the manifest depend on what the corpus contains and not on the order in which a format lists it. */
#include "data/prepare/import/import.h"

#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *import_kind_name(enum import_kind kind)
{
    static const char *const names[IMPORT_KINDS] = {"folder", "librispeech", "ctm", "textgrid", "whisper"};
    return names[kind];
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct import_row *)a)->id, ((const struct import_row *)b)->id);
}

static enum status refuse_duplicates(const struct import *import)
{
    for (int64_t i = 1; i < import->count; i++)
        if (strcmp(import->rows[i].id, import->rows[i - 1].id) == 0)
            return status_set(STATUS_CORRUPT, "two utterances would both get the id %s: %s and %s", import->rows[i].id,
                              import->rows[i - 1].audio, import->rows[i].audio);
    return STATUS_OK;
}

enum status import_run(const struct import_options *options, struct import_counts *counts)
{
    static enum status (*const importers[IMPORT_KINDS])(struct import *) = {
        import_folder, import_librispeech, import_ctm, import_textgrid, import_whisper};
    enum status result = STATUS_OK;
    struct import import = {.options = options};
    struct stat information;
    if (stat(options->source, &information) != 0)
        FAIL(errno == ENOENT || errno == ENOTDIR ? STATUS_USAGE : STATUS_IO, "%s: %s", options->source,
             strerror(errno));
    if (S_ISDIR(information.st_mode))
        TRY(path_format(import.root, "%s", options->source));
    else
        TRY(import_parent(options->source, import.root));
    TRY(importers[options->kind](&import));
    if (import.count == 0)
        FAIL(STATUS_USAGE, "%s: found nothing of the kind %s%s", options->source, import_kind_name(options->kind),
             import.counts.without_audio ? " that has its audio" : "");
    qsort(import.rows, (size_t)import.count, sizeof *import.rows, by_id);
    TRY(refuse_duplicates(&import));
    TRY(import_write_manifest(&import));
    *counts = import.counts;
fail:
    import_free_rows(&import);
    return result;
}
