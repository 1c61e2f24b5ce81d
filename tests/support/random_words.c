/* utf8proc says which characters are letters and how they may be written otherwise: it is not asked how words are
 * compared, which is what the tests are about. */
#include "support/random_words.h"

#include "support/test_support.h"

#include <stdlib.h>
#include <utf8proc.h>

static int put(uint32_t code, char *out)
{
    return (int)utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)out);
}

/* Some letters have a space in their compatibility form, which would make two words of one; others become a mark, which
 * would move to another letter. */
static bool changes_words(uint32_t code)
{
    utf8proc_int32_t codes[32];
    int boundary = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)code, codes, 32, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
    for (utf8proc_ssize_t i = 0; i < count; i++)
        if (codes[i] == ' ' || (i == 0 && utf8proc_category(codes[i]) == UTF8PROC_CATEGORY_MN))
            return true;
    return false;
}

/* A letter of any script, often with marks. */
static int put_letter(struct rng *rng, char *out)
{
    static const uint32_t blocks[][2] = {{'A', 'z'},         {0xC0, 0x24F},      {0x370, 0x52F},     {0x531, 0x6FF},
                                         {0x900, 0xDFF},     {0xE00, 0x12FF},    {0x13A0, 0x13FF},   {0x1E00, 0x1FFF},
                                         {0x3041, 0x30FF},   {0x4E00, 0x9FFF},   {0xAC00, 0xD7A3},   {0xFF10, 0xFF9F},
                                         {0x10400, 0x104FF}, {0x1E900, 0x1E943}, {0x20000, 0x2A6DF}, {0xA0, 0x3134F}};
    for (;;) {
        const uint32_t *block = blocks[rng_below(rng, sizeof blocks / sizeof *blocks)];
        uint32_t code = block[0] + (uint32_t)rng_below(rng, block[1] - block[0] + 1);
        const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)code);
        bool letter = property->category >= UTF8PROC_CATEGORY_LU && property->category <= UTF8PROC_CATEGORY_LO;
        if (!letter || property->ignorable || changes_words(code) || (code >= 0x2B9 && code <= 0x2BD) || code == 0x374)
            continue;
        int length = put(code, out);
        for (uint64_t marks = rng_below(rng, 4) ? 0 : 1 + rng_below(rng, 2); marks > 0; marks--)
            length += put(0x300 + (uint32_t)rng_below(rng, 0x30), out + length);
        return length;
    }
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

static int put_one_of(struct rng *rng, const uint32_t *codes, size_t count, char *out)
{
    return put(codes[rng_below(rng, count)], out);
}

static const uint32_t marks_of_punctuation[] = {',',   '.',    '-',    0xBF,   0x2014, 0x2026, 0x201C,
                                                0x60C, 0x61F,  0x964,  0x3001, 0x3002, 0xFF0C, 0xFF1F,
                                                0x5BE, 0x266A, 0x200B, 0x200F, 0x2069, 0xFE0F, 0x1F600};
static const uint32_t spaces[] = {' ', ' ', ' ', 0xA0, 0x2009, 0x202F, 0x3000, 0x2028, '\t'};

/* The same word as another program might write it. Case is changed only where Unicode's simple mapping returns. */
char *rewrite_word(struct rng *rng, const char *word)
{
    static const utf8proc_option_t forms[] = {UTF8PROC_COMPOSE, UTF8PROC_DECOMPOSE,
                                              UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
                                              UTF8PROC_CASEFOLD | UTF8PROC_DECOMPOSE};
    utf8proc_uint8_t *made = NULL;
    char changed[2000];
    int length = 0;
    bool upper = rng_below(rng, 2);
    for (utf8proc_ssize_t i = 0, step; word[i]; i += step) {
        utf8proc_int32_t code = 0;
        step = utf8proc_iterate((const utf8proc_uint8_t *)word + i, -1, &code);
        utf8proc_int32_t other = upper ? utf8proc_toupper(code) : utf8proc_tolower(code);
        bool returns = (upper ? utf8proc_tolower(other) : utf8proc_toupper(other)) == code;
        length += put((uint32_t)(returns ? other : code), changed + length);
    }
    changed[length] = 0;
    const utf8proc_option_t plain = UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    utf8proc_map((const utf8proc_uint8_t *)changed, 0, &made, plain); /* first, or marks would move to another letter */
    assert_non_null(made);
    utf8proc_uint8_t *decomposed = made;
    utf8proc_option_t form = forms[rng_below(rng, COUNT(forms))];
    utf8proc_map(decomposed, 0, &made,
                 UTF8PROC_NULLTERM | UTF8PROC_STABLE | form | (form == UTF8PROC_COMPOSE ? 0 : UTF8PROC_DECOMPOSE));
    free(decomposed);
    assert_non_null(made);
    return (char *)made;
}

int put_random_word(struct rng *rng, char *out)
{
    int length = 0;
    for (uint64_t letters = 1 + rng_below(rng, 7); letters > 0; letters--)
        length += put_letter(rng, out + length);
    out[length] = 0;
    return length;
}

int put_random_punctuation(struct rng *rng, char *out)
{
    return put_one_of(rng, marks_of_punctuation, COUNT(marks_of_punctuation), out);
}

int put_random_space(struct rng *rng, char *out)
{
    return put_one_of(rng, spaces, COUNT(spaces), out);
}
