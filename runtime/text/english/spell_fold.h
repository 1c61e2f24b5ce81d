/* A text in the few characters that the readers of tokens know: no accents, one kind of quotation mark and dash. */
#ifndef SPIRITLM_TEXT_ENGLISH_SPELL_FOLD_H
#define SPIRITLM_TEXT_ENGLISH_SPELL_FOLD_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct folded_text {
    char *bytes;
    int32_t *begin, *end; /* of the character each byte comes from, in the original */
    int64_t length;
    bool all_capitals;
};

/* The caller frees with folded_text_free. STATUS_USAGE when the text is longer than INT32_MAX bytes. */
enum status fold_text(const char *text, struct folded_text *folded);
void folded_text_free(struct folded_text *folded);

#endif
