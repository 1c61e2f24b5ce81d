/* Finding pieces: a hash table over all, and a sorted list of the user-defined ones for longest-prefix search. */
#include "text/sentencepiece_internal.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_bytes(const char *text, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ size;
    for (; size >= 8; size -= 8, text += 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    uint64_t rest = 0;
    memcpy(&rest, text, size);
    hash = (hash ^ rest) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(hash >> 32);
}

int32_t piece_lookup(const struct sentencepiece *model, const char *text, size_t size)
{
    for (uint32_t slot = hash_bytes(text, size) & model->table_mask;; slot = (slot + 1) & model->table_mask) {
        int32_t id = model->table[slot] - 1;
        if (id < 0)
            return -1;
        const struct piece *piece = &model->pieces[id];
        if ((size_t)piece->size == size && memcmp(piece->text, text, size) == 0)
            return id;
    }
}

size_t user_piece_match(const struct sentencepiece *model, const char *text, size_t size)
{
    if (model->user_count == 0 || size == 0 || !model->user_first[(unsigned char)text[0]])
        return 0;
    /* [low, high) are the pieces that share the first `depth` bytes with text; the shortest of them comes first. */
    int32_t low = 0, high = model->user_count;
    size_t best = 0;
    for (size_t depth = 0; low < high; depth++) {
        const struct piece *first = &model->pieces[model->user[low]];
        if ((size_t)first->size == depth) {
            best = depth;
            low++;
        }
        if (depth == size)
            break;
        unsigned char byte = (unsigned char)text[depth];
        int32_t begin = low, end = high;
        while (begin < end) {
            int32_t middle = begin + (end - begin) / 2;
            if ((unsigned char)model->pieces[model->user[middle]].text[depth] < byte)
                begin = middle + 1;
            else
                end = middle;
        }
        low = begin;
        end = high;
        while (begin < end) {
            int32_t middle = begin + (end - begin) / 2;
            if ((unsigned char)model->pieces[model->user[middle]].text[depth] <= byte)
                begin = middle + 1;
            else
                end = middle;
        }
        high = begin;
    }
    return best;
}

/* qsort does not pass the model to its comparison, so pointers to pieces are sorted instead of ids. */
static int by_bytes(const void *a, const void *b)
{
    const struct piece *x = *(const struct piece *const *)a, *y = *(const struct piece *const *)b;
    int order = memcmp(x->text, y->text, (size_t)(x->size < y->size ? x->size : y->size));
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static enum status user_list_build(struct sentencepiece *model, const char *name)
{
    size_t count = 0, found = 0;
    for (int32_t id = 0; id < model->count; id++)
        count += model->pieces[id].type == PIECE_USER_DEFINED;
    const struct piece **sorted = calloc(count + 1, sizeof *sorted);
    model->user = calloc(count + 1, sizeof *model->user);
    if (!sorted || !model->user) {
        free(sorted);
        return status_set(STATUS_INTERNAL, "%s: no memory for %zu user-defined pieces", name, count);
    }
    for (int32_t id = 0; id < model->count; id++)
        if (model->pieces[id].type == PIECE_USER_DEFINED)
            sorted[found++] = &model->pieces[id];
    qsort(sorted, count, sizeof *sorted, by_bytes);
    for (size_t i = 0; i < count; i++) {
        model->user[i] = (int32_t)(sorted[i] - model->pieces);
        model->user_first[(unsigned char)sorted[i]->text[0]] = true;
    }
    model->user_count = (int32_t)count;
    free(sorted);
    return STATUS_OK;
}

static bool reaches_over_a_space(const struct piece *piece)
{
    size_t size = (size_t)piece->size, leading = 0;
    while (size - leading >= SPACE_SYMBOL_SIZE && memcmp(piece->text + leading, SPACE_SYMBOL, SPACE_SYMBOL_SIZE) == 0)
        leading += SPACE_SYMBOL_SIZE;
    return memmem(piece->text + leading, size - leading, SPACE_SYMBOL, SPACE_SYMBOL_SIZE);
}

enum status piece_tables_build(struct sentencepiece *model, const char *name)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint32_t)model->count)
        slots *= 2;
    model->table = calloc(slots, sizeof *model->table);
    model->table_mask = slots - 1;
    if (!model->table)
        return status_set(STATUS_INTERNAL, "%s: no memory for a table of %u pieces", name, slots);
    model->words_apart = true;
    for (int32_t id = 0; id < model->count; id++) {
        const struct piece *piece = &model->pieces[id];
        int32_t other = piece_lookup(model, piece->text, (size_t)piece->size);
        if (other >= 0)
            return status_set(STATUS_CORRUPT, "%s: pieces %d and %d are both \"%.40s\"", name, (int)other, (int)id,
                              piece->text);
        uint32_t slot = hash_bytes(piece->text, (size_t)piece->size) & model->table_mask;
        while (model->table[slot])
            slot = (slot + 1) & model->table_mask;
        model->table[slot] = id + 1;
        if (piece_mergeable(piece) && piece->size > model->longest)
            model->longest = piece->size;
        model->unused_count += piece->type == PIECE_UNUSED;
        if (piece->type == PIECE_UNUSED || (piece->type == PIECE_NORMAL && reaches_over_a_space(piece)))
            model->words_apart = false;
    }
    return user_list_build(model, name);
}
