/* Documents: the exact token sequence of a row, worked out by hand in every form, and what must hold for any row. */
#include "support/built_model.h"
#include "support/test_support.h"

#include "data/interleave.h"
#include "text/tagged_model.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ids: <unk> 0, <s> 1, </s> 2, "," 3, a..z 4..29, U+2581 30; so V = 31: [Text] 31, [Speech] 32, Hu from 33. */
enum { COMMA = 3, LETTER_A = 4, SPACE = 30, TEXT_TAG = 31, SPEECH_TAG = 32, HUBERT = 33 };
enum { HUBERT_COUNT = 600, PITCH = HUBERT + HUBERT_COUNT, PITCH_COUNT = 64, STYLE = PITCH + PITCH_COUNT };
enum { STYLE_COUNT = 100, ASR_TAG = STYLE + STYLE_COUNT, TTS_TAG };

static struct text_model *text_model;
static struct vocabulary vocabulary;

static const struct unit_rates rates = {{{25, 1}, {25, 2}, {1, 1}}};

static int prepare(void **state)
{
    (void)state;
    static const char *const pieces[] = {",", NULL};
    struct bytes bytes = build_small_model(pieces, 0);
    text_model = load_built_model(&bytes);
    bytes_free(&bytes);
    return vocabulary_create(text_model_size(text_model), 1, 2, 0, HUBERT_COUNT, PITCH_COUNT, STYLE_COUNT, true,
                             &vocabulary) == STATUS_OK
               ? 0
               : -1;
}

static int finish(void **state)
{
    (void)state;
    text_model_free(text_model);
    return 0;
}

static struct interleaver make(enum interleave_mode mode, int64_t text_words, int64_t speech_words)
{
    return (struct interleaver){
        text_model, &vocabulary, rates, {mode, text_words, text_words, speech_words, speech_words, 7}};
}

static void append_token(char *text, size_t size, int32_t id)
{
    size_t used = strlen(text);
    char *at = text + used;
    size -= used;
    const char *space = used ? " " : "";
    if (id == 1 || id == 2)
        snprintf(at, size, "%s%s", space, id == 1 ? "<s>" : "</s>");
    else if (id == COMMA || id == SPACE)
        snprintf(at, size, "%s%c", space, id == COMMA ? ',' : '_');
    else if (id >= LETTER_A && id < LETTER_A + 26)
        snprintf(at, size, "%s%c", space, 'a' + id - LETTER_A);
    else if (id == TEXT_TAG || id == SPEECH_TAG)
        snprintf(at, size, "%s%s", space, id == TEXT_TAG ? "[Text]" : "[Speech]");
    else if (id == ASR_TAG || id == TTS_TAG)
        snprintf(at, size, "%s%s", space, id == ASR_TAG ? "[ASR]" : "[TTS]");
    else if (id >= STYLE && id < STYLE + STYLE_COUNT)
        snprintf(at, size, "%sSt%d", space, id - STYLE);
    else if (id >= PITCH && id < STYLE)
        snprintf(at, size, "%sPi%d", space, id - PITCH);
    else if (id >= HUBERT && id < PITCH)
        snprintf(at, size, "%sHu%d", space, id - HUBERT);
    else
        snprintf(at, size, "%s?%d", space, id);
}

static const char *spell(const struct document *document)
{
    static char text[4096];
    *text = 0;
    for (int64_t i = 0; i < document->count; i++)
        append_token(text, sizeof text, document->ids[i]);
    return text;
}

/* ---- the row worked out by hand ----
 * Text, with byte numbers:     ", the cat, sat on "
 *                                 2   6    11  15  18
 * Samples at 16 kHz: "the" begins at 1280, "cat" at 2560, "sat" at 4480, "on" at 5760; 7680 in all.
 * Hubert units begin every 640 samples:
 *     index  0   1 |  2    3 |  4    5    6 |  7    8 |  9    10   11
 *     begin  0 640 | 1280    | 2560         | 4480    | 5760
 *     value  5   5 |  6    6 |  6    7    7 |  8    8 |  9    9    9
 * Pitch units begin every 1280 samples: 0: 1, 1280: 1, 2560: 2, 3840: 2, 5120: 3, 6400: 3. Style: 0: 2. */
static uint16_t hubert[] = {5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 9}, pitch[] = {1, 1, 2, 2, 3, 3}, style[] = {2};
static const char row_text[] = ", the cat, sat on ";

#define WHOLE_SPEECH "St2 Pi1 Hu5 Hu6 Pi2 Hu7 Hu8 Pi3 Hu9"
#define WHOLE_TEXT "_ , _ t h e _ c a t , _ s a t _ o n"

static struct shard_row hand_row(struct aligned_word words[4])
{
    static const struct aligned_word spoken[4] = {
        {1280, 2560, 2, 5}, {2560, 3840, 6, 9}, {4480, 5760, 11, 14}, {5760, 6000, 15, 17}};
    memcpy(words, spoken, sizeof spoken);
    return (struct shard_row){.id = "hand",
                              .id_length = 4,
                              .text = row_text,
                              .text_length = sizeof row_text - 1,
                              .words = words,
                              .word_count = 4,
                              .units = {{hubert, pitch, style}, {12, 6, 1}},
                              .duration = 7680,
                              .score = NAN};
}

/* Makes the document with many rngs: each outcome must be one of those worked out, and all of those must occur. */
static void assert_outcomes(const struct interleaver *interleaver, const struct shard_row *row,
                            const char *const *expected, int count)
{
    int seen[8] = {0};
    assert_ok(interleaver_check(interleaver));
    for (uint64_t i = 0; i < 400; i++) {
        struct rng rng = rng_make(test_seed(), RNG_INTERLEAVE, 0, i), again = rng;
        struct document document, second;
        assert_ok(document_interleaved(interleaver, row, &rng, &document));
        assert_ok(document_interleaved(interleaver, row, &again, &second));
        assert_int_equal(document.count, second.count);
        assert_memory_equal(document.ids, second.ids, (size_t)document.count * sizeof *document.ids);
        const char *text = spell(&document);
        int match = 0;
        while (match < count && strcmp(expected[match], text) != 0)
            match++;
        if (match == count)
            fail_msg("not worked out: %s", text);
        seen[match]++;
        int64_t tags = 0;
        for (const char *c = text; *c; c++)
            tags += *c == '[';
        assert_int_equal(document.spans, tags);
        assert_int_equal(document.words, row->word_count);
        assert_int_equal(document.switched_words, tags > 1 ? row->word_count : 0);
        document_free(&document);
        document_free(&second);
    }
    for (int i = 0; i < count; i++) /* fair coins: 6 standard deviations */
        assert_in_range(seen[i], 400 / count - 60, 400 / count + 60);
}

static void one_modality_by_hand(void **state)
{
    (void)state;
    struct aligned_word words[4];
    struct shard_row row = hand_row(words);
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 1);
    struct document document;
    assert_ok(document_from_text(&interleaver, &row, &document));
    assert_string_equal(spell(&document), "<s> [Text] " WHOLE_TEXT " </s>");
    assert_int_equal(document.spans, 1);
    assert_int_equal(document.words, 0);
    document_free(&document);
    assert_ok(document_from_speech(&interleaver, &row, &document));
    assert_string_equal(spell(&document), "<s> [Speech] " WHOLE_SPEECH " </s>");
    document_free(&document);
    interleaver.options.streams_mask = 1u << STREAM_HUBERT; /* Base */
    assert_ok(document_from_speech(&interleaver, &row, &document));
    assert_string_equal(spell(&document), "<s> [Speech] Hu5 Hu6 Hu7 Hu8 Hu9 </s>");
    document_free(&document);
    interleaver.options.streams_mask = 1u << STREAM_HUBERT | 1u << STREAM_STYLE;
    assert_ok(document_from_speech(&interleaver, &row, &document));
    assert_string_equal(spell(&document), "<s> [Speech] St2 Hu5 Hu6 Hu7 Hu8 Hu9 </s>");
    document_free(&document);
}

/* Spans of 1 word of text and 2 of speech. Text first: , the | cat sat | on; the comma before the first word
 * is not lost. The speech is samples [2560, 5760): the
 * style in force, the pitch unit that begins there, Hu 4 to 8 (6 7 7 8 8), and the pitch unit of 5120 before its end.
 * Speech first: the cat | sat | on. [0, 4480) begins at 0 so that the 5 5 before "the" is not lost, and runs over the
 * word boundary (6 6 | 6) collapse. [5760, end) begins with the style and pitch in force. */
static void spans_by_hand(void **state)
{
    (void)state;
    struct aligned_word words[4];
    struct shard_row row = hand_row(words);
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 2);
    static const char *const expected[] = {
        "<s> [Text] _ , _ t h e [Speech] St2 Pi2 Hu6 Hu7 Hu8 Pi3 [Text] _ o n </s>",
        "<s> [Speech] St2 Pi1 Hu5 Hu6 Pi2 Hu7 [Text] _ s a t [Speech] St2 Pi3 Hu9 </s>",
    };
    assert_outcomes(&interleaver, &row, expected, 2);
    interleaver.options.streams_mask = 1u << STREAM_HUBERT; /* Base */
    static const char *const base[] = {
        "<s> [Text] _ , _ t h e [Speech] Hu6 Hu7 Hu8 [Text] _ o n </s>",
        "<s> [Speech] Hu5 Hu6 Hu7 [Text] _ s a t [Speech] Hu9 </s>",
    };
    assert_outcomes(&interleaver, &row, base, 2);
    /* The paper's spans are longer than this row, so all of it is in one modality. */
    interleaver.options = (struct interleave_options){INTERLEAVE_SPANS, 10, 30, 5, 15, 7};
    static const char *const whole[] = {"<s> [Text] " WHOLE_TEXT " </s>", "<s> [Speech] " WHOLE_SPEECH " </s>"};
    assert_outcomes(&interleaver, &row, whole, 2);
}

/* dummy_prefix "document": as SentencePiece encodes the whole string, tags and units being user-defined pieces. */
static void assert_as_one_string(const char *text, const char *spelled)
{
    static const char *const pieces[] = {",", NULL};
    struct bytes file = build_small_model(pieces, 0);
    struct sentencepiece *tagged;
    void *data;
    int32_t *ids;
    int64_t size, count;
    char expected[2000] = "";
    assert_ok(tagged_model_write("small", file.data, (int64_t)file.size, &vocabulary, &data, &size));
    assert_ok(sentencepiece_load_tagged("tagged", data, size, &tagged));
    assert_ok(sentencepiece_encode(tagged, text, (int64_t)strlen(text), true, &ids, &count));
    append_token(expected, sizeof expected, 1);
    for (int64_t i = 0; i < count; i++)
        append_token(expected, sizeof expected, ids[i]);
    append_token(expected, sizeof expected, 2);
    assert_string_equal(spelled, expected);
    free(ids);
    free(data);
    sentencepiece_free(tagged);
    bytes_free(&file);
}

static void a_prefix_for_each_document_by_hand(void **state)
{
    (void)state;
    struct aligned_word words[4];
    struct shard_row row = hand_row(words);
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 2);
    struct document document;
    vocabulary.dummy_prefix = DUMMY_PREFIX_DOCUMENT;
    assert_ok(document_from_text(&interleaver, &row, &document));
    assert_string_equal(spell(&document), "<s> _ [Text] , _ t h e _ c a t , _ s a t _ o n </s>");
    assert_as_one_string("[Text], the cat, sat on", spell(&document));
    document_free(&document);
    assert_ok(document_from_speech(&interleaver, &row, &document));
    assert_string_equal(spell(&document), "<s> _ [Speech] " WHOLE_SPEECH " </s>");
    assert_as_one_string("[Speech][St2][Pi1][Hu5][Hu6][Pi2][Hu7][Hu8][Pi3][Hu9]", spell(&document));
    document_free(&document);
    static const char *const expected[] = {
        "<s> _ [Text] , _ t h e [Speech] St2 Pi2 Hu6 Hu7 Hu8 Pi3 [Text] o n </s>",
        "<s> _ [Speech] St2 Pi1 Hu5 Hu6 Pi2 Hu7 [Text] s a t [Speech] St2 Pi3 Hu9 </s>",
    };
    assert_outcomes(&interleaver, &row, expected, 2);
    assert_as_one_string("[Text], the[Speech][St2][Pi2][Hu6][Hu7][Hu8][Pi3][Text]on", expected[0]);
    assert_as_one_string("[Speech][St2][Pi1][Hu5][Hu6][Pi2][Hu7][Text]sat[Speech][St2][Pi3][Hu9]", expected[1]);
    struct shard_row empty = {.id = "empty", .id_length = 5, .text = " ", .text_length = 1};
    assert_ok(document_from_text(&interleaver, &empty, &document));
    assert_int_equal(document.count, 0);
    document_free(&document);
    vocabulary.dummy_prefix = DUMMY_PREFIX_SPAN;
}

/* With span_space a span that continues the document begins with the space that the text has before it, the first one never. The
 * whole string, with that space after the tag, has the same ids. */
static void a_span_that_continues_keeps_its_space(void **state)
{
    (void)state;
    struct aligned_word words[4];
    struct shard_row row = hand_row(words);
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 2);
    vocabulary.dummy_prefix = DUMMY_PREFIX_DOCUMENT;
    vocabulary.span_space = true;
    static const char *const expected[] = {
        "<s> _ [Text] , _ t h e [Speech] St2 Pi2 Hu6 Hu7 Hu8 Pi3 [Text] _ o n </s>",
        "<s> _ [Speech] St2 Pi1 Hu5 Hu6 Pi2 Hu7 [Text] _ s a t [Speech] St2 Pi3 Hu9 </s>",
    };
    assert_outcomes(&interleaver, &row, expected, 2);
    assert_as_one_string("[Text], the[Speech][St2][Pi2][Hu6][Hu7][Hu8][Pi3][Text] on", expected[0]);
    assert_as_one_string("[Speech][St2][Pi1][Hu5][Hu6][Pi2][Hu7][Text] sat[Speech][St2][Pi3][Hu9]", expected[1]);
    vocabulary.dummy_prefix = DUMMY_PREFIX_SPAN; /* the space is then where the dummy prefix would be */
    static const char *const spans[] = {
        "<s> [Text] _ , _ t h e [Speech] St2 Pi2 Hu6 Hu7 Hu8 Pi3 [Text] _ o n </s>",
        "<s> [Speech] St2 Pi1 Hu5 Hu6 Pi2 Hu7 [Text] _ s a t [Speech] St2 Pi3 Hu9 </s>",
    };
    assert_outcomes(&interleaver, &row, spans, 2);
    vocabulary.span_space = false;
}

/* Each word's text, then its units: [0, 2560), [2560, 4480), [4480, 5760), [5760, end). */
static void words_by_hand(void **state)
{
    (void)state;
    struct aligned_word words[4];
    struct shard_row row = hand_row(words);
    struct interleaver interleaver = make(INTERLEAVE_WORDS, 1, 1);
    static const char *const expected[] = {
        "<s> [Text] _ , _ t h e [Speech] St2 Pi1 Hu5 Hu6 [Text] _ c a t , [Speech] St2 Pi2 "
        "Hu6 Hu7 [Text] _ s a t [Speech] St2 Pi2 Hu8 Pi3 [Text] _ o n [Speech] St2 "
        "Pi3 Hu9 </s>"};
    assert_outcomes(&interleaver, &row, expected, 1);
}

static void other_forms_by_hand(void **state)
{
    (void)state;
    struct aligned_word words[4];
    struct shard_row row = hand_row(words);
    static const char *const expected[] = {
        "<s> [Text] " WHOLE_TEXT " </s>",
        "<s> [Speech] " WHOLE_SPEECH " </s>",
        "<s> [Speech] " WHOLE_SPEECH " [ASR] " WHOLE_TEXT " </s>",
        "<s> [Text] " WHOLE_TEXT " [TTS] " WHOLE_SPEECH " </s>",
        "<s> [Text] _ , _ t h e [Speech] St2 Pi2 Hu6 Hu7 Hu8 Pi3 [Text] _ o n </s>",
        "<s> [Speech] St2 Pi1 Hu5 Hu6 Pi2 Hu7 [Text] _ s a t [Speech] St2 Pi3 Hu9 </s>",
    };
    struct interleaver interleaver = make(INTERLEAVE_NONE, 1, 2);
    assert_outcomes(&interleaver, &row, expected, 2);
    interleaver.options.mode = INTERLEAVE_ASR_TTS;
    assert_outcomes(&interleaver, &row, expected + 2, 2);
    interleaver.options.mode = INTERLEAVE_SPANS_ASR_TTS;
    assert_outcomes(&interleaver, &row, expected + 2, 4);
}

/* "sat" now begins at 4500 and "on" at 5000: no unit begins in between, so "sat" cannot be spoken. As a span of speech
 * it joins the text around it, to be encoded in one piece; word by word it has only text, and no tag is doubled. */
static void words_shorter_than_a_unit(void **state)
{
    (void)state;
    struct aligned_word words[4];
    struct shard_row row = hand_row(words);
    words[2].start = 4500;
    words[2].end = words[3].start = 5000;
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 1);
    static const char *const spans[] = {
        "<s> [Text] _ , _ t h e [Speech] St2 Pi2 Hu6 Hu7 Hu8 [Text] _ s a t [Speech] St2 Pi2 Pi3 Hu8 Hu9 </s>",
        "<s> [Speech] St2 Pi1 Hu5 Hu6 [Text] _ c a t , _ s a t _ o n </s>",
    };
    assert_outcomes(&interleaver, &row, spans, 2);
    interleaver.options.mode = INTERLEAVE_WORDS;
    static const char *const by_word[] = {
        "<s> [Text] _ , _ t h e [Speech] St2 Pi1 Hu5 Hu6 [Text] _ c a t , [Speech] St2 Pi2 "
        "Hu6 Hu7 Hu8 [Text] _ s a t _ o n [Speech] St2 Pi2 Pi3 Hu8 Hu9 </s>"};
    assert_outcomes(&interleaver, &row, by_word, 1);
}

static void empty_rows_give_empty_documents(void **state)
{
    (void)state;
    struct aligned_word words[4];
    struct shard_row row = hand_row(words);
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 1);
    struct document document;
    row.text = " \t\r\n ";
    row.text_length = 5;
    assert_ok(document_from_text(&interleaver, &row, &document));
    assert_int_equal(document.count, 0);
    assert_null(document.ids);
    row.text_length = 0;
    assert_ok(document_from_text(&interleaver, &row, &document));
    assert_int_equal(document.count, 0);
    row.units.count[STREAM_HUBERT] = 0;
    assert_ok(document_from_speech(&interleaver, &row, &document));
    assert_int_equal(document.count, 0);
    assert_null(document.ids);
    struct rng rng = rng_make(1, RNG_TEST, 0, 0);
    assert_fails(document_interleaved(&interleaver, &row, &rng, &document), STATUS_INTERNAL, "hand: not aligned");
    row.units.count[STREAM_HUBERT] = 12;
    row.words = NULL;
    assert_fails(document_interleaved(&interleaver, &row, &rng, &document), STATUS_INTERNAL, "hand: not aligned");
    uint16_t large[] = {HUBERT_COUNT};
    row.units = (struct units){{large, NULL, NULL}, {1, 0, 0}};
    assert_fails(document_from_speech(&interleaver, &row, &document), STATUS_CORRUPT, "600");
    assert_null(document.ids);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 1);
    interleaver.options.text_words_minimum = 2;
    assert_fails(interleaver_check(&interleaver), STATUS_USAGE, "text spans of 2 to 1 words");
    interleaver = make(INTERLEAVE_SPANS_ASR_TTS, 1, 0);
    assert_fails(interleaver_check(&interleaver), STATUS_USAGE, "speech spans of 0 to 0 words");
    interleaver = make(INTERLEAVE_SPANS, 1, 1);
    interleaver.options.streams_mask = 1u << STREAM_PITCH;
    assert_fails(interleaver_check(&interleaver), STATUS_USAGE, "stream mask");
    interleaver.options.streams_mask = 9;
    assert_fails(interleaver_check(&interleaver), STATUS_USAGE, "stream mask");
    struct vocabulary no_tasks = vocabulary;
    no_tasks.asr_tag = no_tasks.tts_tag = -1;
    interleaver = make(INTERLEAVE_ASR_TTS, 1, 1);
    interleaver.vocabulary = &no_tasks;
    assert_fails(interleaver_check(&interleaver), STATUS_USAGE, "no [ASR] and [TTS]");
}

/* ---- any row ----
 * Word k is spelled with two letters of its own and hubert unit i has the value i, so a document shows which words and
 * which units it contains. */
enum { MAX_WORDS = 100, MAX_UNITS = 590 };

struct random_row {
    struct shard_row row;
    char text[8 * MAX_WORDS];
    struct aligned_word words[MAX_WORDS];
    uint16_t values[STREAM_COUNT][MAX_UNITS];
};

/* At least `shortest` samples lie between the starts of two words. */
static void random_row_make(struct random_row *out, struct rng *rng, int32_t shortest)
{
    int64_t count = 1 + (int64_t)rng_below(rng, MAX_WORDS);
    int32_t time = (int32_t)rng_below(rng, 3000), at = 0;
    for (int64_t k = 0; k < count; k++) {
        for (uint64_t spaces = k > 0 ? 1 + rng_below(rng, 2) : rng_below(rng, 3); spaces > 0; spaces--)
            out->text[at++] = ' ';
        int32_t begin = at;
        out->text[at++] = (char)('a' + k / 26);
        out->text[at++] = (char)('a' + k % 26);
        int32_t end = time + (int32_t)rng_below(rng, (uint64_t)shortest + 1);
        out->words[k] = (struct aligned_word){time, end, begin, at};
        time += shortest + (int32_t)rng_below(rng, 3000);
        if (rng_below(rng, 5) == 0)
            out->text[at++] = ',';
    }
    int64_t units = (time + 639) / 640 + 1;
    assert_true(units <= MAX_UNITS);
    for (int64_t i = 0; i < units; i++)
        out->values[STREAM_HUBERT][i] = (uint16_t)i;
    for (int64_t i = 0; i < units / 2; i++)
        out->values[STREAM_PITCH][i] = (uint16_t)rng_below(rng, 3);
    for (int64_t i = 0; i <= units / 25; i++)
        out->values[STREAM_STYLE][i] = (uint16_t)rng_below(rng, 100);
    out->row = (struct shard_row){
        .id = "random",
        .id_length = 6,
        .text = out->text,
        .text_length = at,
        .words = out->words,
        .word_count = count,
        .units = {{out->values[0], out->values[1], out->values[2]}, {units, units / 2, units / 25 + 1}},
        .duration = (int32_t)units * 640};
}

/* Reads a span of text from ids[*at]: the words must be w, w + 1, ...; returns the word after the last. */
static int64_t read_text(const struct document *document, int64_t *at, int64_t w)
{
    const int32_t *ids = document->ids;
    assert_int_equal(ids[*at], SPACE); /* the dummy prefix */
    while (ids[*at] == SPACE || ids[*at] == COMMA || (ids[*at] >= LETTER_A && ids[*at] < LETTER_A + 26)) {
        if (ids[*at] == SPACE || ids[*at] == COMMA) {
            ++*at;
            continue;
        }
        int64_t word = (ids[*at] - LETTER_A) * 26 + ids[*at + 1] - LETTER_A;
        assert_int_equal(word, w);
        w++;
        *at += 2;
    }
    assert_int_not_equal(ids[*at - 1], SPACE); /* no space before the next tag */
    return w;
}

/* Reads a span of speech: its units must be consecutive from `unit` on; returns the one after the last. The pitch and
 * style before the first unit must be those in force at it. */
static int64_t read_speech(const struct document *document, int64_t *at, int64_t unit)
{
    const int32_t *ids = document->ids;
    assert_in_range(ids[*at], STYLE, STYLE + STYLE_COUNT - 1);
    assert_in_range(ids[*at + 1], PITCH, PITCH + PITCH_COUNT - 1);
    for (; ids[*at] >= HUBERT && ids[*at] < ASR_TAG; ++*at)
        if (ids[*at] < PITCH)
            assert_int_equal(ids[*at] - HUBERT, unit++);
    return unit;
}

/* The first unit that begins at or after the word. */
static int64_t first_unit(const struct random_row *random, int64_t word)
{
    return word == 0                        ? 0
           : word == random->row.word_count ? random->row.units.count[STREAM_HUBERT]
                                            : (random->words[word].start + 639) / 640;
}

/* Walks the document; every word must come once, in order, in one modality. Lengths of the spans but the last are
 * counted. Returns whether speech came first. */
static bool walk_spans(const struct random_row *random, const struct document *document,
                       const struct interleave_options *options, int64_t lengths[2][64], bool exact)
{
    int64_t at = 1, word = 0, spans = 0;
    bool first_is_speech = document->ids[1] == SPEECH_TAG;
    assert_int_equal(document->ids[0], 1);
    while (document->ids[at] != 2) {
        bool speech = document->ids[at] == SPEECH_TAG;
        assert_true(speech == (first_is_speech == (spans % 2 == 0)));
        assert_true(speech || document->ids[at] == TEXT_TAG);
        at++;
        spans++;
        int64_t before = word;
        if (speech) {
            int64_t unit = read_speech(document, &at, first_unit(random, word));
            while (word < random->row.word_count && first_unit(random, word) < unit)
                word++;
            while (!exact && word < random->row.word_count && first_unit(random, word) == first_unit(random, before))
                word++;
            assert_int_equal(unit, first_unit(random, word));
        } else {
            word = read_text(document, &at, word);
        }
        int64_t length = word - before, minimum = speech ? options->speech_words_minimum : options->text_words_minimum;
        assert_true(length >= 1);
        if (exact) {
            assert_true(length <= (speech ? options->speech_words_maximum : options->text_words_maximum));
            if (word < random->row.word_count) {
                assert_true(length >= minimum);
                lengths[speech][length]++;
            }
        }
    }
    assert_int_equal(at, document->count - 1);
    assert_int_equal(word, random->row.word_count);
    assert_int_equal(document->spans, spans);
    return first_is_speech;
}

static void any_row_keeps_every_word_once(void **state)
{
    (void)state;
    static struct random_row random;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 50, 0);
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 1);
    interleaver.options = (struct interleave_options){INTERLEAVE_SPANS, 3, 8, 2, 6, 7};
    int64_t lengths[2][64] = {{0}}, speech_first = 0;
    enum { ROWS = 4000 };
    for (int i = 0; i < ROWS; i++) {
        random_row_make(&random, &rng, 640);
        struct rng cut = rng_make(test_seed(), RNG_INTERLEAVE, 1, (uint64_t)i);
        struct document document;
        assert_ok(document_interleaved(&interleaver, &random.row, &cut, &document));
        speech_first += walk_spans(&random, &document, &interleaver.options, lengths, true);
        document_free(&document);
    }
    assert_in_range(speech_first, ROWS / 2 - 190, ROWS / 2 + 190); /* 6 standard deviations */
    for (int speech = 0; speech < 2; speech++) {
        int64_t minimum = speech ? 2 : 3, maximum = speech ? 6 : 8, total = 0;
        for (int64_t length = 0; length < 64; length++)
            total += lengths[speech][length];
        /* Uniform; the end of a row cuts long spans off slightly more often than short ones, hence the wide band. */
        for (int64_t length = minimum; length <= maximum; length++) {
            double share = (double)lengths[speech][length] / (double)total,
                   uniform = 1.0 / (double)(maximum - minimum + 1);
            assert_true(share > 0.8 * uniform && share < 1.2 * uniform);
        }
    }
}

/* Words shorter than a unit: still nothing is lost or doubled. */
static void short_words_keep_every_word_once(void **state)
{
    (void)state;
    static struct random_row random;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 51, 0);
    struct interleaver interleaver = make(INTERLEAVE_SPANS, 1, 1);
    int64_t lengths[2][64] = {{0}};
    for (int i = 0; i < 2000; i++) {
        random_row_make(&random, &rng, 0);
        for (int64_t k = 1; k < random.row.word_count; k++) /* a third of the words begin within 100 samples */
            if (rng_below(&rng, 3) == 0) {
                int32_t start = random.words[k - 1].end + (int32_t)rng_below(&rng, 100);
                if (start < random.words[k].start)
                    random.words[k].start = start;
            }
        struct rng cut = rng_make(test_seed(), RNG_INTERLEAVE, 2, (uint64_t)i);
        struct document document;
        assert_ok(document_interleaved(&interleaver, &random.row, &cut, &document));
        walk_spans(&random, &document, &interleaver.options, lengths, false);
        document_free(&document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_modality_by_hand),
        cmocka_unit_test(spans_by_hand),
        cmocka_unit_test(a_prefix_for_each_document_by_hand),
        cmocka_unit_test(a_span_that_continues_keeps_its_space),
        cmocka_unit_test(words_by_hand),
        cmocka_unit_test(other_forms_by_hand),
        cmocka_unit_test(words_shorter_than_a_unit),
        cmocka_unit_test(empty_rows_give_empty_documents),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(any_row_keeps_every_word_once),
        cmocka_unit_test(short_words_keep_every_word_once),
    };
    return cmocka_run_group_tests(tests, prepare, finish);
}
