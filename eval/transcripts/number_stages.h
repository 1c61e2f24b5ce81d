/* The stages of whisper-english that deal with numbers. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_NUMBER_STAGES_H
#define SPIRITLM_EVAL_TRANSCRIPTS_NUMBER_STAGES_H

#include "eval/transcripts/text_buffer.h"

/* "and a half" after a number becomes "point five"; at the beginning of a text it is lost. */
void and_a_half_stage(const struct text_buffer *from, struct text_buffer *to);

/* A space between a digit and a letter, but none before an ordinal's or plural's suffix (ASCII). */
void digits_apart_stage(const struct text_buffer *from, struct text_buffer *to);
void digit_suffixes_stage(const struct text_buffer *from, struct text_buffer *to);

/* Words become numbers, see whisper_numbers.c. */
void spoken_numbers_stage(const struct text_buffer *from, struct text_buffer *to);

/* "$2 and ¢7" becomes "$2.07", then "$0.07" "¢7", then "1" and "1s" "one" and "ones". */
void combined_cents_stage(const struct text_buffer *from, struct text_buffer *to);
void cents_alone_stage(const struct text_buffer *from, struct text_buffer *to);
void one_stage(const struct text_buffer *from, struct text_buffer *to);

#endif
