/* White space at the ends of a text: what training leaves out between two pieces, a prompt leaves out too. */
#ifndef SPIRITLM_TEXT_WHITE_SPACE_H
#define SPIRITLM_TEXT_WHITE_SPACE_H

#include <stdint.h>

/* Narrows UTF-8 text[*begin, *end) to what lies between the white space at its ends; *begin == *end when nothing does. */
void trim_white_space(const char *text, int64_t *begin, int64_t *end);

/* The same with what Python's str.strip takes for white space, for texts that programs in Python have made the measure of: control
 * characters are none of it but tab to carriage return, 0x1c to 0x1f and 0x85. */
void trim_python_space(const char *text, int64_t *begin, int64_t *end);

#endif
