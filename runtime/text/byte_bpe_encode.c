/* Text to ids, word by word: the bytes of a word that have a piece are its first symbols, and the pair of neighbours with
 * the best rank is joined, the leftmost among equals, until no pair is a merge (Sennrich et al. 2016). A priority queue
 * makes that O(n log n) even for a word of a million letters. A byte without a piece is left out before anything is joined,
 * so that its neighbours may join: this is what the tokenizers library does. */
#include "core/array.h"
#include "text/byte_bpe_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const int64_t text_size_limit = INT64_C(1) << 28; /* so that symbols and the queue count in int32 */

/* A piece within the word, in a doubly linked list. */
struct symbol {
    int32_t previous, next; /* -1: none */
    int32_t piece;          /* -1: joined into its left neighbour */
};

/* Two neighbours that a merge joins. */
struct candidate {
    int32_t rank, left; /* the symbol on the left */
};

struct encoder {
    const struct byte_bpe *model;
    struct symbol *symbols;
    int64_t symbol_room;
    struct candidate *heap;
    int64_t heap_count, heap_room;
    int32_t *ids;
    int64_t count, room, dropped;
};

/* ---- the queue ---- */

static bool better(struct candidate a, struct candidate b)
{
    return a.rank < b.rank || (a.rank == b.rank && a.left < b.left);
}

static enum status heap_push(struct encoder *encoder, struct candidate candidate)
{
    enum status result = array_grow(&encoder->heap, &encoder->heap_room, encoder->heap_count + 1, "pairs of symbols");
    if (result != STATUS_OK)
        return result;
    int64_t at = encoder->heap_count++;
    for (int64_t parent; at > 0 && better(candidate, encoder->heap[parent = (at - 1) / 2]); at = parent)
        encoder->heap[at] = encoder->heap[parent];
    encoder->heap[at] = candidate;
    return STATUS_OK;
}

static struct candidate heap_pop(struct encoder *encoder)
{
    struct candidate *heap = encoder->heap, top = heap[0], last = heap[--encoder->heap_count];
    int64_t at = 0, count = encoder->heap_count;
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && better(heap[child + 1], heap[child]);
        if (!better(heap[child], last))
            break;
        heap[at] = heap[child];
    }
    if (count > 0)
        heap[at] = last;
    return top;
}

/* ---- one word ---- */

static enum status consider(struct encoder *encoder, int32_t left)
{
    const struct symbol *symbols = encoder->symbols;
    if (left < 0 || symbols[left].next < 0)
        return STATUS_OK;
    int32_t rank = byte_bpe_rank(encoder->model, symbols[left].piece, symbols[symbols[left].next].piece);
    return rank < 0 ? STATUS_OK : heap_push(encoder, (struct candidate){rank, left});
}

static enum status join(struct encoder *encoder)
{
    enum status result = STATUS_OK;
    struct symbol *symbols = encoder->symbols;
    const struct byte_bpe_merge *merges = encoder->model->merges;
    while (encoder->heap_count > 0) {
        struct candidate top = heap_pop(encoder);
        struct symbol *left = &symbols[top.left];
        const struct byte_bpe_merge *merge = &merges[top.rank];
        if (left->piece != merge->left || left->next < 0 || symbols[left->next].piece != merge->right)
            continue; /* one of the two has changed since */
        struct symbol *right = &symbols[left->next];
        left->piece = merge->piece;
        left->next = right->next;
        if (right->next >= 0)
            symbols[right->next].previous = top.left;
        right->piece = -1;
        TRY(consider(encoder, left->previous));
        TRY(consider(encoder, top.left));
    }
fail:
    return result;
}

/* The word's symbols; *count of them. */
static enum status cut_symbols(struct encoder *encoder, const char *word, int64_t size, int32_t *count)
{
    enum status result = array_grow(&encoder->symbols, &encoder->symbol_room, size, "symbols of a word");
    *count = 0;
    if (result != STATUS_OK)
        return result;
    for (int64_t i = 0; i < size; i++) {
        int32_t piece = encoder->model->byte_ids[(unsigned char)word[i]];
        if (piece < 0) {
            encoder->dropped++;
            continue;
        }
        encoder->symbols[*count] = (struct symbol){*count - 1, *count + 1, piece};
        (*count)++;
    }
    if (*count > 0)
        encoder->symbols[*count - 1].next = -1;
    return STATUS_OK;
}

static enum status encode_word(struct encoder *encoder, const char *word, int64_t size)
{
    enum status result = STATUS_OK;
    const struct byte_bpe *model = encoder->model;
    int32_t count;
    TRY(array_grow(&encoder->ids, &encoder->room, encoder->count + size, "ids of a text"));
    if (model->ignore_merges) {
        int32_t id = byte_bpe_lookup(model, word, size, false);
        if (id >= 0) {
            encoder->ids[encoder->count++] = id;
            return STATUS_OK;
        }
    }
    TRY(cut_symbols(encoder, word, size, &count));
    for (int32_t i = 0; i + 1 < count; i++)
        TRY(consider(encoder, i));
    TRY(join(encoder));
    for (int32_t i = count > 0 ? 0 : -1; i >= 0; i = encoder->symbols[i].next)
        encoder->ids[encoder->count++] = encoder->symbols[i].piece;
fail:
    return result;
}

enum status byte_bpe_encode(const struct byte_bpe *model, const char *text, int64_t size, int32_t **ids, int64_t *count,
                            int64_t *dropped)
{
    enum status result = STATUS_OK;
    struct encoder encoder = {.model = model};
    *ids = NULL;
    *count = *dropped = 0;
    if (size < 0 || size > text_size_limit)
        FAIL(STATUS_USAGE, "expected a text of at most %" PRId64 " bytes, found %" PRId64, text_size_limit, size);
    TRY(array_grow(&encoder.ids, &encoder.room, size / 4 + 1, "ids of a text"));
    struct word_cutter cutter = word_cutter_start(model->pattern, text, size);
    for (int64_t begin, end; word_cutter_next(&cutter, &begin, &end);)
        TRY(encode_word(&encoder, text + begin, end - begin));
    *ids = encoder.ids;
    *count = encoder.count;
    *dropped = encoder.dropped;
    encoder.ids = NULL;
fail:
    free(encoder.symbols);
    free(encoder.heap);
    free(encoder.ids);
    return result;
}

/* ---- ids to text ---- */

static bool stands_for_text(const struct byte_bpe_piece *piece)
{
    return piece->type == BYTE_BPE_NORMAL || piece->type == BYTE_BPE_USER_DEFINED;
}

enum status byte_bpe_decode(const struct byte_bpe *model, const int32_t *ids, int64_t count, char **text, int64_t *size)
{
    int64_t needed = 0;
    *text = NULL;
    *size = 0;
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= model->count)
            return status_set(STATUS_USAGE,
                              "id %" PRId32 " at position %" PRId64 " is not a text piece: the model has %" PRId32
                              " pieces",
                              ids[i], i, model->count);
        if (stands_for_text(&model->pieces[ids[i]]))
            needed += model->pieces[ids[i]].size;
    }
    char *made = malloc((size_t)needed + 1);
    if (!made)
        return status_set(STATUS_INTERNAL, "no memory for a text of %" PRId64 " bytes", needed);
    for (int64_t i = 0; i < count; i++) {
        const struct byte_bpe_piece *piece = &model->pieces[ids[i]];
        if (!stands_for_text(piece))
            continue;
        memcpy(made + *size, model->arena + piece->start, (size_t)piece->size);
        *size += piece->size;
    }
    made[*size] = '\0';
    *text = made;
    return STATUS_OK;
}
