/* The room at least doubles when it is used up (core/array.h), so that a text of n bytes is moved O(n) bytes in all. A NUL is
 * kept behind the text, because the stages also search in it with the functions of string.h. */
#include "eval/transcripts/text_buffer.h"

#include "core/array.h"

#include <string.h>
#include <utf8proc.h>

void text_buffer_add(struct text_buffer *buffer, const char *bytes, int64_t size)
{
    if (buffer->result == STATUS_OK && buffer->size + size >= buffer->room)
        buffer->result = array_grow(&buffer->bytes, &buffer->room, buffer->size + size + 1, "bytes of text");
    if (buffer->result != STATUS_OK)
        return;
    if (size > 0)
        memcpy(buffer->bytes + buffer->size, bytes, (size_t)size);
    buffer->size += size;
    buffer->bytes[buffer->size] = 0;
}

void text_buffer_add_text(struct text_buffer *buffer, const char *text)
{
    text_buffer_add(buffer, text, (int64_t)strlen(text));
}

void text_buffer_add_code(struct text_buffer *buffer, uint32_t code)
{
    char bytes[4];
    text_buffer_add(buffer, bytes, utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)bytes));
}

void text_buffer_cut(struct text_buffer *buffer, int64_t size)
{
    if (size >= buffer->size)
        return;
    buffer->size = size;
    buffer->bytes[size] = 0;
}
