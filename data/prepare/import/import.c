/* The steps of an import, whatever the format: read, sort by id, keep one row of each id, settle the times of words,
 * write. Sorting makes the manifest depend on what the corpus contains and not on the order in which a format lists it. */
#include "data/prepare/import/import.h"

#include "core/log.h"
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_manifest.h"
#include "data/prepare/import/import_split.h"
#include "data/prepare/import/import_times.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WARN_PERCENT = 10 };

static int by_id(const void *a, const void *b)
{
    const struct import_row *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order ? order : strcmp(x->source, y->source);
}

static enum status drop_duplicates(struct import *import)
{
    enum status result = STATUS_OK;
    const struct import_row *last = import->rows;
    for (int64_t i = 1; i < import->count; i++) {
        struct import_row *row = import->rows + i;
        if (strcmp(row->id, last->id) == 0) {
            TRY(import_note(import, IMPORT_SAME_ID, row->id, row->source, "%s is kept", last->source));
            import_free_row(row);
        } else {
            last = row;
        }
    }
fail:
    import_close_gaps(import);
    return result;
}

/* The reason that rejects most often; -1: none does. */
static int most_often(const struct import_counts *counts)
{
    int most = -1;
    for (int i = 0; i < IMPORT_REASONS; i++)
        if (import_reason_rejects((enum import_reason)i) && counts->reasons[i] > 0 &&
            (most < 0 || counts->reasons[i] > counts->reasons[most]))
            most = i;
    return most;
}

static const struct import_note *first_note(const struct import *import, int reason)
{
    for (int64_t i = 0; i < import->note_count; i++)
        if ((int)import->notes[i].reason == reason)
            return import->notes + i;
    return NULL;
}

static enum status refuse_empty(const struct import *import, const struct import_counts *counts)
{
    const char *source = import->options->source, *kind = import_kind_name(import->options->kind);
    int most = most_often(counts);
    const struct import_note *note = most < 0 ? NULL : first_note(import, most);
    if (!note)
        return status_set(STATUS_USAGE, "%s: found nothing of the kind %s", source, kind);
    return status_set(STATUS_CORRUPT, "%s: nothing is left of %lld: %s: %s%s%s (%s)", source,
                      (long long)counts->rejected, note->source, import_reason_text(note->reason),
                      note->detail ? ": " : "", note->detail ? note->detail : "", import_reason_advice(note->reason));
}

static void count(const struct import *import, struct import_counts *counts)
{
    *counts = (struct import_counts){.rows = import->count};
    for (int64_t i = 0; i < import->note_count; i++) {
        const struct import_note *note = import->notes + i;
        counts->reasons[note->reason] += note->count;
        counts->rejected += import_reason_rejects(note->reason);
    }
    for (int64_t i = 0; i < import->count; i++) {
        counts->with_text += import->rows[i].text != NULL;
        counts->words += import->rows[i].word_count;
    }
}

static bool above_limit(int64_t part, int64_t all)
{
    return part * 100 > all * WARN_PERCENT;
}

/* Rows that are not as the source has them. Dropped labels are compared with words instead. */
static bool is_change(enum import_reason reason)
{
    return !import_reason_rejects(reason) && reason != IMPORT_NOISE;
}

static void warn_of_changes(const struct import *import, const struct import_counts *counts)
{
    int64_t changed = 0, rows_of[IMPORT_REASONS] = {0};
    const struct import_note *last = NULL;
    int most = IMPORT_NOISE;
    for (int64_t i = 0; i < import->note_count; i++) {
        const struct import_note *note = import->notes + i;
        if (!is_change(note->reason) || !note->id)
            continue;
        changed += !last || strcmp(last->id, note->id) != 0;
        last = note;
        rows_of[note->reason]++;
    }
    for (int i = 0; i < IMPORT_REASONS; i++)
        most = rows_of[i] > rows_of[most] ? i : most;
    if (above_limit(changed, counts->rows))
        log_warning("%s: %lld of %lld rows differ from the source, most (%lld): %s (%s)", import->options->source,
                    (long long)changed, (long long)counts->rows, (long long)rows_of[most],
                    import_reason_text((enum import_reason)most), import_reason_advice((enum import_reason)most));
}

/* What is missing from a corpus must not go unnoticed, however the program ends. */
static void warn(const struct import *import, const struct import_counts *counts)
{
    int64_t all = counts->rows + counts->rejected, labels = counts->reasons[IMPORT_NOISE];
    int most = most_often(counts);
    if (most >= 0 && above_limit(counts->rejected, all))
        log_warning("%s: %lld of %lld utterances were rejected, most (%lld): %s (%s)", import->options->source,
                    (long long)counts->rejected, (long long)all, (long long)counts->reasons[most],
                    import_reason_text((enum import_reason)most), import_reason_advice((enum import_reason)most));
    if (above_limit(labels, labels + counts->words))
        log_warning("%s: %lld of %lld labels: %s (%s)", import->options->source, (long long)labels,
                    (long long)(labels + counts->words), import_reason_text(IMPORT_NOISE),
                    import_reason_advice(IMPORT_NOISE));
    warn_of_changes(import, counts);
}

static enum status read_source(struct import *import)
{
#define READER(upper, lower, options, help) import_##lower,
    static enum status (*const readers[IMPORT_KINDS])(struct import *) = {IMPORT_KIND_LIST(READER)};
#undef READER
    enum status result = STATUS_OK;
    const struct import_options *options = import->options;
    struct stat information;
    if (stat(options->source, &information) != 0)
        TRY(status_set_errno(errno == ENOENT || errno == ENOTDIR ? STATUS_USAGE : STATUS_IO, errno, "%s",
                             options->source));
    if (S_ISDIR(information.st_mode))
        TRY(path_format(import->root, "%s", options->source));
    else
        TRY(import_parent(options->source, import->root));
    TRY(readers[options->kind](import));
    if (S_ISDIR(information.st_mode) && import_kind_options(options->kind) & IMPORT_ALL_AUDIO)
        TRY(import_note_unused(import, options->audio ? options->audio : import->root));
fail:
    return result;
}

enum status import_run(const struct import_options *options, struct import_counts *counts)
{
    enum status result = STATUS_OK;
    struct import import = {.options = options, .refusal = IMPORT_UNREADABLE};
    struct import_split split = {0};
    *counts = (struct import_counts){0};
    TRY(import_split_parse(options->split, &split));
    TRY(read_source(&import));
    if (import.count > 0)
        qsort(import.rows, (size_t)import.count, sizeof *import.rows, by_id);
    TRY(drop_duplicates(&import));
    for (int64_t i = 0; i < import.count; i++)
        TRY(import_settle_words(&import, import.rows + i));
    if (options->lowercase)
        TRY(import_lower_texts(&import));
    TRY(import_check_rows(&import));
    count(&import, counts);
    if (options->kind == IMPORT_FOLDER && counts->with_text == 0) { /* a folder of audio alone is meant to be one */
        import_forget_reason(&import, IMPORT_SPEECH_ALONE);
        counts->reasons[IMPORT_SPEECH_ALONE] = 0;
    }
    import_sort_notes(&import);
    if (import.count == 0)
        TRY(refuse_empty(&import, counts));
    TRY(import_split_rows(&import, &split));
    TRY(import_write(&import, &split));
    warn(&import, counts);
fail:
    import_split_free(&split);
    import_free(&import);
    return result;
}
