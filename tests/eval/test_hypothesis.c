/* The ids of hypotheses under each option, against what prompt_create makes of the same pieces. */
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "eval/scoring/hypothesis.h"

#include <stdlib.h>
#include <string.h>

static struct tiny_world world;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(1, 64, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tiny_world_close(&world);
    return 0;
}

static const struct vocabulary *vocabulary(void)
{
    return &world.components->vocabulary;
}

static void free_choice(struct choice *choice)
{
    free(choice->ids);
    free(choice->alone);
    *choice = (struct choice){0};
}

/* ids == prompt of the pieces [from, ..) + EOS */
static void expect_prompt(const struct choice *choice, const struct piece *pieces, int64_t count, int64_t from)
{
    struct prompt prompt;
    assert_ok(prompt_create(world.components, pieces, count, OUTPUT_ANY, &prompt));
    assert_int_equal(choice->count, prompt.count - from + 1);
    assert_memory_equal(choice->ids, prompt.ids + from, (size_t)(prompt.count - from) * sizeof *prompt.ids);
    assert_int_equal(choice->ids[choice->count - 1], vocabulary()->eos);
    prompt_free(&prompt);
}

static int32_t units[3];
static const char unit_string[] = "[Hu3][Hu0][Hu2]";

static struct side speech_side(void)
{
    const int32_t codes[3] = {3, 0, 2};
    for (int i = 0; i < 3; i++)
        units[i] = vocabulary()->hubert_base + codes[i];
    return (struct side){.units = units, .unit_count = 3};
}

static void speech_alone(void **state)
{
    (void)state;
    const struct piece pieces[] = {{PIECE_UNITS, unit_string}};
    const struct side side = speech_side();
    struct score_protocol protocol = {.bos = true, .tag = TAG_GIVEN};
    struct choice choice = {0};
    assert_ok(hypothesis_build(world.components, &protocol, NULL, &side, false, &choice));
    expect_prompt(&choice, pieces, 1, 0);
    assert_true(choice.first == 1 && choice.context == 2 && !choice.alone && choice.characters == 0);
    free_choice(&choice);
    protocol.tag = TAG_ABSENT;
    assert_ok(hypothesis_build(world.components, &protocol, NULL, &side, false, &choice));
    assert_true(choice.count == 5 && choice.ids[0] == vocabulary()->bos && choice.ids[1] == units[0]);
    assert_true(choice.first == 1 && choice.context == 1);
    free_choice(&choice);
    protocol.bos = false;
    assert_ok(hypothesis_build(world.components, &protocol, NULL, &side, false, &choice));
    assert_true(choice.count == 4 && choice.ids[0] == units[0]); /* the first unit has no score */
    assert_true(choice.first == 1 && choice.context == 0);
    free_choice(&choice);
}

static void one_modality_after_the_other(void **state)
{
    (void)state;
    const struct piece after_speech[] = {{PIECE_UNITS, unit_string}, {PIECE_TEXT, "one two"}};
    const struct piece after_text[] = {{PIECE_TEXT, "one two"}, {PIECE_UNITS, unit_string}};
    const struct side speech = speech_side(), text = {.text = "one two"};
    const struct score_protocol protocol = {.bos = true, .tag = TAG_GIVEN};
    struct choice choice = {0};
    assert_ok(hypothesis_build(world.components, &protocol, &speech, &text, true, &choice));
    expect_prompt(&choice, after_speech, 2, 0);
    assert_int_equal(choice.context, 1 + 1 + 3 + 1);
    assert_true(choice.characters == 7 && choice.bytes == 7);
    /* alone: BOS, tag, the text, EOS */
    assert_int_equal(choice.alone_count - choice.alone_context, choice.count - choice.context);
    assert_true(choice.alone_context == 2 && choice.alone[1] == vocabulary()->text_tag);
    assert_memory_equal(choice.alone + 2, choice.ids + choice.context,
                        (size_t)(choice.count - choice.context) * sizeof *choice.ids);
    free_choice(&choice);
    assert_ok(hypothesis_build(world.components, &protocol, &text, &speech, false, &choice));
    expect_prompt(&choice, after_text, 2, 0);
    assert_int_equal(choice.ids[choice.context - 1], vocabulary()->speech_tag);
    assert_int_equal(choice.count - choice.context, 4);
    free_choice(&choice);
}

static void text_is_encoded_with_its_context(void **state)
{
    (void)state;
    const struct piece joined[] = {{PIECE_TEXT, "one two three"}}, before[] = {{PIECE_TEXT, "one two"}};
    const struct side context = {.text = "one two"}, hypothesis = {.text = "three"};
    const struct score_protocol protocol = {.bos = true, .tag = TAG_GIVEN};
    struct choice choice = {0};
    struct prompt prompt;
    assert_ok(hypothesis_build(world.components, &protocol, &context, &hypothesis, false, &choice));
    expect_prompt(&choice, joined, 1, 0);
    assert_ok(prompt_create(world.components, before, 1, OUTPUT_ANY, &prompt));
    assert_int_equal(choice.context, prompt.count);
    assert_true(choice.characters == 5);
    prompt_free(&prompt);
    free_choice(&choice);
}

static void speech_after_speech_has_no_second_tag(void **state)
{
    (void)state;
    const struct side side = speech_side();
    const struct score_protocol protocol = {.bos = true, .tag = TAG_GIVEN};
    struct choice choice = {0};
    assert_ok(hypothesis_build(world.components, &protocol, &side, &side, false, &choice));
    assert_true(choice.count == 1 + 1 + 3 + 3 + 1 && choice.context == 5);
    free_choice(&choice);
}

static void characters_are_code_points(void **state)
{
    (void)state;
    const struct side side = {.text = "na\xc3\xafve \xe2\x82\xac"};
    const struct score_protocol protocol = {.bos = true, .tag = TAG_GIVEN};
    struct choice choice = {0};
    assert_ok(hypothesis_build(world.components, &protocol, NULL, &side, false, &choice));
    assert_true(choice.characters == 7 && choice.bytes == 10);
    free_choice(&choice);
}

static void empty_hypotheses_are_refused(void **state)
{
    (void)state;
    const struct side blank = {.text = " "}, silent = {.units = units, .unit_count = 0}, text = {.text = "one"};
    const struct score_protocol protocol = {.bos = true, .tag = TAG_GIVEN};
    struct choice choice = {0};
    assert_fails(hypothesis_build(world.components, &protocol, NULL, &blank, false, &choice), STATUS_USAGE,
                 "no tokens");
    assert_fails(hypothesis_build(world.components, &protocol, &text, &silent, true, &choice), STATUS_USAGE,
                 "no tokens");
    assert_null(choice.ids);
}

/* What the second of two pieces of speech begins with and the first ends with is one run, as training merges them. */
static void speech_after_speech_repeats_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *context, *hypothesis, *kept;
    } cases[] = {
        {"[St1][Pi2][Hu3][Hu7]", "[St1][Pi4][Hu8][Hu7]", "[St1][Pi4][Hu8][Hu7]"}, /* style is never merged */
        {"[St1][Pi2][Hu3][Hu7]", "[St1][Pi2][Hu7][Hu3]", "[St1][Hu3]"},
        {"[Pi2][Hu3][Pi5][Hu7]", "[Pi5][Hu6][Pi2][Pi5][Hu7]", "[Hu6][Pi2][Pi5][Hu7]"},
        {"[Pi2][Hu3]", "[Pi3][Hu3][Hu3]", "[Pi3][Hu3]"},
        {"[Hu3]", "[Hu3]", "[Hu3]"}, /* nothing would be left */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct score_protocol protocol = {.bos = true, .tag = TAG_GIVEN};
        const struct piece both[] = {{PIECE_UNITS, cases[i].context}, {PIECE_UNITS, cases[i].kept}};
        struct prompt context = {.state = {-1, -1}}, hypothesis = {.state = {-1, -1}};
        struct choice choice = {0};
        assert_ok(prompt_append_piece(world.components, &both[0], &context));
        assert_ok(
            prompt_append_piece(world.components, &(struct piece){PIECE_UNITS, cases[i].hypothesis}, &hypothesis));
        assert_ok(hypothesis_build(
            world.components, &protocol, &(struct side){.units = context.ids, .unit_count = context.count},
            &(struct side){.units = hypothesis.ids, .unit_count = hypothesis.count}, true, &choice));
        expect_prompt(&choice, both, 2, 0);
        assert_int_equal(choice.context, 2 + context.count);
        assert_int_equal(choice.alone_count - choice.alone_context, choice.count - choice.context);
        assert_memory_equal(choice.alone + choice.alone_context, choice.ids + choice.context,
                            (size_t)(choice.count - choice.context) * sizeof(int32_t));
        prompt_free(&context);
        prompt_free(&hypothesis);
        free_choice(&choice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speech_after_speech_repeats_nothing),   cmocka_unit_test(speech_alone),
        cmocka_unit_test(one_modality_after_the_other),          cmocka_unit_test(text_is_encoded_with_its_context),
        cmocka_unit_test(speech_after_speech_has_no_second_tag), cmocka_unit_test(characters_are_code_points),
        cmocka_unit_test(empty_hypotheses_are_refused),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
