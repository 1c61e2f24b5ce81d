/* The Levenshtein distance by dynamic programming over one row: row[j] is the distance between the bytes of a read so
 * far and the first j bytes of b. Names of options and keys are short, so the row lies on the stack. */
#include "core/edit_distance.h"

#include <string.h>

int64_t edit_distance(const char *a, const char *b)
{
    int64_t row[128];
    int64_t columns = (int64_t)strnlen(b, 127), rows = (int64_t)strnlen(a, 127);
    for (int64_t j = 0; j <= columns; j++)
        row[j] = j;
    for (int64_t i = 1; i <= rows; i++) {
        int64_t diagonal = row[0];
        row[0] = i;
        for (int64_t j = 1; j <= columns; j++) {
            int64_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[columns];
}
