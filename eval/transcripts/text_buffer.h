/* Text that grows while a stage of a text form writes it. The first failure is kept in `result`, and what is added after it is
 * dropped, so that stages need not ask after each character; whoever runs them asks once at the end. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_TEXT_BUFFER_H
#define SPIRITLM_EVAL_TRANSCRIPTS_TEXT_BUFFER_H

#include "core/status.h"

#include <stdint.h>

/* Starts as {0}; the owner frees `bytes`. */
struct text_buffer {
    char *bytes; /* NUL-terminated once something was added */
    int64_t size, room;
    enum status result;
};

void text_buffer_add(struct text_buffer *buffer, const char *bytes, int64_t size);
void text_buffer_add_text(struct text_buffer *buffer, const char *text);
void text_buffer_add_code(struct text_buffer *buffer, uint32_t code);

/* Shortens the text to its first `size` bytes. */
void text_buffer_cut(struct text_buffer *buffer, int64_t size);

#endif
