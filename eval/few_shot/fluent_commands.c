/* Fluent Speech Commands (Lugosch et al. 2019): a table for each part says what every recording asks for. */
#include "eval/few_shot/corpus_internal.h"

#include "core/path.h"
#include "io/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_LIMIT = 256 << 20, SLOTS = 3 };

static const char *const parts[] = {"train", "valid", "test"};
static const char *const slots[SLOTS] = {"action", "object", "location"};

/* Which part a member is the table of, -1: none; *root: bytes before "data/". */
static int part_of(const char *name, int64_t *root)
{
    for (int p = 0; p < 3; p++) {
        char ending[32];
        int size = snprintf(ending, sizeof ending, "data/%s_data.csv", parts[p]);
        int64_t begin = (int64_t)strlen(name) - size;
        if (begin >= 0 && !strcmp(name + begin, ending) && (begin == 0 || name[begin - 1] == '/')) {
            *root = begin;
            return p;
        }
    }
    return -1;
}

/* The slots that are not "none", with spaces between them. */
static enum status make_intent(const struct csv *table, const char *const *fields, const int64_t *columns, int64_t line,
                               char intent[256])
{
    size_t length = 0;
    *intent = 0;
    for (int s = 0; s < SLOTS; s++) {
        const char *slot = fields[columns[s]];
        if (!strcmp(slot, "none") || !*slot)
            continue;
        length += (size_t)snprintf(intent + length, 256 - length, "%s%s", length ? " " : "", slot);
        if (length >= 256)
            return status_set(STATUS_CORRUPT, "%s:%lld: an intent of more than 255 bytes", table->where,
                              (long long)line);
    }
    return *intent ? STATUS_OK
                   : status_set(STATUS_CORRUPT, "%s:%lld: the row asks for nothing", table->where, (long long)line);
}

static enum status add_rows(struct archive *archive, const struct csv *table, const char *root, int part, bool skip,
                            struct corpus *corpus)
{
    enum status result = STATUS_OK;
    int64_t path, speaker, columns[SLOTS];
    char member[PATH_BYTES], intent[256];
    const char **fields = calloc((size_t)table->column_count + 1, sizeof *fields);
    if (!fields)
        FAIL(STATUS_INTERNAL, "no memory for a row of %s", table->where);
    TRY(csv_column(table, "path", &path));
    TRY(csv_column(table, "speakerId", &speaker));
    for (int s = 0; s < SLOTS; s++)
        TRY(csv_column(table, slots[s], &columns[s]));
    for (int64_t row = 0; row < table->row_count; row++) {
        csv_fields(table, row, fields);
        TRY(make_intent(table, fields, columns, csv_line(table, row), intent));
        if (path_format(member, "%s%s", root, fields[path]) != STATUS_OK)
            FAIL(STATUS_CORRUPT, "%s:%lld: path: expected at most %d bytes, found %zu", table->where,
                 (long long)csv_line(table, row), PATH_BYTES - 1, strlen(fields[path]));
        int64_t index = archive_find(archive, member);
        if (index < 0) {
            corpus->missing++;
            if (!skip)
                FAIL(STATUS_CORRUPT, "%s:%lld: the recording %s is missing", table->where,
                     (long long)csv_line(table, row), member);
            continue;
        }
        TRY(corpus_add(corpus, fields[path], parts[part], fields[speaker], intent, index));
    }
fail:
    free(fields);
    return result;
}

static enum status add_part(struct archive *archive, int64_t index, int part, int64_t root_bytes, bool skip,
                            struct corpus *corpus)
{
    enum status result = STATUS_OK;
    const char *name = archive_name(archive, index);
    char where[PATH_BYTES], root[PATH_BYTES];
    struct csv table = {0};
    void *data = NULL;
    int64_t size;
    TRY(path_format(where, "%s: %s", archive_path(archive), name));
    TRY(path_format(root, "%.*s", (int)root_bytes, name));
    TRY(archive_read(archive, index, TABLE_LIMIT, &data, &size));
    TRY(csv_parse(where, data, size, (struct csv_format){',', true}, &table));
    TRY(add_rows(archive, &table, root, part, skip, corpus));
fail:
    csv_free(&table);
    return result;
}

enum status fluent_commands_read(struct archive *archive, bool skip, struct corpus *corpus)
{
    enum status result = STATUS_OK;
    bool found[3] = {false};
    *corpus = (struct corpus){0};
    for (int64_t i = 0; i < archive_count(archive); i++) {
        int64_t root = 0;
        int part = part_of(archive_name(archive, i), &root);
        if (part < 0)
            continue;
        if (found[part])
            FAIL(STATUS_CORRUPT, "%s: %s_data.csv is there twice", archive_path(archive), parts[part]);
        found[part] = true;
        TRY(add_part(archive, i, part, root, skip, corpus));
    }
    if (!found[2])
        FAIL(STATUS_CORRUPT, "%s: data/test_data.csv is missing", archive_path(archive));
    TRY(corpus_sort(archive_path(archive), corpus));
fail:
    return result;
}
