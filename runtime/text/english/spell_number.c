/* Tokens with digits: integers, decimals, ordinals, money, percentages, measures, and names that mix letters and
 * digits. Those with several groups of digits are in spell_groups.c. */
#include "text/english/spell_number.h"

#include "text/english/spell_groups.h"

#include <string.h>

/* ---- reading one number ---- */

struct number {
    const char *digits; /* of the whole part without commas; never NULL; count may be 0 (".5") */
    int count;
    const char *fraction;
    int fraction_count;
    bool commas;
    int length; /* bytes of the token it takes */
    char room[64];
};

/* Parses "1,234.50", "007", ".5" at the start of the bytes. False when there is none or it has more than 60 digits. */
static bool parse_number(const char *s, int length, struct number *number)
{
    *number = (struct number){.digits = number->room};
    int i = 0;
    for (; i < length; i++) {
        bool comma = s[i] == ',' && i > 0 && i + 3 < length && is_digit(s[i + 1]) && is_digit(s[i + 2]) &&
                     is_digit(s[i + 3]) && (i + 4 == length || !is_digit(s[i + 4])) &&
                     (number->commas ? s[i - 4] == ',' : number->count <= 3);
        if (comma)
            number->commas = true;
        else if (!is_digit(s[i]))
            break;
        else if (number->count == 60)
            return false;
        else
            number->room[number->count++] = s[i];
    }
    if (i + 1 < length && s[i] == '.' && is_digit(s[i + 1])) {
        number->fraction = s + i + 1;
        for (i++; i < length && is_digit(s[i]); i++)
            number->fraction_count++;
        if (number->fraction_count > 40)
            return false;
    }
    number->length = i;
    return number->count + number->fraction_count > 0;
}

static bool fits(const struct number *number)
{
    return number->count <= 18;
}

/* The whole part and the decimals, one way. */
static void say_number(struct phrase *phrase, const struct number *number, bool joined)
{
    if (number->count > 0 && fits(number))
        say_cardinal(phrase, digits_value(number->digits, number->count), joined);
    else
        say_digits(phrase, number->digits, number->count, false);
    if (number->fraction_count > 0) {
        phrase_add(phrase, "point");
        say_digits(phrase, number->fraction, number->fraction_count, false);
    }
}

enum way { CARDINAL, JOINED, YEAR, DIGITS, DIGITS_OH, PAIRS };

static void say_way(struct phrase *phrase, const char *digits, int count, enum way way)
{
    uint64_t value = count <= 18 ? digits_value(digits, count) : 0;
    if ((way == CARDINAL || way == JOINED) && count <= 18 && count > 0)
        say_cardinal(phrase, value, way == JOINED);
    else if (way == YEAR && count == 4)
        say_year(phrase, (int)value);
    else if (way == PAIRS && (count == 3 || count == 4))
        say_pairs(phrase, digits, count);
    else if (way == DIGITS || way == DIGITS_OH)
        say_digits(phrase, digits, count, way == DIGITS_OH);
}

/* An integer without commas or decimals: which reading is likeliest depends on how many digits it has. */
static void add_integer(struct readings *readings, const char *digits, int count)
{
    static const enum way by_kind[5][6] = {
        {CARDINAL, DIGITS, DIGITS_OH, CARDINAL, CARDINAL, CARDINAL}, /* 1-2 digits */
        {CARDINAL, JOINED, DIGITS, PAIRS, DIGITS_OH, CARDINAL},      /* 3 digits */
        {YEAR, CARDINAL, DIGITS, DIGITS_OH, JOINED, PAIRS},          /* 1100..2099 */
        {CARDINAL, PAIRS, DIGITS, DIGITS_OH, JOINED, CARDINAL},      /* 4-6 digits, and round numbers */
        {DIGITS, DIGITS_OH, CARDINAL, JOINED, PAIRS, CARDINAL},      /* longer ones, and with leading zeros */
    };
    uint64_t value = count <= 18 ? digits_value(digits, count) : 1;
    bool leading_zero = count > 1 && digits[0] == '0';
    int kind = leading_zero                                         ? 4
               : count <= 2                                         ? 0
               : count == 3                                         ? 1
               : count == 4 && value >= 1100 && value < 2100        ? 2
               : count <= 6 || (count <= 18 && value % 100000 == 0) ? 3
                                                                    : 4;
    for (int i = 0; i < 6; i++) {
        if (leading_zero && by_kind[kind][i] == PAIRS)
            continue;
        struct phrase phrase;
        phrase_clear(&phrase);
        say_way(&phrase, digits, count, by_kind[kind][i]);
        readings_add(readings, &phrase);
    }
}

/* Any number, all ways. */
static void add_number(struct readings *readings, const struct number *number)
{
    if (!number->commas && number->fraction_count == 0) {
        add_integer(readings, number->digits, number->count);
        return;
    }
    for (int joined = 0; joined < 2; joined++) {
        struct phrase phrase;
        phrase_clear(&phrase);
        say_number(&phrase, number, joined != 0);
        readings_add(readings, &phrase);
    }
    if (number->fraction_count > 0 && (number->count == 0 || (number->count == 1 && number->digits[0] == '0'))) {
        struct phrase phrase;
        phrase_clear(&phrase);
        phrase_add(&phrase, number->count == 0 ? "zero" : "point");
        if (number->count == 0)
            phrase_add(&phrase, "point");
        say_digits(&phrase, number->fraction, number->fraction_count, false);
        readings_add(readings, &phrase);
    }
}

/* ---- money ---- */

static const char *const money_names[4][4] = {{"dollar", "dollars", "cent", "cents"},
                                              {"pound", "pounds", "penny", "pence"},
                                              {"euro", "euros", "cent", "cents"},
                                              {"yen", "yen", "sen", "sen"}};

static const char *const *find_money(char byte)
{
    static const char bytes[4] = {'$', FOLDED_POUND, FOLDED_EURO, FOLDED_YEN};
    for (int i = 0; i < 4; i++)
        if (bytes[i] == byte)
            return money_names[i];
    return NULL;
}

static const char *find_scale(const struct written_token *token)
{
    static const char *const scales[][2] = {{"hundred", "hundred"}, {"thousand", "thousand"}, {"million", "million"},
                                            {"billion", "billion"}, {"trillion", "trillion"}, {"k", "thousand"},
                                            {"m", "million"},       {"mn", "million"},        {"bn", "billion"},
                                            {"b", "billion"},       {"tn", "trillion"}};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        if (token_is(token, scales[i][0]))
            return scales[i][1];
    return NULL;
}

static void add_money(struct readings *readings, const char *const names[4], const struct number *number)
{
    bool is_one = number->count == 1 && number->digits[0] == '1';
    bool no_whole = number->count == 0 || (number->count == 1 && number->digits[0] == '0');
    if (number->fraction_count != 2) {
        for (int joined = 0; joined < 2; joined++) {
            struct phrase phrase;
            phrase_clear(&phrase);
            say_number(&phrase, number, joined != 0);
            phrase_add(&phrase, is_one && number->fraction_count == 0 ? names[0] : names[1]);
            readings_add(readings, &phrase);
        }
        return;
    }
    uint64_t cents = digits_value(number->fraction, 2);
    struct number whole = *number;
    whole.digits = whole.room;
    whole.fraction_count = 0;
    for (int way = 0; way < 3; way++) {
        struct phrase phrase;
        phrase_clear(&phrase);
        if (!no_whole || cents == 0) {
            say_number(&phrase, &whole, false);
            if (way < 2 || cents == 0)
                phrase_add(&phrase, is_one ? names[0] : names[1]);
            if (cents != 0 && way == 0)
                phrase_add(&phrase, "and");
        }
        if (cents != 0) {
            say_cardinal(&phrase, cents, false);
            if (way < 2 || no_whole)
                phrase_add(&phrase, cents == 1 ? names[2] : names[3]);
        }
        readings_add(readings, &phrase);
    }
}

bool read_money_and_scale(const struct written_token *token, struct readings *readings)
{
    struct number number;
    const char *const *names = token->length > 1 ? find_money(token->bytes[0]) : NULL;
    if (names == NULL || token->next == NULL || token->next->length < 5 || token->next->begin != token->end + 1)
        return false;
    const char *scale = find_scale(token->next);
    if (scale == NULL || !parse_number(token->bytes + 1, token->length - 1, &number) ||
        number.length != token->length - 1)
        return false;
    struct phrase phrase;
    phrase_clear(&phrase);
    say_number(&phrase, &number, false);
    phrase_add(&phrase, scale);
    phrase_add(&phrase, names[1]);
    readings_add(readings, &phrase);
    return true;
}

/* "$5", "$2.50", "$5k", "5$". */
static bool read_money(const struct written_token *token, struct readings *readings)
{
    struct number number;
    const char *const *names = find_money(token->bytes[0]);
    if (names != NULL && parse_number(token->bytes + 1, token->length - 1, &number)) {
        struct written_token rest = {.bytes = token->bytes + 1 + number.length,
                                     .length = token->length - 1 - number.length};
        const char *scale = rest.length > 0 ? find_scale(&rest) : NULL;
        if (rest.length == 0) {
            add_money(readings, names, &number);
            return true;
        }
        if (scale != NULL) {
            struct phrase phrase;
            phrase_clear(&phrase);
            say_number(&phrase, &number, false);
            phrase_add(&phrase, scale);
            phrase_add(&phrase, names[1]);
            readings_add(readings, &phrase);
            return true;
        }
        return false;
    }
    names = find_money(token->bytes[token->length - 1]);
    if (names != NULL && parse_number(token->bytes, token->length, &number) && number.length == token->length - 1) {
        add_money(readings, names, &number);
        return true;
    }
    return false;
}

/* ---- a number with something after it ---- */

struct unit {
    const char *written;
    const char *one, *many; /* words; several are separated by spaces and added one by one */
    bool stands_alone;      /* also as a token of its own after a number */
};

static const struct unit units[] = {
    {"%", "percent", "percent", false},
    {"km", "kilometer", "kilometers", true},
    {"cm", "centimeter", "centimeters", true},
    {"mm", "millimeter", "millimeters", true},
    {"m", "meter", "meters", false},
    {"kg", "kilogram", "kilograms", true},
    {"mg", "milligram", "milligrams", true},
    {"g", "gram", "grams", false},
    {"lb", "pound", "pounds", true},
    {"lbs", "pounds", "pounds", true},
    {"oz", "ounce", "ounces", true},
    {"ft", "foot", "feet", true},
    {"mi", "mile", "miles", false},
    {"mph", "miles an hour", "miles an hour", true},
    {"Hz", "hertz", "hertz", true},
    {"kHz", "kilohertz", "kilohertz", true},
    {"MHz", "megahertz", "megahertz", true},
    {"GHz", "gigahertz", "gigahertz", true},
    {"KB", "kilobyte", "kilobytes", true},
    {"kB", "kilobyte", "kilobytes", true},
    {"MB", "megabyte", "megabytes", true},
    {"GB", "gigabyte", "gigabytes", true},
    {"TB", "terabyte", "terabytes", true},
    {"ms", "millisecond", "milliseconds", true},
    {"s", "second", "seconds", false},
    {"min", "minute", "minutes", true},
    {"h", "hour", "hours", false},
    {"hr", "hour", "hours", true},
    {"hrs", "hours", "hours", true},
    {"kW", "kilowatt", "kilowatts", true},
    {"V", "volt", "volts", false},
    {"W", "watt", "watts", false},
    {"x", "times", "times", false},
    {"k", "thousand", "thousand", false},
    {"K", "thousand", "thousand", false},
    {"M", "million", "million", false},
    {"bn", "billion", "billion", true},
    {"+", "plus", "plus", false},
    {"\x04", "degree", "degrees", false},
    {"\x04"
     "C",
     "degree celsius", "degrees celsius", false},
    {"\x04"
     "F",
     "degree fahrenheit", "degrees fahrenheit", false},
    {"\x05", "and a half", "and a half", false},
    {"\x06", "and a quarter", "and a quarter", false},
    {"\x07", "and three quarters", "and three quarters", false},
};

static void add_each_word(struct readings *readings, const char *words)
{
    char word[SPOKEN_WORD_BYTES];
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        memcpy(word, words, length);
        word[length] = '\0';
        readings_put_after(readings, word);
        words += length;
        words += *words == ' ';
    }
}

static const struct unit *find_unit(const char *bytes, int length)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if ((int)strlen(units[i].written) == length && memcmp(units[i].written, bytes, (size_t)length) == 0)
            return &units[i];
    return NULL;
}

static bool is_ordinal_ending(const struct written_token *rest)
{
    return token_is(rest, "st") || token_is(rest, "nd") || token_is(rest, "rd") || token_is(rest, "th");
}

/* "1990s", "80's": the likeliest reading alone. */
static void add_plural(struct readings *readings, const struct number *number)
{
    struct readings plain;
    plain.count = 0;
    add_number(&plain, number);
    phrase_pluralize(&plain.list[0]);
    readings_add(readings, &plain.list[0]);
}

static bool read_number_and_ending(const struct written_token *token, struct readings *readings)
{
    struct number number;
    char letter;
    if (!parse_number(token->bytes, token->length, &number))
        return false;
    struct written_token rest = {.bytes = token->bytes + number.length, .length = token->length - number.length};
    if (rest.length == 0) {
        add_number(readings, &number);
        return true;
    }
    if (is_ordinal_ending(&rest) && number.fraction_count == 0 && fits(&number)) {
        for (int joined = 0; joined < 2; joined++) {
            struct phrase phrase;
            phrase_clear(&phrase);
            say_cardinal(&phrase, digits_value(number.digits, number.count), joined != 0);
            phrase_make_ordinal(&phrase);
            readings_add(readings, &phrase);
        }
        return true;
    }
    bool decade = number.fraction_count == 0 && number.count >= 2 && number.digits[number.count - 1] == '0';
    if (token_is(&rest, "'s") || (decade && token_is(&rest, "s"))) {
        add_plural(readings, &number);
        return true;
    }
    if (is_half_day(rest.bytes, rest.length, &letter)) {
        add_number(readings, &number);
        readings_put_half_day_after(readings, letter);
        return true;
    }
    const struct unit *unit = find_unit(rest.bytes, rest.length);
    if (unit == NULL)
        return false;
    bool is_one = number.count == 1 && number.digits[0] == '1' && number.fraction_count == 0;
    struct number exact = number;
    exact.digits = exact.room;
    exact.commas = true; /* measures are read as quantities, never as years or digit by digit */
    add_number(readings, &exact);
    add_each_word(readings, is_one ? unit->one : unit->many);
    return true;
}

/* ---- letters and digits mixed: "MP3", "H.323", "3D", "2-in-1" ---- */

static void say_run(struct phrase *phrase, const char *bytes, int length, int way)
{
    if (is_digit(bytes[0])) {
        bool spell = way == 1 ? length >= 2 : length > 4 || (length > 1 && bytes[0] == '0');
        if (way == 2 && length >= 3 && length <= 6)
            say_pairs(phrase, bytes, length);
        else if (spell)
            say_digits(phrase, bytes, length, false);
        else
            say_cardinal(phrase, digits_value(bytes, length), false);
        return;
    }
    bool letters = length <= 2;
    int capitals = 0;
    for (int i = 0; i < length; i++)
        capitals += is_capital(bytes[i]);
    struct written_token run = {.bytes = bytes, .length = length};
    bool small_word = capitals == 0 && (token_is(&run, "in") || token_is(&run, "to") || token_is(&run, "on") ||
                                        token_is(&run, "of") || token_is(&run, "or") || token_is(&run, "by"));
    letters = (letters && !small_word) || (capitals == length && length <= 4);
    if (letters && way < 3)
        say_letters(phrase, bytes, length);
    else
        say_word(phrase, bytes, length);
}

static bool read_mixed(const struct written_token *token, struct readings *readings)
{
    for (int way = 0; way < 4; way++) {
        struct phrase phrase;
        phrase_clear(&phrase);
        for (int i = 0; i < token->length;) {
            int begin = i;
            char c = token->bytes[i];
            bool digits = is_digit(c), letters = is_letter(c) || c == '\'';
            if (!digits && !letters) {
                bool between_digits =
                    i > 0 && i + 1 < token->length && is_digit(token->bytes[i - 1]) && is_digit(token->bytes[i + 1]);
                if (c == '.' && between_digits)
                    phrase_add(&phrase, "point");
                else if (c == '%')
                    phrase_add(&phrase, "percent");
                else if (c == '@')
                    phrase_add(&phrase, "at");
                i++;
                continue;
            }
            while (i < token->length &&
                   (digits ? is_digit(token->bytes[i]) : is_letter(token->bytes[i]) || token->bytes[i] == '\''))
                i++;
            say_run(&phrase, token->bytes + begin, i - begin, way);
        }
        readings_add(readings, &phrase);
    }
    return true;
}

/* ---- the entry ---- */

/* "½" alone, and a unit as a token of its own after a number: "10 km". */
static bool read_measure_word(const struct written_token *token, struct readings *readings)
{
    static const char *const alone[3] = {"half", "quarter", "quarters"};
    char c = token->bytes[0];
    if (token->length == 1 && c >= FOLDED_HALF && c <= FOLDED_THREE_QUARTERS) {
        struct phrase phrase;
        phrase_clear(&phrase);
        phrase_add(&phrase, c == FOLDED_THREE_QUARTERS ? "three" : "one");
        phrase_add(&phrase, alone[c - FOLDED_HALF]);
        readings_add(readings, &phrase);
        return true;
    }
    const struct written_token *before = token->previous;
    const struct unit *unit = find_unit(token->bytes, token->length);
    if (unit == NULL || !unit->stands_alone || before == NULL || !is_digit(before->bytes[before->length - 1]))
        return false;
    readings->count = 1;
    readings->list[0].count = 0;
    add_each_word(readings, before->length == 1 && before->bytes[0] == '1' ? unit->one : unit->many);
    return true;
}

bool read_number_token(const struct written_token *token, struct readings *readings)
{
    static const struct {
        char byte;
        const char *names[3];
    } prefixes[] = {{'+', {"plus", NULL, NULL}},
                    {'-', {"minus", "negative", NULL}},
                    {'#', {"number", "pound", "hash"}},
                    {'*', {"star", "asterisk", NULL}},
                    {'@', {"at", NULL, NULL}}};
    bool any_digit = false;
    for (int i = 0; i < token->length; i++)
        any_digit = any_digit || is_digit(token->bytes[i]);
    if (!any_digit)
        return read_measure_word(token, readings);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (token->bytes[0] != prefixes[i].byte || token->length < 2)
            continue;
        struct written_token rest = *token;
        struct readings *all = readings;
        struct readings part;
        part.count = 0;
        rest.bytes++;
        rest.length--;
        if (!read_number_token(&rest, &part))
            return false;
        for (int name = 0; name < 3 && prefixes[i].names[name] != NULL; name++) {
            struct readings named = part;
            named.count = named.count > 2 ? 2 : named.count;
            readings_put_before(&named, prefixes[i].names[name]);
            for (int k = 0; k < named.count; k++)
                readings_add(all, &named.list[k]);
        }
        return true;
    }
    return read_money(token, readings) || read_digit_groups(token, readings) ||
           read_number_and_ending(token, readings) || read_mixed(token, readings);
}
