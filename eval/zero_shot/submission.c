/* Whoever validates a submission should not find what we could have found: names, numbers and required texts are checked before
 * anything is written. Texts go into YAML in double quotes, so that none of them can be taken for a number, a date or "no". */
#include "eval/zero_shot/submission.h"

#include "core/utf8.h"
#include "io/atomic_file.h"
#include "io/text_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t file_limit = INT64_C(1) << 30;

/* ---- meta.yaml ---- */

struct meta_text {
    const char *section; /* "" at the top */
    const char *key, *text;
    bool required;
};

static enum status check_text(const struct meta_text *text)
{
    const char *dot = *text->section ? "." : "";
    if (!text->text || !*text->text)
        return text->required ? status_set(STATUS_USAGE, "a submission needs %s%s%s", text->section, dot, text->key)
                              : STATUS_OK;
    if (text->text[0] == '<' && strchr(text->text, '>'))
        return status_set(STATUS_USAGE, "a submission's %s%s%s is \"%.100s\", which has not been filled in",
                          text->section, dot, text->key, text->text);
    for (const char *at = text->text; *at;) {
        size_t bytes = utf8_character(at, SIZE_MAX);
        if (bytes == 0)
            return status_set(STATUS_USAGE, "a submission's %s%s%s is not UTF-8", text->section, dot, text->key);
        at += bytes;
    }
    return STATUS_OK;
}

static void put_yaml(FILE *out, const struct meta_text *text)
{
    fprintf(out, "%s%s: \"", *text->section ? "  " : "", text->key);
    for (const char *at = text->text; *at;) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(at, SIZE_MAX, &code);
        if (code == '"' || code == '\\')
            fprintf(out, "\\%c", (char)code);
        else if (utf8_is_unsafe(code) || code == 0xFEFF)
            fprintf(out, "\\u%04X", (unsigned)code);
        else
            fwrite(at, 1, bytes, out);
        at += bytes;
    }
    fputs("\"\n", out);
}

static enum status put_meta(FILE *out, const struct submission_meta *meta)
{
    const struct meta_text texts[] = {
        {"", "username", meta->username, true},
        {"", "submission_id", meta->submission_id, false},
        {"", "code_url", meta->code_url, false},
        {"model_info", "model_id", meta->model_id, false},
        {"model_info", "system_description", meta->system_description, true},
        {"model_info", "train_set", meta->train_set, true},
        {"model_info", "gpu_budget", meta->gpu_budget, false},
        {"publication", "author_label", meta->author_label, true},
        {"publication", "authors", meta->authors, true},
        {"publication", "paper_title", meta->paper_title, false},
        {"publication", "paper_url", meta->paper_url, false},
        {"publication", "institution", meta->institution, true},
        {"publication", "team", meta->team, false},
        {"publication", "bib_reference", meta->bib_reference, false},
        {"publication", "DOI", meta->doi, false},
    };
    const char *section = "";
    if (meta->publication_year < 1900 || meta->publication_year > 9999)
        return status_set(STATUS_USAGE, "a submission needs publication.publication_year, and %d is none",
                          meta->publication_year);
    fprintf(out, "benchmark_name: sLM21\nopen_source: %s\n", meta->open_source ? "true" : "false");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        enum status result = check_text(&texts[i]);
        if (result != STATUS_OK)
            return result;
        if (strcmp(section, texts[i].section) != 0)
            fprintf(out, "%s:\n", texts[i].section);
        section = texts[i].section;
        if (texts[i].text && *texts[i].text)
            put_yaml(out, &texts[i]);
    }
    fprintf(out, "  publication_year: %d\n", meta->publication_year); /* of the last section */
    return STATUS_OK;
}

static const char params[] = "quiet: false\n"
                             "semantic:\n"
                             "  librispeech: true\n"
                             "  metric: euclidean\n"
                             "  n_jobs: 1\n"
                             "  pooling: mean\n"
                             "  synthetic: true\n";

/* ---- scores ---- */

static bool are_single(const double *scores, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if ((double)(float)scores[i] != scores[i])
            return false;
    return true;
}

/* A column of whole numbers would be read as integers, which zrc refuses. */
static void put_score(FILE *out, double score, int digits)
{
    char text[64];
    snprintf(text, sizeof text, "%.*g", digits, score);
    fprintf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static enum status put_scores(FILE *out, const struct submission_scores *file)
{
    const struct slm21 *gold = file->gold;
    int digits = are_single(file->scores, gold->file_count) ? 9 : 17;
    for (int64_t i = 0; i < gold->file_count; i++) {
        const char *name = gold->files[i];
        if (!isfinite(file->scores[i]))
            return status_set(STATUS_CORRUPT,
                              "%s: the score of the recording \"%.100s\" is %g; expected a finite number", gold->where,
                              name, file->scores[i]);
        if (strpbrk(name, " \t\r\n\"'#"))
            return status_set(STATUS_CORRUPT,
                              "%s: the name of the recording \"%.100s\" has a space or a quote, which a "
                              "submission cannot hold",
                              gold->where, name);
        fprintf(out, "%s ", name);
        put_score(out, file->scores[i], digits);
        fputc('\n', out);
    }
    return STATUS_OK;
}

/* ---- the folder ---- */

/* One file of the folder: of `scores`, or meta.yaml when that is NULL. */
static enum status add_file(struct atomic_directory *directory, const char *name, const struct submission_meta *meta,
                            const struct submission_scores *scores)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return status_set(STATUS_INTERNAL, "no memory for a submission");
    enum status result = scores ? put_scores(out, scores) : put_meta(out, meta);
    bool broken = ferror(out) != 0;
    if ((fclose(out) != 0 || broken) && result == STATUS_OK)
        result = status_set(STATUS_INTERNAL, "no memory for a submission");
    if (result == STATUS_OK)
        result = atomic_directory_add(directory, name, text, (int64_t)size);
    free(text);
    return result;
}

enum status submission_write(const char *folder, const struct submission_meta *meta,
                             struct submission_scores files[2][SUBMISSION_SETS], bool replace)
{
    static const char *const names[2][SUBMISSION_SETS] = {{"lexical/dev.txt", "lexical/test.txt"},
                                                          {"syntactic/dev.txt", "syntactic/test.txt"}};
    enum status result = STATUS_OK;
    struct atomic_directory *directory = NULL;
    int written = 0;
    TRY(atomic_directory_begin(folder, replace, &directory));
    TRY(add_file(directory, "meta.yaml", meta, NULL));
    TRY(atomic_directory_add(directory, "params.yaml", params, (int64_t)sizeof params - 1));
    for (int task = 0; task < 2; task++)
        for (int set = 0; set < SUBMISSION_SETS; set++)
            if (files[task][set].gold) {
                TRY(add_file(directory, names[task][set], NULL, &files[task][set]));
                written++;
            }
    if (written == 0)
        FAIL(STATUS_USAGE, "%s: a submission without any scores", folder);
    result = atomic_directory_commit(directory);
    directory = NULL;
fail:
    atomic_directory_abandon(directory);
    return result;
}

/* ---- reading ---- */

static enum status read_line(const char *path, int64_t line, char *text, const struct slm21 *gold, double *scores)
{
    char *space = strchr(text, ' '), *number = space ? space + 1 : NULL, *end = NULL;
    if (!space || space == text || !*number || strpbrk(number, " \t"))
        return status_set(STATUS_CORRUPT, "%s:%lld: expected \"NAME SCORE\", found \"%.100s\"", path, (long long)line,
                          text);
    *space = '\0';
    double score = strspn(number, "0123456789+-.eE") == strlen(number) ? strtod(number, &end) : NAN;
    if (!end || *end || !isfinite(score))
        return status_set(STATUS_CORRUPT, "%s:%lld: the score of \"%.100s\" is \"%.40s\"; expected a finite number",
                          path, (long long)line, text, number);
    int64_t row = slm21_find(gold, text);
    if (row < 0)
        return status_set(STATUS_CORRUPT, "%s:%lld: %s has no recording \"%.100s\"", path, (long long)line, gold->where,
                          text);
    if (!isnan(scores[row]))
        return status_set(STATUS_CORRUPT, "%s:%lld: there was already a score of \"%.100s\"", path, (long long)line,
                          text);
    scores[row] = score;
    return STATUS_OK;
}

static enum status read_lines(const char *path, char *text, int64_t size, const struct slm21 *gold, double *scores)
{
    int64_t line = 0;
    for (char *at = text, *next; at < text + size; at = next) {
        char *newline = memchr(at, '\n', (size_t)(text + size - at)), *end = newline ? newline : text + size;
        next = newline ? newline + 1 : end;
        line++;
        if (end > at && end[-1] == '\r')
            end--;
        *end = '\0';
        if ((int64_t)strlen(at) != end - at)
            return status_set(STATUS_CORRUPT, "%s:%lld: a NUL; expected text", path, (long long)line);
        enum status result = read_line(path, line, at, gold, scores);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

enum status submission_read(const char *path, const struct slm21 *gold, double *scores)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    int64_t size = 0, missing = 0, first = -1;
    for (int64_t i = 0; i < gold->file_count; i++)
        scores[i] = NAN;
    TRY(text_file_read(path, file_limit, &text, &size));
    TRY(read_lines(path, text, size, gold, scores));
    for (int64_t i = gold->file_count; i-- > 0;)
        if (isnan(scores[i])) {
            missing++;
            first = i;
        }
    if (missing > 0)
        FAIL(STATUS_CORRUPT, "%s: no score of the recording \"%.100s\" (%lld of %lld are missing)", path,
             gold->files[first], (long long)missing, (long long)gold->file_count);
fail:
    free(text);
    return result;
}
