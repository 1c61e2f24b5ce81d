/* How far a misspelled name is from a known one. */
#ifndef SPIRITLM_CORE_EDIT_DISTANCE_H
#define SPIRITLM_CORE_EDIT_DISTANCE_H

#include <stdint.h>

/* Insertions, deletions and replacements of bytes that turn a into b (Levenshtein); both are cut at 127 bytes. */
int64_t edit_distance(const char *a, const char *b);

#endif
