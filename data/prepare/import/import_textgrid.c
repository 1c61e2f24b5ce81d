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
#include <strings.h>

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

/* The tiers of a file are read twice: first their names, which decide which are taken, then their intervals. */
struct tiers {
    char *names[TIER_LIMIT];
    bool points[TIER_LIMIT], taken[TIER_LIMIT]; /* points: events without a duration, never taken */
    int64_t count;
};

/* What lies between a speaker's name and "words": "alice - words" (the Montreal aligner), "words@A" (ELAN). */
static bool is_joint(char character)
{
    return strchr("-@/:_.", character) != NULL && character != 0;
}

static size_t joint_length(const char *text, size_t length, bool behind)
{
    size_t used = 0;
    bool joint = false;
    while (used < length) {
        char character = behind ? text[used] : text[length - 1 - used];
        if (character != ' ' && !is_joint(character))
            break;
        joint |= is_joint(character);
        used++;
    }
    return joint ? used : 0;
}

/* How well a tier's name matches: 3 exactly, 2 but for case, 1 with a speaker's name before or behind, 0 not. */
static int match(const char *name, const char *wanted)
{
    size_t length = strlen(name), tail = strlen(wanted);
    if (strcmp(name, wanted) == 0)
        return 3;
    if (strcasecmp(name, wanted) == 0)
        return 2;
    if (length <= tail || tail == 0)
        return 0;
    bool last = strcasecmp(name + length - tail, wanted) == 0 && joint_length(name, length - tail, false) > 0;
    bool first = strncasecmp(name, wanted, tail) == 0 && joint_length(name + tail, length - tail, true) > 0;
    return last || first;
}

static int match_default(const char *name)
{
    static const char *const names[] = {"words", "word", "ort-mau", "ort"};
    int best = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int found = match(name, names[i]);
        best = found > best ? found : best;
    }
    return best > 0; /* "words" beside "bob - words": both are tiers of words */
}

/* Takes the tiers that match best; without a name also the only interval tier. */
static int64_t choose(struct tiers *tiers, const char *wanted)
{
    int best = 0;
    int64_t taken = 0, intervals = 0, only = 0;
    for (int64_t i = 0; i < tiers->count; i++) {
        if (tiers->points[i])
            continue;
        int found = wanted ? match(tiers->names[i], wanted) : match_default(tiers->names[i]);
        best = found > best ? found : best;
        intervals++;
        only = i;
    }
    for (int64_t i = 0; best > 0 && i < tiers->count; i++) {
        if (tiers->points[i])
            continue;
        tiers->taken[i] = (wanted ? match(tiers->names[i], wanted) : match_default(tiers->names[i])) == best;
        taken += tiers->taken[i];
    }
    if (taken == 0 && !wanted && intervals == 1) {
        tiers->taken[only] = true;
        taken = 1;
    }
    return taken;
}

/* The names of the tiers (of those that are taken), for messages. */
static void list_names(const struct tiers *tiers, bool taken, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int64_t i = 0; i < tiers->count && used < size; i++)
        if (!taken || tiers->taken[i])
            used += (size_t)snprintf(text + used, size - used, "%s\"%.60s\"%s", used ? ", " : "", tiers->names[i],
                                     tiers->points[i] ? " (points)" : "");
}

/* A label with several words, such as a sentence: its words have no times of their own. */
static enum status take_phrase(struct import_row *row, char *label, double start)
{
    enum status result = STATUS_OK;
    char *state = NULL;
    for (char *word = strtok_r(label, " ", &state); word && result == STATUS_OK; word = strtok_r(NULL, " ", &state))
        if (!import_is_noise(word))
            result = import_add_phrase_word(row, word, start);
    return result;
}

static enum status take_interval(struct import *import, struct grid *grid, double start, double end,
                                 struct import_row *row)
{
    enum status result = STATUS_OK;
    char *label = import_clean_text(grid->label, (int64_t)strlen(grid->label));
    if (!label)
        FAIL(STATUS_INTERNAL, "%s: out of memory", grid->path);
    if (import_is_noise(label)) {
        if (!import_is_silence(label))
            TRY(import_note(import, IMPORT_NOISE, row->id, row->source, "\"%.100s\"", label));
    } else if (strchr(label, ' ')) {
        TRY(take_phrase(row, label, start));
    } else {
        TRY(import_add_word(row, label, start, end));
    }
fail:
    free(label);
    return result;
}

/* Reads one tier; without a row only its name. */
static enum status read_tier(struct import *import, struct grid *grid, struct tiers *tiers, int64_t index,
                             struct import_row *row)
{
    enum status result = STATUS_OK;
    double start = 0, end = 0;
    int64_t count = 0;
    TRY(read_string(grid, "a tier's class"));
    bool intervals = strcmp(grid->label, "IntervalTier") == 0;
    if (!intervals && strcmp(grid->label, "TextTier") != 0)
        TRY(refuse(grid, "\"IntervalTier\" or \"TextTier\""));
    TRY(read_string(grid, "a tier's name"));
    tiers->points[index] = !intervals;
    if (!row && !(tiers->names[index] = import_clean_text(grid->label, (int64_t)strlen(grid->label))))
        FAIL(STATUS_INTERNAL, "%s: out of memory", grid->path);
    TRY(read_number(grid, "a tier's start", &start));
    TRY(read_number(grid, "a tier's end", &end));
    TRY(read_count(grid, "a tier's number of intervals or points", (int64_t)1 << 31, &count));
    for (int64_t i = 0; i < count; i++) {
        TRY(read_number(grid, "a time", &start));
        if (intervals)
            TRY(read_number(grid, "an interval's end", &end));
        TRY(read_string(grid, "a label"));
        if (intervals && !(end >= start))
            TRY(refuse(grid, "an interval that ends after it starts"));
        if (row && tiers->taken[index])
            TRY(take_interval(import, grid, start, end, row));
    }
fail:
    return result;
}

static enum status read_header(struct grid *grid, int64_t *tiers)
{
    enum status result = STATUS_OK;
    double start = 0, end = 0;
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
    TRY(read_count(grid, "the number of tiers", TIER_LIMIT, tiers));
fail:
    return result;
}

/* The words of several speakers are one text, as they are heard. */
static enum status merge(struct import *import, const struct tiers *tiers, struct import_row *row)
{
    char names[500];
    list_names(tiers, true, names, sizeof names);
    enum status result = import_sort_words(row);
    if (result != STATUS_OK)
        return result;
    return import_note(import, IMPORT_MERGED, row->id, row->source, "%s", names);
}

static enum status read_grid(struct import *import, struct grid *grid, struct import_row *row)
{
    enum status result = STATUS_OK;
    char names[500];
    struct tiers *tiers = calloc(1, sizeof *tiers);
    if (!tiers)
        FAIL(STATUS_INTERNAL, "%s: out of memory", grid->path);
    TRY(read_header(grid, &tiers->count));
    const char *first = grid->at, *wanted = import->options->tier;
    int64_t first_line = grid->line;
    for (int64_t i = 0; i < tiers->count; i++)
        TRY(read_tier(import, grid, tiers, i, NULL));
    int64_t taken = choose(tiers, wanted);
    if (taken == 0) {
        list_names(tiers, false, names, sizeof names);
        TRY(import_refuse(import, IMPORT_NO_TIER, "%s: no interval tier is named \"%s\"; there are: %s", grid->path,
                          wanted ? wanted : "words", names));
    }
    grid->at = first;
    grid->line = first_line;
    for (int64_t i = 0; i < tiers->count; i++)
        TRY(read_tier(import, grid, tiers, i, row));
    if (taken > 1)
        TRY(merge(import, tiers, row));
    TRY(import_text_from_words(row));
    if (!row->text)
        TRY(import_refuse(import, IMPORT_NO_TEXT, "%s: none of its labels is a word", grid->path));
fail:
    for (int64_t i = 0; tiers && i < tiers->count; i++)
        free(tiers->names[i]);
    free(tiers);
    return result;
}

static enum status visit_grid(struct import *import, const char *path)
{
    enum status result = STATUS_OK;
    struct grid grid = {.path = path, .line = 1, .label = malloc(LABEL_LIMIT)};
    char audio[PATH_BYTES], *stem = import_identify(import->root, path);
    struct import_mark mark = import_begin(import);
    struct import_row *row;
    if (!stem || !grid.label)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    if (!import_find_transcribed(import, import->options->audio ? import->options->audio : import->root, stem, audio))
        TRY(import_refuse(import, IMPORT_NO_AUDIO, "%s", stem));
    TRY(read_text(path, &grid.text));
    grid.at = grid.text ? grid.text : "";
    TRY(import_add(import, stem, audio, import_relative(import, path), &row));
    TRY(read_grid(import, &grid, row));
fail:
    result = import_settle(import, mark, stem, import_relative(import, path), result);
    free(grid.label);
    free(grid.text);
    free(stem);
    return result;
}

enum status import_textgrid(struct import *import)
{
    return import_walk(import, import->options->source, ".TextGrid", visit_grid);
}
