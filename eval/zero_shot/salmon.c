/* Numbers are compared as numbers: sample_10 comes after sample_9, and a pair is its number, not its place in a listing. */
#include "eval/zero_shot/salmon.h"

#include "core/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A plain number of at most 9 digits, without leading zeros. Moves *text behind it; -1: there is none. */
static int64_t read_number(const char **text)
{
    const char *begin = *text;
    int64_t value = 0;
    while (**text >= '0' && **text <= '9' && *text - begin < 10)
        value = 10 * value + (*(*text)++ - '0');
    int64_t digits = *text - begin;
    return digits == 0 || digits > 9 || (digits > 1 && *begin == '0') ? -1 : value;
}

/* "PART/sample_I_J.wav" at the end of a name. */
static bool read_name(const char *name, struct salmon_pair *pair, int64_t *side)
{
    const char *file = strrchr(name, '/'), *part = file;
    if (!file || strncmp(file, "/sample_", 8) != 0)
        return false;
    while (part > name && part[-1] != '/')
        part--;
    const char *at = file + 8;
    *pair = (struct salmon_pair){.part = part, .part_length = file - part, .members = {-1, -1}};
    pair->number = read_number(&at);
    if (pair->number < 0 || *at++ != '_')
        return false;
    *side = read_number(&at);
    return *side >= 0 && strcmp(at, ".wav") == 0 && pair->part_length > 0;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct salmon_pair *x = a, *y = b;
    int64_t shorter = x->part_length < y->part_length ? x->part_length : y->part_length;
    int order = memcmp(x->part, y->part, (size_t)shorter);
    if (order != 0)
        return order;
    if (x->part_length != y->part_length)
        return x->part_length < y->part_length ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* Every member as a pair with one side. */
static enum status list_sides(const char *where, const char *const *names, int64_t count, struct salmon *salmon)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < count; i++) {
        const char *ending = strrchr(names[i], '.');
        struct salmon_pair pair;
        int64_t side;
        if (!ending || strcmp(ending, ".wav") != 0)
            continue;
        if (!read_name(names[i], &pair, &side))
            FAIL(STATUS_CORRUPT, "%s: expected PART/sample_NUMBER_SIDE.wav, found %s", where, names[i]);
        if (side > 1)
            FAIL(STATUS_CORRUPT, "%s: %s is a third recording of a pair; expected 0 (natural) and 1 (disturbed)", where,
                 names[i]);
        pair.members[side] = i;
        TRY(array_grow(&salmon->pairs, &salmon->capacity, salmon->count + 1, "recordings"));
        salmon->pairs[salmon->count++] = pair;
    }
fail:
    return result;
}

/* Neighbours of one part and number become one pair. */
static enum status join_sides(const char *where, const char *const *names, bool skip, struct salmon *salmon)
{
    enum status result = STATUS_OK;
    int64_t kept = 0;
    for (int64_t i = 0, end; i < salmon->count; i = end) {
        struct salmon_pair pair = salmon->pairs[i];
        for (end = i + 1; end < salmon->count && compare_pairs(&pair, &salmon->pairs[end]) == 0; end++)
            for (int side = 0; side < 2; side++) {
                int64_t member = salmon->pairs[end].members[side];
                if (member >= 0 && pair.members[side] >= 0)
                    FAIL(STATUS_CORRUPT, "%s: %s and %s are the same recording", where, names[pair.members[side]],
                         names[member]);
                pair.members[side] = member >= 0 ? member : pair.members[side];
            }
        bool whole = pair.members[0] >= 0 && pair.members[1] >= 0;
        if (!whole && !skip)
            FAIL(STATUS_CORRUPT, "%s: %s has no recording %d beside it; evaluate.incomplete=skip leaves it out", where,
                 names[pair.members[0] >= 0 ? pair.members[0] : pair.members[1]], pair.members[0] >= 0 ? 1 : 0);
        salmon->lone += !whole;
        if (whole)
            salmon->pairs[kept++] = pair;
    }
    salmon->count = kept;
fail:
    return result;
}

enum status salmon_read(const char *where, const char *const *names, int64_t count, bool skip, struct salmon *salmon)
{
    enum status result = STATUS_OK;
    *salmon = (struct salmon){0};
    TRY(list_sides(where, names, count, salmon));
    if (salmon->count > 0) /* qsort takes no NULL */
        qsort(salmon->pairs, (size_t)salmon->count, sizeof *salmon->pairs, compare_pairs);
    TRY(join_sides(where, names, skip, salmon));
    if (salmon->count == 0)
        FAIL(STATUS_CORRUPT, "%s: there is no pair PART/sample_NUMBER_0.wav and PART/sample_NUMBER_1.wav in it", where);
    return STATUS_OK;
fail:
    salmon_free(salmon);
    return result;
}

void salmon_free(struct salmon *salmon)
{
    free(salmon->pairs);
    *salmon = (struct salmon){0};
}
