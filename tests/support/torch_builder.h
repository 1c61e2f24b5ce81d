/* Files of PyTorch made in memory, right or wrong in a chosen way, and mutations that keep most of a file in order: zip files
 * are taken apart and put together again with right lengths and CRCs, and pickles are changed operation by operation. */
#ifndef SPIRITLM_TESTS_TORCH_BUILDER_H
#define SPIRITLM_TESTS_TORCH_BUILDER_H

#include "core/rng.h"
#include "support/sentencepiece_builder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ZIP_PIECES = 64, ZIP_NAME = 64 };

/* How the numbers of a record are written. */
enum zip_form {
    ZIP_DESCRIPTOR, /* as torch.save: behind the data, 16 bytes; none for an empty record */
    ZIP_DESCRIPTOR64,
    ZIP_DESCRIPTOR_BARE,   /* without its signature */
    ZIP_DESCRIPTOR64_BARE, /* the same with numbers of 8 bytes */
    ZIP_PLAIN,             /* in the record's header */
    ZIP_FORMS
};

struct zip_piece {
    char name[ZIP_NAME];
    uint8_t *data; /* borrowed, or of zip_pieces_read's input */
    size_t size;
    enum zip_form form;
    bool zip64;    /* sizes in extra fields */
    uint64_t hole; /* zeros behind `data`, which are not put into the file built; the CRC is then `crc_change` */
    /* Lies; 0: none. */
    uint16_t method, flags, local_flags;
    uint32_t crc_change, size_change, header_change;
    char local_name[ZIP_NAME]; /* "": as `name` */
};

/* Puts a zip file together, aligned like those of torch.save, with ZIP64's end records where `end64`. */
void zip_build(struct bytes *file, const struct zip_piece *pieces, int count, bool end64);

/* The pieces of a file that zip_build could have made; their number, at most ZIP_PIECES, or 0 when it is none. */
int zip_take_apart(uint8_t *file, size_t size, struct zip_piece pieces[ZIP_PIECES]);

/* CRC-32, byte by byte. */
uint32_t plain_crc32(const uint8_t *data, size_t size);

/* A file of torch.save with this pickle and storages "0", "1"... */
void torch_build(struct bytes *file, const void *pickle, size_t pickle_size, const struct zip_piece *storages,
                 int count);

/* Appends to a pickle: a text, an integer, a class, the persistent identifier of a storage. */
void pickle_text(struct bytes *pickle, const char *text);
void pickle_integer(struct bytes *pickle, int64_t number);
void pickle_class(struct bytes *pickle, const char *module, const char *name);
void pickle_storage(struct bytes *pickle, const char *class, const char *key, int64_t elements);
void pickle_raw(struct bytes *pickle, const char *operations); /* NUL-terminated */

/* Mutations without structure, in place; returns the new size, at most `limit`. */
typedef size_t mutate_bytes(uint8_t *data, size_t size, size_t limit, struct rng *rng);
size_t mutate_plainly(uint8_t *data, size_t size, size_t limit, struct rng *rng);

/* Mutates a file of PyTorch by its structure; `plain` for what has none. Returns the new size, at most `limit`. */
size_t torch_mutate(uint8_t *data, size_t size, size_t limit, struct rng *rng, mutate_bytes *plain);

#endif
