/* Praat's TextGrid, text formats. Praat itself reads only the values of such a file: quoted strings, and numbers and
 * <flags> surrounded by white space; all else ("xmin =", "intervals [3]:") is decoration. So one reader serves the long
 * and the short format (Praat's manual, "TextGrid file formats" and "Text files"). The encoding is that of any
 * text file (io/text_file.h). */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "io/text_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_LIMIT = 1 << 16, TIER_LIMIT = 1000 };

struct grid {
    const char *path;
    char *text; /* UTF-8, NUL-terminated */
    const char *at;
    int64_t line;
    char *label; /* the last string that was read; LABEL_LIMIT bytes */
};

static enum status refuse(const struct grid *grid, const char *expected)
{
    return status_set(STATUS_CORRUPT, "%s:%lld: not a TextGrid that Praat can read: expected %s", grid->path,
                      (long long)grid->line, expected);
}

/* ---- values ---- */

static bool is_space(char character)
{
    return character == ' ' || character == '\t' || character == '\r' || character == '\n';
}

static void skip_word(struct grid *grid)
{
    while (*grid->at && !is_space(*grid->at))
        grid->at++;
}

/* Moves to the next character that starts a value: a quote, or a digit, a sign or < at the start of a word. */
static void skip_decoration(struct grid *grid)
{
    while (*grid->at) {
        char next = *grid->at;
        if (next == '\n')
            grid->line++;
        if (is_space(next)) {
            grid->at++;
        } else if (next == '!') {
            grid->at += strcspn(grid->at, "\n");
        } else if (next == '"' || next == '<' || next == '-' || next == '+' || (next >= '0' && next <= '9')) {
            return;
        } else {
            skip_word(grid);
        }
    }
}

static enum status read_number(struct grid *grid, const char *expected, double *value)
{
    skip_decoration(grid);
    char *end;
    errno = 0;
    *value = strtod(grid->at, &end);
    if (end == grid->at || errno || !isfinite(*value) || (*end && !is_space(*end)))
        return refuse(grid, expected);
    grid->at = end;
    return STATUS_OK;
}

static enum status read_string(struct grid *grid, const char *expected)
{
    skip_decoration(grid);
    if (*grid->at != '"')
        return refuse(grid, expected);
    int64_t length = 0;
    for (grid->at++;; grid->at++) {
        /* A quote inside a string is written twice. */
        if (*grid->at == '"' && *++grid->at != '"')
            break;
        if (!*grid->at || length == LABEL_LIMIT - 1)
            return refuse(grid, "the end of a string");
        grid->line += *grid->at == '\n';
        grid->label[length++] = *grid->at;
    }
    grid->label[length] = 0;
    return STATUS_OK;
}

static enum status read_count(struct grid *grid, const char *expected, int64_t limit, int64_t *count)
{
    double value = 0;
    enum status result = read_number(grid, expected, &value);
    if (result == STATUS_OK && !(value >= 0 && value <= (double)limit && value == floor(value)))
        return refuse(grid, expected);
    *count = (int64_t)value;
    return result;
}

static enum status read_text(const char *path, char **text)
{
    int64_t size = 0;
    enum status result = text_file_read(path, IMPORT_FILE_LIMIT, text, &size);
    if (result == STATUS_OK && strncmp(*text, "ooBinaryFile", 12) == 0)
        return status_set(STATUS_CORRUPT, "%s: a binary TextGrid; save it as a text file in Praat", path);
    return result;
}

/* ---- tiers ---- */

struct tier_choice {
    const char *wanted; /* NULL: the tier "words" or, failing that, the only interval tier */
    int64_t interval_tiers;
    bool found;
};

static bool tier_matches(const char *wanted, const char *name)
{
    if (wanted)
        return strcmp(name, wanted) == 0;
    /* The Montreal aligner names tiers "words" or "SPEAKER - words". */
    size_t length = strlen(name);
    return strcmp(name, "words") == 0 || strcmp(name, "word") == 0 ||
           (length > 8 && strcmp(name + length - 8, " - words") == 0);
}

static bool is_silence(const char *label)
{
    static const char *const silences[] = {"sil", "sp", "spn", "<eps>", "<sil>", "<unk>", "SIL", "#", "..."};
    for (size_t i = 0; i < sizeof silences / sizeof *silences; i++)
        if (strcmp(label, silences[i]) == 0)
            return true;
    return label[0] == 0;
}

static enum status take_interval(struct grid *grid, double start, double end, struct import_row *row)
{
    char *label = import_clean_text(grid->label, (int64_t)strlen(grid->label));
    if (!label)
        return status_set(STATUS_INTERNAL, "%s: out of memory", grid->path);
    enum status result = STATUS_OK;
    if (strchr(label, ' '))
        result = status_set(STATUS_CORRUPT, "%s:%lld: the label \"%s\" contains several words: name the tier of words",
                            grid->path, (long long)grid->line, label);
    else if (!is_silence(label))
        result = import_add_word(row, label, start, end);
    free(label);
    return result;
}

/* Reads one tier; its intervals go into the row if it is the wanted one. */
static enum status read_tier(struct grid *grid, struct tier_choice *choice, bool take_any, struct import_row *row)
{
    enum status result = STATUS_OK;
    double start = 0, end = 0;
    int64_t count = 0;
    TRY(read_string(grid, "a tier's class"));
    bool intervals = strcmp(grid->label, "IntervalTier") == 0;
    if (!intervals && strcmp(grid->label, "TextTier") != 0)
        TRY(refuse(grid, "\"IntervalTier\" or \"TextTier\""));
    TRY(read_string(grid, "a tier's name"));
    bool taken = intervals && !choice->found && (take_any || tier_matches(choice->wanted, grid->label));
    choice->interval_tiers += intervals;
    choice->found |= taken;
    TRY(read_number(grid, "a tier's start", &start));
    TRY(read_number(grid, "a tier's end", &end));
    TRY(read_count(grid, "a tier's number of intervals or points", (int64_t)1 << 31, &count));
    for (int64_t i = 0; i < count; i++) {
        TRY(read_number(grid, "a time", &start));
        if (intervals)
            TRY(read_number(grid, "an interval's end", &end));
        TRY(read_string(grid, "a label"));
        if (intervals && !(start >= 0 && end >= start))
            TRY(refuse(grid, "an interval that ends after it starts"));
        if (taken)
            TRY(take_interval(grid, start, end, row));
    }
fail:
    return result;
}

static enum status read_grid(struct grid *grid, const char *wanted, struct import_row *row)
{
    enum status result = STATUS_OK;
    double start = 0, end = 0;
    int64_t tiers = 0;
    TRY(read_string(grid, "\"ooTextFile\""));
    if (strncmp(grid->label, "ooTextFile", 10) != 0)
        TRY(refuse(grid, "\"ooTextFile\""));
    TRY(read_string(grid, "\"TextGrid\""));
    if (strcmp(grid->label, "TextGrid") != 0)
        TRY(refuse(grid, "\"TextGrid\""));
    TRY(read_number(grid, "the start", &start));
    TRY(read_number(grid, "the end", &end));
    skip_decoration(grid);
    if (strncmp(grid->at, "<exists>", 8) != 0)
        TRY(refuse(grid, "<exists>"));
    grid->at += 8;
    TRY(read_count(grid, "the number of tiers", TIER_LIMIT, &tiers));
    const char *first = grid->at;
    int64_t first_line = grid->line;
    struct tier_choice choice = {.wanted = wanted};
    for (int64_t i = 0; i < tiers; i++)
        TRY(read_tier(grid, &choice, false, row));
    if (!choice.found && !wanted && choice.interval_tiers == 1) {
        grid->at = first;
        grid->line = first_line;
        for (int64_t i = 0; i < tiers; i++)
            TRY(read_tier(grid, &choice, true, row));
    }
    if (!choice.found)
        FAIL(STATUS_USAGE, "%s: no interval tier is named \"%s\": name the tier of words", grid->path,
             wanted ? wanted : "words");
fail:
    return result;
}

static enum status visit_grid(struct import *import, const char *path)
{
    enum status result = STATUS_OK;
    struct grid grid = {.path = path, .line = 1, .label = malloc(LABEL_LIMIT)};
    char audio[PATH_BYTES], *stem = NULL;
    stem = import_identify(import->root, path);
    if (!stem || !grid.label)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(read_text(path, &grid.text));
    grid.at = grid.text ? grid.text : "";
    if (!import_find_audio(import->options->audio ? import->options->audio : import->root, stem, audio)) {
        import->counts.without_audio++;
        goto fail;
    }
    struct import_row *row = import_add(import);
    if (!row || !(row->id = strdup(stem)) || !(row->audio = strdup(audio)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(read_grid(&grid, import->options->tier, row));
    TRY(import_text_from_words(row));
fail:
    free(grid.label);
    free(grid.text);
    free(stem);
    return result;
}

enum status import_textgrid(struct import *import)
{
    return import_walk(import, import->options->source, ".TextGrid", visit_grid);
}
