/* Where the answer is in what a model wrote, and what went wrong: each fault by hand, and random outputs, of which no more may be
 * read than what is there when the generation stops. */
#include "support/files.h"
#include "support/generation_world.h"
#include "support/scripted_model.h"
#include "support/test_support.h"

#include "eval/few_shot/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct generation_world world;

enum { ASR, INTENT, STOPS, BARE, UNITS, PATTERNS };
static const char *const patterns[PATTERNS] = {
    [ASR] = "begin: \"<START Transcript>\"\n  end: \"<END>\"\n  stop: [\"[Speech]\"]\n",
    [INTENT] = "end: \"\\n\"\n  stop: [\"[Speech]\", \"[Text]\"]\n",
    [STOPS] = "begin: \"<b>\"\n  end: \"<END>\"\n  stop: [\"\\n\", \"A:\", \"[Hu3][Hu7]\"]\n",
    [BARE] = "output: text\n",
    [UNITS] = "output: speech\n  stop: [\"[Hu3][Hu7]\", \"word\"]\n",
};
static struct prompt_template templates[PATTERNS];
static struct answer_reader *readers[PATTERNS];

static int open_readers(void **state)
{
    (void)state;
    generation_world_open(false, &world);
    for (int p = 0; p < PATTERNS; p++) {
        char text[400];
        const char *path = test_path("pattern_%d.yaml", p);
        snprintf(text, sizeof text, "prompt:\n  shot: \"{prompt}{answer}\"\n  item: \"{prompt}\"\n  %s", patterns[p]);
        write_text(path, text);
        assert_ok(template_read(path, &templates[p]));
        assert_ok(answer_reader_create(world.components, &templates[p], &readers[p]));
    }
    return 0;
}

static int close_readers(void **state)
{
    (void)state;
    for (int p = 0; p < PATTERNS; p++) {
        answer_reader_free(readers[p]);
        template_free(&templates[p]);
    }
    answer_reader_free(NULL);
    generation_world_close(&world);
    return 0;
}

/* ---- ids ---- */

/* The piece of one byte. */
static int32_t byte_id(unsigned char byte)
{
    for (int32_t id = 0; id < text_model_size(world.components->text); id++) {
        int64_t length;
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        const char *piece = text_model_piece(world.components->text, id, &length);
        if (length == 6 && memcmp(piece, name, 6) == 0)
            return id;
        if (length == 1 && (unsigned char)*piece == byte && byte >= 0x80)
            return id;
    }
    fail_msg("the text model has no piece of the byte %d", byte);
    return -1;
}

/* Tags, units and text; between \x01 and \x02 a text in pieces of one byte each, where \x03 stands for NUL. */
static int32_t *ids_of(const char *text, int64_t *count)
{
    int32_t *ids = calloc(strlen(text) + 1, sizeof *ids);
    assert_non_null(ids);
    *count = 0;
    while (*text) {
        if (*text == 1) {
            for (text++; *text != 2; text++)
                ids[(*count)++] = byte_id(*text == 3 ? 0 : (unsigned char)*text);
            text++;
            continue;
        }
        char part[256];
        int64_t own, size = (int64_t)strcspn(text, "\x01");
        snprintf(part, sizeof part, "%.*s", (int)size, text);
        int32_t *more = scripted_ids(world.components, part, &own);
        memcpy(ids + *count, more, (size_t)own * sizeof *ids);
        free(more);
        *count += own;
        text += size;
    }
    return ids;
}

/* How many ids are there when a generation stops; -1: it does not. */
static int64_t stop_of(int pattern, const int32_t *ids, int64_t count)
{
    for (int64_t n = 1; n <= count; n++)
        if (answer_stops(readers[pattern], ids, n))
            return n;
    return -1;
}

/* ---- by hand ---- */

#define B "<START Transcript>"
#define U "\xEF\xBF\xBD"

static const struct fault {
    int pattern;
    const char *wrote;
    bool limited;
    const char *text;
    enum answer_ending ending;
    bool no_begin;
    const char *stopped; /* what was written when it stopped; NULL: it does not */
} faults[] = {
    {ASR, B "one two<END>", false, "one two", ANSWER_ENDED, false, B "one two<END>"},
    {ASR, B "one two<END>", true, "one two", ANSWER_ENDED, false, B "one two<END>"},
    {ASR, B " one \t<END>", false, "one", ANSWER_ENDED, false, B " one \t<END>"},
    {ASR, "ah " B "one<END>", false, "one", ANSWER_ENDED, false, "ah " B "one<END>"},
    {ASR, B "one two", false, "one two", ANSWER_NO_END, false, NULL},
    {ASR, B "one two", true, "one two", ANSWER_TOO_LONG, false, NULL},
    {ASR, B "one two<END", true, "one two<END", ANSWER_TOO_LONG, false, NULL},
    {ASR, B "one" B "two<END>", false, "one", ANSWER_SECOND_BEGIN, false, B "one" B},
    {ASR, B B "two<END>", false, "", ANSWER_SECOND_BEGIN, false, B B},
    {ASR, "", false, "", ANSWER_NO_END, true, NULL},
    {ASR, "", true, "", ANSWER_TOO_LONG, true, NULL},
    {ASR, B, false, "", ANSWER_NO_END, false, NULL},
    {ASR, B "<END>", false, "", ANSWER_ENDED, false, B "<END>"},
    {ASR, B "  <END>", false, "", ANSWER_ENDED, false, B "  <END>"},
    {ASR, "[Speech][Hu3]", false, "", ANSWER_OTHER_MODALITY, true, "[Speech]"},
    {ASR, "[Hu3][Hu4]", false, "", ANSWER_OTHER_MODALITY, true, "[Hu3]"},
    {ASR, "[Text]" B "one<END>", false, "", ANSWER_OTHER_MODALITY, true, "[Text]"},
    {ASR, B "one[Speech]two<END>", false, "one", ANSWER_OTHER_MODALITY, false, B "one[Speech]"},
    {ASR, B "one[Hu5]", true, "one", ANSWER_OTHER_MODALITY, false, B "one[Hu5]"},
    {ASR, "one two<END>", false, "one two", ANSWER_ENDED, true, "one two<END>"},
    {ASR, "one two", false, "one two", ANSWER_NO_END, true, NULL},
    {ASR, "one two", true, "one two", ANSWER_TOO_LONG, true, NULL},
    {ASR, "one<END>" B "two<END>", false, "one", ANSWER_ENDED, true, "one<END>"},
    {ASR, B "one<END>two[Speech]" B, false, "one", ANSWER_ENDED, false, B "one<END>"},
    {ASR, "\x01" B "one<END>\x02", false, "one", ANSWER_ENDED, false, "\x01" B "one<END>\x02"},
    {ASR,
     B "one<EN\x01"
       "D>\x02 more",
     false, "one", ANSWER_ENDED, false,
     B "one<EN\x01"
       "D>\x02"},
    {ASR,
     B "a\x01\x03\x02"
       "b<END>",
     false, "a" U "b", ANSWER_ENDED, false,
     B "a\x01\x03\x02"
       "b<END>"},
    {ASR,
     B "a\x01\xFF\x02"
       "b<END>",
     false, "a" U "b", ANSWER_ENDED, false,
     B "a\x01\xFF\x02"
       "b<END>"},
    {ASR, B "a\x01\xC3\x02", true, "a" U, ANSWER_TOO_LONG, false, NULL},
    {ASR, B "a\x01\xC3\xA9\x02", true, "a\xC3\xA9", ANSWER_TOO_LONG, false, NULL},
    {INTENT, " bring juice\nfoo", false, "bring juice", ANSWER_ENDED, false, " bring juice\n"},
    {INTENT, "bring juice", false, "bring juice", ANSWER_NO_END, false, NULL},
    {INTENT, "bring juice", true, "bring juice", ANSWER_TOO_LONG, false, NULL},
    {INTENT, "\nbring", false, "", ANSWER_ENDED, false, "\n"},
    {INTENT, "bring[Text]juice\n", false, "bring", ANSWER_OTHER_MODALITY, false, "bring[Text]"},
    {STOPS, "<b>one\ntwo<END>", false, "one", ANSWER_NO_END, false, "<b>one\n"},
    {STOPS, "<b>one A: two<END>", false, "one", ANSWER_NO_END, false, "<b>one A:"},
    {STOPS, "\n<b>one<END>", false, "", ANSWER_NO_END, true, "\n"},
    {STOPS, "<b>one<END>\n", false, "one", ANSWER_ENDED, false, "<b>one<END>"},
    {BARE, " so it is\n", false, "so it is", ANSWER_ENDED, false, NULL},
    {BARE, " so it is", true, "so it is", ANSWER_TOO_LONG, false, NULL},
    {BARE, "", false, "", ANSWER_ENDED, false, NULL},
};

static void every_fault_is_what_it_is_called(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
        const struct fault *fault = &faults[f];
        struct answer answer;
        int64_t count, until = -1;
        int32_t *ids = ids_of(fault->wrote, &count);
        if (fault->stopped)
            free(ids_of(fault->stopped, &until));
        if (stop_of(fault->pattern, ids, count) != until)
            fail_msg("case %zu: expected a stop after %lld of %lld ids, found %lld", f, (long long)until,
                     (long long)count, (long long)stop_of(fault->pattern, ids, count));
        assert_ok(answer_read(readers[fault->pattern], ids, count, fault->limited, &answer));
        if (strcmp(answer.text, fault->text) != 0 || answer.ending != fault->ending ||
            answer.no_begin != fault->no_begin || answer.empty != (*fault->text == 0))
            fail_msg("case %zu: found \"%s\", %s, no_begin %d, empty %d", f, answer.text,
                     answer_ending_name(answer.ending), answer.no_begin, answer.empty);
        free(answer.text);
        free(ids);
    }
}

static void names_are_those_of_the_results(void **state)
{
    (void)state;
    static const char *const names[] = {"ended", "no_end", "second_begin", "other_modality", "too_long"};
    for (int e = 0; e < ANSWER_ENDINGS; e++)
        assert_string_equal(answer_ending_name((enum answer_ending)e), names[e]);
}

/* Speech stops at the units of a stop and nowhere else. */
static void units_are_compared_as_units(void **state)
{
    (void)state;
    static const struct {
        const char *wrote;
        bool stops;
    } cases[] = {{"[Hu3][Hu7]", true},      {"[Hu7][Hu3]", false}, {"[Hu3]", false},
                 {"[Hu1][Hu3][Hu7]", true}, {"[Hu7]", false},      {"[Hu3][Hu7][Hu7]", false},
                 {"[Hu3][Hu8]", false},     {"word", false},       {"[Hu30][Hu7]", false}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int64_t count;
        int32_t *ids = ids_of(cases[c].wrote, &count);
        if (answer_stops(readers[UNITS], ids, count) != cases[c].stops)
            fail_msg("%s: expected %d", cases[c].wrote, cases[c].stops);
        free(ids);
    }
}

/* ---- at random ---- */

static int32_t *random_ids(struct rng *rng, int64_t *count)
{
    static const char *const parts[] = {B,
                                        B,
                                        "<END>",
                                        "<END>",
                                        "<",
                                        "END>",
                                        "<START",
                                        " Transcript>",
                                        "<b>",
                                        "<b>",
                                        "a ",
                                        "word",
                                        "\n",
                                        "A:",
                                        "A",
                                        ":",
                                        "[Hu3]",
                                        "[Hu7]",
                                        "[Text]",
                                        "[Speech]",
                                        "\xC3\xA9",
                                        " ",
                                        "one two",
                                        "\x01<\x02",
                                        "\x01\x45ND>\x02",
                                        "\x01\xC3\x02",
                                        "\x01\xA9\x02",
                                        "\x01\x03\x02",
                                        "\x01\xE2\x82\x02"};
    char text[1024];
    size_t used = 0;
    *text = 0;
    for (uint64_t n = rng_below(rng, 14); n > 0; n--) {
        /* tags and units end most generations, so they are rarer */
        uint64_t part = rng_below(rng, sizeof parts / sizeof *parts);
        if (part >= 16 && part < 20 && rng_below(rng, 4) > 0)
            part = 10;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", parts[part]);
        assert_true(used < sizeof text);
    }
    return ids_of(text, count);
}

static void nothing_behind_a_stop_is_read(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 31, 0);
    int64_t rounds = test_is_long() ? 200000 : 3000, stopped = 0, endings[ANSWER_ENDINGS] = {0};
    for (int64_t round = 0; round < rounds; round++) {
        int pattern = (int)rng_below(&rng, UNITS);
        int64_t count;
        int32_t *ids = random_ids(&rng, &count);
        int64_t stop = stop_of(pattern, ids, count);
        struct answer whole, cut;
        assert_ok(answer_read(readers[pattern], ids, count, stop < 0, &whole));
        assert_ok(answer_read(readers[pattern], ids, stop < 0 ? count : stop, stop < 0, &cut));
        if (strcmp(whole.text, cut.text) != 0 || whole.ending != cut.ending || whole.no_begin != cut.no_begin ||
            whole.empty != cut.empty)
            fail_msg("round %lld, pattern %d: \"%s\", %s without stop; \"%s\", %s with it", (long long)round, pattern,
                     whole.text, answer_ending_name(whole.ending), cut.text, answer_ending_name(cut.ending));
        assert_true(cut.empty == (*cut.text == 0));
        stopped += stop > 0 && stop < count;
        endings[cut.ending]++;
        free(whole.text);
        free(cut.text);
        free(ids);
    }
    assert_true(stopped > rounds / 20); /* otherwise it has shown nothing */
    for (int e = 0; e < ANSWER_ENDINGS; e++)
        assert_true(endings[e] > rounds / 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_is_what_it_is_called),
        cmocka_unit_test(names_are_those_of_the_results),
        cmocka_unit_test(units_are_compared_as_units),
        cmocka_unit_test(nothing_behind_a_stop_is_read),
    };
    return cmocka_run_group_tests(tests, open_readers, close_readers);
}
