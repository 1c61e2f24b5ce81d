/* Text to ids. Three steps: the text is normalised (spaces become U+2581, broken UTF-8 becomes U+FFFD), cut into
 * characters and user-defined pieces, and neighbours are joined best score first (Sennrich et al. 2016; the priority
 * queue makes it O(n log n)). Leftmost wins among equal scores. */
#include "core/array.h"
#include "text/sentencepiece_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const int64_t text_size_limit = INT64_C(1) << 28; /* so that the normalised text and the heap count in int32 */

/* A stretch of normalised text in a doubly linked list. */
struct symbol {
    int32_t previous, next; /* -1: none */
    int32_t start, size;    /* size 0: joined into its left neighbour */
    bool frozen;            /* a user-defined piece */
};

/* Two neighbours whose joint text is a piece. */
struct candidate {
    float score;
    int32_t left, right;
    int32_t size; /* of both: differs from their sum when one of them has changed since */
};

struct encoder {
    const struct sentencepiece *model;
    char *text; /* normalised */
    int32_t size;
    struct symbol *symbols;
    int32_t symbol_count;
    struct candidate *heap;
    size_t heap_count;
    int64_t heap_room;
    int32_t *left_sizes; /* per piece: where an unused piece was joined last; NULL when there are none */
    int32_t *ids;
    int64_t id_count;
    bool after_unknown;
};

/* ---- normalising ---- */

static void put(struct encoder *encoder, const char *bytes, size_t size)
{
    memcpy(encoder->text + encoder->size, bytes, size);
    encoder->size += (int32_t)size;
}

static void put_space(struct encoder *encoder)
{
    if (encoder->model->escape_whitespaces)
        put(encoder, SPACE_SYMBOL, SPACE_SYMBOL_SIZE);
    else
        put(encoder, " ", 1);
}

/* The bytes of the next unit of raw text (a user-defined piece, a character, or one broken byte) and in *shown what it
 * is normalised to, before spaces are replaced. */
static size_t next_unit(const struct sentencepiece *model, const char *text, size_t size, const char **shown,
                        size_t *shown_size)
{
    size_t length = user_piece_match(model, text, size);
    if (length == 0)
        length = utf8_character(text, size);
    *shown = length ? text : REPLACEMENT;
    *shown_size = length ? length : REPLACEMENT_SIZE;
    return length ? length : 1;
}

static void normalize(struct encoder *encoder, const char *text, size_t size, bool dummy_prefix)
{
    const struct sentencepiece *model = encoder->model;
    const char *shown;
    size_t shown_size, at = 0;
    bool trim = model->remove_extra_whitespaces;
    while (trim && at < size) {
        size_t length = next_unit(model, text + at, size - at, &shown, &shown_size);
        if (shown_size != 1 || *shown != ' ')
            break;
        at += length;
    }
    if (at == size)
        return;
    dummy_prefix = dummy_prefix && model->add_dummy_prefix;
    if (dummy_prefix && !model->whitespace_as_suffix)
        put_space(encoder);
    bool after_space = trim;
    while (at < size) {
        at += next_unit(model, text + at, size - at, &shown, &shown_size);
        while (after_space && shown_size > 0 && *shown == ' ') {
            shown++;
            shown_size--;
        }
        for (size_t i = 0; i < shown_size; i++) {
            if (shown[i] == ' ')
                put_space(encoder);
            else
                put(encoder, shown + i, 1);
        }
        if (shown_size > 0)
            after_space = trim && shown[shown_size - 1] == ' ';
    }
    const char *space = model->escape_whitespaces ? SPACE_SYMBOL : " ";
    int32_t space_size = (int32_t)strlen(space);
    while (trim && encoder->size >= space_size &&
           memcmp(encoder->text + encoder->size - space_size, space, (size_t)space_size) == 0)
        encoder->size -= space_size;
    if (dummy_prefix && model->whitespace_as_suffix)
        put_space(encoder);
}

/* ---- the queue ---- */

static bool better(const struct candidate *a, const struct candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static enum status heap_push(struct encoder *encoder, struct candidate candidate)
{
    enum status result =
        array_grow(&encoder->heap, &encoder->heap_room, (int64_t)encoder->heap_count + 1, "pairs of symbols");
    if (result != STATUS_OK)
        return result;
    size_t at = encoder->heap_count++;
    while (at > 0 && better(&candidate, &encoder->heap[(at - 1) / 2])) {
        encoder->heap[at] = encoder->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    encoder->heap[at] = candidate;
    return STATUS_OK;
}

static struct candidate heap_pop(struct encoder *encoder)
{
    struct candidate *heap = encoder->heap, top = heap[0], last = heap[--encoder->heap_count];
    size_t at = 0, count = encoder->heap_count;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && better(&heap[child + 1], &heap[child]);
        if (!better(&heap[child], &last))
            break;
        heap[at] = heap[child];
    }
    if (count > 0)
        heap[at] = last;
    return top;
}

/* ---- joining ---- */

/* Cuts the text into one symbol per character or user-defined piece. */
static enum status cut_symbols(struct encoder *encoder)
{
    static const uint8_t lengths[16] = {1, 1, 1, 1, 1, 1, 1, 1,
                                        1, 1, 1, 1, 2, 2, 3, 4}; /* by the first byte's high half */
    encoder->symbols = malloc((size_t)encoder->size * sizeof *encoder->symbols);
    if (!encoder->symbols)
        return status_set(STATUS_INTERNAL, "no memory to encode a text of %d bytes", (int)encoder->size);
    for (int32_t at = 0; at < encoder->size;) {
        size_t rest = (size_t)(encoder->size - at);
        size_t user = user_piece_match(encoder->model, encoder->text + at, rest);
        size_t length = user ? user : lengths[(unsigned char)encoder->text[at] >> 4];
        if (length > rest)
            length = rest;
        int32_t index = encoder->symbol_count++;
        encoder->symbols[index] = (struct symbol){.previous = index - 1,
                                                  .next = at + (int32_t)length < encoder->size ? index + 1 : -1,
                                                  .start = at,
                                                  .size = (int32_t)length,
                                                  .frozen = user > 0};
        at += (int32_t)length;
    }
    return STATUS_OK;
}

static enum status consider(struct encoder *encoder, int32_t left, int32_t right)
{
    if (left < 0 || right < 0 || encoder->symbols[left].frozen || encoder->symbols[right].frozen)
        return STATUS_OK;
    const struct sentencepiece *model = encoder->model;
    int32_t size = encoder->symbols[left].size + encoder->symbols[right].size;
    if (size > model->longest)
        return STATUS_OK;
    int32_t id = piece_lookup(model, encoder->text + encoder->symbols[left].start, (size_t)size);
    if (id < 0 || !piece_mergeable(&model->pieces[id]))
        return STATUS_OK;
    if (model->pieces[id].type == PIECE_UNUSED && encoder->left_sizes)
        encoder->left_sizes[id] = encoder->symbols[left].size;
    return heap_push(encoder, (struct candidate){model->pieces[id].score, left, right, size});
}

/* Joins the symbols that are in the queue until it is empty. */
static enum status join_queue(struct encoder *encoder)
{
    enum status result = STATUS_OK;
    struct symbol *symbols = encoder->symbols;
    while (encoder->heap_count > 0) {
        struct candidate top = heap_pop(encoder);
        struct symbol *left = &symbols[top.left], *right = &symbols[top.right];
        if (left->size == 0 || right->size == 0 || left->size + right->size != top.size)
            continue;
        left->size = top.size;
        left->next = right->next;
        if (right->next >= 0)
            symbols[right->next].previous = top.left;
        right->size = 0;
        TRY(consider(encoder, left->previous, top.left));
        TRY(consider(encoder, top.left, left->next));
    }
fail:
    return result;
}

static bool is_space(const struct encoder *encoder, const struct symbol *symbol)
{
    return symbol->size == SPACE_SYMBOL_SIZE &&
           memcmp(encoder->text + symbol->start, SPACE_SYMBOL, SPACE_SYMBOL_SIZE) == 0;
}

/* Where no piece reaches over the start of a word, words are joined one after the other: the same pieces, with a queue
 * that stays in the cache. */
static enum status join(struct encoder *encoder)
{
    enum status result = STATUS_OK;
    const struct symbol *symbols = encoder->symbols;
    bool after_space = true;
    for (int32_t i = 1; i < encoder->symbol_count; i++) {
        bool space = is_space(encoder, &symbols[i]);
        if (space && !after_space && encoder->model->words_apart)
            TRY(join_queue(encoder));
        else
            TRY(consider(encoder, i - 1, i));
        after_space = space;
    }
    TRY(join_queue(encoder));
fail:
    return result;
}

/* ---- ids ---- */

static void put_unknown(struct encoder *encoder, const char *text, int32_t size)
{
    const struct sentencepiece *model = encoder->model;
    if (model->byte_fallback) {
        for (int32_t i = 0; i < size; i++)
            encoder->ids[encoder->id_count++] = model->byte_ids[(unsigned char)text[i]];
    } else if (!encoder->after_unknown) {
        encoder->ids[encoder->id_count++] = model->unk;
    }
    encoder->after_unknown = true;
}

/* The ids of one symbol. An unused piece is taken apart again where it was joined; each half is shorter, so the depth
 * is at most PIECE_SIZE_LIMIT. */
static void put_symbol(struct encoder *encoder, const char *text, int32_t size)
{
    const struct sentencepiece *model = encoder->model;
    int32_t id = piece_lookup(model, text, (size_t)size);
    if (id < 0 || !piece_mergeable(&model->pieces[id])) {
        put_unknown(encoder, text, size);
        return;
    }
    int32_t left = model->pieces[id].type == PIECE_UNUSED && encoder->left_sizes ? encoder->left_sizes[id] : 0;
    if (left > 0) {
        put_symbol(encoder, text, left);
        put_symbol(encoder, text + left, size - left);
        return;
    }
    encoder->ids[encoder->id_count++] = id;
    encoder->after_unknown = false;
}

enum status sentencepiece_encode(const struct sentencepiece *model, const char *text, int64_t size, bool dummy_prefix,
                                 int32_t **ids, int64_t *count)
{
    enum status result = STATUS_OK;
    struct encoder encoder = {.model = model};
    char *normalized = NULL;
    *ids = NULL;
    *count = 0;
    if (size < 0 || size > text_size_limit)
        FAIL(STATUS_USAGE, "expected a text of at most %" PRId64 " bytes, found %" PRId64, text_size_limit, size);
    /* A byte becomes at most three, and the dummy space has three. */
    normalized = malloc((size_t)size * SPACE_SYMBOL_SIZE + SPACE_SYMBOL_SIZE);
    encoder.text = normalized;
    if (!normalized)
        FAIL(STATUS_INTERNAL, "no memory to encode a text of %" PRId64 " bytes", size);
    normalize(&encoder, text, (size_t)size, dummy_prefix);
    encoder.ids = malloc(((size_t)encoder.size + 1) * sizeof *encoder.ids); /* at most one per byte */
    if (model->unused_count > 0)
        encoder.left_sizes = calloc((size_t)model->count, sizeof *encoder.left_sizes);
    if (!encoder.ids || (model->unused_count > 0 && !encoder.left_sizes))
        FAIL(STATUS_INTERNAL, "no memory to encode a text of %" PRId64 " bytes", size);
    if (encoder.size > 0) {
        TRY(cut_symbols(&encoder));
        TRY(join(&encoder));
        for (int32_t i = 0; i >= 0; i = encoder.symbols[i].next)
            put_symbol(&encoder, encoder.text + encoder.symbols[i].start, encoder.symbols[i].size);
    }
    *ids = encoder.ids;
    *count = encoder.id_count;
    encoder.ids = NULL;
fail:
    free(normalized);
    free(encoder.symbols);
    free(encoder.heap);
    free(encoder.left_sizes);
    free(encoder.ids);
    return result;
}

enum status sentencepiece_encode_prefix(const struct sentencepiece *model, int32_t **ids, int64_t *count)
{
    struct sentencepiece untrimmed = *model;
    untrimmed.remove_extra_whitespaces = false;
    bool before = model->add_dummy_prefix && !model->whitespace_as_suffix;
    return sentencepiece_encode(&untrimmed, " ", before ? 1 : 0, false, ids, count);
}
