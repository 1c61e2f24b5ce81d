/* Numbers in words become digits: "twenty five thousand dollars" is "$25000", "two point five per cent" "2.5%", "one oh one"
 * "101". Words are read from left to right; the number that is being put together joins with each next word or is written. Which
 * of the two happens is Whisper's choice, also where it surprises: "point hundred" loses its point, and a sign that was found
 * before a word that only seemed to be a number is put before whatever is written next. */
#include "core/array.h"
#include "eval/transcripts/characters.h"
#include "eval/transcripts/number_stages.h"
#include "eval/transcripts/number_words.h"
#include "eval/transcripts/spoken_number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spoken_word {
    const char *bytes;
    int64_t size;
    const struct number_word *known;
    bool numeral;
};

struct reader {
    struct spoken_word *words;
    int64_t count, room, at;
    struct spoken_number value;
    const char *prefix; /* a sign or a currency's symbol that is written before what is written next; "": none */
    struct text_buffer *to;
    bool written; /* whether a space comes before the next word */
};

/* ---- what is written ---- */

static void write_word(struct reader *reader, const char *bytes, int64_t size, const char *suffix)
{
    if (reader->written)
        text_buffer_add(reader->to, " ", 1);
    text_buffer_add_text(reader->to, reader->prefix);
    text_buffer_add(reader->to, bytes, size);
    text_buffer_add_text(reader->to, suffix);
    reader->written = true;
    reader->prefix = "";
    reader->value.kind = SPOKEN_NONE;
}

static void write_value(struct reader *reader, const char *suffix)
{
    write_word(reader, reader->value.digits.bytes, reader->value.digits.size, suffix);
}

static void flush(struct reader *reader)
{
    if (reader->value.kind != SPOKEN_NONE)
        write_value(reader, "");
}

static void write_current(struct reader *reader)
{
    const struct spoken_word *current = reader->words + reader->at;
    flush(reader);
    write_word(reader, current->bytes, current->size, "");
}

/* ---- the words beside the present one ---- */

static enum number_kind kind_beside(const struct reader *reader, int step)
{
    int64_t at = reader->at + step;
    return at >= 0 && at < reader->count ? reader->words[at].known->kind : NUMBER_OTHER;
}

static bool numeral_follows(const struct reader *reader)
{
    return reader->at + 1 < reader->count && reader->words[reader->at + 1].numeral;
}

static bool number_follows(const struct reader *reader)
{
    return kind_beside(reader, 1) != NUMBER_OTHER || numeral_follows(reader);
}

/* ---- what joins the number ---- */

static void join_numeral(struct reader *reader, const char *symbol, int64_t skipped)
{
    const struct spoken_word *current = reader->words + reader->at;
    const struct text_buffer *digits = &reader->value.digits;
    if (reader->value.kind == SPOKEN_TEXT && digits->size > 0 && digits->bytes[digits->size - 1] == '.') {
        spoken_append(&reader->value, current->bytes, current->size); /* a fraction, or the next part of an address */
        return;
    }
    flush(reader);
    if (symbol)
        reader->prefix = symbol;
    spoken_set_numeral(&reader->value, current->bytes + skipped, current->size - skipped);
}

static void append_value(struct spoken_number *value, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    spoken_append(value, text, (int64_t)strlen(text));
}

/* One to nineteen. */
static void join_one(struct reader *reader, int number)
{
    struct spoken_number *value = &reader->value;
    const enum number_kind before = kind_beside(reader, -1);
    if (value->kind == SPOKEN_NONE) {
        spoken_set_integer(value, number);
    } else if (value->kind == SPOKEN_TEXT || before == NUMBER_ONE) {
        if (before == NUMBER_TEN && number < 10 && value->digits.size > 0)
            text_buffer_cut(&value->digits, value->digits.size - 1); /* the zero of "twenty" */
        append_value(value, number);
    } else if (!spoken_add(value, number, number < 10 ? 1 : 2)) {
        append_value(value, number);
    }
}

static void join_ten(struct spoken_number *value, int number)
{
    if (value->kind == SPOKEN_NONE)
        spoken_set_integer(value, number);
    else if (value->kind == SPOKEN_TEXT || !spoken_add(value, number, 2))
        append_value(value, number);
}

static void join_power(struct reader *reader, int exponent)
{
    struct spoken_number *value = &reader->value;
    if (value->kind == SPOKEN_INTEGER) {
        spoken_multiply(value, exponent);
    } else if (value->kind == SPOKEN_NONE || !spoken_scale(value, exponent)) {
        flush(reader);
        spoken_set_power(value, exponent);
    }
}

static void join_sign(struct reader *reader, const char *sign)
{
    flush(reader);
    if (number_follows(reader))
        reader->prefix = sign;
    else
        write_current(reader);
}

static void join_currency(struct reader *reader, const char *symbol)
{
    if (reader->value.kind == SPOKEN_NONE) {
        write_current(reader);
        return;
    }
    reader->prefix = symbol;
    flush(reader);
}

static bool word_is(const struct spoken_word *word, const char *text)
{
    return word->size == (int64_t)strlen(text) && memcmp(word->bytes, text, strlen(text)) == 0;
}

static void join_per(struct reader *reader)
{
    bool cent = reader->at + 1 < reader->count && word_is(reader->words + reader->at + 1, "cent");
    if (reader->value.kind == SPOKEN_NONE || !cent) {
        write_current(reader);
        return;
    }
    write_value(reader, "%");
    reader->at++;
}

static void join_special(struct reader *reader, enum number_kind kind)
{
    const enum number_kind after = kind_beside(reader, 1);
    if (!number_follows(reader)) {
        write_current(reader);
    } else if (kind == NUMBER_AND) {
        if (kind_beside(reader, -1) != NUMBER_POWER) /* after "hundred" it is part of the number */
            write_current(reader);
    } else if (kind == NUMBER_POINT) {
        if (after == NUMBER_ZERO || after == NUMBER_ONE || after == NUMBER_TEN || numeral_follows(reader))
            spoken_append(&reader->value, ".", 1);
    } else if (after == NUMBER_ZERO || after == NUMBER_ONE) {
        char digits[16];
        snprintf(digits, sizeof digits, "%d", reader->words[reader->at + 1].known->value);
        for (int i = 0; i < (kind == NUMBER_DOUBLE ? 2 : 3); i++)
            spoken_append(&reader->value, digits, (int64_t)strlen(digits));
        reader->at++;
    } else {
        write_current(reader);
    }
}

static void read_number_word(struct reader *reader, const struct number_word *word)
{
    switch (word->kind) {
    case NUMBER_ZERO:
        spoken_append(&reader->value, "0", 1);
        break;
    case NUMBER_ONE:
    case NUMBER_ONE_SUFFIXED:
        join_one(reader, word->value);
        break;
    case NUMBER_TEN:
    case NUMBER_TEN_SUFFIXED:
        join_ten(&reader->value, word->value);
        break;
    case NUMBER_POWER:
    case NUMBER_POWER_SUFFIXED:
        join_power(reader, word->value);
        break;
    case NUMBER_SIGN:
        join_sign(reader, word->mark);
        break;
    case NUMBER_CURRENCY:
        join_currency(reader, word->mark);
        break;
    case NUMBER_PER:
        join_per(reader);
        break;
    case NUMBER_PERCENT:
        if (reader->value.kind == SPOKEN_NONE)
            write_current(reader);
        else
            write_value(reader, "%");
        break;
    default:
        join_special(reader, word->kind);
    }
    if (word->kind == NUMBER_ONE_SUFFIXED || word->kind == NUMBER_TEN_SUFFIXED || word->kind == NUMBER_POWER_SUFFIXED)
        write_value(reader, word->mark); /* nothing can follow an ordinal or a plural */
}

/* The symbol of a currency that a word begins with; NULL: none. */
static const char *currency_of(const struct spoken_word *word)
{
    static const char *const symbols[] = {"$", "¢", "£", "€"};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (strncmp(word->bytes, symbols[i], strlen(symbols[i])) == 0)
            return symbols[i];
    return NULL;
}

static void read_word(struct reader *reader)
{
    const struct spoken_word *current = reader->words + reader->at;
    const char *symbol = currency_of(current);
    int64_t skipped = symbol ? (int64_t)strlen(symbol) : 0;
    if (is_numeral(current->bytes + skipped, current->size - skipped))
        join_numeral(reader, symbol, skipped);
    else if (current->known->kind == NUMBER_OTHER)
        write_current(reader);
    else
        read_number_word(reader, current->known);
}

static enum status find_words(struct reader *reader, const struct text_buffer *from)
{
    for (int64_t at = 0, length, begin; (begin = at = skip_white_space(from->bytes, from->size, at)) < from->size;) {
        while (at < from->size && !is_white_space(character_at(from->bytes, from->size, at, &length)))
            at += length;
        enum status result = array_grow(&reader->words, &reader->room, reader->count + 1, "words");
        if (result != STATUS_OK)
            return result;
        struct spoken_word word = {.bytes = from->bytes + begin, .size = at - begin};
        word.known = number_word_find(word.bytes, word.size);
        word.numeral = is_numeral(word.bytes, word.size);
        reader->words[reader->count++] = word;
    }
    return STATUS_OK;
}

void spoken_numbers_stage(const struct text_buffer *from, struct text_buffer *to)
{
    struct reader reader = {.to = to, .prefix = ""};
    enum status result = find_words(&reader, from);
    text_buffer_add(&reader.value.digits, "", 0);
    if (result == STATUS_OK)
        for (; reader.at < reader.count; reader.at++)
            read_word(&reader);
    flush(&reader);
    if (result == STATUS_OK)
        result = reader.value.digits.result;
    if (result != STATUS_OK)
        to->result = result;
    free(reader.value.digits.bytes);
    free(reader.words);
}
