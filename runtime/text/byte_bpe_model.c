/* A model is put together piece by piece and merge by merge, so that a reader never holds a second copy of its file. Pieces
 * are stored as the bytes that they stand for; "literal" tells apart those that a file does not spell in GPT-2's alphabet.
 * Two hash tables are all that encoding needs: from bytes to a piece, and from two pieces to a merge. */
#include "core/array.h"
#include "core/utf8.h"
#include "io/json_scan.h"
#include "text/byte_alphabet.h"
#include "text/byte_bpe_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int shown(struct byte_bpe_text text)
{
    return scan_shown((struct scan_text){text.bytes, text.size});
}

static uint32_t hash_bytes(const char *bytes, int64_t size, bool literal)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)size ^ (uint64_t)literal << 32;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    uint64_t rest = 0;
    memcpy(&rest, bytes, (size_t)size);
    hash = (hash ^ rest) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(hash >> 32);
}

/* The slot that holds the piece, or the free one where it would be. */
static uint32_t find_slot(const struct byte_bpe *model, const char *bytes, int64_t size, bool literal)
{
    uint32_t slot = hash_bytes(bytes, size, literal) & model->piece_mask;
    for (;; slot = (slot + 1) & model->piece_mask) {
        int32_t id = model->piece_table[slot] - 1;
        if (id < 0)
            return slot;
        const struct byte_bpe_piece *piece = &model->pieces[id];
        if (piece->size == size && piece->literal == literal &&
            memcmp(model->arena + piece->start, bytes, (size_t)size) == 0)
            return slot;
    }
}

int32_t byte_bpe_lookup(const struct byte_bpe *model, const char *bytes, int64_t size, bool literal)
{
    return model->piece_table[find_slot(model, bytes, size, literal)] - 1;
}

int32_t byte_bpe_lookup_spelled(const struct byte_bpe *model, struct byte_bpe_text text)
{
    char bytes[BYTE_BPE_PIECE_SIZE_LIMIT];
    if (text.size > BYTE_BPE_PIECE_SIZE_LIMIT)
        return -1;
    int64_t size = alphabet_read(text.bytes, text.size, bytes);
    int32_t id = size > 0 ? byte_bpe_lookup(model, bytes, size, false) : -1;
    return id >= 0 ? id : byte_bpe_lookup(model, text.bytes, text.size, true);
}

/* A power of two that is at least twice the count. */
static uint32_t table_slots(int64_t count)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint32_t)count)
        slots *= 2;
    return slots;
}

enum status byte_bpe_start(const char *name, int64_t count, struct byte_bpe **model)
{
    enum status result = STATUS_OK;
    *model = NULL;
    struct byte_bpe *made = calloc(1, sizeof *made);
    if (!made)
        FAIL(STATUS_INTERNAL, "%s: out of memory", name);
    if (count < 1 || count > BYTE_BPE_COUNT_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: %" PRId64 " pieces, expected 1 to %d", name, count, (int)BYTE_BPE_COUNT_LIMIT);
    uint32_t slots = table_slots(count);
    made->pieces = calloc((size_t)count, sizeof *made->pieces);
    made->piece_table = calloc(slots, sizeof *made->piece_table);
    if (!made->pieces || !made->piece_table)
        FAIL(STATUS_INTERNAL, "%s: no memory for %" PRId64 " pieces", name, count);
    made->piece_mask = slots - 1;
    made->count = (int32_t)count;
    made->bos = made->eos = -1;
    made->note = "";
    for (int32_t id = 0; id < made->count; id++)
        made->pieces[id].type = BYTE_BPE_UNUSED;
    *model = made;
    return STATUS_OK;
fail:
    byte_bpe_free(made);
    return result;
}

static enum status check_text(const char *name, int64_t id, struct byte_bpe_text text)
{
    if (text.size < 1 || text.size > BYTE_BPE_PIECE_SIZE_LIMIT)
        return status_set(STATUS_CORRUPT, "%s: piece %" PRId64 " has %" PRId64 " bytes, expected 1 to %d", name, id,
                          text.size, (int)BYTE_BPE_PIECE_SIZE_LIMIT);
    for (int64_t at = 0; at < text.size;) {
        size_t length = utf8_character(text.bytes + at, (size_t)(text.size - at));
        if (length == 0 || text.bytes[at] == '\0')
            return status_set(STATUS_CORRUPT, "%s: piece %" PRId64 " is not a text in UTF-8", name, id);
        at += (int64_t)length;
    }
    return STATUS_OK;
}

static enum status store_piece(struct byte_bpe *model, int64_t id, struct byte_bpe_piece piece, const char *bytes)
{
    enum status result = STATUS_OK;
    TRY(array_grow(&model->arena, &model->arena_room, model->arena_size + piece.size, "bytes of pieces"));
    memcpy(model->arena + model->arena_size, bytes, (size_t)piece.size);
    piece.start = (uint32_t)model->arena_size;
    model->arena_size += piece.size;
    model->pieces[id] = piece;
    model->piece_table[find_slot(model, bytes, piece.size, piece.literal)] = (int32_t)id + 1;
fail:
    return result;
}

enum status byte_bpe_put_piece(const char *name, struct byte_bpe *model, int64_t id, struct byte_bpe_text text,
                               uint8_t type)
{
    enum status result = STATUS_OK;
    char bytes[BYTE_BPE_PIECE_SIZE_LIMIT];
    if (type == BYTE_BPE_UNKNOWN)
        type = BYTE_BPE_CONTROL;
    if (type == BYTE_BPE_UNUSED)
        return STATUS_OK;
    if (type < BYTE_BPE_NORMAL || type >= BYTE_BPE_BYTE)
        FAIL(STATUS_CORRUPT, "%s: piece %" PRId64 " is of type %d%s, expected 1 to 5", name, id, (int)type,
             type == BYTE_BPE_BYTE ? " (byte)" : "");
    TRY(check_text(name, id, text));
    if (model->arena_size > INT64_C(1) << 31)
        FAIL(STATUS_CORRUPT, "%s: the pieces have more than 2147483648 bytes", name);
    int32_t other = byte_bpe_lookup_spelled(model, text);
    if (other >= 0)
        FAIL(STATUS_CORRUPT, "%s: pieces %" PRId32 " and %" PRId64 " are both \"%.*s\"", name, other, id, shown(text),
             text.bytes);
    int64_t size = type == BYTE_BPE_NORMAL ? alphabet_read(text.bytes, text.size, bytes) : -1;
    if (size < 0)
        TRY(store_piece(model, id, (struct byte_bpe_piece){.size = (int32_t)text.size, .type = type, .literal = true},
                        text.bytes));
    else
        TRY(store_piece(model, id, (struct byte_bpe_piece){.size = (int32_t)size, .type = type}, bytes));
fail:
    return result;
}

enum status byte_bpe_finish_pieces(const char *name, struct byte_bpe *model, int64_t merge_count)
{
    if (merge_count < 0 || merge_count > BYTE_BPE_COUNT_LIMIT)
        return status_set(STATUS_CORRUPT, "%s: %" PRId64 " merges, expected at most %d", name, merge_count,
                          (int)BYTE_BPE_COUNT_LIMIT);
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        model->byte_ids[byte] = byte_bpe_lookup(model, &text, 1, false);
        model->missing_bytes += model->byte_ids[byte] < 0;
    }
    if (model->missing_bytes == 256)
        return status_set(STATUS_CORRUPT, "%s: no piece is a single byte, so no text could be encoded", name);
    uint32_t slots = table_slots(merge_count);
    model->merges = calloc((size_t)merge_count + 1, sizeof *model->merges);
    model->merge_table = calloc(slots, sizeof *model->merge_table);
    model->merge_mask = slots - 1;
    if (!model->merges || !model->merge_table)
        return status_set(STATUS_INTERNAL, "%s: no memory for %" PRId64 " merges", name, merge_count);
    return STATUS_OK;
}

/* A piece that a merge names: it must be one of those that are found in a text. */
static enum status merge_piece(const char *name, const struct byte_bpe *model, struct byte_bpe_text text, int32_t *id)
{
    *id = byte_bpe_lookup_spelled(model, text);
    if (*id < 0)
        return status_set(STATUS_CORRUPT, "%s: merge %" PRId32 " needs \"%.*s\", which is not a piece", name,
                          model->merge_count, shown(text), text.bytes);
    if (model->pieces[*id].type != BYTE_BPE_NORMAL || model->pieces[*id].literal)
        return status_set(STATUS_CORRUPT,
                          "%s: merge %" PRId32 " needs \"%.*s\", but piece %" PRId32 " is %s, which no text contains",
                          name, model->merge_count, shown(text), text.bytes, *id,
                          model->pieces[*id].type == BYTE_BPE_NORMAL ? "not spelled in GPT-2's alphabet"
                                                                     : "a control or added piece");
    return STATUS_OK;
}

enum status byte_bpe_put_merge(const char *name, struct byte_bpe *model, struct byte_bpe_text left,
                               struct byte_bpe_text right)
{
    enum status result = STATUS_OK;
    struct byte_bpe_merge merge;
    char joined[2 * BYTE_BPE_PIECE_SIZE_LIMIT];
    TRY(merge_piece(name, model, left, &merge.left));
    TRY(merge_piece(name, model, right, &merge.right));
    memcpy(joined, left.bytes, (size_t)left.size);
    memcpy(joined + left.size, right.bytes, (size_t)right.size);
    TRY(merge_piece(name, model, (struct byte_bpe_text){joined, left.size + right.size}, &merge.piece));
    uint32_t slot = byte_bpe_pair_hash(merge.left, merge.right) & model->merge_mask;
    for (; model->merge_table[slot]; slot = (slot + 1) & model->merge_mask) {
        int32_t rank = model->merge_table[slot] - 1;
        if (model->merges[rank].left == merge.left && model->merges[rank].right == merge.right)
            FAIL(STATUS_CORRUPT, "%s: merges %" PRId32 " and %" PRId32 " both join \"%.*s\" and \"%.*s\"", name, rank,
                 model->merge_count, shown(left), left.bytes, shown(right), right.bytes);
    }
    model->merges[model->merge_count] = merge;
    model->merge_table[slot] = ++model->merge_count;
fail:
    return result;
}

enum status byte_bpe_put_merge_line(const char *name, struct byte_bpe *model, struct byte_bpe_text line)
{
    const char *space = memchr(line.bytes, ' ', (size_t)line.size);
    struct byte_bpe_text left = {line.bytes, space ? space - line.bytes : 0};
    struct byte_bpe_text right = {space ? space + 1 : "", space ? line.size - left.size - 1 : 0};
    if (left.size < 1 || right.size < 1 || memchr(right.bytes, ' ', (size_t)right.size))
        return status_set(STATUS_CORRUPT,
                          "%s: merge %" PRId32 " should be two pieces with a space in between, found \"%.*s\"", name,
                          model->merge_count, shown(line), line.bytes);
    return byte_bpe_put_merge(name, model, left, right);
}

static enum status check_special(const char *name, const struct byte_bpe *model, const char *which, int32_t id)
{
    if (id < -1 || id >= model->count)
        return status_set(STATUS_CORRUPT, "%s: the id of %s is %" PRId32 ", expected -1 or one below %" PRId32, name,
                          which, id, model->count);
    return STATUS_OK;
}

enum status byte_bpe_create(const char *name, const struct byte_bpe_pieces *pieces, struct byte_bpe **model)
{
    enum status result = STATUS_OK;
    struct byte_bpe *made = NULL;
    *model = NULL;
    const char *pre_tokenizer = pieces->pre_tokenizer ? pieces->pre_tokenizer : "";
    TRY(byte_bpe_start(name, pieces->count, &made));
    if (!word_pattern_find(pre_tokenizer, (int64_t)strlen(pre_tokenizer), &made->pattern))
        FAIL(STATUS_CORRUPT, "%s: the pre-tokenizer \"%.40s\" is not known; known are %s", name, pre_tokenizer,
             word_pattern_list());
    for (int64_t id = 0; id < pieces->count; id++)
        TRY(byte_bpe_put_piece(name, made, id, pieces->pieces[id],
                               pieces->types ? pieces->types[id] : BYTE_BPE_NORMAL));
    TRY(byte_bpe_finish_pieces(name, made, pieces->merge_count));
    for (int64_t rank = 0; rank < pieces->merge_count; rank++)
        TRY(byte_bpe_put_merge(name, made, pieces->lefts[rank], pieces->rights[rank]));
    made->ignore_merges = pieces->ignore_merges;
    made->bos = pieces->bos;
    made->eos = pieces->eos;
    TRY(check_special(name, made, "BOS", made->bos));
    TRY(check_special(name, made, "EOS", made->eos));
    *model = made;
    return STATUS_OK;
fail:
    byte_bpe_free(made);
    return result;
}

void byte_bpe_free(struct byte_bpe *model)
{
    if (!model)
        return;
    free(model->pieces);
    free(model->arena);
    free(model->piece_table);
    free(model->merges);
    free(model->merge_table);
    free(model);
}
