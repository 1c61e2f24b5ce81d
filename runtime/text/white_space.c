/* White space by hand rather than by isspace(), whose answer depends on the locale: the same text would be cut
 * differently on another machine. */
#include "text/white_space.h"

bool is_white_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void trim_white_space(const char *text, int64_t *begin, int64_t *end)
{
    while (*begin < *end && is_white_space(text[*begin]))
        ++*begin;
    while (*end > *begin && is_white_space(text[*end - 1]))
        --*end;
}
