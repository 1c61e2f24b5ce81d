/* White space at the ends of a text: what training leaves out between two pieces, a prompt leaves out too. */
#ifndef SPIRITLM_TEXT_WHITE_SPACE_H
#define SPIRITLM_TEXT_WHITE_SPACE_H

#include <stdint.h>

/* Narrows UTF-8 text[*begin, *end) to what lies between the white space at its ends; *begin == *end when nothing does. */
void trim_white_space(const char *text, int64_t *begin, int64_t *end);

#endif
