/* Zip and tar files put together byte by byte (PKWARE's APPNOTE, POSIX's ustar), so that they may be as wrong as a test wants.
 * Nothing here knows libarchive. */
#ifndef SPIRITLM_TESTS_ARCHIVE_BUILDER_H
#define SPIRITLM_TESTS_ARCHIVE_BUILDER_H

#include <stdbool.h>
#include <stdint.h>

struct archive_builder {
    unsigned char *bytes;
    int64_t size, capacity;
    unsigned char *directory; /* of a zip, which comes last */
    int64_t directory_size, directory_capacity, count;
};

/* How a member of a zip is written; zeros: stored, with its sizes in its header. */
struct zip_form {
    bool deflated;
    bool descriptor;        /* sizes and CRC come behind the data */
    bool zip64;             /* numbers are in the extra field */
    uint16_t flags;         /* beside those that follow from the above */
    uint16_t unix_mode;     /* 0: not made on Unix */
    int64_t claimed_size;   /* 0: the true one */
    uint32_t wrong_crc;     /* is added to the true one */
    uint32_t directory_crc; /* is added in the directory alone */
    uint16_t method;        /* that the directory has; 0: the true one */
    uint16_t local_method;  /* that the header has; 0: the true one */
    const char *local_name; /* NULL: as in the directory */
};

/* `name_length` bytes of name, which may hold anything. */
void zip_add(struct archive_builder *builder, const char *name, int64_t name_length, const void *data, int64_t size,
             struct zip_form form);
void zip_end(struct archive_builder *builder, const char *comment, bool zip64);

/* A header of type '0' (file), '1' (hard link), '2' (symbolic link), '5' (folder)..., and the data. */
void tar_add(struct archive_builder *builder, const char *name, char type, const char *link, const void *data,
             int64_t size);
void tar_end(struct archive_builder *builder, int blocks); /* of zeros: the mark of the end has two */

/* Replaces the bytes by their gzip. */
void builder_gzip(struct archive_builder *builder);

/* Appends bytes as they are. */
void builder_put(struct archive_builder *builder, const void *bytes, int64_t size);

/* Writes the file and empties the builder. */
void builder_write(struct archive_builder *builder, const char *path);
void builder_free(struct archive_builder *builder);

#endif
