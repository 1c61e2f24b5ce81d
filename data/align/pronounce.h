/* Letter to sound: the pronunciation of a word that no dictionary has, by flite's lexicon and rules, in the 39 phones
 * of the CMU dictionary that pocketsphinx's English model knows ("HH AH L OW"). */
#ifndef SPIRITLM_DATA_ALIGN_PRONOUNCE_H
#define SPIRITLM_DATA_ALIGN_PRONOUNCE_H

#include <stdbool.h>
#include <stddef.h>

/* `word` is in lower case; bytes other than a-z are skipped. Returns false and an empty text when it has no letters or
 * the phones do not fit. Thread-safe. */
bool pronounce(const char *word, char *phones, size_t size);

/* Appends the sound of "'s" to phones: S, Z or AH Z. False when it does not fit. */
bool pronounce_genitive(char *phones, size_t size);

#endif
