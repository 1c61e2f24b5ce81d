/* What every aligner makes, and whoever asked for it frees: a file of its own, since the aligners need it and align.c needs them. */
#include "data/align/align.h"

#include <stdlib.h>

void alignment_free(struct alignment *alignment)
{
    free(alignment->words);
    free(alignment->word_scores);
    *alignment = (struct alignment){0};
}
