/* Numbers spoken in words, by digit, by pair, as a year or in full. Words are built in a phrase of fixed size, since
 * readings are made and discarded by the thousand and none of them should allocate; a number is a list of words all the
 * way, so that an ordinal or a plural only changes the last one. */
#include "text/english/numerals.h"

#include <string.h>

static const char *const small_numbers[20] = {
    "zero", "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
    "ten",  "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
static const char *const tens[10] = {"",      "",      "twenty",  "thirty", "forty",
                                     "fifty", "sixty", "seventy", "eighty", "ninety"};

void phrase_clear(struct phrase *phrase)
{
    phrase->count = 0;
}

void phrase_add_bytes(struct phrase *phrase, const char *bytes, int64_t length)
{
    if (phrase->count == PHRASE_WORDS || length <= 0)
        return;
    if (length > SPOKEN_WORD_BYTES - 1) {
        length = SPOKEN_WORD_BYTES - 1;
        while (length > 0 && ((unsigned char)bytes[length] & 0xC0) == 0x80)
            length--;
    }
    char *word = phrase->words[phrase->count++];
    memcpy(word, bytes, (size_t)length);
    word[length] = '\0';
}

void phrase_add(struct phrase *phrase, const char *word)
{
    phrase_add_bytes(phrase, word, (int64_t)strlen(word));
}

void phrase_append(struct phrase *phrase, const struct phrase *more)
{
    for (int i = 0; i < more->count; i++)
        phrase_add(phrase, more->words[i]);
}

bool phrase_equal(const struct phrase *a, const struct phrase *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (strcmp(a->words[i], b->words[i]) != 0)
            return false;
    return true;
}

/* Replaces the last `cut` bytes of the last word by `ending`. */
static void change_ending(struct phrase *phrase, size_t cut, const char *ending)
{
    char *word = phrase->words[phrase->count - 1];
    size_t length = strlen(word) - cut;
    if (length + strlen(ending) < SPOKEN_WORD_BYTES)
        memcpy(word + length, ending, strlen(ending) + 1);
}

void phrase_pluralize(struct phrase *phrase)
{
    if (phrase->count == 0)
        return;
    const char *word = phrase->words[phrase->count - 1];
    char last = word[strlen(word) - 1];
    if (last == 'y')
        change_ending(phrase, 1, "ies");
    else
        change_ending(phrase, 0, last == 'x' || last == 's' ? "es" : "s");
}

void phrase_make_ordinal(struct phrase *phrase)
{
    static const struct {
        const char *cardinal, *ordinal;
    } irregular[] = {{"one", "first"},    {"two", "second"}, {"three", "third"},   {"five", "fifth"},
                     {"eight", "eighth"}, {"nine", "ninth"}, {"twelve", "twelfth"}};
    if (phrase->count == 0)
        return;
    const char *word = phrase->words[phrase->count - 1];
    for (size_t i = 0; i < sizeof irregular / sizeof irregular[0]; i++)
        if (strcmp(word, irregular[i].cardinal) == 0) {
            change_ending(phrase, strlen(word), irregular[i].ordinal);
            return;
        }
    if (word[strlen(word) - 1] == 'y')
        change_ending(phrase, 1, "ieth");
    else
        change_ending(phrase, 0, "th");
}

static void say_below_hundred(struct phrase *phrase, unsigned value)
{
    if (value < 20) {
        phrase_add(phrase, small_numbers[value]);
        return;
    }
    phrase_add(phrase, tens[value / 10]);
    if (value % 10 != 0)
        phrase_add(phrase, small_numbers[value % 10]);
}

void say_cardinal(struct phrase *phrase, uint64_t value, bool joined)
{
    static const char *const scales[] = {"",         "thousand",    "million",    "billion",
                                         "trillion", "quadrillion", "quintillion"};
    if (value == 0) {
        phrase_add(phrase, "zero");
        return;
    }
    uint64_t unit = 1000000000000000000u;
    for (int scale = 6; scale >= 0; scale--, unit /= 1000) {
        unsigned group = (unsigned)(value / unit % 1000);
        if (group == 0)
            continue;
        if (group >= 100) {
            phrase_add(phrase, small_numbers[group / 100]);
            phrase_add(phrase, "hundred");
        }
        if (group % 100 != 0) {
            if (joined && (group >= 100 || (scale == 0 && value >= 1000)))
                phrase_add(phrase, "and");
            say_below_hundred(phrase, group % 100);
        }
        if (scale > 0)
            phrase_add(phrase, scales[scale]);
    }
}

void say_year(struct phrase *phrase, int year)
{
    unsigned century = (unsigned)year / 100, rest = (unsigned)year % 100;
    if (century % 10 == 0 && rest < 10) {
        say_cardinal(phrase, (uint64_t)year, false);
        return;
    }
    say_below_hundred(phrase, century);
    if (rest == 0)
        phrase_add(phrase, "hundred");
    else if (rest < 10)
        phrase_add(phrase, "oh");
    if (rest != 0)
        say_below_hundred(phrase, rest);
}

void say_digits(struct phrase *phrase, const char *digits, int count, bool oh)
{
    for (int i = 0; i < count; i++)
        if (digits[i] >= '0' && digits[i] <= '9')
            phrase_add(phrase, digits[i] == '0' && oh ? "oh" : small_numbers[digits[i] - '0']);
}

void say_pairs(struct phrase *phrase, const char *digits, int count)
{
    int i = 0;
    if (count % 2 == 1) {
        phrase_add(phrase, small_numbers[digits[0] - '0']);
        i = 1;
    }
    for (; i + 1 < count; i += 2) {
        unsigned value = (unsigned)(digits[i] - '0') * 10 + (unsigned)(digits[i + 1] - '0');
        if (value == 0 && i > 0 && i + 2 == count)
            phrase_add(phrase, "hundred");
        else if (value < 10) {
            phrase_add(phrase, "oh");
            phrase_add(phrase, value == 0 ? "oh" : small_numbers[value]);
        } else
            say_below_hundred(phrase, value);
    }
}

void say_letters(struct phrase *phrase, const char *letters, int count)
{
    for (int i = 0; i < count; i++) {
        char letter = letters[i];
        if (letter >= 'A' && letter <= 'Z')
            letter = (char)(letter - 'A' + 'a');
        if (letter >= 'a' && letter <= 'z')
            phrase_add_bytes(phrase, &letter, 1);
    }
}
