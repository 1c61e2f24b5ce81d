#include "data/demo_passages.h"

#include "core/hash.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MINIMUM = 40, WORDS_MAXIMUM = 80 };

char *normalised_text(const char *text)
{
    char *out = malloc(strlen(text) + 1);
    size_t size = 0;
    for (const char *c = text; out && *c; c++)
        if (isalnum((unsigned char)*c))
            out[size++] = (char)tolower((unsigned char)*c);
        else if (size && out[size - 1] != ' ')
            out[size++] = ' ';
    while (out && size && out[size - 1] == ' ')
        size--;
    if (out)
        out[size] = 0;
    return out;
}

double text_share(const char *text, uint64_t seed)
{
    char *normalised = normalised_text(text);
    uint64_t value;
    if (!normalised)
        return -1;
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, &seed, sizeof seed);
    sha256_add(stream, normalised, strlen(normalised));
    struct sha256 hash = sha256_finish(stream);
    free(normalised);
    memcpy(&value, hash.bytes, sizeof value);
    return (double)(value >> 11) * 0x1p-53;
}

static int64_t count_words(const char *text)
{
    int64_t words = 0;
    for (const char *c = text; *c;) {
        c += strspn(c, " ");
        words += *c != 0;
        c += strcspn(c, " ");
    }
    return words;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One run of verses [first, end) that became a passage. */
struct run {
    int64_t first, end;
};

/* Takes verses until there are WORDS_MINIMUM words, or the next would make it more than WORDS_MAXIMUM. */
static struct run next_run(const struct demo_book *book, int64_t first, int64_t *words)
{
    struct run run = {first, first};
    *words = 0;
    while (run.end < book->count && *words < WORDS_MINIMUM) {
        int64_t more = count_words(book->verses[run.end].text);
        if (*words && *words + more > WORDS_MAXIMUM)
            break;
        *words += more;
        run.end++;
    }
    return run;
}

static char *join(const struct demo_book *book, struct run run)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    for (int64_t i = run.first; stream && i < run.end; i++)
        fprintf(stream, "%s%s", i > run.first ? " " : "", book->verses[i].text);
    if (stream && fclose(stream) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}

/* The normalised verses of the held-out passages, sorted. */
static enum status held_out_verses(const struct demo_book *book, const struct run *runs,
                                   const struct demo_passages *passages, char ***verses, int64_t *count)
{
    *count = 0;
    *verses = calloc((size_t)book->count + 1, sizeof **verses);
    for (int64_t p = 0; *verses && p < passages->count; p++)
        for (int64_t i = runs[p].first; passages->list[p].held_out && i < runs[p].end; i++) {
            char *verse = normalised_text(book->verses[i].text);
            if (!verse)
                return status_set(STATUS_INTERNAL, "no memory for the held-out verses");
            (*verses)[(*count)++] = verse;
        }
    if (!*verses)
        return status_set(STATUS_INTERNAL, "no memory for the held-out verses");
    qsort(*verses, (size_t)*count, sizeof **verses, compare_texts);
    return STATUS_OK;
}

/* Drops the training passages with a verse that the held-out side has. */
static enum status drop_shared(const struct demo_book *book, const struct run *runs, struct demo_passages *passages)
{
    enum status result = STATUS_OK;
    char **verses = NULL;
    int64_t count = 0, kept = 0;
    TRY(held_out_verses(book, runs, passages, &verses, &count));
    for (int64_t p = 0; p < passages->count; p++) {
        bool shared = false;
        for (int64_t i = runs[p].first; !passages->list[p].held_out && !shared && i < runs[p].end; i++) {
            char *verse = normalised_text(book->verses[i].text);
            if (!verse)
                FAIL(STATUS_INTERNAL, "no memory to compare verses");
            shared = bsearch(&verse, verses, (size_t)count, sizeof *verses, compare_texts) != NULL;
            free(verse);
        }
        if (shared)
            free(passages->list[p].text);
        else
            passages->list[kept++] = passages->list[p];
    }
    passages->count = kept;
fail:
    for (int64_t i = 0; i < count; i++)
        free(verses[i]);
    free(verses);
    return result;
}

enum status demo_passages_make(const struct demo_book *book, uint64_t seed, double held_out_share,
                               struct demo_passages *passages)
{
    enum status result = STATUS_OK;
    struct run *runs = calloc((size_t)book->count + 1, sizeof *runs);
    *passages = (struct demo_passages){.list = calloc((size_t)book->count + 1, sizeof *passages->list)};
    if (!runs || !passages->list)
        FAIL(STATUS_INTERNAL, "no memory for the passages");
    for (int64_t at = 0; at < book->count; at = runs[passages->count - 1].end) {
        struct demo_passage *passage = &passages->list[passages->count];
        struct run run = next_run(book, at, &passage->words);
        passage->text = join(book, run);
        double share = passage->text ? text_share(passage->text, seed) : -1;
        runs[passages->count++] = run;
        if (share < 0)
            FAIL(STATUS_INTERNAL, "no memory for a passage");
        passage->held_out = share < held_out_share;
    }
    TRY(drop_shared(book, runs, passages));
    free(runs);
    return STATUS_OK;
fail:
    free(runs);
    demo_passages_free(passages);
    return result;
}

void demo_passages_free(struct demo_passages *passages)
{
    for (int64_t i = 0; passages->list && i < passages->count; i++)
        free(passages->list[i].text);
    free(passages->list);
    *passages = (struct demo_passages){0};
}
