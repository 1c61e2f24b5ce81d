/* The tables that the challenge's scorer writes beside a submission, with its columns and its four digits. They are for
 * comparison with its own; results in full precision go elsewhere. */
#include "eval/zero_shot/slm21.h"

#include "core/path.h"
#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_field(FILE *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* Nothing where there is no value. */
static void put_number(FILE *out, double value)
{
    if (!isnan(value))
        fprintf(out, "%.4f", value);
}

static void put_line(FILE *out, const struct slm21_line *line)
{
    if (line->name)
        put_field(out, line->name);
    else
        fprintf(out, "%lld", (long long)line->length);
    fprintf(out, ",%lld,", (long long)line->n);
    put_number(out, line->mean);
    fputc(',', out);
    put_number(out, line->deviation);
    fputc('\n', out);
}

static void put_lines(FILE *out, const char *header, const struct slm21_line *lines, int64_t count)
{
    fprintf(out, "%s,n,score,std\n", header);
    for (int64_t i = 0; i < count; i++)
        put_line(out, &lines[i]);
}

static void put_pairs(FILE *out, const struct slm21 *gold, const struct slm21_result *result)
{
    fputs(gold->task == SLM21_LEXICAL ? "word,non word,score\n" : "sentence,non sentence,score\n", out);
    for (int64_t i = 0; i < gold->item_count; i++) {
        if (isnan(result->item_scores[i]))
            continue;
        put_field(out, gold->items[i].names[SLM21_CORRECT]);
        fputc(',', out);
        put_field(out, gold->items[i].names[SLM21_INCORRECT]);
        fputc(',', out);
        put_number(out, result->item_scores[i]);
        fputc('\n', out);
    }
}

enum table { BY_PAIR, BY_FREQUENCY, BY_LENGTH, BY_TYPE };
static const char *const table_names[] = {"pair", "frequency", "length", "type"};

static enum status write_table(const struct slm21 *gold, const struct slm21_result *result, const char *folder,
                               const char *set, enum table table)
{
    char path[PATH_BYTES], *text = NULL;
    size_t size = 0;
    enum status status = path_format(path, "%s/score_%s_%s_by_%s.csv", folder,
                                     gold->task == SLM21_LEXICAL ? "lexical" : "syntactic", set, table_names[table]);
    if (status != STATUS_OK)
        return status;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    if (table == BY_PAIR)
        put_pairs(out, gold, result);
    else if (table == BY_FREQUENCY)
        put_lines(out, table_names[table], result->bands, SLM21_BANDS);
    else
        put_lines(out, table_names[table], result->lines, result->line_count);
    bool broken = ferror(out) != 0;
    if (fclose(out) != 0 || broken)
        status = status_set(STATUS_INTERNAL, "%s: out of memory", path);
    else
        status = atomic_write(path, text, (int64_t)size);
    free(text);
    return status;
}

enum status slm21_write(const struct slm21 *gold, const struct slm21_result *result, const char *folder,
                        const char *set)
{
    static const enum table lexical[] = {BY_PAIR, BY_FREQUENCY, BY_LENGTH}, syntactic[] = {BY_PAIR, BY_TYPE};
    bool words = gold->task == SLM21_LEXICAL;
    const enum table *tables = words ? lexical : syntactic;
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < (words ? 3 : 2); i++)
        status = write_table(gold, result, folder, set, tables[i]);
    return status;
}
