/* SentencePiece joins the neighbours whose joint text has the best score, leftmost among equals. A list of merges names the
 * halves too: every pair of pieces that makes a piece, in the order of the made pieces' scores. Pairs that make the same
 * piece have one score but different ranks in the list. Where two such pairs overlap in a text, the leftmost must win: see
 * precedes(). */
#include "text/tokenizer_merges.h"

#include "core/array.h"

#include <stdlib.h>
#include <string.h>

static bool is_normal(const struct sentencepiece *text, const char *bytes, int32_t size)
{
    int32_t id = piece_lookup(text, bytes, (size_t)size);
    return id >= 0 && text->pieces[id].type == PIECE_NORMAL;
}

static bool has_period(const struct piece *piece, int32_t period)
{
    return memcmp(piece->text, piece->text + period, (size_t)(piece->size - period)) == 0;
}

/* Three symbols x, m, y where both x m and m y spell the piece: then it has the period |x| = |y|, and (x, m), which lies to
 * the left, must come before (m, y), whose left half is |piece| - |x| long. */
static bool precedes(const struct piece *piece, int32_t left)
{
    int32_t other = piece->size - left;
    return left < other && has_period(piece, left) && !has_period(piece, other);
}

static enum status add(struct merge **merges, int64_t *count, int64_t *room, struct merge merge)
{
    enum status result = array_grow(merges, room, *count + 1, "merges");
    if (result == STATUS_OK)
        (*merges)[(*count)++] = merge;
    return result;
}

/* The pairs that make one piece: those of precedes() first, the others with the longest left half first. */
static enum status add_piece(const struct sentencepiece *text, int32_t id, struct merge **merges, int64_t *count,
                             int64_t *room)
{
    enum status result = STATUS_OK;
    const struct piece *piece = &text->pieces[id];
    for (int early = 1; early >= 0; early--) {
        for (int32_t left = piece->size - 1; left > 0; left--) {
            if ((piece->text[left] & 0xC0) == 0x80 || precedes(piece, left) != early) /* not within a character */
                continue;
            if (is_normal(text, piece->text, left) && is_normal(text, piece->text + left, piece->size - left))
                TRY(add(merges, count, room, (struct merge){id, left}));
        }
    }
fail:
    return result;
}

struct ranked {
    float score;
    int32_t id;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

enum status tokenizer_merges(const struct sentencepiece *text, struct merge **merges, int64_t *count)
{
    enum status result = STATUS_OK;
    int64_t room = 0;
    int32_t normal = 0;
    *merges = NULL;
    *count = 0;
    struct ranked *ranked = malloc((size_t)text->count * sizeof *ranked);
    if (!ranked)
        FAIL(STATUS_INTERNAL, "no memory for the ranks of %d pieces", (int)text->count);
    for (int32_t id = 0; id < text->count; id++)
        if (text->pieces[id].type == PIECE_NORMAL)
            ranked[normal++] = (struct ranked){text->pieces[id].score, id};
    qsort(ranked, (size_t)normal, sizeof *ranked, by_rank);
    for (int32_t i = 0; i < normal; i++)
        TRY(add_piece(text, ranked[i].id, merges, count, &room));
    free(ranked);
    return STATUS_OK;
fail:
    free(ranked);
    free(*merges);
    *merges = NULL;
    return result;
}
