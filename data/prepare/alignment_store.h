/* What the aligner found, kept beside a dataset's shards, so that another threshold does not align again. */
#ifndef SPIRITLM_DATA_ALIGNMENT_STORE_H
#define SPIRITLM_DATA_ALIGNMENT_STORE_H

#include "core/hash.h"
#include "core/status.h"
#include "data/aligned_word.h"

#include <stdbool.h>
#include <stdint.h>

struct stored_alignment {
    struct sha256 key; /* alignment_key() */
    char *reason;      /* why there is none; NULL: there is one */
    double score;      /* NaN where there is none */
    struct aligned_word *words;
    int64_t word_count;
};

/* Those of one shard, in the manifest's order. */
struct alignment_store {
    struct stored_alignment *list;
    int64_t count, room;
};

/* A hash of the decoded samples' hash, the text and the aligner. */
struct sha256 alignment_key(const struct sha256 *source, const char *text, const struct sha256 *aligner);

/* parts/NNNNN.alignments of the dataset's folder. A file that is missing or damaged is empty; of a damaged one a warning
 * says so. */
enum status alignment_store_read(const char *folder, int64_t shard, struct alignment_store *store);
/* Without alignments there is no file: one that is there is removed. */
enum status alignment_store_write(const char *folder, int64_t shard, const struct alignment_store *store);
const struct stored_alignment *alignment_store_find(const struct alignment_store *store, const struct sha256 *key);
/* Both copy. */
enum status alignment_store_add(struct alignment_store *store, const struct stored_alignment *alignment);
enum status stored_alignment_copy(const struct stored_alignment *from, struct stored_alignment *to);
void stored_alignment_free(struct stored_alignment *alignment);
void alignment_store_free(struct alignment_store *store);

#endif
