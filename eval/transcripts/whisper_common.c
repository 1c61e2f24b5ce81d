/* The stages that Whisper's two forms share, and those of the basic one: lower case, groups in brackets, symbols, spaces. */
#include "eval/transcripts/characters.h"
#include "eval/transcripts/normal_form.h"
#include "eval/transcripts/text_stages.h"
#include "text/lower_case.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

void text_work_run(struct text_work *work, text_stage stage)
{
    if (work->text.result != STATUS_OK)
        return;
    work->next.size = 0;
    text_buffer_add(&work->next, "", 0);
    stage(&work->text, &work->next);
    struct text_buffer written = work->next;
    work->next = work->text;
    work->text = written;
}

void lower_case_stage(const struct text_buffer *from, struct text_buffer *to)
{
    char *lower = NULL;
    enum status result = text_lower_case(from->bytes, &lower);
    if (result != STATUS_OK)
        to->result = result;
    else
        text_buffer_add_text(to, lower);
    free(lower);
}

/* A group begins at any of `open`, holds at least `least` bytes and ends at the first of `close`. Where nothing closes, nothing
 * is dropped any more. */
static void drop_groups(const struct text_buffer *from, struct text_buffer *to, const char *open, const char *close,
                        size_t least)
{
    const char *at = from->bytes;
    while (*at) {
        size_t before = strcspn(at, open);
        text_buffer_add(to, at, (int64_t)before);
        at += before;
        if (!*at)
            break;
        size_t inside = strcspn(at + 1, close);
        if (!at[1 + inside]) {
            text_buffer_add_text(to, at);
            break;
        }
        if (inside < least)
            text_buffer_add(to, at, 1);
        at += inside < least ? 1 : inside + 2;
    }
}

void brackets_stage(const struct text_buffer *from, struct text_buffer *to)
{
    drop_groups(from, to, "<[", ">]", 0);
}

void parentheses_stage(const struct text_buffer *from, struct text_buffer *to)
{
    drop_groups(from, to, "(", ")", 1);
}

void symbols_to_spaces_stage(const struct text_buffer *from, struct text_buffer *to)
{
    int32_t *codes = NULL;
    int64_t count = 0;
    enum status result = normal_form(from->bytes, from->size, true, &codes, &count);
    if (result != STATUS_OK)
        to->result = result;
    for (int64_t i = 0; i < count; i++)
        text_buffer_add_code(to, is_mark_symbol_or_punctuation((uint32_t)codes[i]) ? ' ' : (uint32_t)codes[i]);
    free(codes);
}

void single_spaces_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0, length; at < from->size; at += length) {
        int64_t end = skip_white_space(from->bytes, from->size, at);
        character_at(from->bytes, from->size, at, &length);
        text_buffer_add(to, end > at ? " " : from->bytes + at, end > at ? 1 : length);
        length = end > at ? end - at : length;
    }
}
