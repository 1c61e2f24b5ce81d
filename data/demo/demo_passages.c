/* Verses are joined until a passage has enough words for text and speech to alternate in it several times; a single
 * verse would often be shorter than one span. Passages that are not plain (digits, unusual punctuation) are marked,
 * because a synthesiser reads them as words that differ from those of the text. */
#include "data/demo/demo_passages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool is_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if (!strchr(" ,.;:?!'", *c) && !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
            return false;
    return true;
}

/* Verses [first, end): taken until there are enough words, or until the next verse would make too many. */
static int64_t passage_end(const struct demo_book *book, int64_t first, int64_t *words)
{
    int64_t end = first;
    *words = 0;
    while (end < book->count && *words < PASSAGE_WORDS_MINIMUM) {
        int64_t more = count_words(book->verses[end].text);
        if (*words && *words + more > PASSAGE_WORDS_MAXIMUM)
            break;
        *words += more;
        end++;
    }
    return end;
}

static char *join(const struct demo_book *book, int64_t first, int64_t end)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    for (int64_t i = first; stream && i < end; i++)
        fprintf(stream, "%s%s", i > first ? " " : "", book->verses[i].text);
    if (stream && fclose(stream) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}

/* "Ge1:1-3", "Ge1:31-Ge2:2" */
static char *name_verses(const struct demo_book *book, int64_t first, int64_t end)
{
    const char *from = book->verses[first].reference, *to = book->verses[end - 1].reference;
    const char *colon = strchr(from, ':');
    size_t chapter = colon ? (size_t)(colon - from) + 1 : 0;
    char *name = NULL;
    int length = end - first == 1                  ? asprintf(&name, "%s", from)
                 : strncmp(from, to, chapter) == 0 ? asprintf(&name, "%s-%s", from, to + chapter)
                                                   : asprintf(&name, "%s-%s", from, to);
    return length < 0 ? NULL : name;
}

enum status demo_passages_make(const struct demo_book *book, struct demo_passages *passages)
{
    *passages = (struct demo_passages){.list = calloc((size_t)book->count + 1, sizeof *passages->list)};
    for (int64_t at = 0; passages->list && at < book->count;) {
        struct demo_passage *passage = &passages->list[passages->count++];
        int64_t end = passage_end(book, at, &passage->words);
        passage->text = join(book, at, end);
        passage->name = name_verses(book, at, end);
        if (!passage->text || !passage->name) {
            demo_passages_free(passages);
            break;
        }
        passage->plain = is_plain(passage->text);
        at = end;
    }
    return passages->list ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for the passages");
}

void demo_passages_free(struct demo_passages *passages)
{
    for (int64_t i = 0; passages->list && i < passages->count; i++) {
        free(passages->list[i].text);
        free(passages->list[i].name);
    }
    free(passages->list);
    *passages = (struct demo_passages){0};
}
