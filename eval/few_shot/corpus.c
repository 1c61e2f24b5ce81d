/* What the corpora have in common: a sorted list of items, and which of them are shots. */
#include "eval/few_shot/corpus.h"

#include "core/hash.h"
#include "eval/few_shot/corpus_internal.h"
#include "eval/few_shot/draw.h"

#include "core/array.h"

#include <stdlib.h>
#include <string.h>

enum status corpus_add(struct corpus *corpus, const char *id, const char *part, const char *speaker, const char *answer,
                       int64_t member)
{
    enum status result = array_grow(&corpus->items, &corpus->capacity, corpus->count + 1, "items of a corpus");
    if (result != STATUS_OK)
        return result;
    struct corpus_item *item = &corpus->items[corpus->count++];
    *item = (struct corpus_item){strdup(id), strdup(part), strdup(speaker), strdup(answer), member};
    return item->id && item->part && item->speaker && item->answer
               ? STATUS_OK
               : status_set(STATUS_INTERNAL, "no memory for the items of a corpus");
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct corpus_item *)a)->id, ((const struct corpus_item *)b)->id);
}

enum status corpus_sort(const char *path, struct corpus *corpus)
{
    if (corpus->count == 0)
        return status_set(STATUS_CORRUPT, "%s: there is no recording with an answer in it", path);
    qsort(corpus->items, (size_t)corpus->count, sizeof *corpus->items, by_id);
    for (int64_t i = 1; i < corpus->count; i++)
        if (!strcmp(corpus->items[i - 1].id, corpus->items[i].id))
            return status_set(STATUS_CORRUPT, "%s: %s is there twice", path, corpus->items[i].id);
    return STATUS_OK;
}

int64_t corpus_find(const struct corpus *corpus, const char *id)
{
    const struct corpus_item key = {.id = (char *)(uintptr_t)id};
    const struct corpus_item *found =
        corpus->count == 0 ? NULL : bsearch(&key, corpus->items, (size_t)corpus->count, sizeof *corpus->items, by_id);
    return found ? found - corpus->items : -1;
}

void corpus_free(struct corpus *corpus)
{
    for (int64_t i = 0; i < corpus->count; i++) {
        free(corpus->items[i].id);
        free(corpus->items[i].part);
        free(corpus->items[i].speaker);
        free(corpus->items[i].answer);
    }
    free(corpus->items);
    *corpus = (struct corpus){0};
}

bool corpus_is_tested(const struct config_list *names, const char *part)
{
    for (int64_t i = 0; i < names->count; i++)
        if (!strcmp(names->items[i], part))
            return true;
    return names->count == 0 && strncmp(part, "test", 4) == 0;
}

/* ---- shots ---- */

static int64_t word_count(const char *text)
{
    int64_t words = 0;
    for (const char *at = text; *at; at++)
        words += *at != ' ' && (at == text || at[-1] == ' ');
    return words;
}

/* What is asked of the next shot, as long as an item has it: what counts most is given up last. */
enum { NEW_SPEAKER = 4, NEW_ANSWER = 2, LENGTH = 1 };

static bool suits(const struct corpus *corpus, const struct shot_rule *rule, const struct corpus_item *item,
                  const int64_t *chosen, int64_t count, int asked)
{
    int64_t words = word_count(item->answer);
    if ((asked & LENGTH) && rule->most_words > 0 && (words < rule->least_words || words > rule->most_words))
        return false;
    for (int64_t i = 0; i < count; i++) {
        const struct corpus_item *other = &corpus->items[chosen[i]];
        if ((asked & NEW_SPEAKER) && !strcmp(other->speaker, item->speaker))
            return false;
        if ((asked & NEW_ANSWER) && rule->distinct_answers && !strcmp(other->answer, item->answer))
            return false;
    }
    return true;
}

/* A random number on which no other item has an influence. */
static struct sha256 order_of(uint64_t seed, const char *id)
{
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, &seed, sizeof seed);
    sha256_add(stream, id, strlen(id));
    return sha256_finish(stream);
}

enum status shots_draw(const struct corpus *corpus, const struct shot_rule *rule, int64_t *chosen)
{
    int64_t count = 0, candidates = 0;
    struct drawn *order = calloc((size_t)corpus->count + 1, sizeof *order);
    if (!order)
        return status_set(STATUS_INTERNAL, "no memory to draw examples");
    for (int64_t i = 0; i < corpus->count; i++)
        if (!rule->tested || !corpus_is_tested(rule->tested, corpus->items[i].part))
            order[candidates++] = (struct drawn){order_of(rule->seed, corpus->items[i].id), i};
    draw_sort(order, candidates);
    for (int asked = NEW_SPEAKER | NEW_ANSWER | LENGTH; asked >= 0; asked--)
        for (int64_t i = 0; i < candidates && count < rule->count; i++)
            if (order[i].index >= 0 && suits(corpus, rule, &corpus->items[order[i].index], chosen, count, asked)) {
                chosen[count++] = order[i].index;
                order[i].index = -1; /* taken */
            }
    free(order);
    if (count < rule->count)
        return status_set(STATUS_CORRUPT, "expected %lld examples, found %lld", (long long)rule->count,
                          (long long)count);
    return STATUS_OK;
}
