/* Unicode's compatibility normal forms, NFKD and NFKC, in linear time. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_NORMAL_FORM_H
#define SPIRITLM_EVAL_TRANSCRIPTS_NORMAL_FORM_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

/* The code points of the form of text[0, size), which is UTF-8: decomposed (NFKD), or composed again (NFKC). Allocated for
 * the caller. */
enum status normal_form(const char *text, int64_t size, bool composed, int32_t **codes, int64_t *count);

#endif
