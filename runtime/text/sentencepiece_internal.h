/* What a loaded model is, shared only by the loader, the encoder and the decoder. */
#ifndef SPIRITLM_TEXT_SENTENCEPIECE_INTERNAL_H
#define SPIRITLM_TEXT_SENTENCEPIECE_INTERNAL_H

#include "core/utf8.h"
#include "text/sentencepiece.h"

#include <stddef.h>

#define SPACE_SYMBOL "\xE2\x96\x81" /* U+2581: represents a space in pieces */
#define REPLACEMENT "\xEF\xBF\xBD"  /* U+FFFD: replaces a byte that is not valid UTF-8 */
enum { SPACE_SYMBOL_SIZE = 3, REPLACEMENT_SIZE = 3 };

enum piece_type { /* the file's numbers */
                  PIECE_NORMAL = 1,
                  PIECE_UNKNOWN = 2,
                  PIECE_CONTROL = 3,
                  PIECE_USER_DEFINED = 4,
                  PIECE_UNUSED = 5,
                  PIECE_BYTE = 6
};

enum {
    PIECE_SIZE_LIMIT = 8000, /* bytes of a piece, as in newer versions of the library; bounds recursion */
    PIECE_COUNT_LIMIT = 1 << 24
};

struct piece {
    const char *text; /* NUL-terminated, in the model's arena */
    int32_t size;
    float score;
    uint8_t type;
    uint8_t byte; /* of a PIECE_BYTE */
};

struct sentencepiece {
    struct piece *pieces;
    int32_t count;
    int32_t tag_count; /* pieces behind the others that are tags and units, and no part of the text model */
    char *arena;
    int32_t *table; /* open addressing: ids + 1, 0 = empty */
    uint32_t table_mask;
    int32_t longest;      /* bytes of the longest piece that merging can make */
    int32_t unused_count; /* pieces of type UNUSED */
    bool words_apart;     /* no piece has a space symbol after anything but space symbols, and none is unused */
    int32_t *user;        /* ids of the user-defined pieces, sorted by their bytes */
    int32_t user_count;
    bool user_first[256]; /* first bytes of user-defined pieces */
    int32_t unk, bos, eos;
    int32_t byte_ids[256]; /* with byte_fallback */
    char *unk_surface;     /* what the decoder writes for unk */

    bool byte_fallback;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces, whitespace_as_suffix;
};

/* How many pieces at the end are the tags and units of a vocabulary; 0: none. */
int32_t tag_pieces(const struct piece *pieces, int32_t count);

/* The id of the piece with these bytes, -1: none. */
int32_t piece_lookup(const struct sentencepiece *model, const char *text, size_t size);

/* Whether merging may make this piece: control, unknown and byte pieces are never found in text. */
static inline bool piece_mergeable(const struct piece *piece)
{
    return piece->type == PIECE_NORMAL || piece->type == PIECE_USER_DEFINED || piece->type == PIECE_UNUSED;
}

/* Bytes of the longest user-defined piece that text begins with, 0: none. */
size_t user_piece_match(const struct sentencepiece *model, const char *text, size_t size);

/* The lookup tables above, from the pieces: STATUS_CORRUPT when two pieces have the same bytes. */
enum status piece_tables_build(struct sentencepiece *model, const char *name);

#endif
