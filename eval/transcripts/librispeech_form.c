/* LibriSpeech's transcripts know 26 letters, the apostrophe and single spaces. Other transcripts are brought into that form: the
 * text is normalised (NFKC: ligatures and wide letters become plain ones), typographic apostrophes become U+0027, letters become
 * capitals ("ß" becomes "SS"; all other letters have one capital), and every other character separates words. Letters that
 * English does not have stay, with their marks, since dropping them would make a word of two. */
#include "eval/transcripts/characters.h"
#include "eval/transcripts/normal_form.h"
#include "eval/transcripts/text_stages.h"

#include <stdlib.h>
#include <utf8proc.h>

enum { SHARP_S = 0xDF, CAPITAL_SHARP_S = 0x1E9E, RIGHT_QUOTE = 0x2019, LETTER_APOSTROPHE = 0x2BC };

static bool is_letter(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return true;
    default:
        return false;
    }
}

static bool is_mark(int32_t code)
{
    return is_mark_symbol_or_punctuation((uint32_t)code) && utf8proc_category(code) <= UTF8PROC_CATEGORY_ME;
}

/* A character of a word; `inside`: a letter or a mark precedes it. */
static bool add_letter(struct text_buffer *to, int32_t code, bool inside)
{
    if (code == '\'' || code == RIGHT_QUOTE || code == LETTER_APOSTROPHE)
        text_buffer_add(to, "'", 1);
    else if (code == SHARP_S || code == CAPITAL_SHARP_S)
        text_buffer_add(to, "SS", 2);
    else if (is_letter(code) || (inside && is_mark(code)))
        text_buffer_add_code(to, (uint32_t)utf8proc_toupper(code));
    else
        return false;
    return true;
}

void librispeech_stage(const struct text_buffer *from, struct text_buffer *to)
{
    int32_t *codes = NULL;
    int64_t count = 0;
    bool inside = false, gap = false;
    enum status result = normal_form(from->bytes, from->size, true, &codes, &count);
    if (result != STATUS_OK)
        to->result = result;
    for (int64_t i = 0; i < count; i++) {
        int64_t before = to->size;
        if (gap && before > 0 && to->bytes[before - 1] != ' ')
            text_buffer_add(to, " ", 1);
        inside = add_letter(to, codes[i], inside);
        gap = !inside;
    }
    if (to->size > 0 && to->bytes[to->size - 1] == ' ')
        text_buffer_cut(to, to->size - 1);
    free(codes);
}
