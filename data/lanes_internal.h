/* The state of lanes, shared by lanes.c and lanes_state.c. */
#ifndef SPIRITLM_DATA_LANES_INTERNAL_H
#define SPIRITLM_DATA_LANES_INTERNAL_H

#include "data/lanes.h"
#include "data/lanes_order.h"

struct lane_name {
    char text[44];
};

struct lane {
    bool used;      /* by this process */
    int64_t visits; /* documents drawn */
    int64_t tokens[SOURCE_KINDS], documents[SOURCE_KINDS];
    int64_t served[SOURCE_KINDS]; /* tokens since the weights last changed: these choose the next source */
    int64_t words, switched_words;
    struct order orders[SOURCE_KINDS];
    /* The current document; what is left of it goes to the next row. */
    int32_t *pending;
    int64_t pending_count, pending_at;
    enum source_kind source;
    struct row_place place;
    /* The last row's documents. */
    struct lane_name *name_texts;
    const char **names;
    int64_t name_count, name_capacity;
};

struct lanes {
    struct lanes_options options;
    struct interleaver interleaver;
    struct dataset **datasets;
    int64_t dataset_count;
    char contents[65]; /* SHA-256 over the datasets' hashes, in hex */
    struct row_list lists[SOURCE_KINDS];
    struct lane *lanes;
    int64_t used;
};

#endif
