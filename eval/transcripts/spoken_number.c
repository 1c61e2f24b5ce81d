/* Everything that is done with these numbers in decimal is done to their digits: all multipliers are powers of ten, and sums
 * only touch the last digits, so no arithmetic of large integers is needed. */
#include "eval/transcripts/spoken_number.h"

#include "eval/transcripts/characters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HIGHEST_EXPONENT = 33, RESIDUAL_DIGITS = 3 };

/* The digits from byte `at` on: their end and number. */
static int64_t digits_end(const char *bytes, int64_t size, int64_t at, int64_t *count)
{
    int64_t length;
    for (*count = 0; at < size && is_decimal_digit(character_at(bytes, size, at, &length)); at += length)
        ++*count;
    return at;
}

bool is_numeral(const char *bytes, int64_t size)
{
    int64_t whole, fraction = 1, end = digits_end(bytes, size, 0, &whole);
    if (end < size && bytes[end] == '.')
        end = digits_end(bytes, size, end + 1, &fraction);
    return end == size && whole > 0 && fraction > 0 && whole <= NUMERAL_DIGITS && fraction <= NUMERAL_DIGITS;
}

static void add_ascii_digits(struct text_buffer *to, const char *bytes, int64_t begin, int64_t end)
{
    for (int64_t at = begin, length; at < end; at += length) {
        char digit = (char)('0' + decimal_digit_value(character_at(bytes, end, at, &length)));
        if (digit != '0' || to->size > 0) /* no leading zeros */
            text_buffer_add(to, &digit, 1);
    }
}

/* Bytes of the fraction without the zeros at its end; *digits counts them. */
static int64_t fraction_end(const char *bytes, int64_t size, int64_t begin, int64_t *digits)
{
    int64_t end = begin, count = 0, length;
    *digits = 0;
    for (int64_t at = begin; at < size; at += length) {
        uint32_t code = character_at(bytes, size, at, &length);
        count++;
        if (decimal_digit_value(code) == 0)
            continue;
        end = at + length;
        *digits = count;
    }
    return end;
}

/* The integer that the digits of a text are when its full stop moves by `exponent` places; false if it is none. */
static bool shift(struct text_buffer *to, const char *bytes, int64_t size, int exponent)
{
    int64_t whole, fraction = 0, digits = 0, point = digits_end(bytes, size, 0, &whole), end = point;
    to->size = 0;
    text_buffer_add(to, "", 0);
    if (point < size && bytes[point] == '.') {
        if (digits_end(bytes, size, point + 1, &fraction) != size)
            return false;
        end = fraction_end(bytes, size, point + 1, &digits);
    } else if (point < size) {
        return false;
    }
    if (whole + fraction == 0 || whole > NUMERAL_DIGITS || fraction > NUMERAL_DIGITS || digits > exponent)
        return false;
    add_ascii_digits(to, bytes, 0, point);
    if (digits > 0)
        add_ascii_digits(to, bytes, point + 1, end);
    for (int64_t i = digits; i < exponent && to->size > 0; i++)
        text_buffer_add(to, "0", 1);
    if (to->size == 0)
        text_buffer_add(to, "0", 1);
    return true;
}

void spoken_set_numeral(struct spoken_number *number, const char *bytes, int64_t size)
{
    if (shift(&number->digits, bytes, size, 0)) {
        number->kind = SPOKEN_INTEGER;
        return;
    }
    number->digits.size = 0;
    text_buffer_add(&number->digits, bytes, size);
    number->kind = SPOKEN_TEXT;
}

void spoken_set_integer(struct spoken_number *number, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    number->digits.size = 0;
    text_buffer_add_text(&number->digits, text);
    number->kind = SPOKEN_INTEGER;
}

void spoken_set_power(struct spoken_number *number, int exponent)
{
    spoken_set_integer(number, 1);
    for (int i = 0; i < exponent; i++)
        text_buffer_add(&number->digits, "0", 1);
}

bool spoken_is_zero(const struct spoken_number *number)
{
    return number->kind == SPOKEN_INTEGER && number->digits.size == 1 && number->digits.bytes[0] == '0';
}

void spoken_append(struct spoken_number *number, const char *bytes, int64_t size)
{
    if (number->kind == SPOKEN_NONE || spoken_is_zero(number))
        number->digits.size = 0;
    text_buffer_add(&number->digits, bytes, size);
    number->kind = SPOKEN_TEXT;
}

bool spoken_add(struct spoken_number *number, int value, int zeros)
{
    struct text_buffer *digits = &number->digits;
    char text[16];
    if (spoken_is_zero(number)) {
        spoken_set_integer(number, value);
        return true;
    }
    if (digits->size < zeros)
        return false;
    for (int i = 1; i <= zeros; i++)
        if (digits->bytes[digits->size - i] != '0')
            return false;
    snprintf(text, sizeof text, "%0*d", zeros, value);
    text_buffer_cut(digits, digits->size - zeros);
    text_buffer_add_text(digits, text);
    return true;
}

void spoken_multiply(struct spoken_number *number, int exponent)
{
    struct text_buffer *digits = &number->digits, sum = {0};
    char added[HIGHEST_EXPONENT + RESIDUAL_DIGITS + 1] = "";
    int64_t kept = digits->size > RESIDUAL_DIGITS ? digits->size - RESIDUAL_DIGITS : 0;
    int64_t count = digits->size - kept + exponent;
    if (digits->result != STATUS_OK)
        return;
    memcpy(added, digits->bytes + kept, (size_t)(digits->size - kept));
    memset(added + digits->size - kept, '0', (size_t)exponent);
    memset(digits->bytes + kept, '0', (size_t)(digits->size - kept));
    /* from the last digit on; one more in front for what is carried */
    int64_t places = (count > digits->size ? count : digits->size) + 1, first = 0;
    for (int64_t i = 0; i < places; i++)
        text_buffer_add(&sum, "0", 1);
    for (int64_t i = 1, carry = 0; i <= places && sum.result == STATUS_OK; i++) {
        int64_t digit = carry + (i <= count ? added[count - i] - '0' : 0);
        digit += i <= digits->size ? digits->bytes[digits->size - i] - '0' : 0;
        sum.bytes[places - i] = (char)('0' + digit % 10);
        carry = digit / 10;
    }
    while (sum.result == STATUS_OK && first < places - 1 && sum.bytes[first] == '0')
        first++;
    digits->size = 0;
    if (sum.result == STATUS_OK)
        text_buffer_add(digits, sum.bytes + first, sum.size - first);
    else
        digits->result = sum.result;
    free(sum.bytes);
}

bool spoken_scale(struct spoken_number *number, int exponent)
{
    struct text_buffer scaled = {0};
    bool integer = shift(&scaled, number->digits.bytes, number->digits.size, exponent);
    if (scaled.result != STATUS_OK) {
        number->digits.result = scaled.result;
    } else if (integer) {
        number->digits.size = 0;
        text_buffer_add(&number->digits, scaled.bytes, scaled.size);
        number->kind = SPOKEN_INTEGER;
    }
    free(scaled.bytes);
    return integer;
}
