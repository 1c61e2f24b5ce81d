/* The listing of an archive while it is made and when it is complete; for the files of io/archive alone. */
#ifndef SPIRITLM_IO_ARCHIVE_MEMBERS_H
#define SPIRITLM_IO_ARCHIVE_MEMBERS_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct member {
    int64_t name_at;  /* in the listing's names */
    int64_t size;     /* -1: unknown */
    int64_t position; /* of its header in the file, or in the inflated tar: the order in which members are stored */
    uint32_t crc;
    bool has_crc;
};

struct listing {
    struct member *members;
    int64_t count, capacity;
    char *names;
    int64_t names_size, names_capacity;
    int64_t seen, seen_bytes; /* entries of any kind, and the bytes of their names: the limits hold for all */
};

/* Makes a member's name out of what an archive calls it. *kept is false for what macOS adds, and for the root itself.
 * `plain` has room for length + 1 bytes. STATUS_CORRUPT: see archive.h. */
enum status member_name(const char *archive, const char *name, int64_t length, char *plain, bool *kept);

/* Counts an entry that is no regular file, so that the limits hold for it as well. */
enum status listing_count(struct listing *listing, const char *archive, int64_t name_length);

/* Counts and adds a regular file under its plain name, unless macOS added it. */
enum status listing_add(struct listing *listing, const char *archive, const char *name, int64_t length,
                        const struct member *member);

/* Sorts by name; two of one name are STATUS_CORRUPT. */
enum status listing_finish(struct listing *listing, const char *archive);

const char *listing_name(const struct listing *listing, int64_t index);
int64_t listing_find(const struct listing *listing, const char *name); /* -1: none */
void listing_free(struct listing *listing);

#endif
