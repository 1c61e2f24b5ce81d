/* Prompts to the token, samples that repeat and do not depend on their neighbours, and outputs that lose nothing. */
#include "support/reference_sampler.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "core/utf8.h"
#include "generate/describe.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES_AT_MOST = 20 };

static struct tiny_world world;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(2, 128, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tiny_world_close(&world);
    return 0;
}

/* Letters a, b, c are pieces 260, 261, 262, the space piece 259; [Text] is 286, [Speech] 287, [Hu0] 288, [Pi0] 308,
 * [St0] 316. */
enum { SPACE = 259, A = 260, TEXT_TAG = 286, SPEECH_TAG = 287, HU = 288, PI = 308, ST = 316 };

static void expect_prompt(const struct piece *pieces, int64_t count, enum output_modality output,
                          const int32_t *expected, int64_t expected_count)
{
    struct prompt prompt;
    assert_ok(prompt_create(world.components, pieces, count, output, &prompt));
    assert_int_equal(prompt.count, expected_count);
    assert_memory_equal(prompt.ids, expected, (size_t)expected_count * sizeof *expected);
    prompt_free(&prompt);
}

static void prompts_have_tags_where_the_modality_changes(void **state)
{
    (void)state;
    const struct piece ab = {PIECE_TEXT, " ab\n"}, units = {PIECE_UNITS, "[St1][Pi2][Hu3]"};
    struct piece mixed[] = {ab, units, units, ab};
    static const int32_t bare[] = {1}, text[] = {1, TEXT_TAG, SPACE, A, A + 1}, spoken[] = {1, SPEECH_TAG},
                         text_speech[] = {1, TEXT_TAG, SPACE, A, A + 1, SPEECH_TAG},
                         all[] = {1,      TEXT_TAG, SPACE,  A,      A + 1,    SPEECH_TAG, ST + 1, PI + 2,
                                  HU + 3, ST + 1,   PI + 2, HU + 3, TEXT_TAG, SPACE,      A,      A + 1};
    expect_prompt(NULL, 0, OUTPUT_ANY, bare, 1);
    expect_prompt(NULL, 0, OUTPUT_SPEECH, spoken, 2);
    expect_prompt(&ab, 1, OUTPUT_TEXT, text, 5);
    expect_prompt(&ab, 1, OUTPUT_ANY, text, 5);
    expect_prompt(&ab, 1, OUTPUT_SPEECH, text_speech, 6);
    expect_prompt(mixed, 4, OUTPUT_TEXT, all, 16);
    /* White space alone is no piece: neither tag nor token, before, between or after others, or instead of them. */
    const struct piece blank = {PIECE_TEXT, " \t\n\r\v\f"}, empty = {PIECE_TEXT, ""};
    const struct piece spaced[] = {blank, ab, empty, units, blank, units, blank, ab, blank},
                       silent[] = {blank, units, blank};
    static const int32_t spoken_units[] = {1, SPEECH_TAG, ST + 1, PI + 2, HU + 3};
    expect_prompt(spaced, 9, OUTPUT_TEXT, all, 16);
    expect_prompt(silent, 3, OUTPUT_SPEECH, spoken_units, 5);
    expect_prompt(&blank, 1, OUTPUT_ANY, bare, 1);
    expect_prompt(&blank, 1, OUTPUT_SPEECH, spoken, 2);
    struct prompt prompt;
    assert_ok(prompt_create(world.components, mixed, 3, OUTPUT_SPEECH, &prompt));
    assert_int_equal(prompt.state.pitch, 2); /* what generated speech goes on with */
    assert_int_equal(prompt.state.style, 1);
    prompt_free(&prompt);
}

/* dummy_prefix "document": before the first tag, and where text follows text, as the space between them. */
static void prompts_with_one_prefix(void **state)
{
    (void)state;
    const struct piece ab = {PIECE_TEXT, " ab\n"}, units = {PIECE_UNITS, "[St1][Pi2][Hu3]"};
    const struct piece mixed[] = {ab, units, ab}, texts[] = {ab, ab};
    static const int32_t bare[] = {1, SPACE}, spoken[] = {1, SPACE, SPEECH_TAG},
                         text_speech[] = {1, SPACE, TEXT_TAG, A, A + 1, SPEECH_TAG},
                         all[] = {1, SPACE, TEXT_TAG, A, A + 1, SPEECH_TAG, ST + 1, PI + 2, HU + 3, TEXT_TAG, A, A + 1},
                         joined[] = {1, SPACE, TEXT_TAG, A, A + 1, SPACE, A, A + 1};
    world.components->vocabulary.dummy_prefix = DUMMY_PREFIX_DOCUMENT;
    expect_prompt(NULL, 0, OUTPUT_ANY, bare, 2);
    expect_prompt(NULL, 0, OUTPUT_SPEECH, spoken, 3);
    expect_prompt(&ab, 1, OUTPUT_SPEECH, text_speech, 6);
    expect_prompt(mixed, 3, OUTPUT_TEXT, all, 12);
    expect_prompt(texts, 2, OUTPUT_TEXT, joined, 8);
    world.components->vocabulary.dummy_prefix = DUMMY_PREFIX_SPAN;
}

/* A string with tags and units gives the ids of the pieces that it names; near misses of units are text. */
static void prompts_as_strings(void **state)
{
    (void)state;
    const struct piece ab = {PIECE_TEXT, "ab"}, units = {PIECE_UNITS, "[St1][Pi2][Hu3]"};
    const struct piece string = {PIECE_STRING, "[Text]ab[Speech][St1][Pi2][Hu3][Text]ab"},
                       bare = {PIECE_STRING, "ab[Hu3]"}, nothing = {PIECE_STRING, ""};
    const struct piece mixed[] = {ab, units, ab}, two[] = {string, ab};
    static const int32_t span_bare[] = {1, SPACE, A, A + 1, HU + 3}, empty[] = {1}, tag[] = {1, SPEECH_TAG};
    struct prompt expected, found;
    for (int prefix = DUMMY_PREFIX_SPAN; prefix <= DUMMY_PREFIX_DOCUMENT; prefix++) {
        world.components->vocabulary.dummy_prefix = (enum dummy_prefix)prefix;
        for (int output = OUTPUT_TEXT; output <= OUTPUT_ANY; output++) {
            assert_ok(prompt_create(world.components, mixed, 3, (enum output_modality)output, &expected));
            assert_ok(prompt_create(world.components, &string, 1, (enum output_modality)output, &found));
            assert_int_equal(found.count, expected.count);
            assert_memory_equal(found.ids, expected.ids, (size_t)found.count * sizeof *found.ids);
            assert_int_equal(found.in_speech, expected.in_speech);
            assert_int_equal(found.state.pitch, 2);
            assert_int_equal(found.state.style, 1);
            prompt_free(&expected);
            prompt_free(&found);
        }
        expect_prompt(&bare, 1, OUTPUT_ANY, span_bare, 5);
        expect_prompt(&nothing, 1, OUTPUT_ANY, empty, 1);
        expect_prompt(&nothing, 1, OUTPUT_SPEECH, tag, 2);
        static const char *const misses[] = {"[Hu20]", "[Hu03]", "[Hu]",    "[Pi8]",
                                             "[hu1]",  "[Text",  "[ Text]", "[Hu-1]"};
        for (size_t i = 0; i < sizeof misses / sizeof *misses; i++) {
            const struct piece miss = {PIECE_STRING, misses[i]};
            assert_ok(prompt_create(world.components, &miss, 1, OUTPUT_ANY, &found));
            for (int64_t j = 0; j < found.count; j++)
                assert_true(found.ids[j] < TEXT_TAG);
            assert_true(found.count > 3);
            prompt_free(&found);
        }
        assert_fails(prompt_create(world.components, two, 2, OUTPUT_ANY, &found), STATUS_USAGE, "the only piece");
    }
    world.components->vocabulary.dummy_prefix = DUMMY_PREFIX_SPAN;
}

static struct generated *generate_after(const char *text, int64_t samples, uint64_t seed, enum output_modality output,
                                        int64_t tokens)
{
    const struct piece piece = {PIECE_TEXT, text};
    struct generation_options options = {
        .output = output, .sampling = {0.9, 50, 0.95}, .max_new_tokens = tokens, .samples = samples, .seed = seed};
    struct prompt prompt;
    struct generated *generated;
    assert_ok(prompt_create(world.components, &piece, 1, output, &prompt));
    assert_ok(generate_tokens(world.model, world.components, &prompt, &options, &generated));
    prompt_free(&prompt);
    return generated;
}

static struct generated *generate(int64_t samples, uint64_t seed, enum output_modality output, int64_t tokens)
{
    return generate_after("abc", samples, seed, output, tokens);
}

static void assert_same(const struct generated *a, const struct generated *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->ended, b->ended);
    assert_memory_equal(a->ids, b->ids, (size_t)a->count * sizeof *a->ids);
}

static void seeds_repeat_and_samples_do_not_see_each_other(void **state)
{
    (void)state;
    const int64_t tokens = test_count(60, 8);
    struct generated *one = generate(1, 3, OUTPUT_ANY, tokens), *again = generate(1, 3, OUTPUT_ANY, tokens);
    struct generated *many = generate(20, 3, OUTPUT_ANY, tokens), *other = generate(1, 4, OUTPUT_ANY, tokens);
    assert_same(one, again);
    assert_same(one, &many[0]);
    struct generated *five = generate(5, 3, OUTPUT_ANY, tokens);
    for (int i = 0; i < 5; i++)
        assert_same(&five[i], &many[i]);
    generated_free(five, 5);
    assert_true(one->count != other->count || memcmp(one->ids, other->ids, (size_t)one->count * sizeof *one->ids) != 0);
    int different = 0;
    for (int i = 1; i < 20; i++)
        different += many[i].count != many[0].count ||
                     memcmp(many[i].ids, many[0].ids, (size_t)many[0].count * sizeof *many[0].ids) != 0;
    assert_true(different >= test_count(18, 14));
    generated_free(one, 1);
    generated_free(again, 1);
    generated_free(other, 1);
    generated_free(many, 20);
}

/* ---- the host's own algorithm ---- */

struct reference {
    struct llama_session *session;
    uint8_t *allowed;
    float *logits; /* [samples][rows]: of the active samples, packed */
    int64_t active[SAMPLES_AT_MOST], active_count;
    int32_t next[SAMPLES_AT_MOST];
    struct rng rngs[SAMPLES_AT_MOST];
};

/* A sample's next id from its logits; samples that end leave the list. */
static void reference_pick(struct reference *reference, const struct sampling *sampling, struct generated *generated)
{
    int64_t kept = 0, rows = world.model->config.vocabulary_size;
    for (int64_t i = 0; i < reference->active_count; i++) {
        int64_t sample = reference->active[i];
        int32_t id = reference_sample(sampling, reference->logits + i * rows, reference->allowed, rows,
                                      &reference->rngs[sample]);
        generated[sample].ended = id == world.components->vocabulary.eos;
        if (generated[sample].ended)
            continue;
        generated[sample].ids[generated[sample].count++] = id;
        reference->active[kept] = sample;
        reference->next[kept++] = id;
    }
    reference->active_count = kept;
}

/* As generate_tokens promises, but every step brings the logits to the host, where the ids are drawn. */
static struct generated *reference_generate(const struct prompt *prompt, const struct generation_options *options)
{
    int64_t rows = world.model->config.vocabulary_size, samples = options->samples;
    struct generated *generated = calloc((size_t)samples, sizeof *generated);
    struct reference reference = {.allowed = calloc((size_t)rows, 1), .active_count = samples};
    reference.logits = calloc((size_t)(samples * rows), sizeof *reference.logits);
    assert_true(generated && reference.allowed && reference.logits && samples <= SAMPLES_AT_MOST);
    output_mask(world.components->text, &world.components->vocabulary, options->output, reference.allowed);
    assert_ok(llama_session_create(
        world.model,
        &(struct llama_session_options){.rows = samples, .capacity = prompt->count + options->max_new_tokens},
        &reference.session));
    assert_ok(llama_session_prefill(reference.session, 0, prompt->ids, prompt->count, reference.logits));
    for (int64_t i = 0; i < samples; i++) {
        generated[i].ids = calloc((size_t)options->max_new_tokens, sizeof(int32_t));
        assert_non_null(generated[i].ids);
        reference.rngs[i] = rng_make(options->seed, RNG_GENERATE, (uint64_t)i, 0);
        reference.active[i] = i;
        assert_ok(llama_session_copy_row(reference.session, i, 0));
        memcpy(reference.logits + i * rows, reference.logits, (size_t)rows * sizeof(float));
    }
    reference_pick(&reference, &options->sampling, generated);
    for (int64_t step = 1; step < options->max_new_tokens && reference.active_count > 0; step++) {
        assert_ok(llama_session_decode(reference.session, reference.active, reference.next, reference.active_count,
                                       reference.logits));
        reference_pick(&reference, &options->sampling, generated);
    }
    llama_session_destroy(reference.session);
    free(reference.allowed);
    free(reference.logits);
    return generated;
}

/* Ids drawn on the device are those drawn on the host, whatever the settings, in groups of rows and while rows end. */
static void tokens_are_those_drawn_on_the_host(void **state)
{
    (void)state;
    static const struct sampling samplings[] = {{0, 0, 1}, {1, 0, 1}, {0.9, 50, 0.95}, {2, 3, 1}, {0.5, 0, 0.7}};
    static const int64_t samples[] = {1, 5, SAMPLES_AT_MOST};
    int64_t tokens = 0, ended = 0;
    for (uint64_t seed = test_seed(); seed < test_seed() + (uint64_t)test_count(3, 1); seed++)
        for (size_t s = 0; s < sizeof samplings / sizeof *samplings; s++) {
            const struct piece piece = {PIECE_TEXT, "abc"};
            struct generation_options options = {.output = (enum output_modality)(s % 3),
                                                 .sampling = samplings[s],
                                                 .max_new_tokens = test_count(60, 10),
                                                 .samples = samples[(seed + s) % 3],
                                                 .seed = seed};
            struct prompt prompt;
            struct generated *found, *expected;
            assert_ok(prompt_create(world.components, &piece, 1, options.output, &prompt));
            assert_ok(generate_tokens(world.model, world.components, &prompt, &options, &found));
            expected = reference_generate(&prompt, &options);
            for (int64_t i = 0; i < options.samples; i++) {
                assert_same(&found[i], &expected[i]);
                tokens += found[i].count;
                ended += found[i].ended;
            }
            generated_free(found, options.samples);
            generated_free(expected, options.samples);
            prompt_free(&prompt);
        }
    print_message("%lld tokens alike, %lld samples ended\n", (long long)tokens, (long long)ended);
    assert_true(tokens > test_count(1000, 100) && ended >= test_count(1, 0));
}

/* The model's own logits, ten thousand tokens a mode. */
static void modes_hold_for_ten_thousand_tokens(void **state)
{
    (void)state;
    for (int mode = OUTPUT_TEXT; mode <= OUTPUT_ANY; mode++) {
        int64_t total = 0;
        for (uint64_t seed = 1; total < test_count(10000, 100); seed++) {
            const int64_t samples = test_count(64, 18);
            struct generated *generated = generate(samples, seed, (enum output_modality)mode, test_count(100, 8));
            for (int64_t s = 0; s < samples; s++)
                for (int64_t i = 0; i < generated[s].count; i++, total++) {
                    enum token_kind kind = vocabulary_kind(&world.components->vocabulary, generated[s].ids[i]);
                    assert_int_not_equal(kind, TOKEN_PADDING);
                    if (mode == OUTPUT_TEXT)
                        assert_int_equal(kind, TOKEN_TEXT);
                    if (mode == OUTPUT_SPEECH)
                        assert_true(kind == TOKEN_HUBERT || kind == TOKEN_PITCH || kind == TOKEN_STYLE);
                }
            generated_free(generated, samples);
        }
    }
}

static void limits_are_kept(void **state)
{
    (void)state;
    char text[200];
    memset(text, 'a', sizeof text - 1);
    text[110] = 0;
    struct generated *generated =
        generate_after(text, 2, 1, OUTPUT_SPEECH, 1000); /* BOS, tag, space, 110 letters, [Speech]; then */
    for (int i = 0; i < 2; i++)
        assert_true(generated[i].ended || generated[i].count == 128 - 114); /* the context of 128 ends it */
    generated_free(generated, 2);
    text[110] = 'a';
    text[sizeof text - 1] = 0;
    const struct piece piece = {PIECE_TEXT, text};
    struct generation_options options = {
        .output = OUTPUT_TEXT, .sampling = {1, 0, 1}, .max_new_tokens = 5, .samples = 1};
    struct prompt prompt;
    assert_ok(prompt_create(world.components, &piece, 1, OUTPUT_TEXT, &prompt));
    assert_fails(generate_tokens(world.model, world.components, &prompt, &options, &generated), STATUS_USAGE,
                 "context");
    prompt_free(&prompt);
}

/* Text, speech, text without a tag between, speech that begins without pitch: runs by modality, units as they stand. */
static void outputs_are_split_and_nothing_is_dropped(void **state)
{
    (void)state;
    static const int32_t ids[] = {A, A + 1, SPEECH_TAG, HU + 4, PI + 1, HU + 5, TEXT_TAG, A + 2, ST + 2};
    struct prompt prompt = {.state = {3, 1}};
    struct output_piece *pieces;
    int64_t count;
    assert_ok(output_split(world.components, &prompt, ids, 9, NULL, &pieces, &count));
    assert_int_equal(count, 4);
    assert_false(pieces[0].speech);
    assert_string_equal(pieces[0].text, "ab");
    assert_true(pieces[1].speech);
    assert_string_equal(pieces[1].text, "[Hu4][Pi1][Hu5]");
    assert_string_equal(pieces[2].text, "c");
    assert_string_equal(pieces[3].text, "[St2]");
    assert_int_equal(pieces[1].size, 15);
    output_pieces_free(pieces, count);
    assert_ok(output_split(world.components, &prompt, ids, 0, NULL, &pieces, &count));
    assert_int_equal(count, 0);
    output_pieces_free(pieces, count);
    /* Byte pieces are 3 + byte: a NUL hides nothing that follows it. */
    static const int32_t with_nul[] = {A, 3, A + 1, 3 + 0x0A};
    assert_ok(output_split(world.components, &prompt, with_nul, 4, NULL, &pieces, &count));
    assert_int_equal(count, 1);
    assert_int_equal(pieces[0].size, 4);
    assert_memory_equal(pieces[0].text, "a\0b\n", 5);
    output_pieces_free(pieces, count);
}

static void expect_description(const char *bytes, int64_t size, const char *printable, const char *json)
{
    struct output_piece piece = {.text = guarded_allocate((size_t)size), .size = size};
    char *text;
    json_t *object;
    memcpy(piece.text, bytes, (size_t)size);
    assert_ok(utf8_printable(piece.text, size, &text));
    assert_string_equal(text, printable);
    free(text);
    assert_ok(output_piece_describe(&piece, &object));
    text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
    assert_non_null(text);
    assert_string_equal(text, json);
    free(text);
    json_decref(object);
    guarded_free(piece.text);
}

/* NUL, controls, a C1 control, an accent; a lone continuation byte, a surrogate, an overlong slash, a cut character. */
static void any_bytes_can_be_printed_and_described(void **state)
{
    (void)state;
    expect_description("a\0b\n\x1b\x7f\xc2\x9b\xc3\xa9", 10, "a\\x00b\\n\\x1B\\x7F\\xC2\\x9B\xc3\xa9",
                       "{\"kind\":\"text\",\"text\":\"a\\u0000b\\n\\u001B\x7f\xc2\x9b\xc3\xa9\"}");
#define BAD "\xef\xbf\xbd"
    expect_description("x\x80y", 3, "x" BAD "y", "{\"bytes\":\"788079\",\"kind\":\"text\",\"text\":\"x" BAD "y\"}");
    expect_description("\xed\xa0\x80", 3, BAD BAD BAD,
                       "{\"bytes\":\"eda080\",\"kind\":\"text\",\"text\":\"" BAD BAD BAD "\"}");
    expect_description("\xc0\xaf\xe2\x82", 4, BAD BAD BAD BAD,
                       "{\"bytes\":\"c0afe282\",\"kind\":\"text\",\"text\":\"" BAD BAD BAD BAD "\"}");
    expect_description("", 0, "", "{\"kind\":\"text\",\"text\":\"\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_have_tags_where_the_modality_changes),
        cmocka_unit_test(prompts_with_one_prefix),
        cmocka_unit_test(prompts_as_strings),
        cmocka_unit_test(seeds_repeat_and_samples_do_not_see_each_other),
        cmocka_unit_test(tokens_are_those_drawn_on_the_host),
        cmocka_unit_test(modes_hold_for_ten_thousand_tokens),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(outputs_are_split_and_nothing_is_dropped),
        cmocka_unit_test(any_bytes_can_be_printed_and_described),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
