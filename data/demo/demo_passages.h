/* Passages of a book: runs of whole verses, 40 to 80 words each where the verses allow it. */
#ifndef SPIRITLM_DATA_DEMO_PASSAGES_H
#define SPIRITLM_DATA_DEMO_PASSAGES_H

#include "data/demo/demo_sources.h"

#include <stdbool.h>

enum { PASSAGE_WORDS_MINIMUM = 40, PASSAGE_WORDS_MAXIMUM = 80 };

struct demo_passage {
    char *text;
    char *name; /* after its verses: "Ge1:1-3" */
    int64_t words;
    bool plain; /* only letters and , . ; : ? ! ' so that a synthesiser reads it word by word */
};

struct demo_passages {
    struct demo_passage *list;
    int64_t count;
};

/* All verses, in the book's order. */
enum status demo_passages_make(const struct demo_book *book, struct demo_passages *passages);
void demo_passages_free(struct demo_passages *passages);

#endif
