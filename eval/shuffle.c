/* A Fisher-Yates shuffle of the places of one kind of token; all other tokens keep theirs. A document's permutation
 * follows from the seed and its number, so it does not depend on which documents were shuffled before it. */
#include "eval/shuffle.h"

#include "core/rng.h"

#include <stdlib.h>

enum status shuffle_kind(const struct vocabulary *vocabulary, enum token_kind kind, uint64_t seed, int64_t document,
                         struct scored_sequence *sequence)
{
    struct rng rng = rng_make(seed, RNG_EVALUATE, 1, (uint64_t)document);
    int64_t count = 0;
    int64_t *places = malloc((size_t)(sequence->count + 1) * sizeof *places);
    if (!places)
        return status_set(STATUS_INTERNAL, "no memory to shuffle a document");
    for (int64_t i = 0; i < sequence->count; i++)
        if (vocabulary_kind(vocabulary, sequence->ids[i]) == kind)
            places[count++] = i;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)rng_below(&rng, (uint64_t)i + 1);
        int32_t swap = sequence->ids[places[i]];
        sequence->ids[places[i]] = sequence->ids[places[j]];
        sequence->ids[places[j]] = swap;
    }
    free(places);
    return STATUS_OK;
}
