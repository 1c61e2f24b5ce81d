/* The stages that text forms are made of. Each reads a text that is UTF-8 and writes another; a form is a list of stages. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_TEXT_STAGES_H
#define SPIRITLM_EVAL_TRANSCRIPTS_TEXT_STAGES_H

#include "eval/transcripts/text_buffer.h"

/* A text on its way through the stages. `text` is what the last stage wrote; `next` is where the next one writes. */
struct text_work {
    struct text_buffer text, next;
};

typedef void (*text_stage)(const struct text_buffer *from, struct text_buffer *to);

/* Runs one stage and makes its result `text`. Nothing happens after a failure, which stays in text.result. */
void text_work_run(struct text_work *work, text_stage stage);

/* ---- whisper_common.c: what both forms of Whisper begin and end with ---- */

void lower_case_stage(const struct text_buffer *from, struct text_buffer *to);

/* Drops what stands between < or [ and the next > or ], and then what stands between parentheses, if it is not empty. */
void brackets_stage(const struct text_buffer *from, struct text_buffer *to);
void parentheses_stage(const struct text_buffer *from, struct text_buffer *to);

/* NFKC; marks, symbols and punctuation become a space each. */
void symbols_to_spaces_stage(const struct text_buffer *from, struct text_buffer *to);

/* Runs of white space become one space. */
void single_spaces_stage(const struct text_buffer *from, struct text_buffer *to);

/* ---- whisper_english.c, whisper_contractions.c, whisper_numbers.c ---- */

/* Steps 3 to 8 of the form: from hesitations to marks and symbols. */
void english_words_work(struct text_work *work);

/* Contractions, titles and colloquial forms, one pattern after the other. */
void contractions_work(struct text_work *work);

/* Numbers in words become digits, with their currency or per cent. */
void numbers_work(struct text_work *work);

/* Symbols of currency, full stops and per cent signs that belong to no number, and spaces. */
void stray_symbols_work(struct text_work *work);

/* ---- librispeech_form.c ---- */

void librispeech_stage(const struct text_buffer *from, struct text_buffer *to);

#endif
