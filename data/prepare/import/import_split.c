/* A hash spreads the keys evenly over [0, 1), and each part owns an interval of its share's length. */
#include "data/prepare/import/import_split.h"

#include "core/hash.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status parse_part(const char *text, size_t length, struct import_split *split)
{
    const char *equals = memchr(text, '=', length);
    size_t name = equals ? (size_t)(equals - text) : 0;
    bool good = name > 0 && name < IMPORT_PART_NAME;
    for (size_t i = 0; good && i < name; i++)
        good = isalnum((unsigned char)text[i]) || text[i] == '-' || text[i] == '_';
    char *end = NULL;
    errno = 0;
    double share = good ? strtod(equals + 1, &end) : 0;
    if (!good || end != text + length || !(share > 0 && share <= 1))
        return status_set(STATUS_USAGE, "--split: expected NAME=SHARE with a share above 0, found \"%.*s\"",
                          (int)length, text);
    if (split->count == IMPORT_PARTS)
        return status_set(STATUS_USAGE, "--split: at most %d parts", IMPORT_PARTS);
    for (int i = 0; i < split->count; i++)
        if (strncmp(split->names[i], text, name) == 0 && !split->names[i][name])
            return status_set(STATUS_USAGE, "--split: the part %s occurs twice", split->names[i]);
    if (name == 7 && strncmp(text, "rejects", 7) == 0)
        return status_set(STATUS_USAGE, "--split: a part cannot be called rejects: that file lists what was left out");
    memcpy(split->names[split->count], text, name);
    split->names[split->count][name] = 0;
    split->shares[split->count++] = share;
    return STATUS_OK;
}

enum status import_split_parse(const char *text, struct import_split *split)
{
    double sum = 0;
    for (const char *part = text; part;) {
        size_t length = strcspn(part, ",");
        enum status result = parse_part(part, length, split);
        if (result != STATUS_OK)
            return result;
        sum += split->shares[split->count - 1];
        part = part[length] ? part + length + 1 : NULL;
    }
    if (text && !(fabs(sum - 1) < 1e-6))
        return status_set(STATUS_USAGE, "--split: the shares add up to %g, expected 1", sum);
    return STATUS_OK;
}

/* A number in [0, 1) that follows from seed and key. */
static double spread(int64_t seed, const char *key)
{
    struct sha256_stream *stream = sha256_start();
    char text[32];
    int length = snprintf(text, sizeof text, "%lld", (long long)seed);
    sha256_add(stream, text, (size_t)length + 1); /* with its NUL: seed 1 of "2a" is not seed 12 of "a" */
    sha256_add(stream, key, strlen(key));
    struct sha256 hash = sha256_finish(stream);
    uint64_t high = 0;
    for (int i = 0; i < 8; i++)
        high = high << 8 | hash.bytes[i];
    return (double)(high >> 11) * 0x1p-53;
}

/* Rows that say the same belong together even where each goes its own way: else what is held out was seen in training. */
static const char *key_of(const struct import *import, const struct import_row *row)
{
    const enum import_split_by by = import->options->split_by;
    if (by == IMPORT_BY_SPEAKER)
        return row->speaker ? row->speaker : import->options->speaker;
    if (by == IMPORT_BY_ROW)
        return row->text && row->text[0] ? row->text : row->id;
    if (row->document)
        return row->document;
    return row->audio ? row->audio : row->id;
}

/* An audio file is named by its path below the source, so that the split is the same on every machine. */
static const char *stable_key(const struct import *import, const struct import_row *row)
{
    const char *key = key_of(import, row);
    return key && key == row->audio ? import_relative(import, key) : key;
}

static enum status check_parts(const struct import *import, const struct import_split *split)
{
    static const char *const keys[] = {"speaker", "document", "row"};
    const enum import_split_by by = import->options->split_by;
    const char *advice = "";
    if (by != IMPORT_BY_ROW)
        advice = ", or --split-by row";
    else if (import->options->kind == IMPORT_TEXT && import->options->per != IMPORT_PER_LINE)
        advice = ", or --per line, for more rows";
    for (int part = 0; part < split->count; part++)
        if (split->rows[part] == 0)
            return status_set(
                STATUS_USAGE,
                "--split: no %s falls into the part \"%s\": there are too few for its share (%lld rows in "
                "all); try another --seed or a larger share%s",
                keys[by], split->names[part], (long long)import->count, advice);
    return STATUS_OK;
}

enum status import_split_rows(const struct import *import, struct import_split *split)
{
    if (split->count == 0)
        return STATUS_OK;
    split->parts = calloc((size_t)import->count + 1, sizeof *split->parts);
    if (!split->parts)
        return status_set(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < import->count; i++) {
        const char *key = stable_key(import, import->rows + i);
        if (!key)
            return status_set(STATUS_USAGE, "%s has no speaker to split by: use --split-by document or row",
                              import->rows[i].id);
        double place = spread(import->options->split_seed, key), sum = 0;
        int part = 0;
        for (sum = split->shares[0]; place >= sum && part + 1 < split->count; sum += split->shares[part])
            part++;
        split->parts[i] = part;
        split->rows[part]++;
    }
    return check_parts(import, split);
}

void import_split_free(struct import_split *split)
{
    free(split->parts);
    split->parts = NULL;
}
