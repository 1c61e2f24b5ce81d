/* Passages of a book: runs of whole verses, 40 to 80 words each where the verses allow it, dealt to a training and a
 * held-out side so that no verse's normalised text lies on both. */
#ifndef SPIRITLM_DATA_DEMO_PASSAGES_H
#define SPIRITLM_DATA_DEMO_PASSAGES_H

#include "data/demo_sources.h"

#include <stdbool.h>

struct demo_passage {
    char *text;
    int64_t words;
    bool held_out;
};

struct demo_passages {
    struct demo_passage *list;
    int64_t count;
};

/* In the book's order. A passage of the training side that shares a verse with the held-out side is left out. */
enum status demo_passages_make(const struct demo_book *book, uint64_t seed, double held_out_share,
                               struct demo_passages *passages);
void demo_passages_free(struct demo_passages *passages);

/* Lower-case letters and digits, runs of anything else as one space: two texts are the same sentence when these are
 * equal. Allocated for the caller; NULL when out of memory. */
char *normalised_text(const char *text);

/* A hash of the normalised text, uniform in [0, 1): the side it lies on. -1 when out of memory. */
double text_share(const char *text, uint64_t seed);

#endif
