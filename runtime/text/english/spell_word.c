/* Tokens of letters: words, compounds, abbreviations, initialisms, Roman numerals, addresses, lone symbols. */
#include "text/english/spell_word.h"

#include <string.h>

/* ---- tables ---- */

struct abbreviation {
    const char *written;
    bool needs_full_stop;       /* false: it is an abbreviation with or without one */
    const char *first, *second; /* readings; words separated by spaces; NULL: none */
};

static const struct abbreviation abbreviations[] = {
    {"mr", false, "mister", NULL},          {"mrs", false, "missus", NULL},    {"ms", true, "ms", "m s"},
    {"dr", false, "doctor", "drive"},       {"st", false, "saint", "street"},  {"prof", true, "professor", "prof"},
    {"rev", true, "reverend", "rev"},       {"gen", true, "general", NULL},    {"capt", true, "captain", NULL},
    {"lt", true, "lieutenant", NULL},       {"col", true, "colonel", NULL},    {"sgt", true, "sergeant", NULL},
    {"jr", false, "junior", NULL},          {"sr", false, "senior", NULL},     {"vs", false, "versus", "v s"},
    {"etc", false, "et cetera", NULL},      {"gov", true, "governor", NULL},   {"sen", true, "senator", NULL},
    {"rep", true, "representative", "rep"}, {"hon", true, "honorable", NULL},  {"ave", true, "avenue", NULL},
    {"blvd", false, "boulevard", NULL},     {"rd", true, "road", NULL},        {"inc", true, "incorporated", "inc"},
    {"ltd", false, "limited", NULL},        {"co", true, "company", "co"},     {"corp", true, "corporation", NULL},
    {"dept", false, "department", NULL},    {"mt", false, "mount", NULL},      {"ft", true, "fort", "feet"},
    {"vol", true, "volume", NULL},          {"fig", true, "figure", "fig"},    {"approx", true, "approximately", NULL},
    {"jan", true, "january", NULL},         {"feb", true, "february", NULL},   {"apr", true, "april", NULL},
    {"aug", true, "august", NULL},          {"sept", true, "september", NULL}, {"oct", true, "october", NULL},
    {"nov", true, "november", NULL},        {"dec", true, "december", NULL},   {"e.g", false, "e g", "for example"},
    {"i.e", false, "i e", "that is"},       {"w/", false, "with", NULL},       {"w/o", false, "without", NULL},
};

struct symbol {
    char byte;
    const char *alone[3];  /* readings of the symbol as a whole token */
    const char *inside[2]; /* between the parts of a compound: "" is silent; NULL: there is no second way */
};

static const struct symbol symbols[] = {
    {'&', {"and", "ampersand", NULL}, {"and", NULL}},
    {'@', {"at", "at sign", NULL}, {"at", NULL}},
    {'#', {"pound", "hash", "number"}, {"sharp", "pound"}},
    {'*', {"star", "asterisk", NULL}, {"star", ""}},
    {'+', {"plus", NULL, NULL}, {"plus", NULL}},
    {'=', {"equals", NULL, NULL}, {"equals", NULL}},
    {'%', {"percent", NULL, NULL}, {"percent", NULL}},
    {'$', {"dollar", "dollars", "dollar sign"}, {"dollar", NULL}},
    {FOLDED_POUND, {"pound", "pounds", NULL}, {"pound", NULL}},
    {FOLDED_EURO, {"euro", "euros", NULL}, {"euro", NULL}},
    {FOLDED_DEGREE, {"degrees", "degree", NULL}, {"degrees", NULL}},
    {'.', {NULL, NULL, NULL}, {"dot", "point"}},
    {'/', {NULL, NULL, NULL}, {"", "slash"}},
    {'-', {NULL, NULL, NULL}, {"", "dash"}},
    {'_', {NULL, NULL, NULL}, {"", "underscore"}},
    {':', {NULL, NULL, NULL}, {"", "colon"}},
};

static const struct symbol *find_symbol(char byte)
{
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++)
        if (symbols[i].byte == byte)
            return &symbols[i];
    return NULL;
}

/* ---- helpers ---- */

/* Appends the words of a text in which single spaces separate them. */
static void say_words(struct phrase *phrase, const char *words)
{
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        phrase_add_bytes(phrase, words, (int64_t)length);
        words += length;
        words += *words == ' ';
    }
}

static void add_words(struct readings *readings, const char *words)
{
    struct phrase phrase;
    phrase_clear(&phrase);
    if (words != NULL)
        say_words(&phrase, words);
    readings_add(readings, &phrase);
}

static bool has_vowel(const char *bytes, int length)
{
    for (int i = 0; i < length; i++)
        if (strchr("aeiouyAEIOUY", bytes[i]) != NULL || (unsigned char)bytes[i] >= 0x80)
            return true;
    return false;
}

static int count_capitals(const char *bytes, int length)
{
    int count = 0;
    for (int i = 0; i < length; i++)
        count += is_capital(bytes[i]);
    return count;
}

static bool all_letters(const char *bytes, int length)
{
    for (int i = 0; i < length; i++)
        if (!is_letter(bytes[i]) || (unsigned char)bytes[i] >= 0x80)
            return false;
    return length > 0;
}

/* Short words that are capitalised for emphasis; without this list USB and YOU would look alike. */
static bool is_common_short_word(const struct written_token *token)
{
    static const char *const common[] = {
        "a",   "i",   "an",  "as",  "at",  "be",  "by",  "do",  "go",  "he",  "if",  "in",  "is",  "it",
        "me",  "my",  "no",  "of",  "oh",  "on",  "or",  "so",  "to",  "up",  "we",  "all", "and", "any",
        "are", "big", "but", "can", "day", "did", "for", "get", "god", "had", "has", "her", "him", "his",
        "how", "its", "man", "may", "men", "new", "not", "now", "off", "old", "one", "our", "out", "own",
        "sea", "see", "she", "sin", "sir", "son", "the", "thy", "too", "two", "use", "war", "was", "way",
        "who", "why", "yes", "yet", "you", "red", "bad", "let", "end", "top", "try", "six", "ten"};
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (token_is(token, common[i]))
            return true;
    return false;
}

/* Value of a Roman numeral in capitals, 2..3999, in its one correct spelling; 0 for anything else. */
static int roman_value(const char *bytes, int length)
{
    static const struct {
        int value;
        const char *text;
    } steps[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
                 {40, "XL"},  {10, "X"},   {9, "IX"},  {5, "V"},    {4, "IV"},  {1, "I"}};
    int value = 0, at = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int size = (int)strlen(steps[i].text), repeats = 0;
        while (
            at + size <= length && memcmp(bytes + at, steps[i].text, (size_t)size) == 0 &&
            repeats <
                (size == 2 || steps[i].text[0] == 'D' || steps[i].text[0] == 'L' || steps[i].text[0] == 'V' ? 1 : 3)) {
            value += steps[i].value;
            at += size;
            repeats++;
        }
    }
    return at == length && value >= 2 ? value : 0;
}

/* ---- kinds of tokens ---- */

static bool read_symbol(const struct written_token *token, struct readings *readings)
{
    const struct symbol *symbol = token->length == 1 ? find_symbol(token->bytes[0]) : NULL;
    if (symbol == NULL || symbol->alone[0] == NULL)
        return false;
    for (int i = 0; i < 3; i++)
        add_words(readings, symbol->alone[i]);
    return true;
}

static bool read_abbreviation(const struct written_token *token, struct readings *readings)
{
    for (size_t i = 0; i < sizeof abbreviations / sizeof abbreviations[0]; i++) {
        const struct abbreviation *entry = &abbreviations[i];
        if (!token_is(token, entry->written) || (entry->needs_full_stop && !token->full_stop))
            continue;
        add_words(readings, entry->first);
        add_words(readings, entry->second);
        struct phrase plain;
        phrase_clear(&plain);
        if (all_letters(token->bytes, token->length) && has_vowel(token->bytes, token->length))
            say_word(&plain, token->bytes, token->length);
        readings_add(readings, &plain);
        return true;
    }
    if (token_is(token, "no") && token->full_stop && token->next != NULL && is_digit(token->next->bytes[0])) {
        add_words(readings, "number");
        add_words(readings, "no");
        return true;
    }
    return false;
}

/* "A.M", "U.S.A": single letters between full stops. Also "am" and "pm" after a number. */
static bool read_dotted_letters(const struct written_token *token, struct readings *readings)
{
    struct phrase phrase;
    phrase_clear(&phrase);
    bool after_number = token->previous != NULL && is_digit(token->previous->bytes[token->previous->length - 1]);
    if (token->length == 2 && after_number && (token_is(token, "am") || token_is(token, "pm"))) {
        say_letters(&phrase, token->bytes, 2);
        readings_add(readings, &phrase);
        return true;
    }
    if (token->length < 3 || token->length % 2 == 0)
        return false;
    for (int i = 0; i < token->length; i++)
        if (i % 2 == 0 ? !all_letters(token->bytes + i, 1) : token->bytes[i] != '.')
            return false;
    say_letters(&phrase, token->bytes, token->length);
    readings_add(readings, &phrase);
    return true;
}

static bool read_roman(const struct written_token *token, struct readings *readings)
{
    int value = token->all_capitals_text ? 0 : roman_value(token->bytes, token->length);
    bool doubtful = token->length == 2 && (value == 600 || value == 400 || value == 900 || value == 1100);
    if (value == 0 || token->length < 2 || value > 100 || doubtful)
        return false;
    struct phrase cardinal, ordinal, letters;
    phrase_clear(&cardinal);
    phrase_clear(&ordinal);
    phrase_clear(&letters);
    say_cardinal(&cardinal, (uint64_t)value, false);
    phrase_add(&ordinal, "the");
    say_cardinal(&ordinal, (uint64_t)value, false);
    phrase_make_ordinal(&ordinal);
    say_letters(&letters, token->bytes, token->length);
    readings_add(readings, &cardinal);
    readings_add(readings, &ordinal);
    readings_add(readings, &letters);
    return true;
}

/* USB, PBXs, IAX's, mISDN: spelled, or spoken as a word where it can be. */
static bool read_initialism(const struct written_token *token, struct readings *readings)
{
    int length = token->length;
    const char *ending = "";
    if (length > 2 && token->bytes[length - 1] == 's' && token->bytes[length - 2] == '\'') {
        length -= 2;
        ending = "'s";
    } else if (length > 2 && token->bytes[length - 1] == 's' && is_capital(token->bytes[length - 2])) {
        length -= 1;
        ending = "'s";
    }
    int capitals = count_capitals(token->bytes, length);
    bool vowel = has_vowel(token->bytes, length);
    if (!all_letters(token->bytes, length) || length < 2)
        return false;
    if (vowel && (capitals < 2 || token->all_capitals_text || is_common_short_word(token)))
        return false;
    if (!vowel && capitals == 0 && length > 5) /* "hmmmmm", "pssst" */
        return false;
    struct phrase letters, word;
    phrase_clear(&letters);
    phrase_clear(&word);
    say_letters(&letters, token->bytes, length);
    if (ending[0] != '\0' && letters.count > 0)
        memcpy(letters.words[letters.count - 1] + 1, ending, strlen(ending) + 1);
    say_word(&word, token->bytes, token->length);
    bool as_word = vowel && (length > 3 || capitals < length);
    if (as_word || (!vowel && capitals == 0))
        readings_add(readings, &word);
    if (length <= 8)
        readings_add(readings, &letters);
    if (vowel)
        readings_add(readings, &word);
    return true;
}

/* A part of a compound, by the same rules. */
static void say_part(struct phrase *phrase, const struct written_token *whole, int begin, int end)
{
    struct readings readings;
    struct written_token part = {
        .bytes = whole->bytes + begin, .length = end - begin, .all_capitals_text = whole->all_capitals_text};
    readings.count = 0;
    bool capitals = count_capitals(part.bytes, part.length) == part.length;
    if (token_is(&part, "www") || (capitals && part.length <= 3 && memchr(whole->bytes, '&', (size_t)whole->length)))
        say_letters(phrase, part.bytes, part.length);
    else if (read_initialism(&part, &readings))
        phrase_append(phrase, &readings.list[0]);
    else
        say_word(phrase, part.bytes, part.length);
}

static bool is_joint(char c)
{
    return !is_letter(c) && !is_digit(c) && c != '\'';
}

/* Parts joined by symbols: "open-source", "and/or", "AT&T", "www.example.org", "C++". */
static bool read_compound(const struct written_token *token, struct readings *readings)
{
    int joints = 0;
    for (int i = 0; i < token->length; i++)
        joints += is_joint(token->bytes[i]);
    if (joints == 0)
        return false;
    for (int way = 0; way < 2; way++) {
        struct phrase phrase;
        phrase_clear(&phrase);
        for (int i = 0; i < token->length;) {
            int end = i;
            while (end < token->length && !is_joint(token->bytes[end]))
                end++;
            if (end > i)
                say_part(&phrase, token, i, end);
            for (i = end; i < token->length && is_joint(token->bytes[i]); i++) {
                const struct symbol *symbol = find_symbol(token->bytes[i]);
                const char *say = symbol == NULL                ? ""
                                  : symbol->inside[way] != NULL ? symbol->inside[way]
                                                                : symbol->inside[0];
                phrase_add(&phrase, say);
            }
        }
        readings_add(readings, &phrase);
    }
    /* "e-mail", "re-record": as one word too, with and without the hyphen. */
    char joined[SPOKEN_WORD_BYTES];
    int length = 0;
    bool hyphens_only = token->length < SPOKEN_WORD_BYTES;
    for (int i = 0; i < token->length && hyphens_only; i++) {
        hyphens_only = !is_joint(token->bytes[i]) || token->bytes[i] == '-';
        if (token->bytes[i] != '-')
            joined[length++] = token->bytes[i];
    }
    if (hyphens_only && joints == 1) {
        struct phrase phrase;
        phrase_clear(&phrase);
        say_word(&phrase, joined, length);
        readings_add(readings, &phrase);
    }
    return true;
}

bool read_word_token(const struct written_token *token, struct readings *readings)
{
    if (read_symbol(token, readings) || read_abbreviation(token, readings) || read_dotted_letters(token, readings) ||
        read_roman(token, readings) || read_initialism(token, readings) || read_compound(token, readings))
        return true;
    struct phrase phrase;
    phrase_clear(&phrase);
    say_word(&phrase, token->bytes, token->length);
    readings_add(readings, &phrase);
    return true;
}
