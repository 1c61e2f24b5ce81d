/* Whisper's form for English apart from contractions and numbers, each stage a scanner for one regular expression of the
 * original. Where a stage looks odd it is the expression that is: "1,2,3" keeps its second comma, because the digit before it
 * was used up by the first; a full stop that is taken out takes the next one along as if it were a letter. */
#include "eval/transcripts/characters.h"
#include "eval/transcripts/normal_form.h"
#include "eval/transcripts/text_stages.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- steps 3 and 4: hesitations, and spaces before an apostrophe ---- */

static int64_t hesitation_at(const struct text_buffer *text, int64_t at)
{
    static const char *const sounds[] = {"hmm", "mm", "mhm", "mmm", "uh", "um"};
    if (!strchr("hmu", text->bytes[at]) || !is_word_boundary(text->bytes, text->size, at))
        return 0;
    for (size_t i = 0; i < sizeof sounds / sizeof *sounds; i++) {
        int64_t length = (int64_t)strlen(sounds[i]);
        if (strncmp(text->bytes + at, sounds[i], (size_t)length) == 0 &&
            is_word_boundary(text->bytes, text->size, at + length))
            return length;
    }
    return 0;
}

static void hesitations_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0; at < from->size;) {
        int64_t length = hesitation_at(from, at);
        if (length == 0)
            text_buffer_add(to, from->bytes + at, 1);
        at += length > 0 ? length : 1;
    }
}

static void apostrophes_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0, length; at < from->size; at += length) {
        int64_t end = skip_white_space(from->bytes, from->size, at);
        character_at(from->bytes, from->size, at, &length);
        length = end > at ? end - at : length;
        if (end == at || from->bytes[end] != '\'')
            text_buffer_add(to, from->bytes + at, length);
    }
}

/* ---- steps 6 to 8: commas, full stops, marks and symbols ---- */

static void commas_stage(const struct text_buffer *from, struct text_buffer *to)
{
    int64_t used = 0, length; /* a digit before this byte belongs to the number before it */
    for (int64_t at = 0; at < from->size; at++) {
        bool between = from->bytes[at] == ',' && at > used && is_decimal_digit(character_before(from->bytes, at)) &&
                       is_decimal_digit(character_at(from->bytes, from->size, at + 1, &length));
        if (between)
            used = at + 1 + length;
        else
            text_buffer_add(to, from->bytes + at, 1);
    }
}

static void full_stops_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0, length; at < from->size; at += length) {
        character_at(from->bytes, from->size, at, &length);
        if (from->bytes[at] != '.' || is_ascii_digit(from->bytes[at + 1])) {
            text_buffer_add(to, from->bytes + at, length);
            continue;
        }
        int64_t next;
        character_at(from->bytes, from->size, at + 1, &next);
        text_buffer_add(to, " ", 1);
        text_buffer_add(to, from->bytes + at + 1, next);
        length += next;
    }
}

/* The letters that no normal form takes apart. The text is in lower case, but NFKD makes a capital of one superscript. */
static const char *spelled_out(uint32_t code)
{
    static const struct {
        uint32_t code;
        const char *letters;
    } letters[] = {{0x153, "oe"}, {0xF8, "o"}, {0xE6, "ae"}, {0xC6, "AE"}, {0xDF, "ss"},
                   {0x111, "d"},  {0xF0, "d"}, {0xFE, "th"}, {0x142, "l"}};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].code == code)
            return letters[i].letters;
    return NULL;
}

static void add_without_marks(struct text_buffer *to, uint32_t code)
{
    const bool kept = code == '.' || code == '%' || code == '$' || code == 0xA2 || code == 0xA3 || code == 0x20AC;
    const char *letters = kept ? NULL : spelled_out(code);
    if (letters)
        text_buffer_add_text(to, letters);
    else if (kept || !is_mark_symbol_or_punctuation(code))
        text_buffer_add_code(to, code);
    else if (utf8proc_category((utf8proc_int32_t)code) != UTF8PROC_CATEGORY_MN)
        text_buffer_add(to, " ", 1);
}

static void marks_stage(const struct text_buffer *from, struct text_buffer *to)
{
    int32_t *codes = NULL;
    int64_t count = 0;
    enum status result = normal_form(from->bytes, from->size, false, &codes, &count);
    if (result != STATUS_OK)
        to->result = result;
    for (int64_t i = 0; i < count; i++)
        add_without_marks(to, (uint32_t)codes[i]);
    free(codes);
}

void english_words_work(struct text_work *work)
{
    text_work_run(work, hesitations_stage);
    text_work_run(work, apostrophes_stage);
    contractions_work(work);
    text_work_run(work, commas_stage);
    text_work_run(work, full_stops_stage);
    text_work_run(work, marks_stage);
}

/* ---- the last steps: symbols that belong to no number ---- */

/* Bytes of a symbol that stands before a number: a full stop or a currency. */
static int64_t symbol_at(const struct text_buffer *text, int64_t at)
{
    int64_t length;
    uint32_t code = character_at(text->bytes, text->size, at, &length);
    return code == '.' || code == '$' || code == 0xA2 || code == 0xA3 || code == 0x20AC ? length : 0;
}

/* The symbol is left out and the character behind it, whatever it is, stays. */
static void symbols_before_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0, length; at < from->size; at += length) {
        int64_t symbol = symbol_at(from, at);
        if (symbol > 0 && at + symbol < from->size && !is_ascii_digit(from->bytes[at + symbol])) {
            text_buffer_add(to, " ", 1);
            at += symbol;
        }
        character_at(from->bytes, from->size, at, &length);
        text_buffer_add(to, from->bytes + at, length);
    }
}

static void per_cent_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0, length; at < from->size; at += length) {
        character_at(from->bytes, from->size, at, &length);
        text_buffer_add(to, from->bytes + at, length);
        if (!is_ascii_digit(from->bytes[at]) && from->bytes[at + length] == '%') {
            text_buffer_add(to, " ", 1);
            length++;
        }
    }
}

void stray_symbols_work(struct text_work *work)
{
    text_work_run(work, symbols_before_stage);
    text_work_run(work, per_cent_stage);
    text_work_run(work, single_spaces_stage);
}
