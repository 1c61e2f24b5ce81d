/* White space is what Unicode calls so, whatever the locale: isspace() would cut the same text differently on another
 * machine. */
#include "text/white_space.h"

#include "text/unicode.h"

void trim_white_space(const char *text, int64_t *begin, int64_t *end)
{
    size_t length;
    while (*begin < *end && (length = unicode_space_at(text + *begin, (size_t)(*end - *begin))) > 0)
        *begin += (int64_t)length;
    while (*end > *begin && (length = unicode_space_before(text + *begin, (size_t)(*end - *begin))) > 0)
        *end -= (int64_t)length;
}
