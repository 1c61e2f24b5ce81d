/* British spellings and the American ones that replace them: Whisper's normalizer.json, which is its owners' and not part of
 * this tree. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_SPELLINGS_H
#define SPIRITLM_EVAL_TRANSCRIPTS_SPELLINGS_H

#include "core/status.h"
#include "eval/transcripts/text_buffer.h"

struct spellings;

/* Reads the file, or normalizer.json in the folder: an object whose values are texts. */
enum status spellings_read(const char *path, struct spellings **spellings);
void spellings_free(struct spellings *spellings); /* NULL is fine */

/* Words with single spaces between them, each replaced by its other spelling if it has one. NULL: none has. */
void spellings_apply(const struct spellings *spellings, const struct text_buffer *from, struct text_buffer *to);

#endif
