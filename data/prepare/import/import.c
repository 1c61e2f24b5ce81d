/* The steps of an import, whatever the format: read, sort by id, refuse two rows with the same id, write. Sorting makes
 * the manifest depend on what the corpus contains and not on the order in which a format lists it. */
#include "data/prepare/import/import.h"

#include "core/log.h"
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_manifest.h"
#include "text/word_places.h"

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

/* Words that do not fit their row's text would make prepare reject the row; without them it can find the times. */
static enum status drop_words_of_other_texts(struct import *import)
{
    for (int64_t i = 0; i < import->count; i++) {
        struct import_row *row = import->rows + i;
        int64_t missing = -1;
        if (row->word_count == 0 || !row->text)
            continue;
        const char **texts = calloc((size_t)row->word_count, sizeof *texts);
        struct word_place *places = calloc((size_t)row->word_count, sizeof *places);
        enum status result = texts && places ? STATUS_OK : status_set(STATUS_INTERNAL, "out of memory");
        for (int64_t j = 0; texts && j < row->word_count; j++)
            texts[j] = row->words[j].text;
        if (result == STATUS_OK)
            result = word_places_find(row->text, texts, row->word_count, places, &missing);
        free(texts);
        free(places);
        if (result != STATUS_OK)
            return result;
        if (missing < 0)
            continue;
        if (import->counts.untimed++ == 0)
            log_warning(
                "%s: the word \"%.100s\" does not occur in the rest of the text: the row is written without the "
                "times of its words",
                row->id, row->words[missing].text);
        for (int64_t j = 0; j < row->word_count; j++)
            free(row->words[j].text);
        row->word_count = 0;
    }
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
    TRY(drop_words_of_other_texts(&import));
    TRY(import_write_manifest(&import));
    *counts = import.counts;
fail:
    import_free_rows(&import);
    return result;
}
