/* Seeded damage to bytes, as disks, memory and networks cause it, and to the files of a folder. */
#ifndef SPIRITLM_TESTS_DAMAGE_H
#define SPIRITLM_TESTS_DAMAGE_H

#include "core/rng.h"

#include <stdbool.h>
#include <stdint.h>

enum { DAMAGE_TEXT = 200 };

/* A damaged copy of the bytes, never equal to them, of exactly *damaged_size bytes so that a sanitizer sees a read past
 * its end; the caller frees. `what` says what was done: to one bit, one byte or a run of bytes, a word 0x0000 <->
 * 0xFFFF, two blocks swapped, a part removed or doubled, a shorter or a longer file. */
uint8_t *damage_bytes(struct rng *rng, const uint8_t *bytes, int64_t size, int64_t *damaged_size,
                      char what[DAMAGE_TEXT]);

/* The same without changing the size, for files whose reader would notice the size alone. */
uint8_t *damage_in_place(struct rng *rng, const uint8_t *bytes, int64_t size, char what[DAMAGE_TEXT]);

/* ---- the files of a folder ---- */

enum { DAMAGED_FILES = 40, DAMAGED_NAME = 128 };

/* A folder's files in memory, and which of them are currently damaged on disk. */
struct damaged_folder {
    char path[1024];
    struct {
        char name[DAMAGED_NAME]; /* "trainer/state.json" */
        uint8_t *bytes;          /* as they should be */
        int64_t size;
        uint8_t *older; /* contents of the same file in the sibling, if they differ; NULL: none */
        int64_t older_size;
    } files[DAMAGED_FILES];
    int count;
    int touched[2];                        /* indices; -1: none */
    char culprits[2][DAMAGED_NAME];        /* one of these must be named; "" for none */
    bool any;                              /* a list of another version: any file that does not fit it may be named */
    char what[DAMAGE_TEXT + DAMAGED_NAME]; /* what was done, for failures */
};

/* Reads the named files (paths below `folder`, NULL-terminated). With `sibling`, another folder made in the same way, a
 * file may also be replaced by the sibling's. */
void damaged_folder_open(struct damaged_folder *folder, const char *path, const char *sibling,
                         const char *const *names);
/* Damages one file, removes one, swaps two, puts in the sibling's, or adds one (if `may_add`). */
void damaged_folder_damage(struct damaged_folder *folder, struct rng *rng, bool may_add);
/* Puts everything back. */
void damaged_folder_repair(struct damaged_folder *folder);
void damaged_folder_close(struct damaged_folder *folder);

/* Whether the text names one of the culprits. */
bool damaged_folder_named(const struct damaged_folder *folder, const char *text);

#endif
