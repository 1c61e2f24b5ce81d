/* Which documents of a corpus may be held out: those whose sentences occur in no other document, so that no sentence
 * lies on both sides. Sentences are compared as they are spoken ("Press 1." and "press one" are the same), documents
 * with equal texts go together. */
#ifndef SPIRITLM_DATA_DEMO_SPLIT_H
#define SPIRITLM_DATA_DEMO_SPLIT_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct demo_split; /* opaque */

enum status demo_split_create(uint64_t seed, struct demo_split **split);
void demo_split_destroy(struct demo_split *split); /* NULL is fine */

/* Documents are numbered in the order in which they are added. */
enum status demo_split_add(struct demo_split *split, const char *text);

/* Call when all documents have been added: finds the sentences that several texts share. */
void demo_split_finish(struct demo_split *split);

/* True for documents that share no sentence with another text and whose hash of seed and text, uniform in [0, 1), lies
 * below `share`. */
bool demo_split_held_out(const struct demo_split *split, int64_t document, double share);

/* The text as it is spoken: the words that spell_out (text/english/spell.h) gives, with one space between them.
 * Allocated for the caller. */
enum status spoken_form(const char *text, int64_t length, char **form);

#endif
