/* From written to spoken words. The expected readings are written by hand, from how an American reads them aloud. */
#include "support/test_support.h"
#include "text/english/spell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the first reading ---- */

static const struct {
    const char *text, *spoken;
} table[] = {
    /* plain words and punctuation */
    {"Hello, world!", "hello world"},
    {"  two\tspaces \n lines ", "two spaces lines"},
    {"(in brackets) [and these] {too}", "in brackets and these too"},
    {"\"Quoted\" 'single' \xE2\x80\x9C"
     "curly\xE2\x80\x9D \xE2\x80\x98"
     "both\xE2\x80\x99",
     "quoted single curly both"},
    {"don't o'clock party's sailors'", "don't o'clock party's sailors"},
    {"don\xE2\x80\x99t", "don't"},
    {"'tis and 'em and 'twas", "'tis and 'em and 'twas"},
    {"people\xE2\x80\x94no -- yes--maybe", "people no yes maybe"},
    {"wait...what\xE2\x80\xA6 ...leave", "wait what leave"},
    {"end.Next sentence", "end next sentence"},
    {"one,two;three:four", "one two three four"},
    {"- -- ... ! ?", ""},
    {"", ""},
    {"   ", ""},
    /* accents and other scripts */
    {"caf\xC3\xA9 na\xC3\xAFve Z\xC3\xBCrich", "cafe naive zurich"},
    {"cafe\xCC\x81", "cafe"},
    {"\xC5\x81\xC3\xB3"
     "d\xC5\xBA Stra\xC3\x9F"
     "e \xC3\x86ther",
     "lodz strasse aether"},
    {"\xD0\xBC\xD0\xB8\xD1\x80 hello", "\xD0\xBC\xD0\xB8\xD1\x80 hello"},
    {"non\xC2\xA0"
     "breaking soft\xC2\xADhyphen",
     "non breaking softhyphen"},
    {"bad \xFF\xFE bytes \xC3", "bad bytes"},
    {"Ấn Độ đẹp Ņēmo ŝafo", "an do dep nemo safo"},
    {"Ａｌｌ　ｗｉｄｅ １２", "all wide twelve"}, /* fullwidth letters, digits and space */
    {"ﬁve ofﬁces in chapter Ⅷ", "five offices in chapter eight"},
    {"yes؟ no، maybe。so！fine", "yes no maybe so fine"},
    {"♪ la la ♪ 🎵 ❤️", "la la"},
    {"two\xE2\x80\xAEturned\xE2\x80\xAC three", "twoturned three"}, /* marks of direction are not there */
    {"ten m² wide", "ten m wide"},
    /* hyphens, slashes, addresses */
    {"twenty-one open-source", "twenty one open source"},
    {"and/or", "and or"},
    {"foo_bar", "foo bar"},
    {"www.asterisk.org", "w w w dot asterisk dot org"},
    {"me@example.com", "me at example dot com"},
    {"http://www.debian.org/", "http w w w dot debian dot org"},
    {"C++ C# R&B AT&T", "c plus plus c sharp r and b a t and t"},
    /* integers */
    {"0 7 10 13 20 21 99", "zero seven ten thirteen twenty twenty one ninety nine"},
    {"100 101 110 342 999",
     "one hundred one hundred one one hundred ten three hundred forty two nine hundred ninety nine"},
    {"1,000 12,345", "one thousand twelve thousand three hundred forty five"},
    {"1,234,567", "one million two hundred thirty four thousand five hundred sixty seven"},
    {"8500", "eight thousand five hundred"},
    {"100000", "one hundred thousand"},
    {"1000000", "one million"},
    {"2,000,000,000", "two billion"},
    {"1,000,000,000,000,001", "one quadrillion one"},
    {"90210", "ninety thousand two hundred ten"},
    {"1234567", "one two three four five six seven"},
    {"123456789012345678901", "one two three four five six seven eight nine zero one two three four five six seven "
                              "eight nine zero one"},
    {"007 05", "zero zero seven zero five"},
    {"-5 +3", "minus five plus three"},
    {"3.14 0.5 .25 12.05", "three point one four zero point five point two five twelve point zero five"},
    /* years and decades */
    {"1066 1492", "one thousand sixty six fourteen ninety two"},
    {"1900 1905 1984 1999", "nineteen hundred nineteen oh five nineteen eighty four nineteen ninety nine"},
    {"2000 2005 2010 2024", "two thousand two thousand five twenty ten twenty twenty four"},
    {"the 1990s, 1900s and '80s", "the nineteen nineties nineteen hundreds and eighties"},
    {"1914-1918", "nineteen fourteen to nineteen eighteen"},
    /* ordinals */
    {"1st 2nd 3rd 4th 5th 8th 9th 11th 12th 13th", "first second third fourth fifth eighth ninth eleventh twelfth "
                                                   "thirteenth"},
    {"20th 21st 42nd 100th 101st 1,000th", "twentieth twenty first forty second one hundredth one hundred first one "
                                           "thousandth"},
    /* money */
    {"$5 $1 $0.05 $2.50 $1.01", "five dollars one dollar five cents two dollars and fifty cents one dollar and one "
                                "cent"},
    {"$1,000.00 $12.00", "one thousand dollars twelve dollars"},
    {"$3 million", "three million dollars"},
    {"$3.5 billion in $2 bills", "three point five billion dollars in two dollars bills"},
    {"$5k", "five thousand dollars"},
    {"\xC2\xA3"
     "5 \xE2\x82\xAC"
     "10.99 \xC2\xA5"
     "500",
     "five pounds ten euros and ninety nine cents five hundred yen"},
    /* per cent, degrees, measures */
    {"50% 2.5%", "fifty percent two point five percent"},
    {"20\xC2\xB0"
     "C 1\xC2\xB0",
     "twenty degrees celsius one degree"},
    {"5km 1km 10 km 3 GB 60mph", "five kilometers one kilometer ten kilometers three gigabytes sixty miles an hour"},
    {"\xC2\xBD cup, 1\xC2\xBD cups, \xC2\xBE", "one half cup one and a half cups three quarters"},
    {"1/2 1/4 3/4 2/3 1/3", "one half one quarter three quarters two thirds one third"},
    {"24/7", "twenty four seven"},
    /* times, dates, telephone numbers, versions */
    {"10:30 10:05 9:00 23:59", "ten thirty ten oh five nine o'clock twenty three fifty nine"},
    {"5pm 10:30am 9:00 a.m. 12 PM", "five p m ten thirty a m nine o'clock a m twelve p m"},
    {"12/25/1999", "twelve twenty five nineteen ninety nine"},
    {"1999-12-25", "nineteen ninety nine twelve twenty five"},
    {"555-1234", "five five five one two three four"},
    {"1-800-555-1212", "one eight zero zero five five five one two one two"},
    {"10-20 10\xE2\x80\x93"
     "20",
     "ten to twenty ten to twenty"},
    {"v1.2.3 192.168.1.1", "v one point two point three one hundred ninety two point one hundred sixty eight point one "
                           "point one"},
    /* letters and digits */
    {"MP3 3D H.323 IAX2", "m p three three d h three hundred twenty three i a x two"},
    {"2-in-1", "two in one"},
    /* initialisms */
    {"the PBX and IVR use USB", "the p b x and i v r use u s b"},
    {"PBXs and USB's", "p b x's and u s b's"},
    {"M I S D N", "m i s d n"},
    {"A.M. U.S.A. e.g. i.e.", "a m u s a e g i e"},
    {"NASA said so", "nasa said so"},
    {"and GOD said unto HIM", "and god said unto him"},
    {"THE USE OF USB", "the use of usb"},
    {"Henry VIII, Chapter IV", "henry eight chapter four"},
    {"I think I'm a man", "i think i'm a man"},
    /* abbreviations */
    {"Mr. Smith and Mrs. Jones", "mister smith and missus jones"},
    {"Dr. No, St. Paul, Mt. Fuji", "doctor no saint paul mount fuji"},
    {"No. 5, no.", "number five no"},
    {"Jan. 3rd, Oct. 31st", "january third october thirty first"},
    {"cats vs. dogs, etc.", "cats versus dogs et cetera"},
    /* symbols */
    {"this & that", "this and that"},
    {"press # or *", "press pound or star"},
    {"followed by #.", "followed by pound"},
    {"#1 and *67", "number one and star sixty seven"},
    {"you @ home = fun + games", "you at home equals fun plus games"},
    {"*emphasis* _too_ ~this~", "emphasis too this"},
    {"at [@]", "at at"},
};

static void first_readings(void **state)
{
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct spoken_word *words = NULL;
        int64_t count = 0;
        assert_ok(spell_out(table[i].text, &words, &count));
        char spoken[2048] = "";
        size_t used = 0;
        for (int64_t k = 0; k < count; k++)
            used += (size_t)snprintf(spoken + used, sizeof spoken - used, "%s%s", k > 0 ? " " : "", words[k].text);
        if (strcmp(spoken, table[i].spoken) != 0) {
            print_error("\"%s\" is read \"%s\", expected \"%s\"\n", table[i].text, spoken, table[i].spoken);
            failures++;
        }
        free(words);
    }
    print_message("%zu texts\n", sizeof table / sizeof table[0]);
    assert_int_equal(failures, 0);
}

/* ---- other readings ---- */

static const struct {
    const char *token, *readings[5]; /* each must be among the readings of the token */
} others[] = {
    {"1984", {"one nine eight four", "one thousand nine hundred eighty four"}},
    {"8500", {"eighty five hundred", "eight five zero zero", "eight five oh oh"}},
    {"500", {"five zero zero", "five hundred", "five oh oh"}},
    {"323", {"three two three", "three twenty three", "three hundred and twenty three"}},
    {"0", {"zero", "oh"}},
    {"42", {"four two"}},
    {"#", {"pound", "hash", "number"}},
    {"*", {"star", "asterisk"}},
    {"#1", {"pound one", "hash one"}},
    {"USB", {"u s b", "usb"}},
    {"NATO", {"nato", "n a t o"}},
    {"e-mail", {"e mail", "email"}},
    {"re-record", {"re record", "rerecord"}},
    {"$2.50", {"two dollars fifty cents", "two fifty"}},
    {"101", {"one hundred and one", "one oh one"}},
    {"St.", {"saint", "street"}},
    {"Henry VIII", {"the eighth"}},
    {"3/4", {"three quarters", "three fourths", "three over four"}},
    {"H.323", {"h three two three", "h three twenty three"}},
    {"10:05", {"one zero zero five"}},
};

static void other_readings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct spoken_text spoken;
        assert_ok(spell_readings(others[i].token, &spoken));
        for (int r = 0; r < 5 && others[i].readings[r] != NULL; r++) {
            bool found = false;
            const struct spoken_token *token = &spoken.tokens[spoken.token_count - 1];
            for (int k = 0; k < token->reading_count; k++) {
                const struct spoken_reading *reading = &spoken.readings[token->first_reading + k];
                char text[1024] = "";
                for (int64_t w = 0; w < reading->count; w++) {
                    strcat(text, w > 0 ? " " : "");
                    strcat(text, spoken.words[reading->first + w]);
                }
                found = found || strcmp(text, others[i].readings[r]) == 0;
            }
            if (!found)
                fail_msg("\"%s\" has no reading \"%s\"", others[i].token, others[i].readings[r]);
        }
        spoken_text_free(&spoken);
    }
}

/* ---- ranges ---- */

static void ranges_are_the_written_tokens(void **state)
{
    (void)state;
    static const char text[] = "(He paid $3 million, on the 42nd... caf\xC3\xA9 \xE2\x80\x9Cnow\xE2\x80\x9D!)";
    static const char *const expected[] = {"He",  "paid", "$3 million", "$3 million",  "$3 million", "on",
                                           "the", "42nd", "42nd",       "caf\xC3\xA9", "now"};
    struct spoken_word *words = NULL;
    int64_t count = 0;
    assert_ok(spell_out(text, &words, &count));
    assert_int_equal(count, sizeof expected / sizeof expected[0]);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(words[i].text_end - words[i].text_begin, strlen(expected[i]));
        assert_memory_equal(text + words[i].text_begin, expected[i], strlen(expected[i]));
    }
    free(words);
}

/* What holds for every text: ranges are in order and inside the text, words are short, not empty, without capitals or
 * spaces. */
static void check_invariants(const char *text)
{
    struct spoken_text spoken;
    assert_ok(spell_readings(text, &spoken));
    int32_t end = 0, length = (int32_t)strlen(text);
    for (int64_t i = 0; i < spoken.token_count; i++) {
        const struct spoken_token *token = &spoken.tokens[i];
        assert_true(token->text_begin >= end && token->text_end > token->text_begin && token->text_end <= length);
        assert_in_range(token->reading_count, 1, SPELL_READINGS);
        end = token->text_end;
        for (int r = 0; r < token->reading_count; r++) {
            const struct spoken_reading *reading = &spoken.readings[token->first_reading + r];
            assert_in_range(reading->count, 1, PHRASE_WORDS);
            assert_true(reading->first + reading->count <= spoken.word_count);
            for (int64_t w = reading->first; w < reading->first + reading->count; w++) {
                assert_non_null(memchr(spoken.words[w], 0, SPOKEN_WORD_BYTES));
                assert_true(spoken.words[w][0] != '\0');
                for (const char *c = spoken.words[w]; *c != '\0'; c++)
                    assert_true((*c >= 'a' && *c <= 'z') || (unsigned char)*c >= 0x80 || *c == '\'');
            }
        }
    }
    spoken_text_free(&spoken);
}

static void random_texts_keep_the_invariants(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a",
                                         "A",
                                         "7",
                                         "0",
                                         "12",
                                         ".",
                                         ",",
                                         ":",
                                         "-",
                                         "--",
                                         "/",
                                         "$",
                                         "%",
                                         "'",
                                         "\"",
                                         "(",
                                         ")",
                                         "#",
                                         "*",
                                         "@",
                                         "&",
                                         "+",
                                         " ",
                                         "th",
                                         "st",
                                         "km",
                                         "pm",
                                         "million",
                                         "MP",
                                         "\xC3\xA9",
                                         "\xE2\x80\x93",
                                         "\xE2\x80\xA6",
                                         "\xC2\xA3",
                                         "\xC2\xBD",
                                         "\xD0\xBC",
                                         "\xFF",
                                         "\xE2\x80",
                                         "\xCC\x81",
                                         "\x01",
                                         "\t",
                                         "_",
                                         "www.",
                                         "\xC2\xB0",
                                         "=",
                                         "<",
                                         "1,000",
                                         "\xF0\x9F\x98\x80"};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 71, 0);
    for (int i = 0; i < 20000; i++) {
        char text[256] = "";
        uint64_t count = 1 + rng_below(&rng, 20);
        for (uint64_t k = 0; k < count; k++)
            strcat(text, pieces[rng_below(&rng, sizeof pieces / sizeof pieces[0])]);
        check_invariants(text);
    }
    for (int i = 0; i < 5000; i++) {
        char text[64];
        uint64_t count = rng_below(&rng, 63);
        for (uint64_t k = 0; k < count; k++)
            text[k] = (char)(1 + rng_below(&rng, 255));
        text[count] = '\0';
        check_invariants(text);
    }
}

static void long_tokens(void **state)
{
    (void)state;
    static const char fill[] = {'a', '7', 'A', '-', '.', ',', '$', '\''};
    for (size_t i = 0; i < sizeof fill; i++) {
        char *text = malloc(100001);
        assert_non_null(text);
        memset(text, fill[i], 100000);
        text[100000] = '\0';
        check_invariants(text);
        memset(text + 1, '7', 99998);
        check_invariants(text);
        for (int k = 0; k < 100000; k += 2)
            text[k] = fill[(i + 1) % sizeof fill];
        check_invariants(text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_readings),
        cmocka_unit_test(other_readings),
        cmocka_unit_test(ranges_are_the_written_tokens),
        cmocka_unit_test(random_texts_keep_the_invariants),
        cmocka_unit_test(long_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
