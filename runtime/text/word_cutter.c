/* The alternatives of a pattern are tried in its order at each place, and the first that fits is taken, as long as it can
 * be: this is what a regular expression's leftmost match means here, since no alternative needs to give back what it has
 * taken, but for white space. That is left one character short where a word follows, which then begins with it:
 * "\s+(?!\S)". */
#include "text/word_cutter.h"

#include "core/utf8.h"

#include <string.h>
#include <utf8proc.h>

enum kind { LETTER, NUMBER, SPACE, SYMBOL };

/* A character of the text; kind SYMBOL and size 0 at its end. */
struct character {
    uint32_t code;
    int64_t size;
    enum kind kind;
};

static const struct {
    const char *name;
    enum word_pattern pattern;
} names[] = {{"gpt-2", WORDS_GPT2},
             {"smollm", WORDS_SMOLLM},
             {"llama-bpe", WORDS_LLAMA3},
             {"llama3", WORDS_LLAMA3},
             {"llama-v3", WORDS_LLAMA3}};

const char *word_pattern_name(enum word_pattern pattern)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].pattern == pattern)
            return names[i].name;
    return "unknown";
}

bool word_pattern_find(const char *name, int64_t size, enum word_pattern *pattern)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (size != (int64_t)strlen(names[i].name) || memcmp(names[i].name, name, (size_t)size) != 0)
            continue;
        *pattern = names[i].pattern;
        return true;
    }
    return false;
}

const char *word_pattern_list(void)
{
    return "gpt-2, smollm, llama-bpe (also llama3, llama-v3)";
}

const char *word_pattern_expression(enum word_pattern pattern)
{
    return pattern == WORDS_LLAMA3
               ? "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                 " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
               : "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
}

/* ---- characters ---- */

/* White_Space: the class \s. */
static bool is_space(uint32_t code)
{
    return (code >= '\t' && code <= '\r') || code == ' ' || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
           code == 0x3000;
}

struct range {
    uint32_t first, last;
};

static bool is_within(uint32_t code, const struct range *ranges, int count)
{
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && code >= ranges[low].first;
}

/* Where Unicode 15 to 18 put letters and numbers: nothing in these ranges is one in Unicode 14. So ids do not depend on
 * which version utf8proc knows. */
static bool is_later_than_14(uint32_t code)
{
    static const struct range ranges[] = {
        {0x558, 0x558},     {0x58B, 0x58C},     {0x88F, 0x88F},     {0xC5C, 0xC5C},     {0xCDC, 0xCDC},
        {0x1C89, 0x1C8A},   {0x208F, 0x208F},   {0x209D, 0x209F},   {0xA7CB, 0xA7CF},   {0xA7D2, 0xA7D2},
        {0xA7D4, 0xA7D4},   {0xA7DA, 0xA7F1},   {0xAB6C, 0xAB6D},   {0x105C0, 0x105F3}, {0x107BB, 0x107BF},
        {0x10940, 0x10959}, {0x10D40, 0x10D85}, {0x10EC2, 0x10EEE}, {0x1123F, 0x11240}, {0x11380, 0x113D3},
        {0x116D0, 0x116E3}, {0x11B0A, 0x11BF9}, {0x11DB0, 0x11DF1}, {0x11F02, 0x11F59}, {0x1246F, 0x1247F},
        {0x12550, 0x12686}, {0x1342F, 0x143FA}, {0x16100, 0x16139}, {0x16D40, 0x16D79}, {0x16EA0, 0x16ED3},
        {0x16FF2, 0x16FF6}, {0x187F8, 0x187FF}, {0x18CD6, 0x18CFF}, {0x18D09, 0x191D2}, {0x1B123, 0x1B132},
        {0x1B155, 0x1B155}, {0x1B168, 0x1B168}, {0x1CCF0, 0x1D2D3}, {0x1D6A6, 0x1D6A6}, {0x1DF1F, 0x1E06D},
        {0x1E4D0, 0x1E6FF}, {0x2B739, 0x2B73F}, {0x2B81E, 0x2B81E}, {0x2CEA2, 0x2CEAD}, {0x2EBF0, 0x2EE5D},
        {0x31350, 0x3FC3F}};
    return is_within(code, ranges, sizeof ranges / sizeof *ranges);
}

/* Numbers that Unicode 15 added. */
static bool is_number_of_15(uint32_t code)
{
    static const struct range ranges[] = {{0x11F50, 0x11F59}, {0x1D2C0, 0x1D2D3}, {0x1E4F0, 0x1E4F9}};
    return is_within(code, ranges, sizeof ranges / sizeof *ranges);
}

static enum kind kind_of(uint32_t code)
{
    if (is_later_than_14(code))
        return SYMBOL;
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return NUMBER;
    default:
        return is_space(code) ? SPACE : SYMBOL;
    }
}

static enum kind ascii_kind(unsigned char byte)
{
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))
        return LETTER;
    return byte >= '0' && byte <= '9' ? NUMBER : is_space(byte) ? SPACE : SYMBOL;
}

static struct character character_at(const struct word_cutter *cutter, int64_t at, int64_t end)
{
    if (at >= end)
        return (struct character){.kind = SYMBOL};
    unsigned char byte = (unsigned char)cutter->text[at];
    if (byte < 0x80)
        return (struct character){byte, 1, ascii_kind(byte)};
    struct character character = {0};
    character.size = (int64_t)utf8_decode(cutter->text + at, (size_t)(end - at), &character.code);
    if (character.size == 0)
        return (struct character){0xFFFD, 1, SYMBOL};
    character.kind = kind_of(character.code);
    return character;
}

/* ---- parts of patterns ---- */

/* The end of the run of one kind that begins at `at`. */
static int64_t run_of(const struct word_cutter *cutter, int64_t at, int64_t end, enum kind kind)
{
    for (;;) {
        struct character character = character_at(cutter, at, end);
        if (character.size == 0 || character.kind != kind)
            return at;
        at += character.size;
    }
}

/* 's 't 're 've 'm 'll 'd at `at`; with either case where `fold`: then the long s, whose capital is S, is one of them. */
static int64_t contraction(const char *text, int64_t at, int64_t end, bool fold)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    static const char long_s[] = "\xC5\xBF";
    int64_t rest = end - at - 1;
    if (rest < 1 || text[at] != '\'')
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        int64_t length = (int64_t)strlen(endings[i]), matched = 0;
        while (matched < length && matched < rest) {
            char letter = text[at + 1 + matched];
            if (fold && letter >= 'A' && letter <= 'Z')
                letter = (char)(letter - 'A' + 'a');
            if (letter != endings[i][matched])
                break;
            matched++;
        }
        if (matched == length)
            return length + 1;
    }
    return fold && rest >= 2 && memcmp(text + at + 1, long_s, 2) == 0 ? 3 : 0;
}

/* White space that begins at `at`, all of it at the end of the text, and else without its last character, unless that is
 * all. */
static int64_t white_space(const struct word_cutter *cutter, int64_t at, int64_t end)
{
    int64_t next = at, last = at;
    for (;;) {
        struct character character = character_at(cutter, next, end);
        if (character.size == 0)
            return next;
        if (character.kind != SPACE)
            return last > at ? last : next;
        last = next;
        next += character.size;
    }
}

static int64_t gpt2_word(const struct word_cutter *cutter, int64_t at, int64_t end)
{
    int64_t length = contraction(cutter->text, at, end, false);
    if (length > 0)
        return at + length;
    struct character first = character_at(cutter, at, end);
    int64_t start = first.code == ' ' ? at + 1 : at;
    struct character character = character_at(cutter, start, end);
    if (character.size > 0 && character.kind != SPACE)
        return run_of(cutter, start, end, character.kind);
    return white_space(cutter, at, end);
}

static bool ends_line(uint32_t code)
{
    return code == '\r' || code == '\n';
}

static int64_t line_ends(const struct word_cutter *cutter, int64_t at, int64_t end)
{
    while (at < end && ends_line((unsigned char)cutter->text[at]))
        at++;
    return at;
}

/* \s*[\r\n]+: up to the last end of a line within white space; `at` when there is none. */
static int64_t through_line_ends(const struct word_cutter *cutter, int64_t at, int64_t end)
{
    int64_t found = at;
    for (;;) {
        struct character character = character_at(cutter, at, end);
        if (character.size == 0 || character.kind != SPACE)
            return found;
        at += character.size;
        if (ends_line(character.code))
            found = at;
    }
}

static int64_t three_digits(const struct word_cutter *cutter, int64_t at, int64_t end)
{
    for (int i = 0; i < 3; i++) {
        struct character digit = character_at(cutter, at, end);
        if (digit.size == 0 || digit.kind != NUMBER)
            break;
        at += digit.size;
    }
    return at;
}

static int64_t llama3_word(const struct word_cutter *cutter, int64_t at, int64_t end)
{
    int64_t length = contraction(cutter->text, at, end, true);
    if (length > 0)
        return at + length;
    struct character first = character_at(cutter, at, end);
    if (first.kind == LETTER)
        return run_of(cutter, at, end, LETTER);
    if (first.kind == NUMBER)
        return three_digits(cutter, at, end);
    struct character second = character_at(cutter, at + first.size, end);
    if (!ends_line(first.code) && second.size > 0 && second.kind == LETTER)
        return run_of(cutter, at + first.size, end, LETTER);
    if (first.kind == SYMBOL)
        return line_ends(cutter, run_of(cutter, at, end, SYMBOL), end);
    if (first.code == ' ' && second.size > 0 && second.kind == SYMBOL)
        return line_ends(cutter, run_of(cutter, at + 1, end, SYMBOL), end);
    int64_t through = through_line_ends(cutter, at, end);
    return through > at ? through : white_space(cutter, at, end);
}

/* ---- words ---- */

struct word_cutter word_cutter_start(enum word_pattern pattern, const char *text, int64_t size)
{
    return (struct word_cutter){.pattern = pattern, .text = text, .size = size};
}

static bool is_digit(struct character character)
{
    return character.kind == NUMBER || (character.code > 0xFFFF && is_number_of_15(character.code));
}

/* A digit, or GPT-2's next word of the stretch up to the next one. */
static int64_t smollm_word(struct word_cutter *cutter)
{
    if (cutter->at >= cutter->stretch) {
        struct character first = character_at(cutter, cutter->at, cutter->size);
        if (is_digit(first))
            return cutter->at + first.size;
        cutter->stretch = cutter->at;
        for (;;) {
            struct character character = character_at(cutter, cutter->stretch, cutter->size);
            if (character.size == 0 || is_digit(character))
                break;
            cutter->stretch += character.size;
        }
    }
    return gpt2_word(cutter, cutter->at, cutter->stretch);
}

bool word_cutter_next(struct word_cutter *cutter, int64_t *begin, int64_t *end)
{
    if (cutter->at >= cutter->size)
        return false;
    *begin = cutter->at;
    switch (cutter->pattern) {
    case WORDS_SMOLLM:
        *end = smollm_word(cutter);
        break;
    case WORDS_LLAMA3:
        *end = llama3_word(cutter, cutter->at, cutter->size);
        break;
    default:
        *end = gpt2_word(cutter, cutter->at, cutter->size);
        break;
    }
    cutter->at = *end;
    return true;
}
